"""The file of one model's predictions: a bundle's, or a reader's own."""

from pathlib import Path

import numpy as np
import pandas as pd

from perturbook.errors import InputError, ShapeError
from perturbook.evaluation.predicted import FACTS, Predicted
from perturbook.evaluation.storage import frame, get, open_file, put, write
from perturbook.evaluation.truth import Truth
from perturbook.evaluation.truth_file import NEEDS


def write_prediction(truth: Truth, model: Predicted, path: Path) -> None:
    """Write one model as .h5ad of conditions x genes; the split means as their difference from the means, if exact."""
    adata = frame(truth)
    means, split = {"mean": model.mean, "mean_split": model.mean_split}, model.mean_split
    if split is not None and np.array_equal(model.mean + (split - model.mean), split, equal_nan=True):
        means = {"mean": model.mean, "split_change": split - model.mean}
    put(adata, "layers", {**means, "variance": model.variance, "significant": model.significant})
    put(adata, "obsm", {"coordinates": model.coordinates})
    if model.n_cells is not None:
        adata.obs["n_predicted"] = model.n_cells
    adata.uns.update(model={k: getattr(model, k) for k in FACTS if k != "reason"})
    write(path, adata)


def read_prediction(path: Path, truth: Truth) -> Predicted:
    """Read one prediction file: a bundle's, or a user's own .h5ad of conditions x genes.

    A user's file needs `layers["mean"]` (or `X`) in the scale of the truth, obs names that are the condition keys and
    var names that are the genes of the truth, in any order; `layers["variance"]` is optional, and a condition may be
    left out as a row of NaN. The predictor is called as the file is, or as `uns["model"]["name"]` says.

    Raises:
        InputError: conditions or genes are missing, duplicated or unknown, or values are not finite.
    """
    path = Path(path)
    adata = open_file(path, NEEDS)
    given = adata.uns.get("model", {})
    given = {k: str(given[k]) for k in FACTS if k in given} if isinstance(given, dict) else {}
    _same_labels(path, "condition", adata.obs_names, truth.obs.index)
    _same_labels(path, "gene", adata.var_names, pd.Index(truth.genes))
    adata = adata[truth.obs.index, truth.genes]
    arrays = _means(path, adata)
    if "variance" in adata.layers:
        arrays["variance"] = _numbers(path, "variance", get(adata, "layers", "variance"), least=0)
    if "significant" in adata.layers:
        arrays["significant"] = np.asarray(adata.layers["significant"])
    if "n_predicted" in adata.obs:
        arrays["n_cells"] = adata.obs["n_predicted"].to_numpy()
    if "coordinates" in adata.obsm:
        arrays["coordinates"] = np.asarray(get(adata, "obsm", "coordinates"))
        if arrays["coordinates"].shape[2:] != (truth.n_components,):
            raise ShapeError(
                f"{path}: coordinates are {arrays['coordinates'].shape}, expected (conditions, cells, {truth.n_components})."
            )
    return Predicted(**{"name": path.stem, "title": path.stem, "role": "model", **given}, **arrays)


def _means(path: Path, adata) -> dict[str, np.ndarray]:
    """Mean and, where it is there, mean_split, float64."""
    layers = [k for k in ("mean", "mean_split", "split_change") if k in adata.layers]
    means = {k: get(adata, "layers", k) for k in layers}
    means.setdefault("mean", adata.X)
    if means["mean"] is None:
        raise InputError(
            f"{path} has neither layers['mean'] nor X; give predicted means (conditions, genes)."
        )
    arrays = {name: _numbers(path, name, values) for name, values in means.items()}
    if np.isnan(arrays["mean"]).all():
        raise InputError(f"{path} predicts no condition: all of mean is NaN.")
    if "split_change" in arrays:
        arrays["mean_split"] = arrays["mean"] + arrays.pop("split_change")
    return arrays


def _same_labels(path: Path, axis: str, mine: pd.Index, wanted: pd.Index) -> None:
    """Refuse an axis that does not hold exactly the labels of the page, each once, in any order."""
    if not mine.is_unique:
        raise InputError(f"{path}: {axis} {mine[mine.duplicated()][0]!r} stands twice.")
    if missing := sorted(set(wanted) - set(mine)):
        raise InputError(
            f"{path} lacks {len(missing)} {axis}s of the page, such as {missing[:3]}; give all {len(wanted)}."
        )
    if unknown := sorted(set(mine) - set(wanted)):
        raise InputError(
            f"{path} has {len(unknown)} {axis}s that the page does not ask about, such as {unknown[:3]}; leave them out."
        )


def _numbers(path: Path, what: str, values, least: float = -np.inf) -> np.ndarray:
    """Dense float64 `(conditions, genes)`; refuses NaN (but whole rows), infinities and values below `least`."""
    values = np.asarray(values.toarray() if hasattr(values, "toarray") else values, dtype=float)
    given = values[~np.isnan(values).all(axis=1)]
    if wrong := int((~np.isfinite(given) | (given < least)).sum()):
        bound = "" if np.isinf(least) else f" from {least:g}"
        raise InputError(f"{path}: {wrong} values of {what} are not finite numbers{bound}.")
    return values
