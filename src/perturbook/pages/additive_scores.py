"""Numbers of the additive page: deviations beside their noise, what predictors add to the sum, and who gains by it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from perturbook.evaluation import deviation as dv
from perturbook.evaluation.blocks import block_of
from perturbook.evaluation.intervals import bootstrap_difference, bootstrap_mean
from perturbook.evaluation.mean_profile import constant_guard, pearson_delta, rmse_mean
from perturbook.evaluation.measure import Cells
from perturbook.evaluation.predicted import Predicted
from perturbook.evaluation.rounding import MEAN_STEP
from perturbook.evaluation.within import within_difference, within_halves
from perturbook.pages.additive import ADDITIVE, FLOORS, REAL, Doubles

PLANTED = "planted interaction"
"""All doubles of simulated cells that are not additive."""
STEPS = np.round(np.linspace(0, 1.5, 31), 2)
"""Weights of a correction, up to the most that `Contrast` takes. Source: `perturbedvae.md` section 16.1."""

EQUAL = MEAN_STEP / 10
"""Difference of two errors that the rounding of a bundle can make of none. Our choice."""


def where(pages: Sequence[Doubles]) -> pd.DataFrame:
    """Size of every double's deviation beside the noise in it; pages without cells are left out.

    Returns:
        Columns of `Additivity.table`, and: page (its title), double, class, planted (share of genes with a planted
        interaction), on_planted (squared deviation beyond noise, summed over those genes) and total (over all genes).
    """
    return pd.concat([_where(one) for one in pages if one.cells is not None], ignore_index=True)


def _where(one: Doubles) -> pd.DataFrame:
    found = one.noise
    over = found.deviation**2 - found.noise
    none = one.carrying is None
    on_planted = np.full(len(over), np.nan) if none else np.sum(over * one.carrying, axis=1)
    planted = np.full(len(over), np.nan) if none else one.carrying.mean(axis=1)
    labels = {"page": one.title, "double": one.names, "class": one.classes}
    return found.table().assign(**labels, planted=planted, on_planted=on_planted, total=over.sum(axis=1))


def scores(pages: Sequence[Doubles]) -> pd.DataFrame:
    """What every predictor adds to the sum, double by double.

    Returns:
        One row per page, predictor and double: page, condition, double, class, method, predictor, role, size (root mean
        square of the measured deviation, which is the error of the sum), error (RMSE of means), gain (size minus error:
        positive is nearer than the sum), slope and correlation of the predicted with the measured deviation (NaN where a
        predictor is the sum itself), derivative (of the correlation of changes, by weight of what it adds) and agreement
        (correlation of changes of the sum itself, shared controls).
    """
    return pd.concat([_scores(one, made) for one in pages for made in one.predictions], ignore_index=True)


def _scores(one: Doubles, made: Predicted) -> pd.DataFrame:
    added, left, guard = made.mean - one.sum, one.measured - one.sum, constant_guard(one.control)
    size, error = rmse_mean(one.measured, one.sum), rmse_mean(one.measured, made.mean)
    changes = one.sum - one.control, one.measured - one.control
    return pd.DataFrame(
        {
            "page": one.title,
            "condition": one.bundle.truth.obs.index,
            "double": one.names,
            "class": one.classes,
            "method": made.name,
            "predictor": made.title,
            "role": made.role,
            "size": size,
            "error": error,
            "gain": size - error,
            "slope": dv.slope(left, added, guard),
            "correlation": dv.correlation(left, added, guard),
            "derivative": dv.derivative(*changes, added),
            "agreement": pearson_delta(*changes, guard),
        }
    )


def groups(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Which rows of `scores` or `where` belong to a class: all planted ones, then class by class, `(rows,)` each."""
    of = rows["class"].to_numpy(str)
    each = {name: of == name for name in sorted(set(of), key=lambda name: (name == REAL, name))}
    planted = ~np.isin(of, [ADDITIVE, REAL])
    return ({PLANTED: planted} if planted.any() else {}) | each


def best(rows: pd.DataFrame, methods: Sequence[str]) -> str:
    """Of `methods`, the one with the smallest mean error over the doubles of `rows`; the first of equals."""
    mean = rows[rows["method"].isin(methods)].groupby("method", sort=False)["error"].mean().dropna()
    return str(mean.idxmin()) if len(mean) else ""


def gains(rows: pd.DataFrame, resamples: int) -> pd.DataFrame:
    """Error of the best floor minus error of every predictor, paired, class by class; positive is better than that floor.

    Args:
        rows: `scores` of one page.
        resamples: of the genes that doubles share.

    Returns:
        One row per class and predictor: class, method, predictor, role, floor (method), mean, low, high, n_defined,
        n_total. No interval below ten doubles.
    """
    made = []
    for name, mine in groups(rows).items():
        part = rows[mine]
        floor = best(part, FLOORS)
        wide = part.pivot(index="double", columns="method", values="error")
        block = block_of(pd.DataFrame({"perturbation": wide.index}))
        labels = part.drop_duplicates("method").set_index("method")
        for method in labels.index:
            found = bootstrap_difference(
                wide[floor].to_numpy(), wide[method].to_numpy(), n=resamples, block=block
            )
            about = {"class": name, "method": method, "floor": floor}
            made.append(about | labels.loc[method, ["predictor", "role"]].to_dict() | vars(found))
    return pd.DataFrame(made)


def summary(rows: pd.DataFrame, column: str, resamples: int) -> pd.DataFrame:
    """Mean of one column of `scores` over the doubles of every class, with its interval; rows as in `gains`."""
    made = []
    for name, mine in groups(rows).items():
        for method, part in rows[mine].groupby("method", sort=False):
            part = part.sort_values("double")
            block = block_of(part.rename(columns={"double": "perturbation"})[["perturbation"]])
            found = bootstrap_mean(part[column].to_numpy(), n=resamples, block=block)
            about = {"class": name, "method": method, "predictor": part["predictor"].iloc[0]}
            made.append(about | vars(found))
    return pd.DataFrame(made)


def within(one: Doubles) -> pd.DataFrame:
    """Error of the sum minus error of every predictor, double by double, with the interval that its cells leave it.

    From the cells where they are at hand, else from the halvings of the bundle.

    Returns:
        One row per predictor and double: method, predictor, role, double, gain, low, high, kind, and lost: the interval
        lies wholly below zero, by `EQUAL` or more, so that the predictor is worse than the sum beyond what these cells
        leave open.
    """
    rows = []
    for i, double in enumerate(one.names):
        cells = None if one.cells is None else Cells(one.cells)(one.cells_of(i))
        for made in one.predictions:
            pair = one.sum[i], np.asarray(made.mean[i], dtype=float)
            if cells is None:
                found = within_halves(one.measured[i], one.bundle.truth.halves[i], *pair)
            else:
                found = within_difference(cells, *pair)
            about = {"method": made.name, "predictor": made.title, "role": made.role, "double": double}
            bounds = {"gain": found.mean, "low": found.low, "high": found.high, "kind": found.kind}
            rows.append(about | bounds | {"lost": bool(found.high < -EQUAL)})
    return pd.DataFrame(rows)


def weighted(one: Doubles, method: str, double: str) -> pd.DataFrame:
    """Correlation and error of the sum plus k times a correction, for three corrections of one double.

    What the predictor adds, a gain of the sum itself, and what is left of the measured change.

    Returns:
        One row per correction and weight: correction, weight, correlation (of changes from the shared control), error,
        tangent (the line that `evaluation.deviation.derivative` gives at 0), derivative, difference (the finite one).
    """
    i = int(np.flatnonzero(one.names == double)[0])
    a, t = ((values - one.control)[i : i + 1] for values in (one.sum, one.measured))
    guard, made = constant_guard(one.control[i]), one.of(method)
    corrections = {f"what “{made.title}” adds": made.mean[i : i + 1] - one.sum[i : i + 1]}
    corrections |= {"a gain: the sum once more": a, "what is left of the measured change": t - a}
    parts = []
    for name, r in corrections.items():
        of = [pearson_delta(t, a + k * r, guard)[0] for k in (*STEPS, 1e-4, -1e-4)]
        rise = float(dv.derivative(a, t, r)[0])
        parts.append(
            pd.DataFrame(
                {
                    "correction": name,
                    "weight": STEPS,
                    "correlation": of[:-2],
                    "error": [rmse_mean(t, a + k * r)[0] for k in STEPS],
                    "tangent": of[0] + STEPS * rise,
                    "derivative": rise,
                    "difference": (of[-2] - of[-1]) / 2e-4,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
