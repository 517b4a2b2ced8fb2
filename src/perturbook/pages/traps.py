"""The traps of the first scores, one function each, on cells in the canonical schema; the Scores chapter shows them."""

import numpy as np
import pandas as pd
from IPython.display import HTML

from perturbook.data import Profiles
from perturbook.evaluation import METRICS
from perturbook.evaluation.intervals import bootstrap_mean
from perturbook.evaluation.mean_profile import constant_guard, pearson_delta, r2_mean, r2_mean_clipped
from perturbook.evaluation.retrieval import nir, rank_pred
from perturbook.pages.html_table import Markup, code, join, table


def treated(profiles: Profiles) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return treated conditions, their means and the control means of their contexts, both `(conditions, genes)`."""
    control = profiles.obs["is_control"].to_numpy()
    row_of = dict(zip(profiles.obs["context"][control], np.flatnonzero(control), strict=True))
    obs = profiles.obs[~control]
    return obs, profiles.mean[~control], profiles.mean[obs["context"].map(row_of)]


def strongest(profiles: Profiles) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Restrict `treated` to the highest dose, and add the means of the same drugs one dose lower."""
    obs, mean, control = treated(profiles)
    top, below = sorted(obs["dose_um"].unique())[-1:-3:-1]
    rows = np.flatnonzero(obs["dose_um"] == top)
    position = {
        key: i for i, key in enumerate(zip(obs["context"], obs["perturbation"], obs["dose_um"], strict=True))
    }
    chosen = obs.iloc[rows]
    lower = [position[c, p, below] for c, p in zip(chosen["context"], chosen["perturbation"], strict=True)]
    return chosen, mean[rows], control[rows], mean[lower]


def no_change_by_dose(profiles: Profiles) -> pd.DataFrame:
    """Score the control mean as if it were a prediction: `r2_mean` per condition, with its dose in µM."""
    obs, mean, control = treated(profiles)
    return obs.reset_index().assign(r2_mean=r2_mean(mean, control))


def overshoot(profiles: Profiles, gains: tuple[float, ...] = (0, 0.5, 1, 2, 3, 4)) -> pd.DataFrame:
    """Predict the true effect times a gain at the highest dose: clipped and unclipped R2, and Pearson-delta.

    Returns:
        One row per gain and score with the mean over conditions; Pearson-delta is NaN at gain 0.
    """
    _, mean, control, _ = strongest(profiles)
    guard, rows = constant_guard(control), []
    for gain in gains:
        predicted = control + gain * (mean - control)
        rows += [
            {"gain": gain, "score": "r2_mean", "value": r2_mean(mean, predicted).mean()},
            {"gain": gain, "score": "r2_mean_clipped", "value": r2_mean_clipped(mean, predicted).mean()},
            {
                "gain": gain,
                "score": "pearson_delta_ctrl_shared",
                "value": pearson_delta(mean - control, predicted - control, guard).mean(),
            },
        ]
    return pd.DataFrame(rows)


def retrieval_floor(profiles: Profiles) -> pd.DataFrame:
    """Rank a constant and an informed predictor among the drugs of one context, and of all contexts pooled.

    Returns:
        Columns `condition perturbation predictor competitors metric value` for the highest dose.
    """
    obs, mean, control, lower = strongest(profiles)
    groups = {"drugs of the same line": obs["context"].to_numpy(), "drugs of all lines": np.zeros(len(obs))}
    frames = [
        obs.reset_index().assign(
            predictor=name, competitors=label, metric=f.__name__, value=f(mean, predicted, group)
        )
        for name, predicted in (("no change", control), ("same drug, lower dose", lower))
        for label, group in groups.items()
        for f in (nir, rank_pred)
    ]
    return pd.concat(frames)[["condition", "perturbation", "predictor", "competitors", "metric", "value"]]


def metric_table() -> list[dict]:
    """List the registered metrics for readers: title and key, direction and trap."""
    return [
        {
            "Score": join(m.title, Markup("<small>"), code(m.key), Markup("</small>")),
            "Better": m.better,
            "Trap": m.trap,
        }
        for m in METRICS.values()
    ]


def dose_table(treated: pd.DataFrame) -> list[dict]:
    """Count conditions, and the median of their cells, per dose, from the labels of treated conditions."""
    return [
        {
            "Dose (µM)": f"{dose:g}",
            "Conditions": len(rows),
            "Cells per condition": f"{rows['n_cells'].median():g}",
        }
        for dose, rows in treated.groupby("dose_um")
    ]


def summary(frame: pd.DataFrame, by: list[str], seed: int) -> pd.DataFrame:
    """Average `value` over conditions per group of `by`, with a bootstrap over drugs, undefined counted and named."""
    rows = []
    for key, part in frame.groupby(by, sort=False):
        i = bootstrap_mean(part["value"].to_numpy(), seed=seed, block=part["perturbation"].to_numpy())
        label = f"{i.mean:.2f}" if i.n_defined else "undefined"
        label += f" ({i.n_defined} of {i.n_total})"
        scores = {"mean": i.mean, "low": i.low, "high": i.high, "label": label, "kind": i.kind}
        rows.append(dict(zip(by, key, strict=True)) | scores)
    return pd.DataFrame(rows)


def shown(frame: pd.DataFrame, caption: str, form: str = ".3f") -> HTML:
    """A small table of a trap; `form` is the format of its fractions, and a missing value is the word undefined."""

    def text(value) -> str:
        if not isinstance(value, float):
            return str(value)
        words = "undefined" if np.isnan(value) else format(value, form)
        return words.removeprefix("-") if not words.strip("-0.") else words  # rounded to 0, not below it

    kept = frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
    rows = [{str(name): text(row[name]) for name in kept} for row in kept.to_dict("records")]
    return HTML(table(rows, caption))
