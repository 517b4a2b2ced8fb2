"""What a data card says in words and tables; every number comes from the stored card."""

import html

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook.data.cache import WHEEL
from perturbook.data.schema import CONTROL
from perturbook.pages import frame, html_table
from perturbook.pages.card import Card

VALUES = {
    "counts": "counts",
    "counts_recovered": "counts, recovered exactly from the normalised values of the origin",
    "counts_recovered_unverified": "counts, recovered from the normalised values of the origin; not verified",
    "lognorm": "log-normalised values; a model that needs counts must refuse them",
    "log_intensity": "log2 intensities; a model of counts must refuse them",
}
"""What X holds, in words, for each `value_kind`."""


def banner(card: Card) -> HTML:
    """Say first what a reader must know: simulated cells, or a deposited card; nothing for live real cells."""
    said = "This card was deposited with the project: its summaries and its map are shown, its cells were not read."
    return frame.notices(card.facts["synthetic"], said if card.deposited else "")


def glued(card: Card) -> dict[str, int | float | str]:
    """Numbers and labels that the text of the page refers to."""
    facts = card.facts
    medians = card.depth[card.depth["state"] == CONTROL].set_index("context")["median"]
    return {
        **{key: facts[key] for key in ("cells", "genes")},
        "contexts": _contexts(card),
        "treated": _treated(card),
        "n_checks": len(facts["checks"]),
        "shown": len(card.cells),
        "depth": _depth(medians),
        "carried": int((card.settings["carried"] == "yes").sum()),
        "n_settings": len(card.settings),
    }


def _contexts(card: Card) -> str:
    n = card.facts["contexts"]
    return f"{n} context{'s' * (n > 1)}"


def _depth(medians: pd.Series) -> str:
    """How deeply the control cells of each context were read, in a sentence."""
    if medians.isna().all():
        return "These profiles are intensities: nothing was counted, and there is no library size."
    low, high = medians.idxmin(), medians.idxmax()
    if len(medians) == 1:
        return f"The median library size of control cells is {medians.iloc[0]:,.0f} counts."
    return (
        f"The median library sizes of control cells range from {medians[low]:,.0f} counts ({low}) to {medians[high]:,.0f} "
        f"({high}), a factor of {medians[high] / medians[low]:.2f}."
    )


def depth_text(card: Card) -> Markdown:
    """How to read the chart of library sizes, and what it shows."""
    said = plain(glued(card)["depth"])
    if card.depth["median"].isna().all():
        return Markdown(said)
    return Markdown(
        f"The box holds the middle half of the cells, the line the middle 90 %, the tick is the median. {said}"
    )


def _treated(card: Card) -> str:
    n = card.facts["perturbations"]
    return f"{n or 'no'} perturbation{'s' * (n > 1)}"


def noun(card: Card) -> str:
    """What the rows of the data set are."""
    if card.facts["synthetic"]:
        return "simulated cells"
    return "bulk profiles" if card.facts["value_kind"] == "log_intensity" else "cells"


def answer(card: Card) -> Markdown:
    """The card in one sentence."""
    facts, doses = card.facts, card.facts["doses_um"]
    range_ = f" at {len(doses)} doses from {doses[0]:g} to {doses[-1]:g} µM" if len(doses) > 1 else ""
    return Markdown(
        f"**{facts['cells']:,} {noun(card)} with {facts['genes']:,} genes in {_contexts(card)}; "
        f"{_treated(card)} besides control{range_}.**"
    )


def _facts(rows: dict[str, str]) -> HTML:
    """Names and their texts, as a list that wraps on a narrow page."""
    body = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in rows.items() if v)
    return HTML(f"<dl>{body}</dl>")


def origin(card: Card) -> HTML:
    """Title, address, checksum and licence of every file; addresses are text, and nothing is loaded from them."""
    rows = {"Data set": card.facts["title"], "Registry name": str(card.manifest["parameters"]["data"])}
    for i, file in enumerate(card.facts["files"], 1):
        number = f" {i}" if len(card.facts["files"]) > 1 else ""
        package, _, inside = file["url"].removeprefix(WHEEL).partition("/")
        in_wheel = f"inside the installed package {package}: {inside}"
        rows["Address" + number] = in_wheel if file["url"].startswith(WHEEL) else file["url"]
        rows["sha256" + number] = file["sha256"]
        rows["Licence" + number] = f"{file['licence']}; that of the repository, which need not cover the data"
    if not card.facts["files"]:
        rows["Origin"] = "simulated by this project; the code stands where others have a file"
        rows["sha256 of that code"] = next(iter(card.manifest["data"].values()))
    return _facts(rows)


def values(card: Card) -> HTML:
    """What X holds, what was recovered, and how much of it is not zero."""
    facts = card.facts
    return _facts(
        {
            "X holds": VALUES[facts["value_kind"]],
            "How": facts["recovered"],
            "Values that are not zero": f"{100 * facts['filled']:.1f} % of {facts['cells']:,} x {facts['genes']:,}",
        }
    )


def count_table(card: Card) -> HTML:
    """Cells per context and group, with sums; the caption says how many perturbations a group holds."""
    counts = card.counts
    table = counts.pivot(index="context", columns="group", values="cells")
    table = table[list(dict.fromkeys([CONTROL, *counts["group"]]))].fillna(0).astype(int)
    table["all"] = table.sum(axis=1)
    table.loc["all"] = table.sum()
    most = counts["perturbations"].max()
    caption = "Cells per context" + (f"; a column holds up to {most} perturbations" if most > 1 else "")
    return HTML(html_table.table(table.rename_axis("Context").reset_index().to_dict("records"), caption))


def unit(card: Card) -> str:
    """Unit of the values that changes are measured in."""
    return "log2 intensity" if card.facts["value_kind"] == "log_intensity" else "log1p units"


def change_text(card: Card) -> Markdown:
    """What the chart of changes shows, in words and numbers."""
    change = card.change
    if change.empty:
        return Markdown(
            "No cell of this data set is perturbed, so there is no change to measure and no prediction to score."
        )
    kind = noun(card)
    ratio = (change["measured"] / change["expected"]).rename("ratio")
    what = f"In these {kind} the measured change is"
    if change["dose_um"].nunique() > 1:
        by_dose = ratio.groupby(change["dose_um"]).mean()
        low, high = by_dose.index[0], by_dose.index[-1]
        return Markdown(
            f"{what} {by_dose.iloc[0]:.2f} times what noise alone would give at {low:g} µM and {by_dose.iloc[-1]:.2f} times "
            f"at {high:g} µM (means over contexts): where the two are about equal, no method can be seen to be right or wrong."
        )
    most, least = ratio.idxmax(), ratio.idxmin()
    return Markdown(
        f"{what} between {ratio[least]:.1f} times ({plain(change['context'][least])}) and {ratio[most]:.1f} times "
        f"({plain(change['context'][most])}) what noise alone would give: the fewer the cells, the larger the noise."
    )


def plain(label: str) -> str:
    """A label inside Markdown, with nothing in it that Markdown or HTML would read."""
    return "".join(c if c.isalnum() or c in " .,()" else f"&#{ord(c)};" for c in label)


def check_list(card: Card) -> HTML:
    """Every check that the cells passed before anything was computed, folded."""
    checks = [text.split("`") for text in card.facts["checks"]]  # every second part is code
    texts = [
        html_table.join(*(html_table.code(part) if i % 2 else part for i, part in enumerate(parts)))
        for parts in checks
    ]
    return HTML(
        f"<details><summary>{len(checks)} checks, all passed</summary>{html_table.items(texts)}</details>"
    )


def setting_table(card: Card) -> HTML:
    """Which settings these cells can carry, and why not."""
    rows = card.settings.set_axis(["Setting", "Carried", "Why"], axis=1).to_dict("records")
    return HTML(html_table.table(rows, "Settings tried on these cells"))


def provenance(card: Card) -> HTML:
    """What this page was made of, and the command that repeats it."""
    facts = card.facts
    return frame.footer(
        card.manifest,
        f"{facts['value_kind']}; {facts['genes']} genes; map of {len(card.cells)} cells; no expression of a cell is kept",
    )
