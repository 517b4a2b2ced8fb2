"""The pre-training of the shipped checkpoint: its curve, what it has to beat, its card, and the run that repeats it."""

import tempfile
from pathlib import Path

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook.evaluation.manifest import manifest
from perturbook.models.shipped import FOLDER
from perturbook.pages import frame
from perturbook.pages.html_table import items, table
from perturbook.pages.present import number
from perturbook.pages.table import ROOT

MODEL, GENE, CONTEXT, TIES = "model", "gene mean", "gene mean by context", "random ties alone"
TITLES = {
    MODEL: "the model",
    "overall mean": "mean over all genes",
    GENE: "mean of the gene",
    CONTEXT: "mean of the gene in the cell type",
    TIES: "random ties alone",
}
"""Predictors of the card as a reader sees them, worst to best in expectation."""
ALL = "all"


def curve(folder: Path = FOLDER) -> pd.DataFrame:
    """The recorded errors at generated genes: columns step, part (training or held out), value (squared bins)."""
    found = pd.read_csv(Path(folder) / "curve.csv")
    wanted = {("training", "generated"): "training batches", ("validation", "loss"): "held-out cells"}
    pairs = list(zip(found["part"], found["term"], strict=True))
    found = found.assign(part=[wanted.get(pair, "") for pair in pairs])
    return found.loc[found["part"] != "", ["step", "part", "value"]].reset_index(drop=True)


def scores(about: dict) -> pd.DataFrame:
    """Errors on held-out cells by predictor and data set: columns predictor, title, dataset, value (squared bins)."""
    rows = [
        (name, TITLES[name], dataset, value)
        for name in TITLES
        for dataset, value in about["validation"]["scores"][name].items()
    ]
    return pd.DataFrame(rows, columns=["predictor", "title", "dataset", "value"])


def value(about: dict, predictor: str, dataset: str = ALL) -> float:
    """Error of one predictor on held-out cells, in squared bins."""
    return float(about["validation"]["scores"][predictor][dataset])


def explained(about: dict, dataset: str = ALL) -> float:
    """How far the model gets from the mean of the gene towards what random ties allow, 1 if all the way, below 0 if worse."""
    start, end = value(about, GENE, dataset), value(about, TIES, dataset)
    return (start - value(about, MODEL, dataset)) / (start - end)


def answer(about: dict) -> Markdown:
    """The page's answer in a sentence: the model against both gene means, whoever wins."""
    model, gene, context = (value(about, name) for name in (MODEL, GENE, CONTEXT))
    first = "less than" if model < gene else "no less than"
    second = "below" if model < context else "above"
    return Markdown(
        f"**The shipped checkpoint misses the bins of hidden genes in held-out cells by {number(model, 1)} squared bins, "
        f"{first} a table of gene means ({number(gene, 1)}) and {second} a table of gene means per cell type, which is told the "
        f"type ({number(context, 1)}); {number(value(about, TIES), 1)} are random ties that nobody can predict.**"
    )


def score_table(about: dict) -> HTML:
    """Predictors x data sets, errors in squared bins."""
    found = scores(about)
    names = [ALL, *(one for one in dict.fromkeys(found["dataset"]) if one != ALL)]
    rows = []
    for title, own in found.groupby("title", sort=False):
        by = own.set_index("dataset")["value"]
        rows.append({"Predictor": title, **{name: number(by[name], 1) for name in names}})
    return HTML(table(rows, "Mean squared error at hidden genes of held-out cells, in squared bins"))


def card_table(about: dict) -> HTML:
    """The model card for readers."""
    settings, objective, vocabulary = about["settings"], about["objective"], about["vocabulary"]
    seen: dict[str, int] = {}
    for one in about["trained_on"]:
        seen[one["dataset"]] = seen.get(one["dataset"], 0) + one["cells"]
    facts = {
        "Model": about["title"],
        "Parameters": f"{about['parameters']:,}",
        "Cells": ", ".join(f"{name} {n:,}" for name, n in seen.items()),
        "Of these held out to follow training": f"{about['cells']['validation']:,}",
        "Vocabulary": f"{vocabulary['genes']:,} genes, {vocabulary['genes_never_seen']:,} of them in no training cell",
        "Tokens per cell in training": f"at most {objective['max_length']:,}",
        "Shares of genes hidden": ", ".join(f"{ratio:g}" for ratio in objective["ratios"]),
        "Steps": f"{about['steps']:,} of {objective['cells_per_step']} cells; weights of step {about['best_step']:,}",
        "Learning rate": f"{settings['learning_rate']:g}, {settings['warmup_steps']} steps of warm-up",
        "Seed": about["seed"],
        "Machine": about["hardware"],
        "Time": f"{about['seconds']['training'] / 60:.0f} min",
        "Licence": about["licence"],
    }
    return HTML(
        table(
            [{"Fact": name, "Value": fact} for name, fact in facts.items()],
            f"Model card of “{about['name']}”",
        )
    )


def checksums(about: dict) -> HTML:
    """The data that training read, with checksums."""
    rows = [
        {
            "Data": one["dataset"],
            "Cells": f"{one['cells']:,}",
            "Options": ", ".join(f"{name} {value}" for name, value in one["options"].items()) or "none",
            "sha256": one["sha256"][:12],
        }
        for one in about["trained_on"]
    ]
    return HTML(table(rows, "Training data"))


def limits(about: dict) -> HTML:
    """What the model is not."""
    return HTML(items(about["limits"]))


def repeated(repeat: bool, seed: int) -> dict | None:
    """The card of the same training run again, here and now, with `identical` for equal weights; None without `repeat`."""
    if not repeat:
        return None
    from perturbook.models.scgpt import load
    from perturbook.models.scgpt.pretrain import pretrain

    with tempfile.TemporaryDirectory() as folder:
        made = pretrain("small", Path(folder) / "again", seed)
        return {**made.card, "identical": made.identity == load(FOLDER).identity}


def comparison(shipped: dict, again: dict | None) -> HTML | Markdown:
    """The shipped model beside its repetition, or how to make one."""
    if again is None:
        return Markdown(
            "Training was not repeated for this page, because it takes minutes to an hour; "
            "`perturbook run pretraining-again` does it."
        )
    rows = [
        {
            "Run": name,
            "Machine": about["hardware"],
            "Error": number(value(about, MODEL), 1),
            "Best step": about["best_step"],
        }
        for name, about in (("shipped", shipped), ("repeated", again))
    ]
    same = "The weights are identical." if again["identical"] else "The weights differ, as the machines may."
    return HTML(table(rows, "The same training twice") + f"<p>{same}</p>")


def provenance(page: str, about: dict, **given: int | bool) -> HTML:
    """What the page was made of, and the command that repeats it; the data are those of training."""
    sums = {one["dataset"]: one["sha256"] for one in about["trained_on"]}
    return frame.footer(manifest(ROOT, page=page, tier="smoke", parameters=given, data=sums), "squared bins")
