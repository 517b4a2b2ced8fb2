"""What the page on stability says and shows: agreement over seeds, halves and data sets beside chance, and who does better."""

from collections.abc import Sequence

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook import data
from perturbook.concepts.atom_matching import beyond_chance
from perturbook.evaluation.manifest import manifest
from perturbook.pages import frame
from perturbook.pages.concepts_arms import SAE, TITLES
from perturbook.pages.concepts_cells import DATA
from perturbook.pages.concepts_stability import FROM, HALVES, KINDS, SEEDS, TO
from perturbook.pages.html_table import Markup, join, table
from perturbook.pages.present import number
from perturbook.pages.table import ROOT

FIXED = 1 - 1e-3
"""Mean cosine over seeds from which an arm counts as the same in every training, because it draws nothing."""
NEAR = 0.7
"""Mean cosine with their start from which atoms count as hardly moved. Our choice."""


def agreement(rows: pd.DataFrame, atoms: str = "all") -> pd.DataFrame:
    """One row per arm, kind and data set: columns arm, kind, data (empty between data sets), mean, sd, alike, same, chance, beyond."""
    mine = rows[(rows["atoms"] == atoms) & rows["quantity"].isin(["mean", "alike", "same", "chance", "sd"])]
    found = mine.pivot_table(
        index=["arm", "kind"], columns="quantity", values="value", sort=False, dropna=False
    ).reset_index()
    split = found["kind"].str.partition(": ")
    found["kind"], found["data"] = split[0], split[2]
    found["beyond"] = [
        beyond_chance(mean, chance) for mean, chance in zip(found["mean"], found["chance"], strict=True)
    ]
    return found


def agreement_table(rows: pd.DataFrame, kinds: list[str], atoms: str = "all") -> HTML:
    """Mean and SD over pairs of trainings, shares above 0.7 and 0.9, the chance level, and the share of the way beyond it."""
    found = agreement(rows, atoms)
    shown = [
        {
            "Compared": KINDS[row["kind"]],
            "Cells": row["data"] or f"{FROM} with {TO}",
            "Dictionary": TITLES[row["arm"]],
            "Mean ± SD": f"{number(row['mean'], 2)} ± {number(row['sd'], 3)}",
            "Above 0.7": number(row["alike"], 2),
            "Above 0.9": number(row["same"], 2),
            "Chance": number(row["chance"], 2),
            "Beyond chance": number(row["beyond"], 2),
        }
        for row in found[found["kind"].isin(kinds)]
        .sort_values(["data", "kind"], kind="stable")
        .to_dict("records")
    ]
    which = "all concepts" if atoms == "all" else "concepts active in ten test cells or more"
    return HTML(
        table(shown, f"One-to-one matched similarity of {which}", ("Compared", "Cells", "Dictionary"))
    )


def better(rows: pd.DataFrame, kind: str, name: str = "", atoms: str = "all") -> str:
    """Which arms are further beyond chance than the autoencoder in one comparison, in words."""
    found = agreement(rows, atoms)
    mine = found[(found["kind"] == kind) & (found["data"] == name)].set_index("arm")["beyond"]
    ahead = mine[mine > mine[SAE]].drop(SAE, errors="ignore").sort_values(ascending=False)
    own = f"the autoencoder goes {number(mine[SAE], 2)} of the way from chance to identity"
    if ahead.empty:
        return f"{own}, and no arm goes further"
    return f"{own}; further go {', '.join(f'{TITLES[arm]} ({number(value, 2)})' for arm, value in ahead.items())}"


def moved(rows: pd.DataFrame) -> Markdown:
    """How near the autoencoder's atoms still are to where they were drawn, and what follows for its stability."""
    found = rows[rows["quantity"] == "start"].groupby(["kind", "atoms"])["value"].mean()
    said = "; ".join(
        f"{number(found[f'dictionary: {name}', 'all'], 2)}, and {number(found[f'dictionary: {name}', 'usual'], 2)} of concepts that are "
        f"neither dead nor rare, on {name}"
        for name in DATA
    )
    least = found.xs("usual", level="atoms").min()
    verdict = (
        "Most atoms in use have hardly left their draw: the training was short, and what is unstable here may be the training and not "
        "the concepts"
        if least > NEAR
        else "The atoms in use have left their draw"
    )
    return Markdown(f"The mean cosine of an atom with the random one that it began as is {said}. {verdict}.")


def fixed(rows: pd.DataFrame) -> list[str]:
    """Titles of the arms that are the same with every seed on both data sets."""
    found = agreement(rows)
    least = found[found["kind"] == "seeds"].groupby("arm", sort=False)["mean"].min()
    return [TITLES[arm] for arm in least.index[least >= FIXED]]


def answer(rows: pd.DataFrame) -> Markdown:
    """The page in a few sentences, from the deposit."""
    found = agreement(rows)
    mine = found[found["arm"] == SAE].set_index(["kind", "data"])
    seeds = "; ".join(
        f"{number(mine.loc[('seeds', name), 'mean'], 2)}, where chance gives {number(mine.loc[('seeds', name), 'chance'], 2)}, on {name}"
        for name in DATA
    )
    across = mine.loc[("data sets", "")]
    return Markdown(
        f"**Over {SEEDS} seeds the matched cosine of the autoencoder's concepts is {seeds}. Between {FROM} and {TO} it is "
        f"{number(across['mean'], 2)}, where chance gives {number(across['chance'], 2)}. With other cells of the same data set, halves "
        f"of {DATA[0]}, {better(rows, 'halves', DATA[0])}.**"
    )


def said(rows: pd.DataFrame, kinds: list[str], atoms: str = "all") -> Markdown:
    """One item per comparison and data set: who is further beyond chance than the autoencoder."""
    found = agreement(rows, atoms)[["kind", "data"]].drop_duplicates()
    lines = [
        f"- {KINDS[kind]}, {name or f'{FROM} with {TO}'}: {better(rows, kind, name, atoms)}."
        for kind, name in found[found["kind"].isin(kinds)].itertuples(index=False)
    ]
    same = fixed(rows)
    note = f"\n\nThe same with every seed, because nothing is drawn: {', '.join(same)}." if same else ""
    return Markdown("\n".join(lines) + (note if "seeds" in kinds else ""))


def transfer(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per arm, quantity and seed of what was carried over; F1 and base are means over cell types: arm, quantity, seed, value."""
    mine = rows[rows["kind"] == "transfer"].copy()
    mine["seed"] = mine["of"].astype(str).str.partition(",")[0].astype(float).astype(int)
    return mine.groupby(["arm", "quantity", "seed"], sort=False)["value"].mean().reset_index()


def transfer_table(rows: pd.DataFrame) -> HTML:
    """Dictionaries of pbmc3k on test cells of kang2018-mini, beside those trained there: means over seeds, every seed below."""
    titles = {
        "ev, own": "EV, trained here",
        "ev, carried": "EV, carried",
        "ev, rescaled": "EV, carried, mean and scale of here",
        "f1, own": "F1 cell type, chosen here",
        "f1, carried": "F1 cell type, chosen there",
        "base, carried": "Base rate of it",
    }
    found, shown = transfer(rows), []
    for arm, mine in found.groupby("arm", sort=False):
        row = {"Dictionary": TITLES[arm]}
        for quantity, title in titles.items():
            values = mine[mine["quantity"] == quantity].sort_values("seed")["value"]
            every = ", ".join(number(value, 2) for value in values)
            row[title] = join(number(values.mean(), 2), Markup("<br><small>"), every, Markup("</small>"))
        shown.append(row)
    return HTML(table(shown, f"Dictionaries of {FROM} on test cells of {TO}"))


def transfer_said(rows: pd.DataFrame) -> Markdown:
    """What is lost on the way, for the autoencoder, and which arms lose less."""
    mean = transfer(rows).groupby(["arm", "quantity"])["value"].mean().unstack()
    own, parts = mean.loc[SAE], []
    for quantity, words in (("ev", "explained variance"), ("f1", "F1 of cell type")):
        lost = mean[f"{quantity}, own"] - mean[f"{quantity}, carried"]
        less = [TITLES[arm] for arm in lost.index if lost[arm] < lost[SAE] and arm != SAE]
        higher = [
            f"{TITLES[arm]} ({number(value, 2)})"
            for arm, value in mean[f"{quantity}, carried"].items()
            if value > own[f"{quantity}, carried"] and arm != SAE
        ]
        parts.append(
            f"The autoencoder's {words} is {number(own[f'{quantity}, own'], 2)} where it was trained on {TO} itself and "
            f"{number(own[f'{quantity}, carried'], 2)} carried over from {FROM}. Carried over, higher: {', '.join(higher) or 'none'}; "
            f"less is lost by: {', '.join(less) or 'none'}."
        )
    return Markdown(" ".join(parts))


def provenance(page: str, arms: Sequence[str] = ()) -> HTML:
    """What the page was made of."""
    sums = {name: data.checksum(name) for name in DATA}
    about = manifest(
        ROOT,
        page=page,
        tier="smoke",
        parameters={"seeds": SEEDS, "halves": HALVES, "arms": list(arms)},
        data=sums,
    )
    return frame.footer(about)
