"""What a page of gene pairs says of its question: how much of each pair asked about training ever saw alone."""

import html

from IPython.display import HTML

from perturbook.data.gene_labels import genes_of
from perturbook.pages.study import Study

MOST = 12
"""Genes that are named; a list of more is cut."""


def seen_alone(study: Study) -> HTML:
    """Count the pairs asked about by how many of their genes are alone in training, and name the genes that never are.

    A code, or a sum of single effects, says nothing of a gene that was never alone: such pairs are undefined for it.
    Nothing where no pair is asked about. Source: `perturbedvae.md` section 9.
    """
    layout = study.layout
    trained = layout[layout["part"].str.contains("training|validation", regex=True)]
    alone = {
        (row.context, genes_of(row.perturbation)[0])
        for row in trained.itertuples()
        if len(genes_of(row.perturbation)) == 1
    }
    asked = study.bundle.truth.obs[["context", "perturbation"]].astype(str).itertuples(index=False)
    pairs = [[(context, gene) for gene in genes_of(name)] for context, name in asked]
    pairs = [pair for pair in pairs if len(pair) == 2]
    if not pairs:
        return HTML("")
    known = [sum(gene in alone for gene in pair) for pair in pairs]
    never = sorted({gene for pair in pairs for _, gene in set(pair) - alone})
    said = (
        f"Of {len(pairs)} pairs asked about, training holds both genes alone for {known.count(2)}, one for "
        f"{known.count(1)}, neither for {known.count(0)}."
    )
    if never:
        more = f" and {len(never) - MOST} more" if len(never) > MOST else ""
        said += f" Never alone in training: {', '.join(never[:MOST])}{more}."
    return HTML(f"<p>{html.escape(said)}</p>")
