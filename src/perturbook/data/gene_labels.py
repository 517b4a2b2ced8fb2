"""Genetic perturbations by name: `KLF1+MAP2K6` is one perturbation of two genes, written in one way.

Source: `datasets.md` section 1.
"""

from perturbook.data.schema import CONTROL


def genes_of(perturbation: str) -> tuple[str, ...]:
    """The gene symbols of a canonical label: none for `control`, two for a double perturbation."""
    return () if perturbation == CONTROL else tuple(perturbation.split("+"))
