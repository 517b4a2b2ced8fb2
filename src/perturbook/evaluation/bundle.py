"""The bundle: one truth file, one file per model, a manifest. Scores need nothing else, and no real cell is in it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd

from perturbook.errors import InputError, ShapeError
from perturbook.evaluation.manifest import digest, read_manifest
from perturbook.evaluation.truth import Truth
from perturbook.whole import whole_folder

TRUTH, MANIFEST, SCORES = "truth.h5ad", "manifest.json", "scores.csv"
FACTS = ("name", "title", "role", "mode", "reason")
CEILING = "half_duplicate"
"""Method name of the split-half duplicate, which no prediction may take."""


@dataclass(frozen=True)
class Predicted:
    """One model's predictions for the conditions of a truth, or the reason why there are none."""

    name: str
    """Registry name; the file is called after it."""
    title: str
    """Name in tables and charts."""
    role: str
    """"floor", "opponent", "oracle" or "model"."""
    mode: str = ""
    """Zero-shot mode "A" or "B"; "AB" where both gave the same arrays; empty elsewhere."""
    mean: np.ndarray | None = None
    """Made with all controls visible, `(conditions, genes)`; NaN rows where a fold had no prediction."""
    mean_split: np.ndarray | None = None
    """Made without the reference controls, for metrics that split the controls."""
    variance: np.ndarray | None = None
    """Unbiased variance of generated cells, `(conditions, genes)`; None for a predictor of means."""
    n_cells: np.ndarray | None = None
    """Generated cells per condition."""
    coordinates: np.ndarray | None = None
    """PCA coordinates of up to 200 generated cells, `(conditions, cells, components)`."""
    deg: np.ndarray | None = None
    """Top genes of the generated cells against control, `(conditions, <= 50)`."""
    reason: str = ""
    """Why the predictor is not applicable; then all arrays are None and the manifest holds the reason."""

    @property
    def file(self) -> str:
        """File name inside the bundle."""
        return f"{self.name}{'-' + self.mode if self.mode else ''}.h5ad"


@dataclass(frozen=True)
class Bundle:
    """Truth, predictions and manifest of one page and seed."""

    truth: Truth
    predictions: list[Predicted]
    manifest: dict = field(default_factory=dict)

    def __post_init__(self):
        """Raise InputError for two predictions of one name, because their scores could not be told apart."""
        taken = {(CEILING, "")}
        for one in self.predictions:
            if (one.name, one.mode) in taken:
                raise InputError(
                    f"Two predictions are called {f'{one.name} {one.mode}'.strip()!r}; rename the file, and uns['model']['name'] in it."
                )
            taken.add((one.name, one.mode))


def _write(path: Path, adata: ad.AnnData) -> None:
    """Write without time stamps; arrays compressed with the byte shuffle filter, which halves the size."""

    def compressed(func, store, key, elem, *, dataset_kwargs, **_):
        big = isinstance(elem, np.ndarray) and elem.dtype.kind in "fiu" and elem.ndim > 1
        more = {"compression": "gzip", "compression_opts": 6, "shuffle": True} if big and elem.size else {}
        func(store, key, elem, dataset_kwargs={**dataset_kwargs, **more})

    with h5py.File(path, "w", track_order=False) as file:
        ad.experimental.write_dispatched(file, "/", adata, compressed)


def _frame(truth: Truth) -> ad.AnnData:
    """An AnnData of conditions x genes with the labels of the truth and no values."""
    return ad.AnnData(obs=truth.obs.copy(), var=pd.DataFrame(index=truth.genes.astype(str)))


def _put(adata: ad.AnnData, where: str, arrays: dict[str, np.ndarray | None]) -> None:
    getattr(adata, where).update({name: value for name, value in arrays.items() if value is not None})


def _truth_file(truth: Truth) -> ad.AnnData:
    adata = _frame(truth)
    _put(adata, "layers", {"mean": truth.mean, "variance": truth.variance})
    _put(adata, "obsm", {"halves": truth.halves, "coordinates": truth.coordinates})
    _put(adata, "obsm", {f"deg_{source}": positions for source, positions in truth.deg.items()})
    _put(adata, "varm", {"loadings": truth.loadings, "centroid": truth.centroid.T})
    adata.var["pca_mean"] = truth.pca_mean
    adata.uns.update(controls={**truth.controls, "context": truth.contexts}, facts=truth.facts)
    return adata


def _prediction_file(truth: Truth, model: Predicted) -> ad.AnnData:
    adata = _frame(truth)
    _put(adata, "layers", {"mean": model.mean, "mean_split": model.mean_split, "variance": model.variance})
    _put(adata, "obsm", {"coordinates": model.coordinates, "deg": model.deg})
    if model.n_cells is not None:
        adata.obs["n_predicted"] = model.n_cells
    adata.uns.update(model={k: getattr(model, k) for k in FACTS if k != "reason"})
    return adata


def write_truth(truth: Truth, path: Path) -> None:
    """Write the truth file of a bundle."""
    _write(path, _truth_file(truth))


def write_bundle(bundle: Bundle, folder: Path) -> Path:
    """Write a bundle whole or not at all; its manifest gains the sha256 of every file and the predictors without one."""
    absent = [{k: getattr(model, k) for k in FACTS} for model in bundle.predictions if model.mean is None]
    with whole_folder(folder) as making:
        write_truth(bundle.truth, making / TRUTH)
        for model in bundle.predictions:
            if model.mean is not None:
                _write(making / model.file, _prediction_file(bundle.truth, model))
        about = {**bundle.manifest, "not_applicable": absent, "files": digest(making)}
        (making / MANIFEST).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    return Path(folder)


def _open(path: Path) -> ad.AnnData:
    if not path.is_file():
        raise InputError(f"{path} does not exist; a bundle needs {TRUTH} and one .h5ad per model.")
    if not h5py.is_hdf5(path):
        raise InputError(f"{path} is not an .h5ad (HDF5) file. Is it whole?")
    try:
        return ad.read_h5ad(path)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as .h5ad; it may be truncated, or another kind of file ({error})."
        ) from error


def read_truth(folder: Path) -> Truth:
    """Read the truth of a bundle folder; raises InputError naming what is missing."""
    path = Path(folder) / TRUTH
    adata = _open(path)
    try:
        controls = dict(adata.uns["controls"])
        return Truth(
            obs=adata.obs,
            genes=adata.var_names.to_numpy(str),
            mean=adata.layers["mean"],
            variance=adata.layers["variance"],
            halves=adata.obsm["halves"],
            deg={source: adata.obsm[f"deg_{source}"] for source in ("split_half", "test_truth")},
            coordinates=adata.obsm["coordinates"],
            pca_mean=adata.var["pca_mean"].to_numpy(),
            loadings=adata.varm["loadings"],
            contexts=np.asarray(controls.pop("context")).astype(str),
            controls=controls,
            centroid=adata.varm["centroid"].T,
            facts={k: v.item() if hasattr(v, "item") else v for k, v in adata.uns["facts"].items()},
        )
    except KeyError as error:
        raise InputError(f"{path} lacks {error}; it is not the truth file of a bundle.") from error


def read_prediction(path: Path, truth: Truth) -> Predicted:
    """Read one prediction file: a bundle's, or a user's own .h5ad of conditions x genes.

    A user's file needs `layers["mean"]` (or `X`) in the scale of the truth, obs names that are the condition keys and
    var names that are the genes of the truth, in any order; `layers["variance"]` is optional, and a condition may be
    left out as a row of NaN. The predictor is called as the file is, or as `uns["model"]["name"]` says.

    Raises:
        InputError: conditions or genes are missing, duplicated or unknown, or values are not finite.
    """
    path, adata = Path(path), _open(Path(path))
    given = adata.uns.get("model", {})
    given = {k: str(given[k]) for k in FACTS if k in given} if isinstance(given, dict) else {}
    _same_labels(path, "condition", adata.obs_names, truth.obs.index)
    _same_labels(path, "gene", adata.var_names, pd.Index(truth.genes))
    position = pd.Index(truth.genes).get_indexer(adata.var_names)
    adata = adata[truth.obs.index, truth.genes]
    means = {"mean": adata.X, **{k: adata.layers[k] for k in ("mean", "mean_split") if k in adata.layers}}
    if means["mean"] is None:
        raise InputError(
            f"{path} has neither layers['mean'] nor X; give predicted means (conditions, genes)."
        )
    arrays = {name: _numbers(path, name, values) for name, values in means.items()}
    if np.isnan(arrays["mean"]).all():
        raise InputError(f"{path} predicts no condition: all of mean is NaN.")
    if "variance" in adata.layers:
        arrays["variance"] = _numbers(path, "variance", adata.layers["variance"], least=0)
    if "n_predicted" in adata.obs:
        arrays["n_cells"] = adata.obs["n_predicted"].to_numpy()
    if "coordinates" in adata.obsm:
        arrays["coordinates"] = np.asarray(adata.obsm["coordinates"])
        if arrays["coordinates"].shape[2:] != (truth.n_components,):
            raise ShapeError(
                f"{path}: coordinates are {arrays['coordinates'].shape}, expected (conditions, cells, {truth.n_components})."
            )
    if "deg" in adata.obsm:
        deg = np.asarray(adata.obsm["deg"])
        arrays["deg"] = np.where(deg >= 0, position[deg], -1)  # positions in the file's order of genes
    return Predicted(**{"name": path.stem, "title": path.stem, "role": "model", **given}, **arrays)


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


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle folder whole, predictions in the order of the manifest's models, then by name.

    Raises:
        PerturbookError: names the file that is missing or broken.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name the folder that holds {TRUTH}.")
    truth = read_truth(folder)
    manifest = read_manifest(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    place = {name: i for i, name in enumerate(manifest.get("parameters", {}).get("models", []))}
    files = [path for path in folder.glob("*.h5ad") if path.name != TRUTH]
    files.sort(key=lambda path: (place.get(path.stem.split("-")[0], len(place)), path.name))
    absent = [Predicted(**facts) for facts in manifest.get("not_applicable", [])]
    return Bundle(truth, [read_prediction(path, truth) for path in files] + absent, manifest)
