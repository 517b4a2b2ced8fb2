"""Train sparse autoencoders in place: one, or many of any width, K and seed on batches that are read once for all.

Source: `concepts.md` sections 3 and 11.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from perturbook.concepts.embedding_rows import EmbeddingRows, moments
from perturbook.concepts.fidelity import Held
from perturbook.concepts.sae_run import PASS, SAERun
from perturbook.concepts.sae_settings import SAESettings
from perturbook.concepts.shuffled_batches import ShuffledBatches
from perturbook.concepts.topk_sae import TopKSAE
from perturbook.errors import ConfigError, ShapeError
from perturbook.models.training import History
from perturbook.models.training.fabric import make_fabric, quiet


@dataclass(frozen=True)
class TrainedSAE:
    """An autoencoder after its training, and what was recorded."""

    sae: TopKSAE
    log: pd.DataFrame
    """One row per pass: `ev` (held-out; NaN without), `l0`, `dead_train` (share of latents), `auxk_steps` (share of steps with
    the auxiliary term), `atom_norm_error`, `largest_cosine` of two atoms, `revived` (latents drawn anew), `gamma`."""
    history: History
    """Every loss term, learning rate and gradient norm by step."""
    settings: SAESettings
    gamma: float
    """Of the training cells; see `Moments`."""
    cells: np.ndarray
    """Row numbers of the training cells."""
    cells_per_second: float
    """Training cells of all autoencoders of the call over its wall time."""


def train(sae: TopKSAE, matrix: Any, settings: SAESettings | None = None, **where: Any) -> TrainedSAE:
    """Train one autoencoder; see `train_many`."""
    return train_many([sae], matrix, settings, **where)[0]


def train_many(
    saes: Sequence[TopKSAE],
    matrix: Any,
    settings: SAESettings | None = None,
    *,
    cells: Any = None,
    held_out: Any = None,
) -> list[TrainedSAE]:
    """Train autoencoders in place on the same cells in the same order; each becomes, bit for bit, what it becomes alone.

    The numbers depend on seeds and settings, not on how the matrix is stored or cut, and on threads up to rounding.

    They are left in eval mode, with parameters that take no gradient.

    Args:
        saes: untrained, or to be trained on. Their `mu` and `s` are set to those of the training cells.
        matrix: embeddings `(cells, d_model)`, in memory or on disk; see `EmbeddingRows`.
        settings: how; the defaults where None.
        cells: rows to train on: numbers or a mask; all where None.
        held_out: rows to measure on after every pass; none where None.

    Raises:
        ConfigError: nothing to train, one autoencoder given twice, fewer cells than a batch, or a row in both sets.
        ShapeError: the matrix has another width than an autoencoder.
        InputError: a value is not finite, or all cells have the same embedding.
        NotFinite: a loss or gradient is not finite.
    """
    settings, saes = settings or SAESettings(), list(saes)
    rows = EmbeddingRows(matrix, cells)
    held = EmbeddingRows(matrix, held_out) if held_out is not None else None
    _refuse(saes, rows, held, settings)
    found = moments(rows)
    mu, s = found.scaling(settings.centre)
    for sae in saes:
        sae.requires_grad_(True)
        sae.mu.copy_(torch.from_numpy(mu))
        sae.s.fill_(s)
    shift, scale = saes[0].mu.clone(), saes[0].s.clone()
    batches = ShuffledBatches(rows, settings.batch, lambda block: (torch.from_numpy(block) - shift) / scale)
    began = time.monotonic()
    runs = _run(saes, batches, settings, rows.n, Held(held) if held else None)
    speed = rows.n * settings.passes * len(saes) / (time.monotonic() - began)
    return [
        TrainedSAE(
            sae,
            _log(run.state.history, found.gamma),
            run.state.history,
            settings,
            found.gamma,
            rows.cells,
            speed,
        )
        for sae, run in zip(saes, runs, strict=True)
    ]


def _run(
    saes: list[TopKSAE], batches: ShuffledBatches, settings: SAESettings, n_train: int, held_out: Held | None
) -> list[SAERun]:
    schedules = [settings.schedule(sae.n_latents, batches.per_pass) for sae in saes]
    runs = [
        SAERun(sae, None, batches, schedule, None, None, False, Path())
        for sae, schedule in zip(saes, schedules, strict=True)
    ]
    with quiet(), torch.random.fork_rng(devices=[]):
        fabric = make_fabric(schedules[0])
        for run in runs:
            run.begin(fabric, settings, n_train, held_out)
        for _ in range(schedules[0].steps):
            for run in runs:
                run.advance()
    for sae in saes:
        sae.eval().requires_grad_(False)
    return runs


def _refuse(
    saes: list[TopKSAE], rows: EmbeddingRows, held: EmbeddingRows | None, settings: SAESettings
) -> None:
    if not saes or len({id(sae) for sae in saes}) < len(saes):
        raise ConfigError("Give at least one autoencoder, and none twice.")
    for sae in saes:
        if sae.d_model != rows.d:
            raise ShapeError(f"The cells have {rows.d} numbers each, an autoencoder takes {sae.d_model}.")
    if rows.n < settings.batch:
        raise ConfigError(
            f"There are {rows.n:,} training cells for batches of {settings.batch:,}; take a smaller batch."
        )
    if held is not None and len(both := np.intersect1d(rows.cells, held.cells)):
        raise ConfigError(
            f"{len(both):,} of the held-out cells are trained on, such as row {both[0]}; name the training cells (cells=...)."
        )


def _log(history: History, gamma: float) -> pd.DataFrame:
    table = history.table()
    table = table[table["part"] == PASS].pivot(index="step", columns="term", values="value")
    order = list(dict.fromkeys(term for _, part, term, _ in history.rows if part == PASS))
    return table[order].assign(gamma=gamma).rename_axis(index=PASS, columns=None)
