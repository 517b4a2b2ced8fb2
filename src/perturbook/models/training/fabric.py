"""Lightning Fabric, quiet: devices, precision, processes and SLURM are its own; nothing else of Lightning is used."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.fabric import Fabric

from perturbook.errors import ConfigError
from perturbook.models.training.settings import Settings

LOGGERS = ("lightning.fabric", "lightning.pytorch")  # Fabric speaks through the second where both are loaded


def silence() -> None:
    """Let Lightning announce nothing from here on, in a process of our own."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, Lightning announces nothing; its loggers are left as they were found."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    silence()
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def make_fabric(settings: Settings) -> Fabric:
    """Fabric as `settings` ask for it.

    Raises:
        ConfigError: Fabric refuses the combination, or it would silently use another precision than the one asked for.
    """
    asked = {name: getattr(settings, name) for name in ("accelerator", "devices", "strategy", "num_nodes")}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fabric = Fabric(precision=settings.precision, **asked)
    except (ValueError, RuntimeError, TypeError) as error:  # what Lightning raises is among these
        said = " ".join(str(error).split())
        raise ConfigError(f"Lightning Fabric refuses {asked}: {said[:300]}") from error
    if settings.precision == "16-mixed" and fabric.device.type == "cpu":
        raise ConfigError("precision 16-mixed does not exist on a CPU; use bf16-mixed or 32-true.")
    if settings.accumulate % fabric.world_size:
        raise ConfigError(
            f"accumulate is {settings.accumulate} for {fabric.world_size} processes, which share the batches of a step; "
            f"give a multiple of {fabric.world_size}."
        )
    return fabric
