"""Checks of gene names: of the genes measured, and of those that were perturbed.

Source: `datasets.md` sections 1 and 5; what counts as a symbol is our choice.
"""

import re

from anndata import AnnData

from perturbook.data.findings import three
from perturbook.data.schema import CONTROL, GENETIC
from perturbook.errors import InputError

ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}(\.\d+)?")
SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")


def genes_are_symbols(adata: AnnData) -> None:
    """`var_names` are symbols: no Ensembl ids, which belong into `var["gene_id"]`, and no numbers."""
    for what, pattern in (("Ensembl ids", ENSEMBL), ("numbers", re.compile(r"\d+"))):
        ids = [name for name in adata.var_names if pattern.fullmatch(str(name))]
        if len(ids) > adata.n_vars / 2:
            raise InputError(
                f"{len(ids):,} of {adata.n_vars:,} gene names are {what} ({three(ids)}): "
                'keep them in var["gene_id"] and use gene symbols as var_names.'
            )


def perturbed_genes_are_symbols(adata: AnnData) -> None:
    """Genetic perturbations are named by gene symbols, joined by `+`, spelled as the measured genes are."""
    labels = set(adata.obs.loc[adata.obs["kind"].isin(GENETIC), "perturbation"].unique()) - {CONTROL}
    genes = sorted({gene for label in labels for gene in label.split("+")})
    wrong = [gene for gene in genes if not SYMBOL.fullmatch(gene) or ENSEMBL.fullmatch(gene)]
    if wrong:
        raise InputError(
            f"obs['perturbation'] has {three(wrong)}, which cannot be gene symbols; write one symbol, or several joined by '+'."
        )
    measured = {gene.upper(): gene for gene in adata.var_names}
    other = [
        f"{gene} for {measured[gene.upper()]}" for gene in genes if measured.get(gene.upper(), gene) != gene
    ]
    if other and not set(genes) & set(adata.var_names):
        raise InputError(
            f"obs['perturbation'] spells genes in other letters than var_names: {three(other)}. Are both of one species?"
        )


def genes_sorted_in_labels(adata: AnnData) -> None:
    """Symbols of a combination are sorted, so that one combination has one label."""
    genetic = adata.obs.loc[adata.obs["kind"].isin(GENETIC), "perturbation"].unique()
    unsorted = [label for label in genetic if label.split("+") != sorted(label.split("+"))]
    if unsorted:
        right = "+".join(sorted(unsorted[0].split("+")))
        raise InputError(
            f"obs['perturbation'] has gene symbols out of order: {three(unsorted)}; write {right!r}."
        )
