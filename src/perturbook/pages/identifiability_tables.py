"""What the identifiability page shows: arms on one world, trained here; all worlds, from the deposit; the theorem's matrix."""

import numpy as np
import pandas as pd
import torch
from IPython.display import HTML, Markdown

from perturbook import data
from perturbook.evaluation.intervals import bootstrap_difference
from perturbook.evaluation.manifest import manifest
from perturbook.models.perturbed_vae.mechanism import sufficiency
from perturbook.pages import frame
from perturbook.pages.html_table import Markup, join, table
from perturbook.pages.identifiability import ARMS, NAME, SCORES, World, fit, score
from perturbook.pages.present import number
from perturbook.pages.table import ROOT

TITLES = {"mcc_nu": "MCC, responsive", "r2_nu": "R², responsive", "r2_iota": "R², invariant"}
"""Score -> words."""
PAPER = {
    "No alignment": {"mcc_nu": (0.81, 0.031), "r2_nu": (0.93, 0.012), "r2_iota": (0.66, 0.028)},
    "Aligned; pairing not known": {"mcc_nu": (0.86, 0.029), "r2_nu": (0.95, 0.002), "r2_iota": (0.97, 0.008)},
}
"""Table 1 of the paper, known second-hand: mean and standard deviation, on worlds whose recipe is not known."""
AIM = {"mcc_nu": 0.86, "r2_nu": 0.95, "r2_iota": 0.97}
"""What this book wants of pairs of twins: the paper's aligned row."""
REQUIRED = {"mcc_nu": 0.66, "r2_nu": 0.88, "r2_iota": 0.94}
"""What it must reach on average over five worlds, or the page is wrong: below the first prototype's scores."""


def live(seed: int, epochs: int) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    """Train every arm on one world, for `epochs` at most.

    Returns:
        Scores, one row per arm; histories, long, with a column arm; models by arm name.
    """
    world, rows, histories, models = World.of(seed), [], [], {}
    for name, arm in ARMS.items():
        short = type(arm)(**{**vars(arm), "epochs": min(epochs, arm.epochs)})
        models[name], history = fit(world, short)
        rows.append({"arm": arm.title, **score(models[name], world)})
        histories.append(history.table().assign(arm=arm.title))
    return pd.DataFrame(rows), pd.concat(histories, ignore_index=True), models


def live_table(rows: pd.DataFrame) -> HTML:
    """Scores of the arms that were trained here."""
    leak = "R², invariant from responsive"
    filled = [
        {"Arm": row["arm"]}
        | {TITLES[key]: number(row[key], 3) for key in SCORES}
        | {leak: number(row["leak"], 3)}
        for row in rows.to_dict("records")
    ]
    return HTML(table(filled, "Simulated world, trained while this page was built: scores on its test cells"))


def deposit_table(stored: pd.DataFrame) -> HTML:
    """Every arm's mean over worlds with every value below it, and the paper's rows."""
    filled = []
    for arm, mine in stored.groupby("arm", sort=False):
        row = {"Arm": arm}
        for key, title in TITLES.items():
            values = mine.sort_values("seed")[key]
            every = [number(value, 2) for value in values]
            lines = [", ".join(every[at : at + 3]) for at in range(0, len(every), 3)]
            small = [part for line in lines for part in (Markup("<small>"), line, Markup("</small>"))]
            row[title] = join(number(values.mean(), 3), *small)
        filled.append(row)
    for arm, scores in PAPER.items():
        words = {TITLES[key]: f"{mean:.2f} ± {sd:g}" for key, (mean, sd) in scores.items()}
        filled.append({"Arm": f"Reported: {arm}", **words})
    worlds = stored["seed"].nunique()
    return HTML(
        table(
            filled,
            f"Mean over {worlds} simulated worlds, every world's value below it; and the paper's Table 1",
        )
    )


def contrast(stored: pd.DataFrame, first: str, second: str, key: str) -> str:
    """Words for the difference between two arms over the worlds that both have: its mean, and every value."""
    wide = stored.pivot(index="seed", columns="arm", values=key)[
        [ARMS[first].title, ARMS[second].title]
    ].dropna()
    differences = wide.iloc[:, 0] - wide.iloc[:, 1]
    interval = bootstrap_difference(wide.iloc[:, 0].to_numpy(), wide.iloc[:, 1].to_numpy())
    every = ", ".join(f"{value:+.2f}" for value in differences)
    return f"{interval.mean:+.3f} (every world: {every})"


def answer(stored: pd.DataFrame) -> Markdown:
    """The page in two sentences, from the deposit."""
    mean = stored.groupby("arm")["r2_iota"].mean()
    twins, none, chance = (mean[ARMS[name].title] for name in ("twins", "none", "random"))
    verdict = "hurts" if chance < none else "helps"
    return Markdown(
        f"**With counterfactual twins, which only a simulation has, alignment recovers the invariant latents at an R² of "
        f"{twins:.2f}, against {none:.2f} without alignment. With random controls as partners, the rule that real data leave, it "
        f"{verdict}: {chance:.2f}.**"
    )


def reached(stored: pd.DataFrame) -> HTML:
    """The twins arm against the aim and against what it must reach, per score."""
    mine = stored[stored["arm"] == ARMS["twins"].title]
    rows = []
    for key, title in TITLES.items():
        value = mine[key].mean()
        rows.append(
            {
                "Score": title,
                "Found": number(value, 3),
                "Aim (the paper's aligned row)": f"{AIM[key]:.2f}, "
                + ("met" if value >= AIM[key] else "missed"),
                "At least": f"{REQUIRED[key]:.2f}, " + ("met" if value >= REQUIRED[key] else "missed"),
            }
        )
    return HTML(table(rows, f"Pairs of twins, mean over {len(mine)} simulated worlds, against the aim"))


def beyond_chance(rows: pd.DataFrame) -> HTML:
    """The twins arm's MCC in every world beside that of an exact block mixed at random; `rows` of `chance_table`."""
    filled = [
        {
            "Simulated world": row["world"],
            "Found": number(row["found"], 2),
            "Exact block, mixed at random": f"{number(row['middle'], 2)} [{number(row['low'], 2)}, {number(row['high'], 2)}]",
            "Beyond chance": "yes" if row["found"] > row["high"] else "no",
        }
        for row in rows.to_dict("records")
    ]
    return HTML(
        table(filled, "MCC of pairs of twins, and of random mixtures: middle, and where 95 of 100 lie")
    )


def said_of_chance(rows: pd.DataFrame) -> Markdown:
    """Whether the MCC shows that latents were found one by one."""
    beyond, worlds = int((rows["found"] > rows["high"]).sum()), len(rows)
    verdict = (
        "This MCC is no evidence that single latents were found: only the block was"
        if beyond <= worlds / 2
        else "Here single latents were found, and not only their block"
    )
    return Markdown(
        f"**In {beyond} of {worlds} worlds the MCC found lies above 97.5 % of random mixtures of the exact block, whose own middle "
        f"is {number(rows['middle'].mean(), 2)}. {verdict}.**"
    )


def singular_values(models: dict, world: World) -> pd.DataFrame:
    """Singular values of the matrix of assumption (ii): of the true world, and of each fitted model.

    Returns:
        Columns of (truth or title of the arm), rank (from 1), value.
    """
    from perturbook.pages.latent_world import sufficiency as of_truth

    values = {"The world itself": np.linalg.svd(of_truth(world.cells.uns["truth"]), compute_uv=False)}
    n = world.cells.obsm["u"].shape[1]
    for name, model in models.items():
        with torch.no_grad():
            matrix = sufficiency(model.mechanisms(torch.eye(n)), model.mechanisms(torch.zeros(1, n)))
        values[ARMS[name].title] = np.linalg.svd(matrix.numpy(), compute_uv=False)
    rows = [(of, i + 1, float(value)) for of, found in values.items() for i, value in enumerate(found)]
    return pd.DataFrame(rows, columns=["of", "rank", "value"])


def provenance(page: str, seed: int, epochs: int) -> HTML:
    """What the page was made of."""
    parameters = {"seed": seed, "epochs": epochs}
    return frame.footer(
        manifest(ROOT, page=page, tier="book", parameters=parameters, data={NAME: data.checksum(NAME)})
    )
