"""`perturbook embed`, the one verb with so many options that it has a file of its own."""

from pathlib import Path
from typing import Annotated

import typer


def embed(
    file: Annotated[Path, typer.Argument(help="Your own .h5ad file; it is left as it is.")],
    backbone: Annotated[
        str, typer.Option(help="small, random, pca, hvg or scvi; or the path of a checkpoint folder.")
    ],
    out: Annotated[Path, typer.Option(help="The .h5ad file to write, a copy with the embedding in obsm.")],
    layer: Annotated[str, typer.Option(help="Layer to read; X when none is named.")] = None,
    symbols: Annotated[
        str,
        typer.Option(help="Column of var with gene symbols; else var_names, or a column of a usual name."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of ties and of genes left out of long cells.")] = 0,
    device: Annotated[
        str, typer.Option(help="Where scGPT runs, such as cuda; the CPU when not named.")
    ] = None,
    undefined: Annotated[
        bool, typer.Option("--undefined", help="Give cells without a known gene a row of NaN.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file and the embedding of that name.")
    ] = False,
) -> None:
    """Embed your own cells with a backbone.

    Reads the file in blocks and prints the report in one line; the same command goes on after it was killed.
    """
    from perturbook.models.backbones.embed_file import embed_file

    options = {"device": device} if device else {}
    typer.echo(
        embed_file(
            file,
            out,
            backbone,
            layer=layer,
            symbols=symbols,
            seed=seed,
            undefined=undefined,
            overwrite=overwrite,
            progress=True,
            **options,
        )
    )
