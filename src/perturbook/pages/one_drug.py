"""One drug in one line: measured and predicted change of single genes at every dose, from the bundle of one page."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbook.data.findings import three
from perturbook.errors import ConfigError, InputError
from perturbook.evaluation import CEILING, Bundle, Predicted, Truth, read_bundle, score
from perturbook.evaluation.truth_file import TRUTH
from perturbook.models import MODELS
from perturbook.pages.design import PAIR
from perturbook.pages.kept import folder_of
from perturbook.pages.standings import TITLES, title

PAGE = "simulated-unseen-combination"
"""The page whose bundle is read."""
MEASURED, NO_CHANGE, METRIC = "Measured", "no_change", "rmse_mean"
Z = 1.96


@dataclass(frozen=True)
class OneDrug:
    """Every dose of one drug in one context, and what the chosen predictors said of it."""

    truth: Truth
    """Of all conditions of the page."""
    rows: np.ndarray
    """Positions of the pair's conditions in the truth, by ascending dose, `(doses,)`."""
    shown: list[Predicted]
    """Predictors that have a prediction, in the order asked for."""
    absent: dict[str, str]
    """Title of a predictor that is left out, and why."""
    rmse: pd.DataFrame
    """RMSE of the mean profile, conditions of the pair x predictors, with no change first and the duplicate last."""
    drawn: bool
    """True where the pair was chosen here and not by the reader."""

    @property
    def doses(self) -> np.ndarray:
        """Doses in micromolar, ascending, `(doses,)`."""
        return self.truth.obs["dose_um"].to_numpy(float)[self.rows]

    @property
    def name(self) -> tuple[str, str]:
        """Context and perturbation."""
        first = self.truth.obs.iloc[self.rows[0]]
        return str(first["context"]), str(first["perturbation"])

    @property
    def cells(self) -> str:
        """What kind of cells these are, for captions."""
        return "simulated cells" if self.truth.facts.get("synthetic") else "real cells"


def label(model: Predicted) -> str:
    """A predictor as a reader sees it, with its zero-shot mode where modes differ."""
    return title(model.name, model.mode) if model.name in MODELS else model.title


def read(bundles: str, pair: str, models: Sequence[str]) -> OneDrug:
    """Read the bundle of `PAGE` and take one pair out of it.

    Args:
        bundles: folder with one bundle per page; the deposit when empty.
        pair: "context | drug"; the pair with the largest measured change at the highest dose when empty.
        models: predictors to show.

    Raises:
        InputError: there is no bundle, or no such pair in it. ConfigError: `pair` is no pair, or a model is not known.
    """
    bundle = read_bundle(folder_of(PAGE, bundles, TRUTH))
    return take(bundle, pair, models)


def take(bundle: Bundle, pair: str, models: Sequence[str]) -> OneDrug:
    """`read`, of a bundle at hand."""
    truth = bundle.truth
    shown = [p for name in models for p in bundle.predictions if p.name == name and p.mean is not None]
    absent = {}
    for name in dict.fromkeys(models):
        if not any(p.name == name for p in shown):
            why = next((p.reason for p in bundle.predictions if p.name == name and p.reason), "")
            absent[MODELS[name].title] = why or "the bundle holds no prediction of it"
    values = _rmse(truth, shown)
    rows = _rows(truth, pair) if pair else _strongest(truth, values[title(NO_CHANGE)])
    return OneDrug(truth, rows, shown, absent, values.iloc[rows], not pair)


def _rmse(truth: Truth, shown: list[Predicted]) -> pd.DataFrame:
    """RMSE of every condition by title of the predictor; undefined where a condition has too few cells."""
    mu0 = truth.controls["mean"][truth.context_rows]
    first = Predicted(NO_CHANGE, title(NO_CHANGE), "floor", mean=mu0)
    others = [p for p in shown if p.name != NO_CHANGE]
    scores = score(Bundle(truth, [first, *others]), [METRIC])
    wide = scores.pivot(index="condition", columns=["method", "mode"], values="value").loc[truth.obs.index]
    columns = {label(p): wide[(p.name, p.mode)] for p in (first, *others)} | {
        TITLES[CEILING]: wide[(CEILING, "")]
    }
    return pd.DataFrame(columns)


def _rows(truth: Truth, pair: str) -> np.ndarray:
    if pair.count(PAIR) != 1:
        raise ConfigError(f'pair={pair!r} is no pair; write it as "context{PAIR}drug".')
    context, drug = pair.split(PAIR)
    obs = truth.obs[["context", "perturbation"]].astype(str)
    rows = np.flatnonzero((obs["context"] == context) & (obs["perturbation"] == drug))
    if not len(rows):
        every = dict.fromkeys(obs["context"] + PAIR + obs["perturbation"])
        raise InputError(f"No pair {pair!r} is scored on {PAGE}. Scored: {three(every)}.")
    return _by_dose(truth, rows)


def _by_dose(truth: Truth, rows: np.ndarray) -> np.ndarray:
    return rows[np.argsort(truth.obs["dose_um"].to_numpy(float)[rows], kind="stable")]


def _strongest(truth: Truth, no_change: pd.Series) -> np.ndarray:
    """Conditions of the pair whose measured profile lies farthest from control at the highest dose.

    That distance is the RMSE of the no-change prediction, so the rule needs no measure of its own.

    Raises:
        InputError: no condition at the highest dose has enough cells.
    """
    doses = truth.obs["dose_um"].to_numpy(float)
    top = np.where(doses == np.nanmax(doses), no_change.to_numpy(), np.nan)
    if np.isnan(top).all():
        raise InputError("No condition at the highest dose has enough measured cells; name a pair.")
    one = truth.obs.iloc[int(np.nanargmax(top))]
    same = (truth.obs["context"] == one["context"]) & (truth.obs["perturbation"] == one["perturbation"])
    return _by_dose(truth, np.flatnonzero(same.to_numpy()))


def top_genes(one: OneDrug, n: int) -> np.ndarray:
    """Positions of the `n` genes most clearly changed at the highest dose, by |Welch t| of its measured cells, `(genes,)`.

    Where a condition has no such list, because it has a single cell, by the size of the change.

    Raises:
        ConfigError: `n` is below 1.
    """
    if n < 1:
        raise ConfigError(f"n_genes={n} must be at least 1.")
    last = one.rows[-1]
    listed = one.truth.deg["test_truth"][last]
    listed = listed[listed >= 0]
    if not len(listed):
        change = one.truth.mean[last] - one.truth.controls["mean"][one.truth.context_rows[last]]
        listed = np.argsort(-np.abs(change), kind="stable")
    return listed[:n]


def curves(one: OneDrug, n_genes: int) -> pd.DataFrame:
    """Change of the top genes against control at every dose, measured and predicted.

    Args:
        one: the pair.
        n_genes: how many genes.

    Returns:
        Columns gene, rank (1 is the most clearly changed at the highest dose), dose_um, predictor, change, low, high. The
        bounds are those of a normal 95 % interval from variance and number of the measured cells and of the controls; NaN
        for predictors. Unit: that of the truth's `scale`.
    """
    truth, genes = one.truth, top_genes(one, n_genes)
    context = truth.context_rows[one.rows]
    mu0 = truth.controls["mean"][context].astype(float)
    n = truth.obs["n_cells"].to_numpy(float)[one.rows]
    spread = truth.variance[one.rows] / n[:, None]
    spread = (
        spread + truth.controls["variance"][context] / truth.controls["n"][context].astype(float)[:, None]
    )
    parts = [_part(one, genes, MEASURED, truth.mean[one.rows] - mu0, Z * np.sqrt(spread))]
    for model in one.shown:
        parts.append(_part(one, genes, label(model), model.mean[one.rows] - mu0, None))
    return pd.concat(parts, ignore_index=True)


def _part(
    one: OneDrug, genes: np.ndarray, name: str, change: np.ndarray, half: np.ndarray | None
) -> pd.DataFrame:
    """Rows of one source: `change` and the half width of its interval, `(doses, genes of the panel)`."""
    change = np.asarray(change, dtype=float)[:, genes]
    half = np.full(change.shape, np.nan) if half is None else np.asarray(half, dtype=float)[:, genes]
    number_of = len(genes)
    return pd.DataFrame(
        {
            "gene": np.tile(one.truth.genes[genes].astype(str), len(one.rows)),
            "rank": np.tile(np.arange(1, number_of + 1), len(one.rows)),
            "dose_um": np.repeat(one.doses, number_of),
            "predictor": name,
            "change": change.ravel(),
            "low": (change - half).ravel(),
            "high": (change + half).ravel(),
        }
    )
