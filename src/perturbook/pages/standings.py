"""Standings: every stored score of a page beside the best floor and the split-half duplicate of the same page."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from perturbook.errors import InputError
from perturbook.evaluation import CEILING, CEILINGS, INTERPOLATED, METRICS, highest_dose, summarise
from perturbook.evaluation.blocks import block_of
from perturbook.evaluation.bundle import SCORES, TRUTH
from perturbook.evaluation.ceiling import scaled
from perturbook.evaluation.intervals import bootstrap_difference
from perturbook.evaluation.score import from_csv
from perturbook.models import MODELS
from perturbook.pages.table import ROOT, pages

TITLES = {CEILING: "Split-half duplicate", INTERPOLATED: "Interpolated duplicate"}
"""Names of the ceilings for readers."""
MERIT = {"up": lambda v: v, "down": lambda v: -v, "to 1": lambda v: -abs(v - 1)}
"""From a value to one of which more is better, so that floors are chosen and differences signed alike. Our choice."""
BOARD = (
    *(
        "pearson_delta_ctrl",
        "pearson_delta_ctrl_shared",
        "pearson_delta_ctrl_deg20",
        "pearson_delta_centroid",
    ),
    *("r2_mean", "r2_mean_deg50", "rmse_mean", "nir", "rel_rmse_cell", "var_ratio", "edist_u"),
)
"""Metrics of the leaderboard; the others stand in each page's table of scores. Our choice."""
LABELS = ["page", "data", "cells", "setting", "dose_um", "method", "predictor", "role", "mode", "metric"]
NUMBERS = ["mean", "median", "low", "high", "n_defined", "n_total", "interval"]
BESIDE = ["floor", "floor_mean", "ceiling_mean", "gain", "gain_low", "gain_high", "gain_n", "scaled"]


def bundle_folders(bundles: str) -> dict[str, Path]:
    """Folder of each scored page, in reading order: those of a build in `bundles`, else the deposits in `results/`.

    Raises:
        InputError: there is no scored page in either place.
    """
    scored = [page for page in pages() if page.scored]
    built = {page.id: ROOT / bundles / page.id for page in scored} if bundles else {}
    kept = {page.id: ROOT / "results" / page.id / str(page.parameters.get("seed", 0)) for page in scored}
    for places in (built, kept):
        if found := {name: place for name, place in places.items() if (place / SCORES).is_file()}:
            return found
    raise InputError(
        f"No scored page lies in {bundles or 'results/'}, and none is deposited. Run `make book` or name a build's bundles."
    )


def read_scores(folder: Path) -> tuple[pd.DataFrame, dict]:
    """Read the stored scores of a bundle with the labels of its conditions, and the facts of its truth.

    Only labels are opened of the truth, because its arrays are large and every score is already stored.

    Args:
        folder: folder of a bundle.

    Returns:
        Long table, one row per (method, mode, condition, metric): value (NaN where undefined), context, perturbation
        and dose_um; and the facts, a dictionary.

    Raises:
        InputError: a file is missing, or scores and truth name different conditions.
    """
    for name in (SCORES, TRUTH):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name} does not exist; run the page again.")
    table = from_csv(folder / SCORES)
    with h5py.File(folder / TRUTH) as file:
        obs, facts = read_elem(file["obs"]), read_elem(file["uns/facts"])
    if differ := sorted(set(table.index.get_level_values("condition")) ^ set(obs.index)):
        raise InputError(
            f"{folder / SCORES} and {TRUTH} differ in conditions such as {differ[:2]}; run the page again."
        )
    long = table.melt(ignore_index=False, var_name="metric").reset_index()
    return long.join(
        obs[["context", "perturbation", "dose_um"]].astype({"perturbation": str}), on="condition"
    ), facts


def standings(folder: Path, resamples: int = 10_000) -> pd.DataFrame:
    """Summarise every predictor of a page on the metrics of `BOARD`, beside its best floor and the split-half duplicate.

    Where doses are a series, only the conditions of the highest dose count. The best floor is the one with the best mean
    among those of the same zero-shot mode; a predictor that is the same in both modes meets the floors of both.

    Args:
        folder: folder of a bundle.
        resamples: bootstrap resamples over conditions.

    Returns:
        One row per (method, mode, metric) with `LABELS`, `NUMBERS` (of `evaluation.summarise`) and `BESIDE`: title and
        mean of the best floor, mean of the duplicate, `gain` over the best floor (paired, positive is better whatever
        the direction of the metric) with its interval and number of conditions, and `scaled`.

    Raises:
        InputError: see `read_scores`. ConfigError: an unknown metric.

    Source: metrics.md sections 1.7, 6 and 8.
    """
    scores, facts = read_scores(folder)
    scores, dose = highest_dose(scores[scores["metric"].isin(BOARD)])
    summary = summarise(scores, n=resamples)
    about = {
        "page": facts["page"],
        "data": str(facts["data"]),
        "dose_um": dose,
        "cells": "simulated" if facts["synthetic"] else "real",
        "setting": str(facts["setting"]).replace("_shot", "-shot").replace("_", " "),
    }
    summary = summary.assign(**about)
    summary["predictor"] = [title(*key) for key in zip(summary["method"], summary["mode"], strict=True)]
    summary["role"] = summary["method"].map(role)
    beside = []
    for metric, rows in scores.groupby("metric", sort=False):
        merit = rows.assign(value=MERIT[METRICS[metric].better](rows["value"]))
        merit = merit.pivot(index="condition", columns=["method", "mode"], values="value")
        labels = rows.drop_duplicates("condition").set_index("condition").loc[merit.index]
        block, means = block_of(labels), merit.mean()
        beside += [{"metric": metric, **_beside(merit, means, key, block, resamples)} for key in merit]
    board = summary.merge(pd.DataFrame(beside), on=["method", "mode", "metric"], validate="1:1")
    means = board.set_index(["method", "mode", "metric"])["mean"]
    board["floor_mean"] = _look_up(
        means, zip(board["floor_method"], board["floor_mode"], board["metric"], strict=True)
    )
    board["ceiling_mean"] = _look_up(means, ((CEILING, "", metric) for metric in board["metric"]))
    board["floor"] = [
        title(*key) if key[0] else "" for key in zip(board["floor_method"], board["floor_mode"], strict=True)
    ]
    return board[LABELS + NUMBERS + BESIDE]


def title(method: str, mode: str = "") -> str:
    """Name of a predictor for readers, with its zero-shot mode where modes differ."""
    known = TITLES.get(method) or getattr(MODELS.get(method), "title", method)
    return f"{known} (mode {mode})" if mode in ("A", "B") else known


def role(method: str) -> str:
    """Role of a method; one that is not registered is a model, and the duplicates are ceilings."""
    return "ceiling" if method in CEILINGS else getattr(MODELS.get(method), "role", "model")


def _beside(
    merit: pd.DataFrame, means: pd.Series, key: tuple[str, str], block: np.ndarray | None, resamples: int
) -> dict:
    """Best floor of the same mode, paired gain over it, and place between it and the duplicate; by merit."""
    mine, mode = merit[key].to_numpy(), key[1]
    floors = [k for k in merit if role(k[0]) == "floor" and (not mode or not k[1] or set(mode) & set(k[1]))]
    best = means[floors].dropna()
    made = {"method": key[0], "mode": mode, "floor_method": "", "floor_mode": ""}
    made |= dict.fromkeys(("gain", "gain_low", "gain_high", "scaled"), np.nan) | {"gain_n": 0}
    if best.empty:
        return made
    floor_key = best.idxmax()
    floor, ceiling = merit[floor_key].to_numpy(), merit[(CEILING, "")].to_numpy()
    gain = bootstrap_difference(mine, floor, n=resamples, block=block)
    made |= {"floor_method": floor_key[0], "floor_mode": floor_key[1], "gain": gain.mean}
    made |= {"gain_low": gain.low, "gain_high": gain.high, "gain_n": gain.n_defined}
    shared = ~np.isnan([mine, floor, ceiling]).any(axis=0)
    if shared.any():
        top, bottom = ceiling[shared].mean(), floor[shared].mean()
        # a duplicate below the floor spans nothing: better predictions would get smaller values
        made["scaled"] = float(scaled(mine[shared].mean(), bottom, top)) if top > bottom else np.nan
    return made


def _look_up(means: pd.Series, keys) -> list[float]:
    return [means.get(key, np.nan) for key in keys]
