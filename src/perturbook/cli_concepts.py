"""`perturbook concepts`, a verb with so many options that it has a file of its own."""

from pathlib import Path
from typing import Annotated

import typer


def concepts(
    file: Annotated[Path, typer.Argument(help="Your own .h5ad file; it is left as it is.")],
    out: Annotated[
        Path, typer.Option(help="The folder to write: autoencoder, codes, and tables of quality.")
    ],
    embedding: Annotated[
        str, typer.Option(help="Key of obsm to take apart; cells are embedded first when none is named.")
    ] = "",
    backbone: Annotated[
        str, typer.Option(help="What embeds the cells: as for `perturbook embed`.")
    ] = "small",
    label: Annotated[
        list[str],
        typer.Option(help="Column of obs that concepts may tell, such as cell_type; repeat for more."),
    ] = [],  # noqa: B006
    width: Annotated[
        int, typer.Option(help="Concepts; four per number of the embedding when not given.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Concepts active per cell.")] = 16,
    passes: Annotated[int, typer.Option(help="Passes over the training cells.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the parts, the first weights and the order.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder.")] = False,
) -> None:
    """Train a Top-K autoencoder on your own cells.

    Measures it on test cells beside PCA, ICA, neurons and random directions, and says which concept tells which label.
    """
    from perturbook.concepts.own_cells import file_concepts

    options = {
        "labels": label,
        "width": width,
        "k": k,
        "passes": passes,
        "seed": seed,
        "overwrite": overwrite,
    }
    for line in file_concepts(file, out, embedding, backbone, **options):
        typer.echo(line)
