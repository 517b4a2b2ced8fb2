"""What the page "From embedding to concepts" trains while it is made: four ways of training, on planted atoms and on real cells.

Source: `concepts.md` sections 3.3, 3.4 and 13 (checks 5 and 7), at a reduced size.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from perturbook.concepts.atom_matching import matched_cosines
from perturbook.concepts.fidelity import quality
from perturbook.concepts.planted_dictionary import planted
from perturbook.concepts.sae_settings import SAESettings
from perturbook.concepts.topk_sae import TopKSAE
from perturbook.concepts.train_sae import train
from perturbook.pages.concepts_arms import SETTINGS, WIDTH, K
from perturbook.pages.concepts_cells import Embedded

LATENTS, ACTIVE, BATCH, RATE, HELD = 64, 3, 256, 3e-3, 4
"""Of the planted dictionary; one cell in `HELD` is held out."""
SLEEPY = -1.1
"""Bias at which half of the latents start, where dead latents are asked for: below what any cell of norm 1 can wake."""
LANGUAGE = 10**7
"""The window of libraries for language models, in samples."""


@dataclass(frozen=True)
class Way:
    """One way of training."""

    title: str
    settings: dict
    sleepy: bool = False


WAYS = {
    "ours": Way("Centred, AuxK", {}),
    "plain": Way("Not centred, no AuxK", {"centre": False, "aux_weight": 0.0}),
    "woken": Way("Half start dead, window of one pass", {}, True),
    "window": Way("Half start dead, window of ten million", {"dead_window": LANGUAGE}, True),
}
"""Of the planted dictionary."""
REAL = {
    "ours": Way("Centred, AuxK", {}),
    "no_auxk": Way("Centred, no AuxK", {"aux_weight": 0.0}),
    "uncentred": Way("Not centred, AuxK", {"centre": False}),
    "plain": Way("Not centred, no AuxK", {"centre": False, "aux_weight": 0.0}),
}
"""Of embedded cells."""


@dataclass(frozen=True)
class Live:
    """What was trained."""

    rows: pd.DataFrame
    """One row per way: way, ev, dead_train, dead_eval, rare_eval, l0, auxk_steps, gamma, n_cells (held out), matched (cosine to
    the planted atoms; NaN where none are known), cosine."""
    log: pd.DataFrame
    """One row per way and pass: way, pass, ev, dead_train."""


def on_planted(seed: int, cells: int, passes: int) -> Live:
    """Train every way on simulated cells made of planted atoms."""
    world = planted(seed, cells)
    held = np.arange(cells) % HELD == 0
    given = {"passes": passes, "batch": BATCH, "learning_rate": RATE}
    return _trained(WAYS, world.points, ~held, held, held, (LATENTS, ACTIVE, seed), given, world.atoms)


def on_cells(cells: Embedded, passes: int, seed: int) -> Live:
    """Train every way on embedded cells, in the main setting with fewer passes."""
    parts = (cells.of(part) for part in ("train", "valid", "test"))
    given = {**SETTINGS.as_dict(), "passes": passes}
    return _trained(REAL, cells.points, *parts, (WIDTH, K, seed), given, None)


def _trained(ways, points, train_on, valid, test, size, given, atoms) -> Live:
    rows, logs = [], []
    width, k, seed = size
    for way in ways.values():
        sae = TopKSAE(points.shape[1], width, k, seed=seed)
        if way.sleepy:
            with torch.no_grad():
                sae.encoder_bias[::2] = SLEEPY
        made = train(sae, points, SAESettings(**{**given, **way.settings}), cells=train_on, held_out=valid)
        found, last = quality(sae, points, test), made.log.iloc[-1]
        cosine = matched_cosines(atoms, sae.atoms).mean() if atoms is not None else np.nan
        rows.append(
            {"way": way.title, **found.as_row(), "dead_train": last["dead_train"], "matched": cosine}
            | {"auxk_steps": made.log["auxk_steps"].mean(), "gamma": made.gamma}
        )
        logs.append(made.log.reset_index()[["pass", "ev", "dead_train"]].assign(way=way.title))
    return Live(pd.DataFrame(rows), pd.concat(logs, ignore_index=True))
