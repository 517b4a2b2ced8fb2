"""How the dictionaries of the pages on concepts are made: the autoencoder's one setting and its sweep, and every arm.

Source: `concepts.md` sections 3.2 and 7; for an embedding of 128 numbers four times as many latents, 16 active, and the number
of passes are our choice. A first study with an eighth of the passes had been seen when these were settled, explained variance,
one probe and stability among it; they were raised because atoms still lay near their random start.
"""

from collections.abc import Sequence

import numpy as np

from perturbook.concepts.dictionaries import DICTIONARIES, fit_dictionary
from perturbook.concepts.dictionary import Dictionary
from perturbook.concepts.sae_settings import SAESettings
from perturbook.concepts.topk_sae import TopKSAE
from perturbook.concepts.train_sae import TrainedSAE, train_many

WIDTH, K = 512, 16
"""Latents and active latents of the autoencoder wherever only one is shown."""
WIDTHS, KS = (256, 512, 1024), (4, 8, 16, 32)
SETTINGS = SAESettings(passes=400, batch=256)
SAE = "sae"
ARMS = ("pca", "ica", "nmf", "neurons", "random", "untrained_sae")
TITLES = {SAE: "Top-K SAE", "embedding": "Embedding itself"} | {
    name: DICTIONARIES[name].title for name in ARMS
}


def autoencoders(
    points: np.ndarray,
    train: np.ndarray,
    valid: np.ndarray | None,
    sizes: Sequence[tuple[int, int, int]],
    settings: SAESettings = SETTINGS,
) -> list[TrainedSAE]:
    """Train one autoencoder for each (width, K, seed) on the cells `train`; `valid` cells are measured on after each pass."""
    saes = [TopKSAE(points.shape[1], width, k, seed=seed) for width, k, seed in sizes]
    return train_many(saes, points, settings, cells=train, held_out=valid)


def arm(name: str, points: np.ndarray, train: np.ndarray, seed: int = 0) -> Dictionary:
    """Fit an arm with every positive concept kept and as many concepts as the embedding permits; `keeping` makes it sparse."""
    if name == "untrained_sae":
        return fit_dictionary(name, points, cells=train, n_latents=WIDTH, k=K, seed=seed).keeping(None)
    return fit_dictionary(name, points, cells=train, seed=seed)
