"""What the page on quality says and shows: tables of the sweep and of the arms, and which plain arm beats the autoencoder in what."""

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook import data
from perturbook.concepts.fidelity import quality
from perturbook.evaluation.manifest import manifest
from perturbook.pages import frame
from perturbook.pages.concepts_arms import SAE, SETTINGS, TITLES, WIDTH, K, autoencoders
from perturbook.pages.concepts_cells import DATA, Embedded
from perturbook.pages.concepts_quality import DENSE, EMBEDDING
from perturbook.pages.html_table import Markup, join, table
from perturbook.pages.present import number
from perturbook.pages.table import ROOT

MEASURES = {
    ("ev", ""): ("Explained variance", 1),
    ("dead_eval", ""): ("Dead on test cells", -1),
    ("ami", "cell type"): ("AMI, cell type", 1),
    ("f1", "cell type"): ("F1, cell type", 1),
    ("macro_f1", "cell type"): ("Probe, cell type", 1),
    ("macro_f1", "condition"): ("Probe, condition", 1),
    ("macro_f1", "phase"): ("Probe, cycle phase", 1),
}
"""(quantity, label) -> words, and 1 where more is better."""


def wide(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per data set, arm, n_latents and k; a column per (quantity, label)."""
    return rows.pivot_table(
        index=["data", "arm", "n_latents", "k"], columns=["quantity", "of"], values="value", sort=False
    )


def at_same_l0(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """The autoencoder of the main setting and every arm with as many active concepts, on one data set; index arm."""
    found = wide(rows).loc[name].reset_index()
    chosen = (found["k"] == K) & ((found["arm"] != SAE) | (found["n_latents"] == WIDTH))
    return found[chosen].set_index("arm")


def beaten(rows: pd.DataFrame, name: str) -> dict[str, list[str]]:
    """Measure in words -> the arms that are better than the autoencoder by it, with the same number of active concepts."""
    found, out = at_same_l0(rows, name), {}
    for key, (title, sign) in MEASURES.items():
        if key in found and found[key].notna().all():
            shown = (sign * found[key]).round(2)  # what cannot be seen in the table is no advantage
            ahead = found[key][shown > shown[SAE]]
            said = [f"{TITLES[arm]} {number(value, 2)}" for arm, value in ahead.items()]
            out[f"{title} ({number(found.loc[SAE, key], 2)})"] = said
    return out


def said_of_arms(rows: pd.DataFrame) -> Markdown:
    """Where a plainer arm beats the autoencoder, per data set and measure; the autoencoder's own value in brackets."""
    parts = []
    for name in DATA:
        found = beaten(rows, name)
        lost = {title: arms for title, arms in found.items() if arms}
        won = [title for title, arms in found.items() if not arms]
        lines = [f"- {title}: {', '.join(arms)}" for title, arms in lost.items()]
        lines += [f"- No plainer arm is better by: {', '.join(won)}"] if won else []
        parts.append(
            f"**{name}**: with {K} active concepts each, some plainer arm is better than the autoencoder by {len(lost)} of "
            f"{len(found)} measures, to two decimals.\n\n" + "\n".join(lines)
        )
    return Markdown("\n\n".join(parts))


def answer(rows: pd.DataFrame) -> Markdown:
    """The page in a few sentences, from the deposit."""
    parts = []
    for name in DATA:
        found = at_same_l0(rows, name)
        own = rows[(rows["data"] == name) & (rows["k"] == K) & (rows["n_latents"] == WIDTH)]
        own = own[(own["arm"] == SAE) & (own["of"] == "cell type")].set_index("quantity")
        less, lost = own.loc["macro_f1_less"], beaten(rows, name)
        verdict = "less" if less["high"] < 0 else "more" if less["low"] > 0 else "no provable difference"
        best = found[("ev", "")].drop(SAE).idxmax()
        parts.append(
            f"On {name}, {K} of {WIDTH} concepts give back {number(100 * found.loc[SAE, ('ev', '')], 0)} % of the variance "
            f"of test cells ({TITLES[best]}: {number(100 * found.loc[best, ('ev', '')], 0)} %); by a linear probe the codes tell "
            f"of cell type, minus what the embedding itself tells, {number(less['value'], 2)} in macro-F1 "
            f"[{number(less['low'], 2)}, {number(less['high'], 2)}]: {verdict}. "
            f"Some plainer arm is better by {sum(map(bool, lost.values()))} of {len(lost)} measures."
        )
    return Markdown(f"**{' '.join(parts)}**")


def arms_table(rows: pd.DataFrame, name: str) -> HTML:
    """Every arm with the same number of active concepts, the number of concepts printed; the embedding itself below."""
    found, shown = at_same_l0(rows, name), []
    lows = rows[(rows["data"] == name) & rows["low"].notna()].set_index(
        ["arm", "n_latents", "k", "quantity", "of"]
    )
    itself = wide(rows).loc[(name, EMBEDDING, 0, DENSE)]
    for arm, row in [*found.iterrows(), (EMBEDDING, itself)]:
        size = ("", "") if arm == EMBEDDING else (int(row["n_latents"].iloc[0]), number(row[("l0", "")], 1))
        made = {"Dictionary": TITLES[arm], "Concepts": size[0], "L0": size[1]}
        for key, (title, _) in MEASURES.items():
            if key not in found or found[key].isna().all():
                continue
            made[title] = number(row.get(key, float("nan")), 2) if key in row and pd.notna(row[key]) else ""
            at = (arm, 0 if arm == EMBEDDING else size[0], DENSE if arm == EMBEDDING else K, *key)
            if at in lows.index:
                low, high = lows.loc[at, ["low", "high"]]
                bounds = f"[{number(low, 2)}, {number(high, 2)}]"
                made[title] = join(made[title], Markup("<br><small>"), bounds, Markup("</small>"))
            if key[0] == "f1" and arm != EMBEDDING:
                base = f"base {number(row[('f1_base', key[1])], 2)}"
                made[title] = join(made[title], Markup("<br><small>"), base, Markup("</small>"))
        shown.append(made)
    n = int(found[("n_cells", "")].iloc[0])
    return HTML(table(shown, f"{name}: {n} test cells, {K} concepts active per cell at most"))


def live(cells: Embedded, passes: int, seed: int) -> HTML:
    """Train the main setting on the page with fewer passes, and show what every tenth of them reached."""
    settings = type(SETTINGS)(**{**SETTINGS.as_dict(), "passes": passes})
    size = [(WIDTH, K, seed)]
    (made,) = autoencoders(cells.points, cells.of("train"), cells.of("valid"), size, settings)
    log = made.log.iloc[sorted({0, *range(passes - 1, 0, -max(1, passes // 10))})]
    shown = [
        {"Pass": at, "EV, validation cells": number(row["ev"], 3), "L0": number(row["l0"], 1)}
        | {"dead_train": number(row["dead_train"], 3), "Steps with AuxK": number(row["auxk_steps"], 2)}
        for at, row in log.iterrows()
    ]
    found = quality(made.sae, cells.points, cells.of("test"))
    caption = (
        f"{cells.name}, trained here in {passes} passes over {int(cells.of('train').sum())} cells; gamma "
        f"{made.gamma:.1f}. On {found.n_cells} test cells: EV {found.ev:.3f}, dead_eval {found.dead_eval:.3f}, "
        f"rare_eval {found.rare_eval:.3f}"
    )
    return HTML(table(shown, caption))


def sweep_said(rows: pd.DataFrame) -> Markdown:
    """What more active concepts and more concepts do, in one sentence per data set."""
    lines = []
    for name in DATA:
        found = wide(rows).loc[(name, SAE)].sort_index()
        by_k, by_width = found.xs(WIDTH, level="n_latents"), found.xs(K, level="k")
        least, most = by_k.index[0], by_k.index[-1]
        narrow, broad = by_width.index[0], by_width.index[-1]
        lines.append(
            f"On {name}, from {least} to {most} active of {WIDTH} concepts the explained variance goes from "
            f"{number(by_k.loc[least, ('ev', '')], 2)} to {number(by_k.loc[most, ('ev', '')], 2)}, and the probe for cell type from "
            f"{number(by_k.loc[least, ('macro_f1', 'cell type')], 2)} to {number(by_k.loc[most, ('macro_f1', 'cell type')], 2)}; from "
            f"{narrow} to {broad} concepts the share of dead ones goes from {number(by_width.loc[narrow, ('dead_eval', '')], 2)} to "
            f"{number(by_width.loc[broad, ('dead_eval', '')], 2)}."
        )
    return Markdown(" ".join(lines))


def provenance(page: str, **given: int | str) -> HTML:
    """What the page was made of."""
    sums = {name: data.checksum(name) for name in DATA}
    return frame.footer(manifest(ROOT, page=page, tier="smoke", parameters=given, data=sums))
