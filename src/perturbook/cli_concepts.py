"""`perturbook concepts` and `perturbook explorer`, verbs with so many options that they have a file of their own."""

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


def explorer(
    file: Annotated[Path, typer.Argument(help="Your own .h5ad file; it is left as it is.")],
    out: Annotated[Path, typer.Option(help="The folder to write: a site, and the tables behind it.")],
    label: Annotated[
        list[str],
        typer.Option(
            help="Column of obs to show, such as cell_type; repeat for more. Pairs of cells agree in the first."
        ),
    ] = [],  # noqa: B006
    backbone: Annotated[str, typer.Option(help="What embeds the cells: small or scvi.")] = "small",
    embedding: Annotated[
        str, typer.Option(help="Key of obsm to take apart instead; then no gene can be asked.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of the parts, the map and the training.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder.")] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the site on this machine when it is made.")
    ] = False,
) -> None:
    """Make a concept explorer of your own cells: static files that open from the disk or any host."""
    from perturbook.explorer.own_explorer import own_explorer

    page = own_explorer(file, out, label, backbone, embedding, seed, overwrite)
    typer.echo(f"Open {page}, or copy {page.parent} to any static host.")
    if serve:
        serve_folder(page.parent)


def serve_folder(folder: Path, port: int = 8000) -> None:
    """Serve a folder on this machine alone until it is interrupted."""
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        typer.echo(f"http://127.0.0.1:{port} (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
