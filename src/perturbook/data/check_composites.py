"""Labels that are joined from the labels of two other columns, such as `A549_Vorinostat`, must agree with their parts.

This is how a table whose columns were shuffled one by one gives itself away. Columns are recognised by what they
hold, not by their names. Source: `datasets.md` section 5; the recognition rule is our choice.
"""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data.findings import cells_where
from perturbook.errors import InputError

SEPARATOR = re.compile(r"[_|:/ -]")  # not "+", which joins genes of one label
RECOGNISED = 0.95  # share of a column's distinct labels that must be joins before it counts as joined
LOOKED_AT = 2000  # distinct labels looked at for that
NUMBER = re.compile(r"\d+(\.\d+)?([eE][+-]?\d+)?")
ANYTHING = bool  # any rest that is not empty
MIN_LABELS = 3  # of a part that stands before a bare number: "A_1" may be a well as well as a donor


def composites_agree(adata: AnnData) -> None:
    """Every joined label names the labels its own cell has in the part columns.

    Raises:
        InputError: names the joined and the part column, the share of cells, and three examples.
    """
    texts = {column: adata.obs[column].astype(str) for column in adata.obs if _is_text(adata.obs[column])}
    labels = {column: set(text.unique()) for column, text in texts.items()}
    for joined, text in texts.items():
        looked_at = sorted(labels[joined])[:LOOKED_AT]
        for first in texts:
            if first == joined or len(labels[first]) < 2 or not _joins(looked_at, labels[first], ANYTHING):
                continue
            for second in texts:
                if second not in (first, joined) and _joins(
                    looked_at, labels[first], labels[second].__contains__
                ):
                    _compare(adata, text, texts[first], texts[second])
            if len(labels[first]) >= MIN_LABELS and _joins(looked_at, labels[first], NUMBER.fullmatch):
                _compare(adata, text, texts[first], None)


def _is_text(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype) or column.dtype == object


def _splits(label: str, first: set[str], is_rest: Callable) -> list[tuple[str, str]]:
    """All ways to read `label` as a label of `first`, a separator, and a rest; the longest first part comes first."""
    cuts = [(label[: match.start()], label[match.end() :]) for match in SEPARATOR.finditer(label)]
    return [(head, rest) for head, rest in reversed(cuts) if head in first and is_rest(rest)]


def _joins(looked_at: list[str], first: set[str], is_rest: Callable) -> bool:
    """Whether nearly all of these labels, and more than one, are joined that way."""
    joins = sum(bool(_splits(label, first, is_rest)) for label in looked_at)
    return joins > 1 and joins >= RECOGNISED * len(looked_at)


def _compare(adata: AnnData, joined: pd.Series, first: pd.Series, second: pd.Series | None) -> None:
    is_rest = NUMBER.fullmatch if second is None else set(second.unique()).__contains__
    firsts = set(first.unique())
    readings = {label: _splits(label, firsts, is_rest) for label in joined.unique()}
    for at, part in enumerate((first, second)):
        if part is None:
            continue
        named = {label: {reading[at] for reading in found} for label, found in readings.items()}
        pairs = pd.MultiIndex.from_arrays([joined, part])
        pair, distinct = pairs.factorize()
        wrong = [bool(named[label]) and own not in named[label] for label, own in distinct]
        bad = np.array(wrong)[pair]
        if bad.any():
            where = cells_where(
                bad, adata.obs_names, lambda i, p=part: f"{joined.iloc[i]} beside {p.iloc[i]}"
            )
            raise InputError(
                f"obs[{joined.name!r}] disagrees with obs[{part.name!r}] in {where}. "
                "The columns were filled or sorted apart from each other; this is not a usable table."
            )
