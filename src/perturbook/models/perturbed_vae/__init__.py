"""PerturbedVAE: invariant and responsive latents, aligned and tied by a causal model. Source: arXiv 2605.19343."""

from perturbook.models.perturbed_vae.config import Config
from perturbook.models.perturbed_vae.model import PerturbedVAE

__all__ = ["Config", "PerturbedVAE"]
