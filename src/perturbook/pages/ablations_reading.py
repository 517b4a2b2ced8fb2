"""What the ablations say in sentences: paired differences over conditions, pooled over seeds, put into words by code."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import pandas as pd
from IPython.display import HTML, Markdown
from scipy.stats import spearmanr

from perturbook.evaluation import METRICS
from perturbook.evaluation.blocks import block_of
from perturbook.evaluation.intervals import bootstrap_difference
from perturbook.pages.ablations import ADAPTER, ERROR, MEASURES, Ablations
from perturbook.pages.html_table import items
from perturbook.pages.present import number
from perturbook.pages.standings import MERIT, title

QUESTIONS = {
    "Is the drug used?": ("scdca_static", "scdca_permuted"),
    "Is its chemistry used?": ("scdca_shuffled", "scdca_random"),
    "Does an adapter help?": ("scdca_head_only",),
    "Does pre-training matter?": ("scdca_random_backbone",),
    "Is the dose used?": ("scdca_no_dose",),
    "Would training more of the model pay?": ("scdca_lora", "scdca_full"),
    "Does the width matter?": ("scdca_r4", "scdca_r8", "scdca_r16"),
    "Does the form matter?": (
        *("scdca_scale_shift", "scdca_up", "scdca_no_residual", "scdca_attention", "scdca_both"),
        *("scdca_linear_generator", "scdca_linear"),
    ),
}
"""Question -> arms that the adapter is compared with to answer it. Encoders of molecules are not ranked on this page."""
BESIDES = {"scdca_head_only": "scdca_static"}
"""A further arm that is compared with this one: neither is told the drug, so that they differ in the adapter alone."""
NONE = "no difference this page can show"
UNMEASURED = "not stored, or undefined"


def in_words(setting: str) -> str:
    """A setting as a reader sees it, such as "few-shot context"."""
    return setting.replace("_shot", "-shot").replace("_", " ")


@lru_cache(maxsize=4096)
def gain(
    shown: Ablations, metric: str, setting: str, other: str, resamples: int, first: str = ADAPTER
) -> pd.Series:
    """How much better `first` is than `other` at the highest dose, paired over the same seeds and conditions.

    A condition that several seeds ask about is averaged over them first, and then counts once; the interval resamples
    perturbations whole.

    Returns:
        mean (positive: `first` is better, whatever the direction of the metric), low, high (NaN below ten conditions or
        five perturbations), n_defined and n_total (conditions), seeds; NaN and 0 where nothing can be paired.

    Source: metrics.md sections 1.7 and 8; pooling over seeds is our choice, as in `evaluation.comparisons`.
    """
    rows = shown.top
    rows = rows[(rows["metric"] == metric) & (rows["setting"] == setting)]
    total = rows["condition"].nunique()
    pairs = rows[rows["method"].isin([first, other])]
    pairs = pairs.pivot(index=["condition", "seed"], columns="method", values="value")
    pairs = MERIT[METRICS[metric].better](pairs.reindex(columns=[first, other])).dropna()
    wide = pairs.groupby(level="condition").mean()
    labels = rows.drop_duplicates("condition").set_index("condition").loc[wide.index]
    i = bootstrap_difference(
        wide[first].to_numpy(),
        wide[other].to_numpy(),
        n=resamples,
        block=block_of(labels) if len(labels) else None,
    )
    seeds = pairs.index.get_level_values("seed").nunique()
    return pd.Series(
        {
            "mean": i.mean,
            "low": i.low,
            "high": i.high,
            "n_defined": i.n_defined,
            "n_total": total,
            "seeds": seeds,
        },
        dtype=object,
    )


def verdict(row: Mapping) -> str:
    """Words for a row of `gain`, from the side of the first predictor."""
    if not row["n_defined"]:
        return UNMEASURED
    if pd.isna(row["low"]):
        side = "better" if row["mean"] > 0 else "worse"
        return f"{side} by {number(abs(row['mean']))}, over too few conditions or drugs for an interval"
    if row["low"] > 0:
        return f"better by {number(row['mean'])} [{number(row['low'])}, {number(row['high'])}]"
    if row["high"] < 0:
        return f"worse by {number(-row['mean'])} [{number(-row['high'])}, {number(-row['low'])}]"
    return NONE


def sentence(
    shown: Ablations,
    metric: str,
    other: str,
    resamples: int,
    first: str = ADAPTER,
    settings: Sequence[str] = (),
) -> str:
    """One arm against another on one metric: in which settings it is better or worse, and where nothing can be told.

    `settings`: those to speak of; all when empty.
    """
    said: dict[str, list[str]] = {}
    for setting in settings or shown.settings:
        words = verdict(gain(shown, metric, setting, other, resamples, first))
        said.setdefault(words, []).append(in_words(setting))
    plain = [words for words in said if words not in (NONE, UNMEASURED)]
    parts = [f"{words} ({', '.join(said[words])})" for words in (*plain, NONE, UNMEASURED) if words in said]
    return f"{METRICS[metric].title}: " + "; ".join(parts) + "."


def answer(shown: Ablations, resamples: int = 10_000) -> Markdown:
    """The page in a sentence: in how many settings the adapter is better than what takes one thing from it."""
    if ADAPTER not in shown.made:
        why = next(
            (one for one in shown.absent["reason"][shown.absent["method"] == ADAPTER]), "it is not asked for"
        )
        return Markdown(f"**“{title(ADAPTER)}” is not shown here: {why}.**")
    against = {
        "the same adapter not told the drug": "scdca_static",
        "a trained head alone": "scdca_head_only",
        "itself on a random backbone": "scdca_random_backbone",
        "the best simple predictor": "",
    }
    parts = [f"than {words} in {_count(shown, other, resamples)}" for words, other in against.items()]
    return Markdown(
        f"**By the {METRICS[ERROR].title}{shown.where}, on simulated cells, the adapter is better "
        f"{', '.join(parts[:-1])}, and {parts[-1]}.**"
    )


def _count(shown: Ablations, other: str, resamples: int) -> str:
    """In how many settings the adapter is better than `other`, or than the best simple predictor of each setting."""
    rows = [
        gain(shown, ERROR, setting, other or shown.best_simple(ERROR, setting), resamples)
        for setting in shown.settings
    ]
    rows = [row for row in rows if not pd.isna(row["low"])]
    if not rows:
        return "no setting that can be judged"
    worse = sum(row["high"] < 0 for row in rows)
    return f"{sum(row['low'] > 0 for row in rows)} of {len(rows)} settings" + (
        f" (worse in {worse})" if worse else ""
    )


def reading(shown: Ablations, resamples: int = 10_000) -> HTML:
    """A sentence per question, arm and metric: the adapter against each arm that lacks one thing, and how many were compared."""
    parts, pairs = [], []
    for question, arms in QUESTIONS.items():
        asked = [(ADAPTER, arm) for arm in arms] + [(BESIDES[arm], arm) for arm in arms if arm in BESIDES]
        asked = [pair for pair in asked if set(pair) <= set(shown.values["stored"])]
        if asked:
            lines = [_line(shown, first, other, resamples) for first, other in asked]
            parts.append(f"<p><strong>{question}</strong></p>{items(lines)}")
            pairs += asked
    rows = [
        gain(shown, metric, setting, other, resamples, first)
        for first, other in pairs
        for metric in MEASURES
        for setting in shown.settings
    ]
    known = [row for row in rows if not pd.isna(row["low"])]
    apart = sum(row["low"] > 0 or row["high"] < 0 for row in known)
    note = (
        f"{len(known)} of these differences have an interval, and {apart} of the intervals exclude zero. If no arm differed "
        f"from another, about {0.05 * len(known):.0f} would do so by chance; a single one proves little."
        if known
        else "No difference of this page has an interval: too few arms or seeds are stored."
    )
    return HTML("".join(parts) + f"<p>{note}</p>")


def _line(shown: Ablations, first: str, other: str, resamples: int) -> str:
    named = f"“{title(first)}” against “{title(other)}”"
    if lost := [title(arm) for arm in (first, other) if arm not in shown.made]:
        return f"{named}: no prediction of “{'” and “'.join(lost)}” is stored."
    where = [setting for setting in shown.settings if {first, other} <= set(shown.stored_in(setting))]
    seeds = [gain(shown, ERROR, setting, other, resamples, first)["seeds"] for setting in where]
    few, asked = min((n for n in seeds if n), default=0), len(shown.values["seeds"])
    some = f", over {few} of {asked} seeds where fewest are stored" if few < asked else ""
    if len(where) < len(shown.settings):
        some += f", in {len(where)} of {len(shown.settings)} settings"
    said = " ".join(sentence(shown, metric, other, resamples, first, where) for metric in MEASURES)
    return f"{named}{some}. {said}"


def similarity(shown: Ablations) -> Markdown:
    """Whether the error falls with a held-out drug's similarity to training: rank correlation over drugs, with its p-value."""
    rows = shown.top
    rows = rows[(rows["metric"] == ERROR) & (rows["similarity"] < 1)]
    said = []
    for setting, mine in rows.groupby("setting", sort=False):
        best = shown.best_simple(ERROR, setting)
        for method in (ADAPTER, best):
            one = mine[mine["method"] == method].dropna(subset=["value"])
            drugs = one.groupby("perturbation", observed=True)[["value", "similarity"]].mean()
            if len(drugs) > 2:
                found = spearmanr(drugs["similarity"], drugs["value"])
                said.append(
                    f"“{title(method)}” {number(found.statistic, 2)} (p = {number(found.pvalue, 2)}, {len(drugs)} drugs)"
                )
    if not said:
        return Markdown("Too few held-out drugs are scored to relate error and similarity.")
    return Markdown(
        f"Rank correlation of the error{shown.where} with the highest similarity to a training drug: {', '.join(said)}. "
        "A negative value says that drugs near training are predicted better."
    )
