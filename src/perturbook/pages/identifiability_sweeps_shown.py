"""What the sweeps of the identifiability page say, in sentences and a table."""

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook.pages.html_table import table
from perturbook.pages.identifiability import ARMS, SCORES
from perturbook.pages.identifiability_sweeps import SWEEPS, means
from perturbook.pages.identifiability_tables import TITLES
from perturbook.pages.present import number


def sweep_table(rows: pd.DataFrame) -> HTML:
    """Mean scores over worlds, a row per sweep, value and arm."""
    filled = [
        {"Sweep": sweep.title, "Value": f"{row['value']:g}", "Arm": row["arm"]}
        | {TITLES[key]: number(row[key], 2) for key in SCORES}
        for name, sweep in SWEEPS.items()
        for row in means(rows, name).to_dict("records")
    ]
    worlds = rows["seed"].nunique()
    return HTML(table(filled, f"Sweeps on simulated worlds, means over {worlds} of them", ("Sweep", "Arm")))


def said(rows: pd.DataFrame, sweep: str, arm: str = "twins") -> Markdown:
    """The ends and the best value of one sweep of one arm, in words."""
    mine = means(rows, sweep)
    mine = mine[mine["arm"] == ARMS[arm].title].set_index("value")
    first, last = mine.iloc[0], mine.iloc[-1]
    ends = "; ".join(
        f"{TITLES[key]}: {number(first[key], 2)} and {number(last[key], 2)}, best {number(mine[key].max(), 2)} at "
        f"{mine[key].idxmax():g}"
        for key in SCORES
    )
    return Markdown(
        f"“{ARMS[arm].title}”, at {mine.index[0]:g} and at {mine.index[-1]:g}, means over worlds. {ends}."
    )
