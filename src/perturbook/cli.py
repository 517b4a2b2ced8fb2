"""`perturbook` on the command line. Thin: every verb calls one function of the package."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from perturbook.cli_concepts import concepts, explorer
from perturbook.cli_data import data_app
from perturbook.cli_embed import embed
from perturbook.errors import PerturbookError
from perturbook.threads import ENVIRONMENT

app = typer.Typer(
    help="How well can a model predict what a perturbation does to a cell it has not seen? Run, audit and score the pages of the book.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(data_app, name="data")

Tier = Annotated[str, typer.Option(help="smoke, book or full.")]
PageId = Annotated[str, typer.Argument(help="Page id, as `perturbook list` shows it.")]


@app.command("list")
def list_pages(
    page: Annotated[str, typer.Argument(help="Page id; shows what `run PAGE -p` takes.")] = "",
) -> None:
    """List the pages of the book, or the parameters of one.

    Columns: id, tier, notebook, title. With a page id: what `run -p` takes there.
    """
    from perturbook.pages.parameters import parameters
    from perturbook.pages.plan import OWN
    from perturbook.pages.table import page as page_of
    from perturbook.pages.table import pages

    if page:
        one = page_of(page)
        for p in parameters(one.notebook).values() if one.notebook else ():
            if p.name not in OWN:
                value = json.dumps(one.parameters.get(p.name, p.default))
                typer.echo(f"{p.name}: {p.kind} = {value}  # {p.help}")
        return
    width = max(len(page.id) for page in pages())
    for page in pages():
        typer.echo(f"{page.id:{width}}  {page.tier:5}  {page.notebook or 'written':12}  {page.title}")


@app.command()
def run(
    page: PageId,
    parameter: Annotated[
        list[str], typer.Option("--parameter", "-p", help="name=value; repeat for more.")
    ] = [],  # noqa: B006
) -> None:
    """Run one page, with new parameters if given.

    Says where the executed notebook, the bundle and the manifest lie. Nothing runs twice: the same parameters give the same
    files. What -p takes on a page: `perturbook list PAGE`.
    """
    from perturbook.pages.build import run_page
    from perturbook.pages.parameters import from_text
    from perturbook.pages.table import ROOT

    step = run_page(page, from_text(parameter))
    for name in ("notebook", "bundle", "manifest"):
        if path := getattr(step, name):
            typer.echo(f"{name:9} {ROOT / path}")


@app.command()
def train(
    page: PageId,
    models: Annotated[
        list[str], typer.Argument(help="Models that the page stores; all of them when none is named.")
    ] = None,
    parameter: Annotated[
        list[str], typer.Option("--parameter", "-p", help="name=value, such as seed=1; repeat for more.")
    ] = [],  # noqa: B006
) -> None:
    """Train the models that take longer than a page may, and store what they predict.

    The predictions and a record of each training lie in results/PAGE/SEED; the page reads them from there. Minutes to hours.
    """
    os.environ.update(ENVIRONMENT)  # one thread, as on a page, before anything reads it
    from perturbook.pages.parameters import from_text
    from perturbook.pages.train import train as train_models

    for line in train_models(page, models or (), from_text(parameter)):
        typer.echo(line)


@app.command()
def build(
    tier: Tier = "book",
    cores: Annotated[int, typer.Option(help="Pages that run beside each other.", min=1)] = 2,
    snakemake: Annotated[list[str], typer.Argument(help="Options for Snakemake, after --.")] = None,
) -> None:
    """Build the book; only what changed runs.

    Fetches the public data, runs the notebooks that need it, builds the site and prints the path of its first page.
    """
    from perturbook.pages import build as builds

    for line in builds.fetch_for(tier):
        typer.echo(f"Not to be had, so its pages show their deposited results. {line}", err=True)
    typer.echo(builds.build(tier, cores, tuple(snakemake or ())))


@app.command()
def audit(
    page: Annotated[str, typer.Argument(help="Page id; every setting page when none is named.")] = "",
) -> None:
    """Audit the splits of setting pages for leaks.

    Prints every check that passed; ends with an error at the first leak.
    """
    from perturbook.pages.study import audit_page
    from perturbook.pages.table import page as page_of
    from perturbook.pages.table import pages

    for one in [page_of(page)] if page else [p for p in pages() if p.studied]:
        for entry in audit_page(one):
            typer.echo(
                f"{one.id}  {entry['mode'] or '-'}  {', '.join(entry['held_out'])[:40] or '-'}  {json.dumps(entry['counts'])}"
            )
            for check in entry["checks"]:
                typer.echo(f"    passed  {check}")


@app.command()
def score(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder, or your own .h5ad of conditions x genes.")],
    page: Annotated[str, typer.Option(help="Page whose truth your own file is scored against.")] = "",
    csv: Annotated[Path, typer.Option(help="Also write every value, per condition, to this file.")] = None,
) -> None:
    """Score predictions beside the floors of their page.

    The split-half duplicate, what one half of the measured cells says of the other, stands in the same table.
    """
    from perturbook.pages.own_bundle import not_applicable, score_beside_floors

    table, scores = score_beside_floors(bundle, page)
    typer.echo(table.to_string())
    for method, why in not_applicable(scores).items():
        typer.echo(f"Not applicable: {method}, {why}")
    if csv:
        scores.to_csv(csv, index=False, na_rep="undefined")
        typer.echo(f"Every value: {csv}")


app.command()(embed)
app.command()(concepts)
app.command()(explorer)


@app.command()
def check(
    update: Annotated[
        bool, typer.Option("--update", help="Deposit the bundles of the last `build` first.")
    ] = False,
) -> None:
    """Score the deposits in results/ again.

    Fails on any difference, and where the source of a deposited model has changed since.
    """
    from perturbook.pages import deposit

    if update:
        for path in deposit.update():
            typer.echo(f"deposited {path}")
    for line in deposit.check():
        typer.echo(line)


@app.command(hidden=True)
def page(page: str, tier: str, given: str, notebook: Path, manifest: Path, log: Path) -> None:
    """Run one page for Snakemake."""
    from perturbook.pages.execute import execute_page

    execute_page(page, tier, json.loads(given), notebook, manifest, log)


@app.command(hidden=True)
def simulate(name: str, size: str, stamp: Path) -> None:
    """Draw a simulated screen and its noise-free means into the cache for Snakemake."""
    from perturbook import data

    cells = data.load(name, size=size)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(f"{name} {size}: {cells.n_obs} cells x {cells.n_vars} genes, {data.checksum(name)}\n")


@app.command(hidden=True)
def site(tier: str) -> None:
    """Build the site for Snakemake."""
    from perturbook.pages.site import build as build_site

    build_site(tier)


def main() -> None:
    """Run the command line; an error of ours is one message and exit code 1, never a traceback."""
    try:
        app()
    except PerturbookError as error:
        typer.echo("perturbook: " + "\n  ".join(str(error).splitlines()), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
