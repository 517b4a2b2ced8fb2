"""What the page of aims shows: verdicts, every value of the blood cells, numbers reported by others, and what was read."""

import pandas as pd
from IPython.display import HTML

from perturbook.evaluation import CEILING, METRICS
from perturbook.evaluation.bundle import MANIFEST, SCORES
from perturbook.evaluation.manifest import read_manifest
from perturbook.pages import frame
from perturbook.pages.drug_aims import (
    ABSENT,
    ADAPTER,
    AIMS,
    KANG,
    MET,
    MISSED,
    SHARED,
    SPLIT,
    UNDEFINED,
    WANTED,
    Aim,
    stored,
)
from perturbook.pages.html_table import Markup, join, link, table
from perturbook.pages.kept import folder_of
from perturbook.pages.present import SHORT, cell, number
from perturbook.pages.standings import read_scores, title
from perturbook.pages.table import ROOT
from perturbook.pages.table import page as page_of

VALUES = (ADAPTER, f"{ADAPTER}_full", "mean_train", CEILING)
"""Predictors whose every value on `KANG` is listed."""
REPORTED_IN = (
    "Reported by others, not computed here: R² of mean profiles, clipped at 0, as in biolord's repository for its unseen-drug "
    "split of sci-Plex 3 (nine drugs, all genes, mean of ten seeds)"
)
REPORTED = (
    {"Dose": "10 nM", "no change": 0.866, "chemCPA": 0.780, "chemCPA, pre-trained": 0.878, "biolord": 0.881},
    {"Dose": "100 nM", "no change": 0.786, "chemCPA": 0.723, "chemCPA, pre-trained": 0.813, "biolord": 0.810},
    {"Dose": "1 µM", "no change": 0.631, "chemCPA": 0.591, "chemCPA, pre-trained": 0.688, "biolord": 0.727},
    {"Dose": "10 µM", "no change": 0.380, "chemCPA": 0.396, "chemCPA, pre-trained": 0.507, "biolord": 0.758},
)
"""Source: nitzanlab/biolord_reproducibility at 16bfefc; its "control" is no change."""


def banner() -> HTML:
    """Say first that most of the aims stand on simulated cells."""
    text = (
        "Pages whose name begins with “Simulated” hold simulated cells: an aim met there says what a method can do where the "
        "truth is known, not what it does on real cells."
    )
    return HTML(frame.admonition("warning simulated", "Partly simulated cells", text))


def answer(judged: pd.DataFrame) -> HTML:
    """The page in a sentence: how many comparisons are met, missed, undefined and not yet shown."""
    counts = judged["verdict"].value_counts()
    words = {MET: "met", MISSED: "missed", UNDEFINED: "undefined", ABSENT: "not yet shown"}
    said = [f"{counts[key]} {word}" for key, word in words.items() if key in counts]
    pages = judged["aim"].map(lambda aim: aim.page).nunique()
    text = f"Of {len(judged)} comparisons on {pages} pages, {', '.join(said[:-1])}{' and ' * (len(said) > 1)}{said[-1]}."
    return HTML(join(Markup("<p><strong>"), text, Markup("</strong></p>")))


def aims_table(judged: pd.DataFrame) -> HTML:
    """One row per aim and zero-shot mode: what is subtracted from what, the difference with its interval, the verdict."""
    filled = []
    for _, row in judged.iterrows():
        aim: Aim = row["aim"]
        words = aim.words[0].upper() + aim.words[1:]
        filled.append(
            {
                "Aim": join(words, Markup("<br>"), _minus(aim, row)),
                "Verdict": row["verdict"],
                "Found": cell(row.rename({"difference": "mean"}), 3) if row["n_defined"] else "–",
                "Wanted": WANTED[aim.wanted][0],
                "Judged by": _by(row),
                "Page": link(f"{aim.page}.html", page_of(aim.page).title),
            }
        )
    caption = "Aims and verdicts: paired difference over conditions, first minus second, with its 95 % bootstrap interval"
    return HTML(table(filled, caption, ("Page", "Verdict")))


def _minus(aim: Aim, row: pd.Series) -> str:
    """What is subtracted from what, on which metric, at which dose."""
    second = title(aim.second, row["against_mode"]) if isinstance(aim.second, str) else f"{aim.second:g}"
    dose = "" if pd.isna(row["dose_um"]) else f" at {row['dose_um']:g} µM"
    return f"{METRICS[aim.metric].title}{dose}: {title(aim.first, row['mode'])} minus {second}"


def _by(row: pd.Series) -> str:
    """What the verdict rests on, or which prediction is missing."""
    if row["absent"]:
        return "without " + " and ".join(f"“{name}”" for name in row["absent"])
    number_of = f"{row['n_defined']} of {row['n_total']} conditions"
    if pd.isna(row["low"]):
        return f"the mean of {number_of}"
    return f"{row['interval'].removeprefix('95 % ')}, {number_of}"  # a cell that begins with a number is not broken


def values_table(bundles: str) -> HTML:
    """Every cell type of `KANG` by predictor and kind of controls, with the mean of each column below; no intervals."""
    scores, _ = read_scores(folder_of(KANG, bundles, SCORES))
    scores = scores.assign(context=scores["context"].astype(str))
    contexts, columns, absent = sorted(scores["context"].unique()), {}, set()
    for method in VALUES:
        trained = method.startswith(ADAPTER)
        mine = scores[scores["method"] == method]
        for mode in sorted(mine["mode"].unique()) or [""]:
            for key in (SHARED, SPLIT):
                rows = mine[(mine["mode"] == mode) & (mine["metric"] == key)]
                name = f"{title(method, mode)}, {SHORT[key].removeprefix('Pearson, ')}"
                columns[name] = rows.set_index("context")["value"].reindex(contexts)
                if trained and not stored(scores, method):
                    absent.add(name)
    every = pd.DataFrame(columns)
    filled = [{"Cell type": name, **_shown(row, absent)} for name, row in every.iterrows()]
    filled.append({"Cell type": f"Mean of {len(contexts)}", **_shown(every.mean(skipna=False), absent)})
    return HTML(
        table(filled, f"Correlation of predicted and measured change, {page_of(KANG).title}: every value")
    )


def _shown(row: pd.Series, absent: set[str]) -> dict[str, str]:
    return {name: "not yet shown" if name in absent else number(value) for name, value in row.items()}


def reported_table() -> HTML:
    """Numbers of others on another split of other cells, labelled as such; no chart of this book draws them."""
    rows = [{k: v if isinstance(v, str) else f"{v:.3f}" for k, v in row.items()} for row in REPORTED]
    return HTML(table(rows, REPORTED_IN))


def sources_table(bundles: str) -> HTML:
    """Pages whose scores were read, whether of this build or of the deposit, with seed, commit and data."""
    rows = []
    for page in dict.fromkeys(aim.page for aim in AIMS):
        folder = folder_of(page, bundles, SCORES)
        about = read_manifest(folder / MANIFEST)
        rows.append(
            {
                "Page": link(f"{page}.html", page_of(page).title),
                "Scores of": "the deposit" if folder.is_relative_to(ROOT / "results") else "this build",
                "Seed": about["parameters"]["seed"],
                "Code": about["run"]["code"]["commit"][:12],
                "Data (sha256)": ", ".join(f"{name} {digest[:12]}" for name, digest in about["data"].items()),
            }
        )
    return HTML(table(rows, "What the verdicts were read from"))
