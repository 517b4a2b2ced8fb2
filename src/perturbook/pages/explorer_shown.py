"""What the page "Concept explorer" says of the atlases behind it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from perturbook.concepts.atom_matching import beyond_chance
from perturbook.explorer.atlas import Atlas
from perturbook.pages import frame
from perturbook.pages.explorer_atlases import FOLDER, stored
from perturbook.pages.html_table import link, table
from perturbook.pages.present import number

PLACE = "../explorer/index.html"
"""The explorer, from a page of the book; `pages.site` puts it there."""
ARM = {"sae": "Concepts", "neuron": "Neurons"}


def atlases(names: Sequence[str] = ()) -> list[Atlas]:
    """The deposited atlases, or those named; errors as `explorer_atlases.stored`."""
    return [one for one in stored(FOLDER) if not names or one.name in names]


def door() -> HTML:
    """The link to the explorer."""
    return HTML(f'<p class="pb-door">{link(PLACE, "Open the concept explorer")}</p>')


def contents(found: Sequence[Atlas]) -> HTML:
    """One row per atlas: a link, cells, features, and how many of them have genes, and a significant set."""
    rows = []
    for one in found:
        features = one.tables["features"]
        told = features[features["status"] == "attributed"]
        rows.append(
            {
                "Atlas": link(f"{PLACE}#/{one.name}", one.about["title"]),
                "Cells": one.about["cells"],
                "Concepts": int((features["arm"] == "sae").sum()),
                "Neurons": int((features["arm"] == "neuron").sum()),
                "Silent in every cell": int((features["active"] == 0).sum()),
                "Attributed to genes": len(told),
                "Stability": number(features["stability"].mean(), 2),
                "Chance": number(one.about["chance"], 2),
            }
        )
    return HTML(table(rows, "The atlases of the explorer"))


def arms(found: Sequence[Atlas]) -> pd.DataFrame:
    """One row per atlas and arm, of attributed features: shares with a significant set, expected by chance, and above 20 % overtaken;
    median share of cells, F1 and completeness."""
    rows = []
    for one in found:
        features = one.tables["features"]
        told = features[features["status"] == "attributed"]
        for arm, words in ARM.items():
            mine = told[told["arm"] == arm]
            rows.append(
                {
                    "atlas": one.about["title"],
                    "arm": words,
                    "features": len(mine),
                    "annotated": (mine["terms"] > 0).mean() if len(mine) else np.nan,
                    "null": mine["null_share"].mean(),
                    "share": mine["share"].median(),
                    "f1": mine["f1"].median(),
                    "completeness": mine["completeness"].median(),
                    "overtaken": (mine["overtaken"] > 0.2).mean() if len(mine) else np.nan,
                }
            )
    return pd.DataFrame(rows)


def arms_table(found: Sequence[Atlas]) -> HTML:
    """`arms` in words."""
    rows = [
        {
            "Atlas": row["atlas"],
            "Features": f"{row['arm']} ({row['features']})",
            "With a significant set": number(row["annotated"], 2),
            "Matched random rankings with one": number(row["null"], 2),
            "Share of cells, median": number(row["share"], 3),
            "F1 of best label, median": number(row["f1"], 2),
            "Completeness, median": number(row["completeness"], 2),
            "Overtaken in over 20 % of swaps": number(row["overtaken"], 2),
        }
        for row in arms(found).to_dict("records")
    ]
    return HTML(table(rows, "Attributed features of every atlas: concepts beside neurons", ("Atlas",)))


def said(found: Sequence[Atlas]) -> Markdown:
    """What the table says, atlas by atlas."""
    lines, by = [], arms(found).set_index(["atlas", "arm"])
    for one in found:
        title, features = one.about["title"], one.tables["features"]
        own, other = (by.loc[(title, words)] for words in ARM.values())
        word = "more often" if own["annotated"] > other["annotated"] else "no more often"
        beyond = "more" if own["annotated"] > own["null"] else "no more"
        stable = beyond_chance(features["stability"].mean(), one.about["chance"])
        lines.append(
            f"- {title}: concepts have a significant gene set {word} than neurons ({number(own['annotated'], 2)} against "
            f"{number(other['annotated'], 2)}), and {beyond} often than random rankings matched to them ({number(own['null'], 2)}). Over "
            f"seeds they go {number(stable, 2)} of the way from chance to identity."
        )
    return Markdown("\n".join(lines))


def provenance(found: Sequence[Atlas]) -> HTML:
    """What the first atlas was made of."""
    return frame.footer(
        found[0].about["manifest"], "read from `results/explorer`, where every atlas has its own record"
    )
