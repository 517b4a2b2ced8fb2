"""Strata: labels of conditions, told from the truth and the split alone, that averages may be kept apart by.

`summarise(add_strata(scores, strata(truth)), by=["effect_tercile"])` averages within each, and counts its conditions.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data.gene_labels import genes_of
from perturbook.evaluation.truth import Truth
from perturbook.splits import Split

TERCILES = ("low", "middle", "high")
SIMILAR = ("<0.3", "0.3-0.6", ">0.6")
"""Classes of the largest Tanimoto similarity to a training drug. Source: metrics.md section 8."""


def strata(
    truth: Truth, *, similarity: pd.Series | None = None, seen: pd.Series | None = None
) -> pd.DataFrame:
    """Label each condition of a truth; index condition key, ordered categories, missing where undefined.

    Args:
        truth: the truth of a bundle. Its effect size is the length of measured mean minus control mean, which also
            grows with noise: compare terciles of effect beside those of cells.
        similarity: of `training_similarity`; adds column similarity.
        seen: of `singles_seen`; adds column seen, "seen 0" to "seen 2".

    Returns:
        Columns effect_tercile and cells_tercile ("low", "middle", "high"; equal values share a label), and those
        asked for. Dose and context are columns of the scores already.

    Source: metrics.md section 8 (stratification).
    """
    rows = np.searchsorted(truth.contexts, truth.obs["context"].astype(str).to_numpy())
    change = np.asarray(truth.mean, float) - np.asarray(truth.controls["mean"], float)[rows]
    labels = pd.DataFrame(index=truth.obs.index)
    labels["effect_tercile"] = tercile(np.linalg.norm(change, axis=1))
    labels["cells_tercile"] = tercile(truth.obs["n_cells"].to_numpy(float))
    if similarity is not None:
        near = similarity.reindex(labels.index).to_numpy(float)
        labels["similarity"] = pd.Categorical.from_codes(
            np.where(np.isnan(near), -1, (near >= 0.3).astype(int) + (near > 0.6)), SIMILAR, ordered=True
        )
    if seen is not None:
        names = [f"seen {k}" for k in range(3)]
        codes = seen.reindex(labels.index).fillna(-1).astype(int)
        labels["seen"] = pd.Categorical.from_codes(codes, names, ordered=True)
    return labels


def tercile(values: np.ndarray) -> pd.Categorical:
    """Cut values at their thirds, `(conditions,)`; a value at a cut belongs to the lower third, NaN to none."""
    cuts = np.nanquantile(values, [1 / 3, 2 / 3]) if np.isfinite(values).any() else [np.nan, np.nan]
    codes = np.where(np.isnan(values), -1, np.searchsorted(cuts, values))
    return pd.Categorical.from_codes(codes, TERCILES, ordered=True)


def add_strata(scores: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Join the labels of `strata` to a table of `score` by condition."""
    return scores.join(labels, on="condition")


def sizes(labels: pd.DataFrame) -> pd.DataFrame:
    """Count the conditions of every label: columns stratum, label, n; empty labels count 0."""
    counts = [labels[name].value_counts(sort=False) for name in labels]
    rows = [
        (name, label, int(n)) for name, one in zip(labels, counts, strict=True) for label, n in one.items()
    ]
    return pd.DataFrame(rows, columns=["stratum", "label", "n"])


def training_similarity(adata: AnnData, folds: Sequence[Split]) -> pd.Series:
    """Largest Tanimoto similarity of each tested drug to a drug of its fold's training cells; NaN without a SMILES.

    A drug that is itself in training, at another dose or in another context, has 1.

    Args:
        adata: canonical AnnData that was split; `uns["perturbations"]` holds column smiles.
        folds: the splits of a page.

    Returns:
        Index condition key.

    Source: metrics.md section 8; fingerprints as in `data.molecules.morgan`.
    """
    from perturbook.data.molecules import morgan, tanimoto

    smiles = adata.uns["perturbations"]["smiles"].astype(str)
    known = smiles[smiles != ""]
    bits = dict(zip(known.index, morgan(known), strict=True))
    found = {}
    for split in folds:
        trained = [bits[name] for name in _trained(adata, split)["perturbation"].unique() if name in bits]
        for key, name in split.conditions["perturbation"].astype(str).items():
            if trained and name in bits:
                found[key] = tanimoto(bits[name][None], np.stack(trained)).max()
            else:
                found[key] = np.nan
    return pd.Series(found, dtype=float)


def singles_seen(adata: AnnData, folds: Sequence[Split]) -> pd.Series:
    """Genes of each tested perturbation whose single is in its fold's training cells of the same context, 0 to 2.

    Returns:
        Index condition key.

    Source: metrics.md section 8.
    """
    found = {}
    for split in folds:
        trained = set(
            map(tuple, _trained(adata, split)[["context", "perturbation"]].drop_duplicates().to_numpy())
        )
        for key, row in split.conditions.iterrows():
            found[key] = sum((row["context"], gene) in trained for gene in genes_of(row["perturbation"]))
    return pd.Series(found, dtype=int)


def _trained(adata: AnnData, split: Split) -> pd.DataFrame:
    """Labels of the treated cells that a model may be fitted on."""
    obs = adata.obs.loc[split.visible, ["context", "perturbation", "is_control"]]
    return obs[~obs["is_control"].astype(bool)].astype({"context": str, "perturbation": str})
