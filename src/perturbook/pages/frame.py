"""What stands around the content of a page: notices above it, provenance below it."""

import html
from collections.abc import Mapping

from IPython.display import HTML

from perturbook.pages.vega import say_first


def admonition(kind: str, title: str, text: str) -> str:
    """A notice as HTML; `kind` is its CSS class, `title` and `text` are our own words, not data."""
    return f'<div class="admonition {kind}"><p class="admonition-title">{title}</p><p>{text}</p></div>'


def notices(synthetic: bool, deposited: str = "") -> HTML:
    """Say first what a reader must know: simulated cells, deposited results; nothing for live real cells.

    Where cells are simulated, every later chart of the notebook says so too.

    Args:
        synthetic: the cells are simulated.
        deposited: what comes from the deposit of the project and what is not shown; empty where the page is live.
    """
    parts = []
    if synthetic:
        say_first("Simulated cells.")
        parts.append(
            admonition(
                "warning simulated",
                "Simulated cells",
                "Every cell on this page is simulated. It shows what a method can do where the truth is known, not what it does on real cells.",
            )
        )
    if deposited:
        parts.append(
            admonition(
                "note deposited",
                "Deposited results",
                f"The data set of this page could not be fetched when the book was built. {deposited}",
            )
        )
    return HTML("".join(parts))


def footer(about: Mapping, values: str = "") -> HTML:
    """What a page was made of and the command that repeats it, from its manifest; `values` says what its numbers are."""
    given = {k: v for k, v in about["parameters"].items() if k != "models" and v not in ("", [])}
    rows = {
        "Page": about["page"],
        "Parameters": "; ".join(f"{k} = {v}" for k, v in given.items()),
        "Data": ", ".join(f"{name} (sha256 {digest[:12]})" for name, digest in about["data"].items()),
        "Values": values,
        "Code": "perturbook " + about["run"]["code"]["version"] + ", " + about["run"]["code"]["commit"],
        "Packages": ", ".join(f"{name} {version}" for name, version in about["packages"].items()),
        "Machine": f"{about['run']['machine']}; Python {about['run']['python']}",
        "Repeat": f"perturbook run {about['page']}",
    }
    body = "".join(f"<tr><th>{k}</th><td>{html.escape(str(v))}</td></tr>" for k, v in rows.items() if v)
    return HTML(
        f'<details class="pb-provenance"><summary>Provenance of this page</summary><table>{body}</table></details>'
    )
