"""Masking: hiding the values of some genes of each cell, to be predicted. `<cls>` and padding are never masked.

Source: `scgpt.md` sections 6 and 6.2.
"""

from collections.abc import Sequence

import torch

from perturbook.errors import ConfigError
from perturbook.models.scgpt.draws import cell_keys, uniforms
from perturbook.models.scgpt.tokens import MASK_VALUE, Tokens


def mask_values(
    tokens: Tokens, cell_names: Sequence[str], ratio: float, seed: int = 0, mask_value: float = MASK_VALUE
) -> tuple[Tokens, torch.Tensor]:
    """Hide int(n * ratio) of the n genes of each cell, each set of genes equally likely.

    What is masked depends on the cell's name, its genes and the seed alone; take another seed in every epoch.

    Args:
        tokens: from `pad`, `<cls>` at position 0.
        cell_names: obs names, `(cells,)`.
        ratio: share of the genes to hide, from 0 to 1.
        seed: decides which.
        mask_value: what stands in place of a hidden value.

    Returns:
        The tokens with hidden values, and `(cells, L)` bool, True where hidden.

    Raises:
        ConfigError: `ratio` is not between 0 and 1.
    """
    if not 0 <= ratio <= 1:
        raise ConfigError(f"ratio is {ratio!r}; expected a share from 0 to 1.")
    drawn = torch.from_numpy(uniforms(seed, "mask", cell_keys(cell_names)[:, None], tokens.gene_ids.numpy()))
    free = ~tokens.padding
    free[:, 0] = False
    rank = drawn.masked_fill(~free, 2.0).argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    hidden = free & (rank < (free.sum(dim=1).double() * ratio).long()[:, None])
    return tokens._replace(values=tokens.values.masked_fill(hidden, mask_value)), hidden
