"""`book/pages.yml`: the one table that drives runs, contents, tests and leaderboard."""

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from perturbook.errors import ConfigError
from perturbook.source import PACKAGE

ROOT = PACKAGE.parents[1]
ALL = "*"
"""In `after`: every other page."""
TIERS = ("smoke", "book", "full")
"""A page of tier `smoke` is in every build, one of tier `full` only in a full one."""


@dataclass(frozen=True)
class Page:
    """One row of the table."""

    id: str
    """Stable identifier, lower case with hyphens; never reused."""
    title: str
    """Title of the page."""
    part: str
    """Part of the book it stands in."""
    notebook: str = ""
    """Stem of a notebook in `notebooks/`; empty for a written page `book/<id>.md`."""
    tier: str = "book"
    """The smallest build that holds the page."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Parameters of the notebook."""
    smoke: dict[str, Any] = field(default_factory=dict)
    """Parameters that make it small for the smoke build."""
    text: dict[str, str] = field(default_factory=dict)
    """Sentences of this page that stand in the notebook as tokens `@@name@@`."""
    after: tuple[str, ...] = ()
    """Notebooks whose pages must be finished first, because this page reads their bundles or manifests; `*`: all."""
    headline: tuple[str, ...] = ()
    """Models whose bundles are deposited in `results/`."""

    def parameters_at(self, tier: str) -> dict[str, Any]:
        """Parameters of the page in a build of `tier`."""
        return {**self.parameters, **(self.smoke if tier == "smoke" else {})}

    @property
    def scored(self) -> bool:
        """True where the page makes a bundle that stands in the leaderboard."""
        return self.notebook == "setting"

    @property
    def studied(self) -> bool:
        """True where the page makes a bundle."""
        return self.notebook in ("setting", "sweep")


def _page(row: dict[str, Any]) -> Page:
    if not isinstance(row, dict):
        raise ConfigError(f"book/pages.yml: {row!r} is no page; a page has at least id, title and part.")
    known = set(Page.__dataclass_fields__)
    if unknown := sorted(set(row) - known):
        raise ConfigError(
            f"book/pages.yml, page {row.get('id')!r}: unknown keys {unknown}. Allowed: {sorted(known)}."
        )
    if missing := sorted({"id", "title", "part"} - set(row)):
        raise ConfigError(f"book/pages.yml, page {row.get('id')!r}: {missing} missing.")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", str(row["id"])):
        raise ConfigError(
            f"book/pages.yml, page {row['id']!r}: an id is lower-case letters, digits and hyphens."
        )
    if row.get("tier", "book") not in TIERS:
        raise ConfigError(
            f"book/pages.yml, page {row['id']!r}: tier {row['tier']!r} must be one of {', '.join(TIERS)}."
        )
    return Page(**{**row, "after": tuple(row.get("after", ())), "headline": tuple(row.get("headline", ()))})


def read_pages(path: Path) -> list[Page]:
    """Read a table of pages; raises ConfigError naming the page and what is wrong with it."""
    try:
        table = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no {path}. perturbook runs from its project folder: install it there with pip install -e ."
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"book/pages.yml cannot be read: {' '.join(str(error).split())}.") from error
    if not isinstance(table, dict) or not isinstance(table.get("pages"), list):
        raise ConfigError("book/pages.yml must hold one list called pages.")
    pages = [_page(row) for row in table["pages"]]
    ids = [page.id for page in pages]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise ConfigError(f"book/pages.yml: the ids {twice} stand twice.")
    return pages


@cache
def pages() -> tuple[Page, ...]:
    """Every page of the book, in reading order."""
    return tuple(read_pages(ROOT / "book" / "pages.yml"))


def page(page_id: str) -> Page:
    """The page with this id; raises ConfigError listing the ids."""
    for one in pages():
        if one.id == page_id:
            return one
    raise ConfigError(f"There is no page {page_id!r}. Pages: {', '.join(one.id for one in pages())}.")


def in_tier(tier: str) -> list[Page]:
    """Pages of a build of `tier`, in reading order."""
    if tier not in TIERS:
        raise ConfigError(f"tier {tier!r} must be one of {', '.join(TIERS)}.")
    return [one for one in pages() if TIERS.index(one.tier) <= TIERS.index(tier)]
