"""scvi-tools without its messages, and without its traces in the generators, threads and settings of the caller."""

import logging
import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

THREADS = 1
"""Fixed while training: the order in which threads add up decides the last digits of a sum, and so of a fit. One, because
two of them wait for each other at every small product, which on a busy machine takes ten times as long (measured)."""
LOGGERS = ("lightning.pytorch", "lightning.fabric", "lightning", "scvi")
VARIABLES = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "XLA_FLAGS")
"""What setting a seed writes into the environment."""


@contextmanager
def quiet(seed: int) -> Iterator[None]:
    """Seed scvi-tools for the block, silence it and Lightning, and put back all they change for the whole process.

    Source: our choice. scvi-tools draws from the global generators of Python, numpy and torch; a library that reseeds them
    would change what a caller draws next.
    """
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [one.level for one in loggers]
    environment = {name: os.environ.get(name) for name in VARIABLES}
    python, legacy, threads = random.getstate(), np.random.get_state(), torch.get_num_threads()  # noqa: NPY002
    flags = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        for one in loggers:
            one.setLevel(logging.ERROR)
        from scvi import settings  # after the levels: it logs while it is imported

        before = settings.seed
        for one in loggers:
            one.setLevel(logging.ERROR)
        torch.set_num_threads(THREADS)
        settings.seed = seed
        try:
            yield
        finally:
            settings._seed = before  # its setter would seed everything once more
            torch.set_num_threads(threads)
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags
            for name, value in environment.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})
            for one, level in zip(loggers, levels, strict=True):
                one.setLevel(level)
