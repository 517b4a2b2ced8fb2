"""Plainer dictionaries behind the interface of the autoencoder: what a claim about concepts must be held against.

Directions that have two signs become two concepts each, the positive and the negative part. Source: `concepts.md` section 7.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perturbook.concepts.dictionary import Dictionary
from perturbook.concepts.embedding_rows import EmbeddingRows, moments
from perturbook.concepts.topk_sae import TopKSAE
from perturbook.errors import ConfigError
from perturbook.registry import Registry

DICTIONARIES: Registry = Registry("dictionary")
"""Name -> `Entry`; filled by `dictionary` below."""
ICA_ITERATIONS, NMF_ITERATIONS = 500, 200
"""Most iterations; those of NMF take long."""


@dataclass(frozen=True)
class Entry:
    """How a dictionary of the registry is fitted."""

    name: str
    title: str
    fit: Callable[[np.ndarray, int | None, int | None, int], Dictionary]
    """Scaled cells `(cells, d)`, n_latents, k, seed -> the dictionary, of scaled cells."""


def dictionary(name: str, title: str) -> Callable[[Callable], Callable]:
    """Decorator: enter `fit(scaled, n_latents, k, seed) -> Dictionary` into `DICTIONARIES`."""

    def enter(fit: Callable) -> Callable:
        DICTIONARIES.add(name, Entry(name, title, fit))
        return fit

    return enter


def fit_dictionary(
    name: str,
    matrix: Any,
    *,
    cells: Any = None,
    n_latents: int | None = None,
    k: int | None = None,
    seed: int = 0,
    centre: bool = True,
) -> Dictionary:
    """Fit a dictionary of the registry on embeddings `(cells, d)`, scaled as for an autoencoder.

    Args:
        name: in `DICTIONARIES`.
        matrix: see `EmbeddingRows`; it is read whole.
        cells: rows to fit on; all where None.
        n_latents: concepts wanted; as many as the width of the embedding permits where None or where it permits no more.
            Two-signed directions come in pairs.
        k: concepts kept per cell, the largest ones; None keeps every positive one.
        seed: of random directions and starts.
        centre: take the mean from the embeddings.

    Raises:
        ConfigError: unknown name, or numbers that cannot be.
        InputError: see `EmbeddingRows`; all cells have the same embedding.
    """
    entry, rows = DICTIONARIES[name], EmbeddingRows(matrix, cells)
    if n_latents is not None and n_latents < 2:
        raise ConfigError(f"n_latents is {n_latents}; give 2 or more.")
    mu, s = moments(rows).scaling(centre)
    made = entry.fit((rows.read(slice(None)) - mu.astype(np.float32)) / np.float32(s), n_latents, k, seed)
    made.mu.copy_(torch.from_numpy(mu))
    made.s.fill_(s)
    return made.eval().requires_grad_(False)


class FixedDictionary(Dictionary):
    """Directions that are read with `encoder` and written with `atoms`, both `(n_latents, d_model)`."""

    def __init__(self, encoder: np.ndarray, atoms: np.ndarray, k: int | None, bias: np.ndarray | None = None):
        super().__init__(atoms.shape[1], atoms.shape[0], k)
        norms = np.linalg.norm(atoms, axis=1, keepdims=True)
        norms[norms == 0] = 1.0  # of a part of NMF that cancels
        bias = np.zeros(atoms.shape[1]) if bias is None else bias
        tensors = {"encoder": encoder * norms, "atoms": atoms / norms, "bias": bias}
        for name, values in (tensors | {"encoder_bias": np.zeros(len(atoms))}).items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values)).float())


def two_signs(
    encoder: np.ndarray, atoms: np.ndarray, k: int | None, bias: np.ndarray | None = None
) -> FixedDictionary:
    """Each of the directions `(n, d)` as two concepts, the positive parts first."""
    return FixedDictionary(np.vstack([encoder, -encoder]), np.vstack([atoms, -atoms]), k, bias)


class NMFDictionary(FixedDictionary):
    """Non-negative parts of the positive and the negative half of the embedding.

    Codes solve the non-negative least-squares problem of each cell by a fixed number of accelerated gradient steps, so that
    they do not depend on other cells; they are their own pre-activations.
    """

    def __init__(self, parts: np.ndarray, k: int | None):
        """`parts` `(n_latents, 2 d)`, none negative."""
        d = parts.shape[1] // 2
        atoms = parts[:, :d] - parts[:, d:]
        super().__init__(np.zeros_like(atoms), atoms, k)
        norms = np.linalg.norm(atoms, axis=1, keepdims=True)
        norms[norms == 0] = 1.0
        self.register_buffer("parts", torch.from_numpy(parts / norms).float())
        self.largest = float(np.linalg.eigvalsh((self.parts @ self.parts.T).double().numpy())[-1])

    def pre_activations_of_scaled(self, scaled: Tensor) -> Tensor:
        """Codes `(cells, n_latents)` before the choice of the k largest."""
        halves = torch.cat([torch.relu(scaled), torch.relu(-scaled)], dim=1)
        wanted, products = halves @ self.parts.T, self.parts @ self.parts.T
        codes = ahead = torch.zeros_like(wanted)
        pace = 1.0
        for _ in range(200):
            moved = torch.relu(ahead - (ahead @ products - wanted) / self.largest)
            faster = (1 + (1 + 4 * pace**2) ** 0.5) / 2
            codes, ahead, pace = moved, moved + (pace - 1) / faster * (moved - codes), faster
        return codes


def _pairs(n_latents: int | None, d: int) -> int:
    """Directions with two signs that make at most `n_latents` concepts."""
    return d if n_latents is None else min(n_latents // 2, d)


@dictionary("neurons", "Neurons")
def neurons(scaled: np.ndarray, n_latents: int | None, k: int | None, seed: int) -> Dictionary:
    """The dimensions of the embedding, all of them or those with the largest variance."""
    chosen = np.sort(np.argsort(-scaled.var(axis=0), kind="stable")[: _pairs(n_latents, scaled.shape[1])])
    rows = np.eye(scaled.shape[1])[chosen]
    return two_signs(rows, rows, k)


@dictionary("pca", "PCA")
def pca(scaled: np.ndarray, n_latents: int | None, k: int | None, seed: int) -> Dictionary:
    """Principal components."""
    from sklearn.decomposition import PCA

    n = min(_pairs(n_latents, scaled.shape[1]), len(scaled))
    found = PCA(n, svd_solver="full").fit(scaled.astype(float))
    return two_signs(found.components_, found.components_, k, found.mean_)


@dictionary("ica", "ICA")
def ica(scaled: np.ndarray, n_latents: int | None, k: int | None, seed: int) -> Dictionary:
    """Independent components (FastICA)."""
    from sklearn.decomposition import FastICA

    n = min(_pairs(n_latents, scaled.shape[1]), len(scaled))
    model = FastICA(n, whiten="unit-variance", random_state=seed, max_iter=ICA_ITERATIONS)
    found, converged = _fitted(model, scaled.astype(float))
    made = two_signs(found.components_, found.mixing_.T, k, found.mean_)
    made.facts = {"converged": converged, "iterations": int(found.n_iter_)}
    return made


@dictionary("nmf", "NMF")
def nmf(scaled: np.ndarray, n_latents: int | None, k: int | None, seed: int) -> Dictionary:
    """Non-negative factors of `[max(zt, 0), max(-zt, 0)]`, as many as wanted, or d."""
    from sklearn.decomposition import NMF

    n = min(scaled.shape[1] if n_latents is None else n_latents, 2 * scaled.shape[1], len(scaled))
    halves = np.hstack([np.maximum(scaled, 0), np.maximum(-scaled, 0)]).astype(float)
    model = NMF(n, init="nndsvda", random_state=seed, max_iter=NMF_ITERATIONS)
    found, converged = _fitted(model, halves)
    parts = found.components_[found.components_.any(axis=1)]
    made = NMFDictionary(parts, k)
    made.facts = {"converged": converged, "iterations": int(found.n_iter_)}
    return made


@dictionary("random", "Random directions")
def random_directions(scaled: np.ndarray, n_latents: int | None, k: int | None, seed: int) -> Dictionary:
    """Orthonormal directions drawn at random."""
    d = scaled.shape[1]
    rows = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0].T[: _pairs(n_latents, d)]
    return two_signs(rows, rows, k)


@dictionary("untrained_sae", "Untrained SAE")
def untrained(scaled: np.ndarray, n_latents: int | None, k: int | None, seed: int) -> Dictionary:
    """The autoencoder before its training; raises ConfigError without k."""
    return TopKSAE(scaled.shape[1], n_latents or 2 * scaled.shape[1], k, seed=seed)


def _fitted(model: Any, values: np.ndarray) -> tuple[Any, bool]:
    """A model of scikit-learn after its fit, and whether it converged."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(values)
    return model, not any(issubclass(one.category, ConvergenceWarning) for one in said)
