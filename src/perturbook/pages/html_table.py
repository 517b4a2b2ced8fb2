"""Tables of a page as HTML: every label is data and stays text, whatever it contains."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class Markup(str):
    """Text that is HTML already; made only by functions that escape what they are given."""


def link(address: str, text: Any) -> Markup:
    """A link that shows `text`."""
    return Markup(f'<a href="{html.escape(address)}">{_escaped(text)}</a>')


def formula(latex: str) -> Markup:
    """A formula that MathJax typesets, in the book and in notebook editors."""
    return Markup(
        f'<span class="math notranslate nohighlight">\\({html.escape(latex, quote=False)}\\)</span>'
    )


def join(*parts: Any) -> Markup:
    """One text of several parts; those that are `Markup` stand as they are, others are escaped."""
    return Markup("".join(map(_escaped, parts)))


def code(text: Any) -> Markup:
    """Text in the type of code."""
    return Markup(f"<code>{_escaped(text)}</code>")


def items(texts: Iterable[Any]) -> Markup:
    """A bulleted list."""
    return Markup("<ul>" + "".join(f"<li>{_escaped(text)}</li>" for text in texts) + "</ul>")


def table(rows: Sequence[Mapping[str, Any]], caption: str, filters: Sequence[str] = ()) -> Markup:
    """A table that a reader can sort and filter.

    Args:
        rows: one mapping from column to value per row, all with the same columns; values that are `Markup` stand as
            they are, others are escaped.
        caption: stands above the table and is its name for screen readers.
        filters: columns that get a menu.
    """
    head = "".join(f"<th>{_escaped(name)}</th>" for name in (rows[0] if rows else ()))
    body = "".join(
        "<tr>" + "".join(f"<td>{_escaped(v)}</td>" for v in row.values()) + "</tr>" for row in rows
    )
    menus = f' data-filters="{html.escape(",".join(filters))}"' if filters else ""
    return Markup(
        f'<div class="pb-sortable"{menus}><table><caption>{_escaped(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _escaped(value: Any) -> str:
    return value if isinstance(value, Markup) else html.escape(str(value))
