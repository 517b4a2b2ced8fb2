"""Pages: what notebooks call, and the machinery that turns one table of pages into a book."""

from typing import Any

__all__ = ["Design", "Study", "begin", "bundle_folder", "columns_of", "run"]


def __getattr__(name: str) -> Any:
    """Import what notebooks call at its first use: every page starts three processes, and two of them need none of it."""
    if name == "begin":
        from perturbook.pages.vega import enable

        return enable
    if name == "columns_of":
        from perturbook.pages.design import columns_of

        return columns_of
    if name in __all__:
        from perturbook.pages import study

        return getattr(study, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
