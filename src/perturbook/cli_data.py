"""`perturbook data`: public data, listed, fetched and verified."""

from typing import Annotated

import typer

data_app = typer.Typer(
    help="Public data: list it, fetch it, verify its checksums.", no_args_is_help=True, rich_markup_mode=None
)


@data_app.command("list")
def data_list() -> None:
    """List the data sets: name, whether it is here, size ("?" where not known), title."""
    from perturbook import data

    for name, entry in sorted(data.DATASETS.items()):
        here = "simulated" if entry.synthetic else "here" if data.available(name) else "absent"
        sizes = [file.size for file in entry.files]
        size = f"{sum(sizes) / 1e6:.1f}" if all(sizes) else "?"
        typer.echo(f"{name:18} {here:9} {size:>6} MB  {entry.title}")


@data_app.command("fetch")
def data_fetch(
    names: Annotated[
        list[str], typer.Argument(help="Data sets; all but the full-size ones when none is named.")
    ] = None,
) -> None:
    """Fetch public files: from the cache, the folder PERTURBOOK_MIRROR, or their public address.

    Full-size data sets come only when named. Their sizes are printed first; a download that stops is continued.
    """
    from perturbook import data

    for name in names or [n for n, entry in sorted(data.DATASETS.items()) if not entry.full_size]:
        if data.DATASETS[name].full_size:
            for file in data.DATASETS[name].files:
                sums = f"sha256:{file.sha256}" if file.sha256 else file.listed or "no checksum known"
                by = f" (listed by {file.listed_by})" if file.listed else ""
                typer.echo(f"{name}: {file.name}, {file.size_text}, {sums}{by}, from {file.url}")
        for path in data.fetch(name, asked=True):
            typer.echo(f"{name}: {path}")


@data_app.command("verify")
def data_verify(
    names: Annotated[
        list[str], typer.Argument(help="Data sets; all that are here when none is named.")
    ] = None,
) -> None:
    """Compute the checksums of public files again and compare them with the registry, or with the first use."""
    from perturbook import data

    for name in names or [
        n for n, entry in sorted(data.DATASETS.items()) if entry.files and data.available(n)
    ]:
        for said in dict.fromkeys(data.verify(name).values()):
            typer.echo(f"{name}: {said}")
