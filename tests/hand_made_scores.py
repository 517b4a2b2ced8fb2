"""Stored scores made by hand, for tests of what gathers them."""

import gzip

import anndata as ad
import numpy as np
import pandas as pd

UP, DOWN, TO_1 = "pearson_delta_ctrl", "rel_rmse_cell", "var_ratio"
PAGE = "kang-zero-shot"


def write_bundle(folder, values, synthetic=False, drugs=None):
    """A bundle's labels and scores: `values` is {(method, mode): {metric: one value per condition}}."""
    n = len(next(iter(next(iter(values.values())).values())))
    drugs = drugs or ["IFN-beta"] * n
    keys = [f"c{i:02d}|{drug}" for i, drug in enumerate(drugs)]
    obs = pd.DataFrame(
        {"context": [f"c{i:02d}" for i in range(n)], "perturbation": drugs, "dose_um": np.nan}, keys
    )
    facts = {
        "page": folder.name,
        "data": "kang2018-mini",
        "setting": "zero_shot_context",
        "synthetic": synthetic,
    }
    folder.mkdir(parents=True)
    ad.AnnData(obs=obs, uns={"facts": facts}).write_h5ad(folder / "truth.h5ad")
    rows = [
        {"method": method, "mode": mode, "condition": key, **{m: v[i] for m, v in metrics.items()}}
        for (method, mode), metrics in values.items()
        for i, key in enumerate(keys)
    ]
    pd.DataFrame(rows).to_csv(folder / "scores.csv.gz", index=False, na_rep="undefined")
    return folder


def text_of(path):
    """Text of a compressed table."""
    return gzip.decompress(path.read_bytes()).decode()


def put_text(path, text):
    """Compress a table."""
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def row(board, method, metric=UP, mode=""):
    chosen = board[(board["method"] == method) & (board["metric"] == metric) & (board["mode"] == mode)]
    assert len(chosen) == 1
    return chosen.iloc[0]


FOUR = {
    ("no_change", ""): {UP: [np.nan] * 4, DOWN: [2.0, 2.0, 2.0, 2.0], TO_1: [0.0] * 4},
    ("mean_train", ""): {UP: [0.2, 0.4, 0.4, 0.6], DOWN: [1.0, 1.0, 1.0, 1.0], TO_1: [0.0] * 4},
    ("shifted_controls", ""): {UP: [0.1, 0.2, 0.3, 0.4], DOWN: [1.5] * 4, TO_1: [1.5] * 4},
    ("context_ridge", ""): {UP: [0.3, 0.3, 0.5, np.nan], DOWN: [0.5, 0.5, 1.0, 1.0], TO_1: [0.8] * 4},
    ("half_duplicate", ""): {UP: [0.8] * 4, DOWN: [1.4] * 4, TO_1: [1.0] * 4},
}


def twelve(shift):
    """Twelve conditions: a floor of 0.1, 0.2, ..., and an opponent that differs from it by `shift` everywhere."""
    values = np.arange(1, 13) / 10
    return {
        ("mean_train", ""): {UP: values},
        ("context_ridge", ""): {UP: values + np.asarray(shift)},
        ("half_duplicate", ""): {UP: values + 1},
    }
