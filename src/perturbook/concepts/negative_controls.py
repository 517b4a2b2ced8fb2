"""Negative controls: attributions that must not find anything, from which the cutoff is read.

Source: `concepts.md` section 5.2, controls a to d.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from perturbook.concepts.attribution import ConceptAttribution, attribute
from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.embedded_cells import Cells
from perturbook.concepts.swap_encoder import Concepts, SwapEncoder
from perturbook.errors import ConfigError


class RandomDirections:
    """Random unit directions, each active above the threshold at which as many cells fire as of a concept.

    Its pre-activation is the projection less the threshold, its code the positive part of it: a code depends on its own cell
    alone. Source: control c; the form of the code is our choice.
    """

    def __init__(self, embeddings: np.ndarray, rates: Sequence[float], seed: int = 0):
        """Args: `embeddings` `(cells, width)`; `rates`, the share of cells in which each direction is to be active.

        Raises ConfigError for a rate that is not between 0 and 1.
        """
        if not all(0 < rate < 1 for rate in rates):
            raise ConfigError(f"rates are {list(rates)}; each must be between 0 and 1.")
        drawn = np.random.default_rng(seed).standard_normal((len(rates), embeddings.shape[1]))
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        projected = np.sort(embeddings @ drawn.T, axis=0)
        active = np.clip(np.round(np.array(rates) * len(embeddings)).astype(int), 1, len(embeddings) - 1)
        # halfway between the last that fires and the first that does not, so that rounding decides nothing
        last = projected[-active, np.arange(len(rates))]
        threshold = (last + projected[-active - 1, np.arange(len(rates))]) / 2
        self.directions, self.threshold = torch.from_numpy(drawn), torch.from_numpy(threshold)

    def pre_activations(self, x: Tensor) -> Tensor:
        """`(cells, directions)`."""
        x = torch.as_tensor(x)
        return x @ self.directions.to(x.dtype).T - self.threshold.to(x.dtype)

    def encode(self, x: Tensor) -> Tensor:
        """Codes `(cells, directions)`."""
        return self.pre_activations(x).clamp(min=0)


def negative_controls(
    encoder: SwapEncoder,
    concepts: Concepts,
    cells: Cells,
    chosen: Sequence[int],
    settings: AttributionSettings | None = None,
    untrained: Concepts | None = None,
    seed: int = 0,
) -> dict[str, dict[int, ConceptAttribution]]:
    """Attributions of the controls of some concepts, by name of the control and number of the concept.

    "active": against the nearest cell that does activate the concept. "random": against a random cell that does not.
    "direction": of a random direction that fires as often. "untrained": of the latent of `untrained`, a set of concepts such
    as a new `TopKSAE` with the `mu` and `s` of the trained one, that fires most nearly as often.

    Raises:
        ConfigError, InputError: see `attribute`.
    """
    settings = settings or AttributionSettings()
    rates = (cells.codes(concepts, chosen) > 0).mean(axis=0)
    fires = [one for one, rate in zip(chosen, rates, strict=True) if 0 < rate < 1]
    rates = [rate for rate in rates if 0 < rate < 1]
    made = {
        against: attribute(encoder, concepts, cells, fires, replace(settings, against=against))[0]
        for against in ("active", "random")
    }
    others = {"direction": (RandomDirections(cells.embeddings, rates, seed), range(len(fires)))}
    if untrained is not None:
        m = untrained.encode(torch.from_numpy(cells.embeddings[:1])).shape[1]
        theirs = (cells.codes(untrained, range(m)) > 0).mean(axis=0)
        others["untrained"] = (untrained, [int(np.abs(theirs - rate).argmin()) for rate in rates])
    for name, (those, numbers) in others.items():
        found, _ = attribute(encoder, those, cells, sorted(set(numbers)), settings)
        made[name] = {concept: found[number] for concept, number in zip(fires, numbers, strict=True)}
    return made
