"""Losses of the model. Each mean over masked positions is 0/0 = NaN where nothing is masked, as its definition says.

Source: `scgpt.md` section 3 (ECS, explicit zeros), section 7 (masked MSE), acceptance check 2 (relative error).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def masked_mse(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Sum of squares over positions where `mask` is True, over their number; all `(cells, L)`. Source: section 7."""
    return _mean((predicted - target).square(), mask)


def masked_relative_error(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean of |predicted - target| / (target + 1e-6) over positions where `mask` is True. Source: acceptance check 2.

    Targets of zero make it huge; it is a number of the reference, not one to judge a model by.
    """
    return _mean((predicted - target).abs() / (target + 1e-6), mask)


def zero_log_likelihood(nonzero: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean negative log-probability that each masked target is zero or not, `nonzero` being that of > 0. Source: section 3."""
    said = F.binary_cross_entropy(nonzero, (target > 0).to(nonzero.dtype), reduction="none")
    return _mean(said, mask)


def elastic_cell_similarity(cell: Tensor, threshold: float = 0.3) -> Tensor:
    """ECS: mean over all pairs of cells `(cells, D)` of 1 - (S - threshold)^2; S is relu of the cosine, 0 on the diagonal.

    Source: section 3, step 9.
    """
    unit = F.normalize(cell, dim=1)
    similarity = unit @ unit.T
    itself = torch.eye(len(cell), dtype=torch.bool, device=cell.device)
    return (1 - (F.relu(similarity.masked_fill(itself, 0)) - threshold).square()).mean()


def _mean(errors: Tensor, mask: Tensor) -> Tensor:
    # where, not a product: what stands at positions that do not count may be anything
    return torch.where(mask, errors, 0).sum() / mask.sum()
