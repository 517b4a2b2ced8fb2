"""scVI as an encoder that answers what one gene does: the posterior mean, exactly, for every swap of a cell.

The network reads log1p of counts in one linear layer, so that a swap moves its input by one column. Neither batch nor
library size reaches this encoder, so there is nothing to fix or to recompute when a count changes. Source: `concepts.md`
sections 4 (point 6) and 5.3; Lopez et al. 2018 (doi 10.1038/s41592-018-0229-2).
"""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from perturbook.concepts.swap_encoder import Readout
from perturbook.errors import InputError
from perturbook.models.backbones.scvi import ScviBackbone


class ScviSwaps:
    """The embedding of `ScviBackbone.encode`; a value is a count.

    Args:
        backbone: trained.
        genes: names of the columns of the counts, all genes of the model among them.

    Raises:
        InputError: a gene of the model is missing.
    """

    most_genes = None
    mask_value = None

    def __init__(self, backbone: ScviBackbone, genes: Sequence[str]):
        column = {gene: number for number, gene in enumerate(genes)}
        if missing := [gene for gene in backbone.genes if gene not in column]:
            raise InputError(
                f"{len(missing)} of the {len(backbone.genes)} genes of the scVI model are missing, such as {missing[0]}; "
                f"give the cells with all genes the model was trained on."
            )
        self.width, self.identity = backbone.width, backbone.identity
        self.encoder = backbone.module.z_encoder
        parts = [one for block in self.encoder.encoder.fc_layers for one in block if one is not None]
        self.first, self.rest = parts[0], nn.Sequential(*parts[1:], self.encoder.mean_encoder)
        self.place = np.full(len(genes), -1)
        self.place[[column[gene] for gene in backbone.genes]] = np.arange(len(backbone.genes))

    def read(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        """The counts of the model's genes, `(cells, genes)` CSR float32; 0 for others."""
        return sp.csr_matrix(sp.csr_matrix(counts, dtype=np.float32).multiply((self.place >= 0)[None]))

    def embed(self, genes: np.ndarray, values: np.ndarray) -> Tensor:
        """Posterior means `(n, width)` of counts `(n, L)`."""
        with torch.no_grad():
            return self.rest(self._hidden(genes, values))

    def swapped(self, genes: np.ndarray, base: np.ndarray, at: np.ndarray, new: np.ndarray) -> Tensor:
        """Posterior means `(n, width)`."""
        with torch.no_grad():
            change = np.log1p(new).astype(np.float32) - np.log1p(base[at])
            moved = self.first.weight[:, self.place[genes[at]]].T * torch.from_numpy(change)[:, None]
            return self.rest(self._hidden(genes, base[None]) + moved)

    def first_order(
        self, genes: np.ndarray, base: np.ndarray, other: np.ndarray, readout: Readout
    ) -> np.ndarray:
        """`(readouts, L)`: derivative by log1p of the count times the difference of the two logarithms."""
        hidden = self._hidden(genes, base[None]).detach().requires_grad_()
        read = readout(self.rest(hidden))[0]
        slopes = torch.stack([torch.autograd.grad(one, hidden, retain_graph=True)[0][0] for one in read])
        with torch.no_grad():
            by_log = slopes @ self.first.weight[:, self.place[genes]]
        return by_log.numpy() * (np.log1p(other) - np.log1p(base))

    def _hidden(self, genes: np.ndarray, values: np.ndarray) -> Tensor:
        """Output of the first layer `(n, hidden)`."""
        logs = torch.from_numpy(np.log1p(values).astype(np.float32))
        return nn.functional.linear(logs, self.first.weight[:, self.place[genes]], self.first.bias)
