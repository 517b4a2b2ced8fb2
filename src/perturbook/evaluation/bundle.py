"""The bundle: one truth file, one file per model, a manifest. Scores need nothing else, and no real cell is in it."""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd

from perturbook.errors import InputError
from perturbook.evaluation.truth import Truth

TRUTH, MANIFEST, SCORES = "truth.h5ad", "manifest.json", "scores.csv"
FACTS = ("name", "title", "role", "mode", "reason")


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


def _write(path: Path, adata: ad.AnnData) -> None:
    """Write without time stamps; arrays compressed with the byte shuffle filter, which halves the size."""

    def compressed(func, store, key, elem, *, dataset_kwargs, **_):
        big = isinstance(elem, np.ndarray) and elem.dtype.kind in "fiu" and elem.ndim > 1
        more = {"compression": "gzip", "compression_opts": 9, "shuffle": True} if big and elem.size else {}
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


def write_bundle(bundle: Bundle, folder: Path) -> Path:
    """Write a bundle whole or not at all: into a folder beside `folder`, moved into place when complete."""
    folder = Path(folder)
    making = folder.with_name(f".{folder.name}.{os.getpid()}")
    making.mkdir(parents=True)
    _write(making / TRUTH, _truth_file(bundle.truth))
    for model in bundle.predictions:
        if model.mean is not None:
            _write(making / model.file, _prediction_file(bundle.truth, model))
    absent = [{k: getattr(model, k) for k in FACTS} for model in bundle.predictions if model.mean is None]
    about = {**bundle.manifest, "not_applicable": absent}
    (making / MANIFEST).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    making.replace(folder)
    return folder


def _open(path: Path) -> ad.AnnData:
    if not path.is_file():
        raise InputError(f"{path} does not exist; a bundle needs {TRUTH} and one .h5ad per model.")
    if not h5py.is_hdf5(path):
        raise InputError(f"{path} is not an .h5ad (HDF5) file. Is it whole?")
    try:
        return ad.read_h5ad(path)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} cannot be read as .h5ad; it may be truncated ({error}).") from error


def read_truth(folder: Path) -> Truth:
    """Read the truth of a bundle folder; raises InputError naming what is missing."""
    adata = _open(Path(folder) / TRUTH)
    for where, names in {
        "layers": ("mean", "variance"),
        "obsm": ("halves", "coordinates"),
        "uns": ("controls", "facts"),
    }.items():
        if lacking := [name for name in names if name not in getattr(adata, where)]:
            raise InputError(
                f"{Path(folder) / TRUTH} lacks {where} {lacking}; it is not the truth file of a bundle."
            )
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


def read_prediction(path: Path, truth: Truth) -> Predicted:
    """Read one prediction file: a bundle's, or a user's own .h5ad of conditions x genes.

    A user's file needs `layers["mean"]` (or `X`) in the scale of the truth, obs names that are the condition keys and
    var names that are the genes of the truth, in any order; `layers["variance"]` is optional.

    Raises:
        InputError: conditions or genes are missing, duplicated or unknown, or values are not finite.
    """
    path, adata = Path(path), _open(Path(path))
    facts = {k: str(v) for k, v in adata.uns.get("model", {}).items()}
    facts = {"name": path.stem, "title": path.stem, "role": "model", **facts}
    for axis, mine, wanted in (
        ("condition", adata.obs_names, truth.obs.index),
        ("gene", adata.var_names, truth.genes),
    ):
        if not mine.is_unique:
            raise InputError(f"{path}: {axis} {mine[mine.duplicated()][0]!r} stands twice.")
        if missing := sorted(set(wanted) - set(mine)):
            raise InputError(
                f"{path} lacks {len(missing)} {axis}s of the page, such as {missing[:3]}; give all {len(wanted)}."
            )
    adata = adata[truth.obs.index, truth.genes]
    mean = adata.layers["mean"] if "mean" in adata.layers else adata.X
    if mean is None:
        raise InputError(
            f"{path} has neither layers['mean'] nor X; give predicted means (conditions, genes)."
        )
    mean = np.asarray(mean.toarray() if hasattr(mean, "toarray") else mean, dtype=float)
    undefined = np.isnan(mean).all(axis=1)
    if not np.isfinite(mean[~undefined]).all():
        raise InputError(
            f"{path}: {int((~np.isfinite(mean[~undefined])).sum())} predicted values are not finite numbers."
        )
    layer = {name: adata.layers[name] for name in ("mean_split", "variance") if name in adata.layers}
    side = {name: np.asarray(adata.obsm[name]) for name in ("coordinates", "deg") if name in adata.obsm}
    n_cells = adata.obs["n_predicted"].to_numpy() if "n_predicted" in adata.obs else None
    return Predicted(mean=mean, n_cells=n_cells, **layer, **side, **facts)


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle folder whole; raises InputError naming the file that is missing or broken."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name the folder that holds {TRUTH}.")
    truth = read_truth(folder)
    files = sorted(path for path in folder.glob("*.h5ad") if path.name != TRUTH)
    manifest = json.loads((folder / MANIFEST).read_text()) if (folder / MANIFEST).is_file() else {}
    absent = [Predicted(**facts) for facts in manifest.get("not_applicable", [])]
    return Bundle(truth, [read_prediction(path, truth) for path in files] + absent, manifest)
