"""Concepts and cells whose attributions can be written down."""

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

from perturbook.concepts.embedded_cells import Cells
from perturbook.concepts.scgpt_swaps import ScGPTSwaps
from perturbook.models.scgpt import ScGPT, Sizes, random_backbone


class HandMade:
    """`p = W z`, of which the `k` largest are kept, or all above `threshold`; double precision where `W` has it."""

    def __init__(self, w, k=None, threshold=None):
        self.w, self.k, self.threshold = torch.as_tensor(w), k, threshold

    def pre_activations(self, x):
        return torch.as_tensor(x, dtype=self.w.dtype) @ self.w.T

    def encode(self, x):
        p = self.pre_activations(x)
        if self.threshold is not None:
            return torch.where(p > self.threshold, p, 0).clamp(min=0)
        kept = torch.zeros_like(p).scatter(1, p.topk(self.k, dim=1).indices, 1.0)
        return (p * kept).clamp(min=0)


def cells_of(encoder, counts, obs=None, genes=None) -> Cells:
    """Cells `(cells, genes)` with the embeddings that the encoder gives them."""
    counts = sp.csr_matrix(np.asarray(counts, dtype=np.float32))
    genes = genes or [f"GENE{i}" for i in range(counts.shape[1])]
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(counts.shape[0])]) if obs is None else obs
    read = encoder.read(counts)
    every = np.arange(counts.shape[1])
    z = encoder.embed(every, read.toarray()).numpy()
    return Cells(counts, z, genes, obs)


def toy_model(genes: int = 60, layers: int = 3, width: int = 16, seed: int = 1) -> ScGPT:
    """A small transformer with random weights; its genes are GENE0, GENE1 and so on."""
    sizes = Sizes(n_tokens=genes + 3, embsize=width, nheads=2, d_hid=24, nlayers=layers, pad_id=genes)
    return random_backbone(sizes, seed)


def toy_counts(cells: int, genes: int = 60, seed: int = 0, share: float = 0.5) -> np.ndarray:
    """Counts `(cells, genes)` of which about `share` are not zero."""
    rng = np.random.default_rng(seed)
    return (1 + rng.poisson(1.0, (cells, genes))) * (rng.random((cells, genes)) < share)


def toy_concepts(**rule):
    """A transformer with random weights, 30 cells, and eight concepts around their mean that are active by `rule`."""
    model = toy_model()
    encoder = ScGPTSwaps(model, model.vocabulary.tokens[:60])
    cells = cells_of(encoder, toy_counts(30))
    w = np.random.default_rng(1).standard_normal((8, 16)).astype(np.float32)
    mean = cells.embeddings.mean(0)
    return encoder, HandMade(w - (w @ mean)[:, None] * mean / (mean @ mean), **rule), cells
