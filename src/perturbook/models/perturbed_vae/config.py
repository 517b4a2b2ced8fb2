"""`Config`: every switch of PerturbedVAE, with what the paper says and what it leaves open."""

from dataclasses import asdict, dataclass

from perturbook.errors import ConfigError

ALLOWED = {
    "align": ("pair", "centroid", "none", "independence"),
    "f": ("linear", "mlp"),
    "likelihood": ("gaussian_fixed", "gaussian_gene", "nb"),
    "recon_reduction": ("mean", "sum"),
    "anneal": ("linear", "none", "cyclic"),
    "kl_iota_cells": ("both", "first"),
    "align_on": ("means", "samples"),
}
"""Switch -> its values, the default first. Source: `perturbedvae.md` section 5; `independence` is this book's own."""


@dataclass(frozen=True)
class Config:
    """Switches and weights; refuses impossible values. Source: `perturbedvae.md` sections 4 and 5."""

    d_nu: int = 20
    """Responsive latents (the paper's best)."""
    d_iota: int = 85
    """Invariant latents (the paper's best)."""
    hidden: int = 256
    """Width of every hidden layer (the paper)."""
    align: str = "pair"
    """What pulls invariant latents together: a cell and one control (the paper), batch means, nothing, or independence."""
    f: str = "linear"
    """How a code becomes coefficients: linear with a base term, or one hidden layer of 64 (our choice)."""
    learn_beta_nu: bool = True
    """Whether the variance of the response noise depends on the code; off, assumption (ii) of the theorem cannot hold."""
    likelihood: str = "gaussian_fixed"
    """Squared error, a normal with one learned variance per gene, or negative binomial counts."""
    recon_reduction: str = "mean"
    """Over genes; a sum makes both weights of the KL terms smaller by the number of genes (our choice: mean)."""
    anneal: str = "linear"
    """How the weights below rise in the first epochs (our choice)."""
    anneal_epochs: int = 10
    """Epochs of the rise, or of one cycle (our choice)."""
    kl_iota_cells: str = "both"
    """Whether the control partner's invariant latents are held to their prior too (the paper)."""
    align_on: str = "means"
    """Posterior means (the paper's Algorithm 1) or draws."""
    w_nu: float = 1e-2
    """Weight of the KL of the responsive latents (the paper)."""
    w_iota: float = 1e-2
    """Weight of the KL of the invariant latents (the paper)."""
    alpha: float = 0.05
    """Weight of the alignment (the paper)."""

    def __post_init__(self):
        """Raise ConfigError for an unknown value of a switch, a size below 1 or a negative weight."""
        for name, allowed in ALLOWED.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} is {getattr(self, name)!r}. Allowed: {', '.join(allowed)}.")
        for name in ("d_nu", "d_iota", "hidden", "anneal_epochs"):
            if (size := getattr(self, name)) < 1 or size != int(size):
                raise ConfigError(f"{name} is {size!r}; give a whole number from 1.")
        for name in ("w_nu", "w_iota", "alpha"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; give a number from 0.")

    def as_dict(self) -> dict:
        """Switches by name, JSON-ready."""
        return asdict(self)

    def rise(self, epoch: float) -> float:
        """Factor of all three weights at an epoch, which may be a fraction, counted from 0."""
        if self.anneal == "none":
            return 1.0
        if self.anneal == "cyclic":  # half a cycle rising, half a cycle full
            return min(1.0, 2 * (epoch / self.anneal_epochs % 1.0))
        return min(1.0, epoch / self.anneal_epochs)
