"""Tables of the Settings chapter: questions, what training knows, audits, and leaks that the audit catches."""

from collections.abc import Iterable

import pandas as pd
from anndata import AnnData
from IPython.display import HTML

from perturbook import data, splits
from perturbook.evaluation.intervals import Interval, bootstrap_difference, bootstrap_mean
from perturbook.evaluation.manifest import manifest
from perturbook.pages import frame
from perturbook.pages.html_table import code, items, table
from perturbook.pages.table import ROOT
from perturbook.pages.unseen import known
from perturbook.pages.unseen_genes import singles_known
from perturbook.pages.unseen_leaks import PutIn, caught
from perturbook.splits import SETTINGS, Split


def question_table(made: dict[str, Split]) -> HTML:
    """The question that the setting of each split asks, from the registry."""
    names = dict.fromkeys(split.setting for split in made.values())
    rows = [{"Setting": code(name), "Asks": SETTINGS[name].question} for name in names]
    return HTML(table(rows, "The question of each setting"))


def known_table(cells: AnnData, made: dict[str, Split]) -> HTML:
    """`known` for every split: of how many conditions asked about does training hold a part of the answer?"""
    rows = [{"Setting": name, **known(cells, split)} for name, split in made.items()]
    return HTML(table(rows, "For how many of the conditions asked about does training hold ..."))


def single_table(cells: AnnData, made: dict[str, Split]) -> HTML:
    """`singles_known` for every split of a gene screen."""
    rows = [{"Setting": name, **singles_known(cells, split)} for name, split in made.items()]
    return HTML(
        table(rows, "What is asked about, and how many of the two genes of a double training holds alone")
    )


def sum_table(sums: dict[str, pd.DataFrame], resamples: int, seed: int) -> HTML:
    """Mean of `unseen_genes.sums` per setting, with 95 % bootstrap intervals over genes."""
    rows = []
    for name, found in sums.items():
        block = found[["first", "second"]].to_numpy(str)
        score = bootstrap_mean(found["correlation"].to_numpy(), n=resamples, seed=seed, block=block)
        shown = _interval(score) if score.n_defined else "undefined"
        rows.append({"Setting": name, "Sum of the known singles": shown, "Doubles": score.n_total})
    return HTML(table(rows, "Correlation with the measured change"))


def lookup_table(table_: pd.DataFrame, resamples: int, seed: int) -> HTML:
    """Means of `unseen.lookup` per dose and their paired difference, with 95 % bootstrap intervals over drugs."""
    rows = []
    for dose, part in table_.groupby("dose_um"):
        own, others, block = (part[name].to_numpy() for name in ("own", "others", "perturbation"))
        more = {"n": resamples, "seed": seed, "block": block}
        rows.append(
            {
                "Dose (µM)": f"{dose:g}",
                "The condition's own training cells": _interval(bootstrap_mean(own, **more)),
                "Mean of the other drugs": _interval(bootstrap_mean(others, **more)),
                "Difference": _interval(bootstrap_difference(own, others, **more)),
                "Conditions": len(part),
            }
        )
    return HTML(table(rows, "Correlation with the measured change, random cells"))


def _interval(value: Interval) -> str:
    bounds = f" [{value.low:.2f}, {value.high:.2f}]" if pd.notna(value.low) else ""
    return f"{value.mean:.2f}{bounds}"


def audit_table(cells: AnnData, made: dict[str, Split]) -> HTML:
    """Audit every split; cells per part and the number of checks passed. Raises LeakError."""
    rows = []
    for name, split in made.items():
        report = splits.audit(cells, split)
        counts = {part: report.counts[part] for part in ("train", "valid", "test", "query", "conditions")}
        titles = ("Training", "Validation", "Test", "Shown", "Conditions asked about")
        passed = {"Checks passed": len(report.checks)}
        rows.append({"Setting": name, **dict(zip(titles, counts.values(), strict=True)), **passed})
    return HTML(table(rows, "Cells per part of every split, audited"))


def check_list(cells: AnnData, split: Split) -> HTML:
    """What the audit says of one split. Raises LeakError."""
    return HTML(items(splits.audit(cells, split).checks))


def leak_table(leaks: Iterable[PutIn]) -> HTML:
    """`unseen_leaks.caught` as a table: what was put in, and the words that stop the page."""
    rows = [
        {"Setting": name, "Put in": leak, "LeakError": code(message)} for name, leak, message in caught(leaks)
    ]
    return HTML(table(rows, "Leaks put in, and what the audit says"))


def provenance(page: str, **given: str | int) -> HTML:
    """What the chapter was made of, and the command that repeats it; `data` and `pairs` name its data sets."""
    sources = {given[name]: data.checksum(given[name]) for name in ("data", "pairs")}
    return frame.footer(manifest(ROOT, page=page, tier="smoke", parameters=given, data=sources))
