"""The truth file of a bundle, `truth.h5ad`."""

from pathlib import Path

import anndata as ad
import numpy as np

from perturbook.errors import InputError
from perturbook.evaluation.rounding import kept_mean
from perturbook.evaluation.storage import frame, get, open_file, put, write
from perturbook.evaluation.truth import Truth

TRUTH = "truth.h5ad"
NEEDS = f"{TRUTH} and one .h5ad per model"
SOURCES = ("split_half", "test_truth", "train_visible")
SETS = ("all", "a", "b")


def write_truth(truth: Truth, path: Path) -> None:
    """Write a truth as .h5ad of conditions x genes.

    Halvings stand behind the genes, because the halves of a silent gene are all zero and compress to nothing.
    Halving 0 of the treated cells, which is finer, and that of the controls, which is `mean_a`, stand apart.
    """
    adata, controls = frame(truth), dict(truth.controls)
    put(adata, "layers", {"mean": truth.mean, "variance": truth.variance, "q": truth.q})
    put(adata, "layers", {"half_a": truth.halves[:, 0]}, rows=True)
    put(adata, "layers", {f"significant_{name}": truth.significant[name] for name in SETS})
    put(adata, "obsm", {"halves": _behind(truth.halves)}, rows=True)
    put(adata, "obsm", {"coordinates": truth.coordinates})
    put(adata, "obsm", {f"deg_{source}": truth.deg[source] for source in SOURCES})
    put(adata, "varm", {"loadings": truth.loadings, "centroid": truth.centroid.T})
    put(adata, "var", {"pca_mean": truth.pca_mean})
    put(adata, "controls", {"halves": _behind(controls["halves"])}, rows=True)
    change = {"change_a": controls["mean_a"] - controls["mean"]}
    put(adata, "controls", {name: controls[name] for name in ("mean", "variance", "n", "n_a")} | change)
    put(adata, "others", truth.others)
    adata.uns.update(facts=truth.facts)
    adata.uns["controls"]["context"] = truth.contexts
    write(path, adata)


def read_truth(folder: Path) -> Truth:
    """Read the truth of a bundle folder; raises InputError naming what is missing."""
    path = Path(folder) / TRUTH
    adata = open_file(path, NEEDS)
    try:
        return Truth(
            obs=adata.obs,
            genes=adata.var_names.to_numpy(str),
            **{name: get(adata, "layers", name) for name in ("mean", "variance", "q")},
            halves=_halves(get(adata, "layers", "half_a"), get(adata, "obsm", "halves")),
            significant={name: get(adata, "layers", f"significant_{name}") for name in SETS},
            deg={source: get(adata, "obsm", f"deg_{source}") for source in SOURCES},
            coordinates=get(adata, "obsm", "coordinates"),
            pca_mean=get(adata, "var", "pca_mean"),
            loadings=get(adata, "varm", "loadings"),
            contexts=np.asarray(adata.uns["controls"]["context"]).astype(str),
            controls=_controls(adata),
            others={name: get(adata, "others", name) for name in ("n", "mean", "variance")},
            centroid=get(adata, "varm", "centroid").T,
            facts={k: v.item() if hasattr(v, "item") else v for k, v in adata.uns["facts"].items()},
        )
    except KeyError as error:
        raise InputError(f"{path} lacks {error}; it is not the truth file of a bundle.") from error


def _controls(adata: ad.AnnData) -> dict[str, np.ndarray]:
    found = {name: get(adata, "controls", name) for name in ("mean", "variance", "n", "n_a")}
    change = get(adata, "controls", "change_a")
    found["mean_a"] = found["mean"] + change
    found["mean_b"] = kept_mean(found)
    return found | {"halves": _halves(change, get(adata, "controls", "halves"))}


def _behind(halves: np.ndarray) -> np.ndarray:
    """Halvings 1 to 19 of `(rows, 20, genes)` as `(rows, genes, 19)`."""
    return np.ascontiguousarray(np.moveaxis(halves[:, 1:], 1, 2))


def _halves(first: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.concatenate([first[:, None], np.moveaxis(others, 2, 1)], axis=1)
