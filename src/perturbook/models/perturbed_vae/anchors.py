"""Anchors of a double: what is known of each gene before any interaction is learned, from the two single effects.

Source: `perturbedvae.md` section 16.1; which anchors is our choice.
"""

import numpy as np

CLEAR = 0.1
"""Change of a gene, log1p units, from which it counts as moved."""
LEVELS = ("stronger", "weaker", "product", "common", "control")
"""Anchors that differ from gene to gene."""
WHOLE = ("cosine", "norm ratio", "agreement", "overlap")
"""Anchors that are the same for all genes of a double."""


def anchors(first: np.ndarray, second: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Anchors of every gene, `(genes, 9)`; equal for both orders of the two effects.

    Of a gene: the effect there of the perturbation that changes more in all and of the other, their product, what both
    have in common (the smaller of the two, 0 where signs differ), and the level in controls. Of the double: cosine of the
    two effects, ratio of their norms, and among genes moved by both, the share with one sign minus the share with two,
    and how many these are.

    Args:
        first: effect of one gene perturbed alone, `(genes,)`.
        second: effect of the other.
        control: mean expression of the control cells, `(genes,)`.
    """
    norms = np.linalg.norm(first), np.linalg.norm(second)
    strong, weak = (first, second) if norms[0] >= norms[1] else (second, first)
    product = strong * weak
    common = np.where(product > 0, np.sign(strong) * np.minimum(np.abs(strong), np.abs(weak)), 0.0)
    both = (np.abs(strong) > CLEAR) & (np.abs(weak) > CLEAR)
    size = norms[0] * norms[1]
    whole = (
        product.sum() / size if size > 0 else 0.0,
        min(norms) / max(norms) if max(norms) > 0 else 0.0,
        np.sign(product[both]).mean() if both.any() else 0.0,
        both.mean(),
    )
    return np.column_stack(
        [strong, weak, product, common, control, *(np.full(len(strong), one) for one in whole)]
    )
