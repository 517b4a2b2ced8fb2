"""The Top-K sparse autoencoder: a cell's embedding as the sum of the few atoms that fit it best.

Source: `concepts.md` sections 2, 3.1 and 3.5.
"""

import numpy as np
import torch
from torch import Tensor, nn

from perturbook.concepts.dictionary import Dictionary
from perturbook.concepts.selection import above
from perturbook.concepts.sparse_codes import Entries
from perturbook.errors import ConfigError


class TopKSAE(Dictionary):
    """`p = encoder (zt - bias) + encoder_bias`, `u = ReLU(TopK(p))`, `zt` is about `u atoms + bias`; atoms have norm 1.

    It begins with random atoms, the encoder equal to them and both biases 0; `train` trains it in place.

    Args:
        d_model: numbers per cell.
        n_latents: concepts, m.
        k: K, concepts active per cell.
        seed: of the random atoms.
        batch_topk: in training keep the largest pre-activations of a whole batch, K per cell on average; afterwards all
            above the threshold that training has found, so that a code never depends on other cells.

    Raises:
        ConfigError: a size is below 1, k above n_latents, or the seed is no whole number from 0.
    """

    threshold: Tensor
    """Of BatchTopK: mean over training batches of the least pre-activation kept, later ones counting more; NaN without."""
    since_active: Tensor
    """Training cells seen since each latent was active last, `(n_latents,)`."""
    firing_counts: Tensor
    """Cells of the last pass over the training cells in which each latent was active, `(n_latents,)`."""

    def __init__(
        self, d_model: int, n_latents: int, k: int, *, seed: int = 0, batch_topk: bool = False
    ) -> None:
        if k is None:
            raise ConfigError("k is None; a Top-K autoencoder needs the number of active latents.")
        super().__init__(d_model, n_latents, k)
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ConfigError(f"seed is {seed!r}; give a whole number from 0.")
        self.seed, self.batch_topk = int(seed), bool(batch_topk)
        drawn = torch.from_numpy(np.random.default_rng(self.seed).standard_normal((n_latents, d_model)))
        atoms = (drawn / drawn.norm(dim=1, keepdim=True)).float()
        self.atoms, self.encoder = nn.Parameter(atoms), nn.Parameter(atoms.clone())
        self.encoder_bias = nn.Parameter(torch.zeros(n_latents))
        self.bias = nn.Parameter(torch.zeros(d_model))
        self.register_buffer("threshold", torch.tensor(torch.nan))
        self.register_buffer("since_active", torch.zeros(n_latents, dtype=torch.long))
        self.register_buffer("firing_counts", torch.zeros(n_latents, dtype=torch.long))

    def select(self, before: Tensor) -> tuple[Tensor, Entries]:
        """The K largest of each cell, or all above the threshold, `(cells, n_latents)`.

        Raises:
            ConfigError: BatchTopK without a threshold, which training finds.
        """
        if not self.batch_topk:
            return super().select(before)
        if torch.isnan(self.threshold):
            raise ConfigError(
                "BatchTopK has no threshold before training; train it, or use batch_topk=False."
            )
        return above(before, self.threshold)

    @torch.no_grad()
    def renormalise(self) -> None:
        """Give every atom the norm 1 again."""
        self.atoms.div_(self.atoms.norm(dim=1, keepdim=True))
