"""What a setting page says of trained models: against the best simple predictor, and where their predictions come from."""

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook.evaluation import METRICS
from perturbook.evaluation.comparisons import comparisons
from perturbook.evaluation.manifest import read_manifest
from perturbook.evaluation.score import FEW
from perturbook.pages.html_table import table
from perturbook.pages.present import MAIN, best, headline, interval, label, number
from perturbook.pages.study import Study

MEASURES = (MAIN, "rmse_mean")


def answer(study: Study, resamples: int = 10_000) -> Markdown:
    """A sentence per measure on the first model of the page against the best simple predictor; nothing without a model."""
    models = [p.name for p in study.bundle.predictions if p.role == "model"]
    made = [p.name for p in study.bundle.predictions if p.role == "model" and p.mean is not None]
    if not models:
        return Markdown("")
    if models[0] not in made:
        absent = next(p for p in study.bundle.predictions if p.name == models[0])
        return Markdown(f"**“{absent.title}” is not shown here: {absent.reason}.**")
    scores, where = headline(study)
    return Markdown(
        " ".join(_sentence(study, scores, where, made[0], metric, resamples) for metric in MEASURES)
    )


def _sentence(study: Study, scores: pd.DataFrame, where: str, model: str, metric: str, resamples: int) -> str:
    """The model against the best floor or opponent of one metric, in each zero-shot mode that differs."""
    top = best(study, scores, metric, ("floor", "opponent"))
    named = METRICS[metric].title
    if top is None:
        return f"On “{named}” no simple predictor is defined."
    rows = comparisons(scores, metric, top["method"], n=resamples)
    row = rows[(rows["method"] == model) & (rows["n_defined"] > 0)]
    row = row[row["against_mode"] == top["mode"]] if (row["against_mode"] == top["mode"]).any() else row
    if row.empty:
        return f"On “{named}” {study_title(study, model)} is undefined."
    row = row.iloc[0]
    return (
        f"On “{named}”{where}, **{label(study, model, row['mode'])}** {verdict(row, METRICS[metric].better)} the best simple "
        f"predictor, “{label(study, top['method'], row['against_mode'])}”: the difference is "
        f"{interval(row.rename({'difference': 'mean'}))}, paired over {row['n_defined']} conditions."
    )


def verdict(row: pd.Series, better: str) -> str:
    """Words for a paired difference, `difference` with `low` and `high`; `better` is the metric's direction.

    Below ten conditions there is no interval, and the words say only which mean is better.
    """
    gain = -row["difference"] if better == "down" else row["difference"]
    if pd.isna(row["low"]):
        side = "better than" if gain > 0 else "worse than" if gain < 0 else "equal to"
        return f"is on average {side}"
    if row["low"] <= 0 <= row["high"]:
        return "cannot be told from"
    return "beats" if gain > 0 else "loses to"


SHARE = "Trained, at whole-human size"
"""Column of adapters."""


def study_title(study: Study, model: str) -> str:
    """Title of a model in quotation marks."""
    return "“" + next(p.title for p in study.bundle.predictions if p.name == model) + "”"


def origin(study: Study) -> HTML:
    """Which predictions were read from the deposit, what was trained for them, and how long it took; nothing where none was."""
    rows = []
    for one in study.bundle.predictions:
        path = study.folder / f"{one.name}.json"
        if one.role != "model" or one.mean is None or not path.is_file():
            continue
        record = read_manifest(path)
        made = record["made_of"]
        rows.append(
            {
                "Model": one.title,
                "Perturbation enters as": made["encoder"]["name"] if "encoder" in made else "codes of genes",
                **({SHARE: f"{made['trainable_share']:.2%}"} if "trainable_share" in made else {}),
                "Minutes of one core": number(record["seconds"] / 60, 0),
            }
        )
    if not rows:
        return HTML("")
    folds = len({tuple(entry["held_out"]) for entry in study.audits})
    said = (
        f"<p>These models train longer than a page may take. Their predictions, for {folds} "
        f"{'fold' if folds == 1 else 'folds'}, were made once by <code>perturbook train {study.bundle.truth.facts['page']}</code> and "
        "are read from the deposit; every score is computed here, and floors are fitted here."
    )
    if any(SHARE in row for row in rows):
        said += " They run on the small backbone in the box; the share says what the same form trains of the released one."
    return HTML(table(rows, "Stored predictions of this page") + said + "</p>")


def arms(study: Study, resamples: int = 10_000) -> HTML:
    """Paired difference of every other arm to the first model, whose name begins theirs; nothing without another arm."""
    models = {p.name: p.title for p in study.bundle.predictions if p.role == "model"}
    made = {p.name for p in study.bundle.predictions if p.mean is not None}
    first = next(iter(models), "")
    others = [name for name in models if name in made and name.startswith(f"{first}_")]
    if first not in made or not others:
        return HTML("")
    scores, where = headline(study)
    keep = scores["method"].isin([first, *others]) & scores["metric"].isin(MEASURES)
    rows = comparisons(scores[keep], list(MEASURES), first, n=resamples)
    filled: dict[tuple, dict] = {}
    for _, row in rows[rows["n_defined"] > 0].iterrows():
        mine = filled.setdefault(
            (row["method"], row["mode"]), {"Arm": label(study, row["method"], row["mode"])}
        )
        mine[METRICS[row["metric"]].title] = interval(row.rename({"difference": "mean"}))
    names = ["Arm", *(METRICS[metric].title for metric in MEASURES)]
    rows = [{name: row.get(name, "undefined") for name in names} for row in filled.values()]
    few = " (too few conditions for an interval)" if len(study.bundle.truth.obs) < FEW else ""
    return HTML(table(rows, f"Each arm minus “{models[first]}”{where}, paired over conditions{few}"))
