"""How far decoded cells may lie from measured ones: three likelihoods, each with its loss and its observation noise.

Source: `perturbedvae.md` section 5. Squared error is the paper's, as far as known; the others give noise for sampling.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALE = 1e4  # lognorm is log1p of counts per 10,000
LEAST_VARIANCE = 1e-4
"""Least first variance of a gene. Source: our choice."""


class Counts(NamedTuple):
    """Raw counts of cells, for `nb`."""

    counts: Tensor
    """`(cells, genes)`."""
    library: Tensor
    """Counts of the whole cell, `(cells,)`, given and not learned."""


class GaussianFixed(nn.Module):
    """Squared error: a normal whose variance is fixed and therefore has no say. No observation noise."""

    def forward(self, decoded: Tensor, x: Tensor, counts: Counts | None) -> Tensor:
        """Loss of every entry, `(cells, genes)`."""
        return (decoded - x).square()

    def mean(self, decoded: Tensor) -> Tensor:
        """Expression that a decoded cell stands for, `(cells, genes)`."""
        return decoded

    def draw(self, decoded: Tensor, library: Tensor | None) -> Tensor:
        """A cell with observation noise, `(cells, genes)`; here there is none."""
        return decoded


class GaussianGene(GaussianFixed):
    """A normal with one learned variance per gene."""

    def __init__(self, n_genes: int):
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(n_genes))

    def start(self, variance: Tensor) -> None:
        """Begin at the variance of the training cells `(genes,)`, from which the noise can only be a part (our choice)."""
        with torch.no_grad():
            self.log_variance.copy_(variance.clamp(min=LEAST_VARIANCE).log())

    def forward(self, decoded: Tensor, x: Tensor, counts: Counts | None) -> Tensor:
        """Twice the negative log density without its constant, so that a variance of 1 gives the squared error."""
        return (decoded - x).square() * torch.exp(-self.log_variance) + self.log_variance

    def draw(self, decoded: Tensor, library: Tensor | None) -> Tensor:
        """A cell with normal noise."""
        return decoded + torch.randn_like(decoded) * torch.exp(self.log_variance / 2)


class NegativeBinomial(nn.Module):
    """Counts with mean `library * softmax(decoded)` and one learned dispersion per gene."""

    def __init__(self, n_genes: int):
        super().__init__()
        self.log_inverse_dispersion = nn.Parameter(torch.zeros(n_genes))

    def forward(self, decoded: Tensor, x: Tensor, counts: Counts | None) -> Tensor:
        """Negative log probability of every count."""
        r = self.log_inverse_dispersion.exp()
        log_m = F.log_softmax(decoded, dim=-1) + counts.library.log().unsqueeze(-1)
        log_rm = torch.logaddexp(self.log_inverse_dispersion.expand_as(log_m), log_m)
        k = counts.counts
        return -(
            torch.lgamma(k + r) - torch.lgamma(r) - torch.lgamma(k + 1)
            + r * (self.log_inverse_dispersion - log_rm)
            + k * (log_m - log_rm)
        )  # fmt: skip

    def mean(self, decoded: Tensor) -> Tensor:
        """log1p of the expected counts per 10,000: not the mean of log1p, which only drawn cells give."""
        return torch.log1p(SCALE * decoded.softmax(dim=-1))

    def draw(self, decoded: Tensor, library: Tensor | None) -> Tensor:
        """A cell of given library size: counts from a gamma-Poisson, then log1p per 10,000 of that library."""
        r = self.log_inverse_dispersion.exp()
        m = decoded.softmax(dim=-1) * library.unsqueeze(-1)
        rate = torch._standard_gamma(r.expand_as(m).contiguous()) * m / r
        return torch.log1p(SCALE * torch.poisson(rate) / library.unsqueeze(-1))


LIKELIHOODS = {
    "gaussian_fixed": lambda n_genes: GaussianFixed(),
    "gaussian_gene": GaussianGene,
    "nb": NegativeBinomial,
}
"""Name of the switch -> from the number of genes to the likelihood."""
