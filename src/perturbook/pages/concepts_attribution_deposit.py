"""`results/concepts-attribution.csv.gz`: what was read of ten concepts, one number per row.

`perturbook train concepts-attribution` makes it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from perturbook import data
from perturbook.errors import ConfigError, InputError
from perturbook.pages import trained_table
from perturbook.pages.concepts_attribution_study import CONCEPTS, SETTINGS, Study
from perturbook.pages.concepts_control import DATA
from perturbook.pages.concepts_control_arms import Control, autoencoders
from perturbook.pages.table import ROOT

PAGE, BACKBONE = "concepts-attribution", "scvi"
DEPOSIT = ROOT / "results" / "concepts-attribution.csv.gz"
COLUMNS = ["concept", "quantity", "of", "to", "value"]


def make(names: Sequence[str] = (), to: Path = DEPOSIT, n: int = CONCEPTS) -> Iterator[str]:
    """Attribute the concepts, store what was read, and say so.

    Raises:
        ConfigError: a part is named; the study is made as a whole. DataUnavailable: the cells cannot be had.
    """
    if names:
        raise ConfigError(f"{PAGE} is made as a whole and knows no {names[0]!r}.")
    control = Control.of(BACKBONE, data.load(DATA))
    yield f"{BACKBONE}: {len(control.z)} cells embedded"
    saes = autoencoders(control.z, control.part == "train", BACKBONE)
    best = control.choose(saes, control.stimulated, "stimulation")
    study = Study.of(control, best.dictionary, best.concept, n)
    rows = pd.DataFrame(study.rows(), columns=COLUMNS)
    settings = {"concepts": len(study.chosen), "k": best.dictionary.k, **SETTINGS.as_dict()}
    trained_table.write(rows, to, PAGE, DATA, settings)
    yield f"{to.name}: {len(rows):,} rows of {len(study.chosen)} concepts"


def stored(path: Path = DEPOSIT) -> pd.DataFrame:
    """The deposit; raises InputError where it is missing, of other cells, or a concept has no genes."""
    trained_table.read(path, COLUMNS, PAGE, DATA)
    # names and numbers stand in one column, and "null" is a name
    rows = pd.read_csv(path, dtype={"of": str, "to": str}, keep_default_na=False, na_values={"value": [""]})
    if rows.empty or rows.groupby("concept")["quantity"].agg(lambda of: "gene" not in set(of)).any():
        raise InputError(f"{path} lacks the genes of a concept; make it with `perturbook train {PAGE}`.")
    return rows
