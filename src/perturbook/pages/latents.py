"""The study of what latents mean: PerturbedVAE trained on single perturbations, and read.

One seed is trained on the page; the others, two other forms of the model, and trainings on permuted labels are read from a
deposit (`latents_deposit.py`).

Source: `perturbedvae.md` sections 6, 7 and 12.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perturbook.data.schema import CONTROL
from perturbook.errors import DataUnavailable
from perturbook.evaluation import programs
from perturbook.evaluation.probes import Probe, probe_labels, probe_numbers
from perturbook.models.protocol import Training
from perturbook.pages.latents_screen import Screen

PAGE = "latents"
EPOCHS = 100
"""Passes over the cells, as for the predictor of the other pages."""


@dataclass(frozen=True)
class Arm:
    """One way to train; the rest is as everywhere in this book."""

    title: str
    switches: dict[str, Any] = field(default_factory=dict)
    seeds: int = 2
    draws: int = 0
    """Permutations of the labels; 0 leaves them as they are."""


ARMS = {
    "paired": Arm("Random controls as partners", seeds=5),
    "unaligned": Arm("No alignment", {"align": "none"}),
    "summed": Arm("Error summed over genes", {"recon_reduction": "sum"}),
    "permuted": Arm("Permuted labels", draws=9),
}
"""Name -> arm; the first is the model of the other pages."""


@dataclass(frozen=True)
class Reading:
    """What was read from one trained model."""

    targets: list[str]
    zn: np.ndarray
    """Responsive posterior means `(cells, d_nu)`."""
    zi: np.ndarray
    """Invariant posterior means `(cells, d_iota)`."""
    blind: np.ndarray
    """Responsive posterior means when every cell is called control `(cells, d_nu)`."""
    effects: dict[str, np.ndarray]
    """`programs.effects` `(targets, d_nu)`: of held-out `cells`, and under the `prior`."""
    edges: dict[str, np.ndarray]
    """Standardised edges `(d_nu, d_nu)`: at `control`, and `averaged` over control and all targets."""
    information: tuple[np.ndarray, np.ndarray]
    """Nats per responsive and per invariant latent, mean over held-out cells."""
    singular: np.ndarray
    responses: np.ndarray
    """Change of every gene for one SD of a responsive latent `(d_nu, genes)`."""


def fit(screen: Screen, arm: Arm, seed: int, epochs: int = EPOCHS):
    """Train one arm on the cells that are not held out; the model behind the protocol."""
    from perturbook.models.perturbed_vae.predictor import Predictor  # torch loads where a model is trained

    train = Training(screen.cells[~screen.held].copy())
    return Predictor(arm.switches, epochs=epochs, seed=seed).fit(train)


def read(predictor, screen: Screen) -> Reading:
    """Read a trained model with the cells and the labels of a screen."""
    from perturbook.models.perturbed_vae import reading
    from perturbook.models.perturbed_vae.codes import codes

    model, genes, held = predictor.model, list(predictor.genes), screen.held
    u = codes(screen.labels, genes)
    found, told = reading.posterior(model, screen.x, u), reading.prior(model, codes([CONTROL, *genes], genes))
    means = {name: found.zn[held & (screen.labels == name)].mean(axis=0) for name in (CONTROL, *genes)}
    spread = {
        kind: programs.total_spread(found.zn[cells], found.variance[cells])
        for kind, cells in (("control", held & (screen.labels == CONTROL)), ("averaged", held))
    }
    return Reading(
        genes,
        found.zn,
        found.zi,
        reading.posterior(model, screen.x, np.zeros_like(u)).zn,
        {
            "cells": programs.effects([means[gene] for gene in genes], means[CONTROL], spread["control"]),
            "prior": programs.effects(told.mean[1:], told.mean[0], told.spread[0]),
        },
        {
            "control": programs.standardised(told.edges[0], spread["control"]),
            "averaged": programs.standardised(told.edges.mean(axis=0), spread["averaged"]),
        },
        reading.information(model, screen.x[held], u[held]),
        reading.singular_values(model),
        reading.responses(model),
    )


def probes(screen: Screen, one: Reading) -> dict[tuple[str, str], Probe]:
    """Perturbation and biology from both kinds of latents and from as many principal components, on held-out cells."""
    from sklearn.decomposition import PCA  # slow to import

    def pca(size: int) -> np.ndarray:
        return PCA(size, svd_solver="full").fit(screen.x[~screen.held]).transform(screen.x)

    n, i = one.zn.shape[1], one.zi.shape[1]
    seen = {f"Invariant ({i})": one.zi, f"PCA ({i})": pca(i), f"Responsive, told u ({n})": one.zn}
    seen |= {f"Responsive, told control ({n})": one.blind, f"PCA ({n})": pca(n)}
    made = {}
    for name, points in seen.items():
        made[name, "Perturbation"] = probe_labels(points, screen.labels, screen.held)
        for target, values in screen.biology().items():
            made[name, target] = probe_numbers(points, values, screen.held, screen.labels)
    return made


@dataclass(frozen=True)
class Live:
    """One seed of the first arm, trained and read while the page is built."""

    seed: int
    epochs: int
    screen: Screen
    reading: Reading
    probes: dict[tuple[str, str], Probe]


def live(seed: int, epochs: int) -> Live | None:
    """Train and read one seed; None where the cells cannot be had."""
    try:
        screen = Screen.load()
    except DataUnavailable:
        return None
    one = read(fit(screen, ARMS["paired"], seed, epochs), screen)
    return Live(seed, epochs, screen, one, probes(screen, one))
