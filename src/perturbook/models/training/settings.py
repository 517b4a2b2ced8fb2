"""How a model is trained: one frozen record, which refuses what cannot work before anything is computed."""

import math
from dataclasses import asdict, dataclass

from perturbook.errors import ConfigError

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
WHERE = ("accelerator", "devices", "strategy", "num_nodes", "checkpoint_every")
"""Fields that say where a run takes place, not what it computes: a run may go on elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one training run. Source: our choice; the names follow Lightning Fabric where it has one.

    Raises ConfigError for a value out of range and for values that cannot go together.
    """

    steps: int | None = None
    """Optimiser steps; give this or `epochs`."""
    epochs: int | None = None
    """Passes over the batches; give this or `steps`. A last step that lacks batches is not made."""
    learning_rate: float = 1e-3
    """Highest learning rate, reached after the warm-up."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises linearly from nothing."""
    final_share: float = 0.0
    """Share of the learning rate at the end of the cosine after the warm-up; 1 keeps it constant."""
    weight_decay: float = 0.0
    """Decoupled decay (AdamW) of parameters with two axes or more; biases and norms never decay."""
    clip: float | None = 1.0
    """Largest norm of the gradient, over all parameters; None does not clip."""
    accumulate: int = 1
    """Batches whose mean loss makes one step, over all processes together: a multiple of their number."""
    precision: str = "32-true"
    """`32-true`, `bf16-mixed`, or `16-mixed` (not on a CPU)."""
    accelerator: str = "cpu"
    """Given to Fabric: `cpu`, `cuda`, `auto`, ... The default gives the same numbers on every machine of a kind."""
    devices: int | str | list[int] = 1
    """Given to Fabric: how many devices per node, or which."""
    strategy: str = "auto"
    """Given to Fabric: `auto`, or a name that begins with `ddp`; sharded parameters are not supported."""
    num_nodes: int = 1
    """Given to Fabric: nodes, as SLURM or torchrun has started them."""
    seed: int = 0
    """Decides the order of batches and every random draw of the loss."""
    validate_every: int | None = None
    """Steps between validations; the last step is always validated. None validates at the last step only."""
    patience: int | None = None
    """Validations in a row without a new lowest loss after which training stops; None never stops early."""
    checkpoint_every: int | None = None
    """Steps between states on disk, where `fit` is given a folder; the last step is always kept."""
    log_every: int = 1
    """Steps between rows of the history."""

    def __post_init__(self):
        """Refuse impossible values and combinations."""
        if (self.steps is None) == (self.epochs is None):
            raise ConfigError("Give either steps or epochs, and not both.")
        for name in (
            "steps",
            "epochs",
            "accumulate",
            "num_nodes",
            "validate_every",
            "patience",
            "checkpoint_every",
            "log_every",
        ):
            _whole(
                name, getattr(self, name), 1, optional=name not in ("accumulate", "num_nodes", "log_every")
            )
        _whole("warmup_steps", self.warmup_steps, 0)
        _whole("seed", self.seed, 0)
        _number("learning_rate", self.learning_rate, above=0)
        _number("weight_decay", self.weight_decay, least=0)
        _number("final_share", self.final_share, least=0, most=1)
        if self.clip is not None:
            _number("clip", self.clip, above=0)
        self._together()

    def _together(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision is {self.precision!r}. Allowed: {', '.join(PRECISIONS)}.")
        if self.precision == "16-mixed" and self.accelerator == "cpu":
            raise ConfigError("precision 16-mixed does not exist on a CPU; use bf16-mixed or 32-true.")
        if self.strategy != "auto" and not self.strategy.startswith("ddp"):
            raise ConfigError(
                f"strategy is {self.strategy!r}. Allowed: auto and the ddp family (ddp, ddp_spawn, ...); models "
                "here fit on one device, and a sharded state could not be resumed exactly."
            )
        if self.steps is not None and self.warmup_steps >= self.steps:
            raise ConfigError(
                f"warmup_steps is {self.warmup_steps}, of {self.steps} steps in all; warm up for fewer."
            )
        if self.patience is not None and self.validate_every is None:
            raise ConfigError("patience counts validations; give validate_every too.")

    def deciding(self) -> dict:
        """Return the fields that decide the trained weights, by name; a run resumes only under equal ones."""
        return {name: value for name, value in asdict(self).items() if name not in WHERE}

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Learning rate of `step` (from 0) of a run of `steps`: linear warm-up, then half a cosine."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / (self.warmup_steps + 1)
        done = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        fall = (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * (self.final_share + (1 - self.final_share) * fall)


def _whole(name: str, value: object, least: int, *, optional: bool = False) -> None:
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} is {value!r}; give a whole number from {least}.")


def _number(
    name: str,
    value: object,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float = math.inf,
) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    good = good and (above is None or value > above) and (least is None or value >= least) and value <= most
    if not good:
        low = f"above {above}" if above is not None else f"from {least}"
        raise ConfigError(
            f"{name} is {value!r}; give a number {low}{f' to {most}' if most < math.inf else ''}."
        )
