"""The scores of an embedding in one table, with their names and what ignorance scores."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbook.evaluation.embedding_depth import depth_r2
from perturbook.evaluation.embeddings import K, condition_auroc, distances, silhouette, type_knn


@dataclass(frozen=True)
class Score:
    """What a score is called and how it is read."""

    title: str
    """In tables and charts."""
    better: str
    """"up" where more is better, "" where it depends on what the embedding is for."""
    lowest: float
    """Lowest possible value."""
    blind: str
    """What an embedding that knows nothing scores."""
    balanced: bool = True
    """Averaged over types with equal weights; False where only the plain mean over cells is what the name says, an R²."""


SCORES = {
    "type_knn": Score("Cell type from neighbours", "up", 0.0, "about 1 / number of types"),
    "type_knn_across": Score(
        "Cell type from neighbours of the other condition", "up", 0.0, "about 1 / number of types"
    ),
    "silhouette": Score("Silhouette of the cell type", "up", -1.0, "0 or slightly less"),
    "condition_auroc": Score("Condition from neighbours of the same type", "", 0.0, "0.5"),
    "depth_r2": Score("Depth, read off by a line", "", -np.inf, "about 0", balanced=False),
    "depth_r2_within": Score(
        "Depth within a type, read off by a line", "", -np.inf, "about 0", balanced=False
    ),
}
"""The scores, in the order of tables; the highest possible value is 1 for all."""


def embedding_scores(
    embedding: np.ndarray,
    types: np.ndarray,
    depth: np.ndarray,
    treated: np.ndarray | None = None,
    k: int = K,
    metric: str = "euclidean",
) -> pd.DataFrame:
    """All scores of one embedding, one row per cell and one column per score of `SCORES`.

    Args:
        embedding: `(cells, width)`.
        types: label per cell `(cells,)`.
        depth: log of the total counts of each cell `(cells,)`.
        treated: `(cells,)`; the two columns about conditions are missing where None.
        k: neighbours.
        metric: as in `distances`.
    """
    between = distances(embedding, metric)
    found = {"type_knn": type_knn(between, types, k)}
    if treated is not None:
        found["type_knn_across"] = type_knn(between, types, k, condition=treated)
    found["silhouette"] = silhouette(between, types)
    if treated is not None:
        found["condition_auroc"] = condition_auroc(between, types, treated, k)
    found["depth_r2"] = depth_r2(embedding, depth)
    found["depth_r2_within"] = depth_r2(embedding, depth, types)
    return pd.DataFrame(found)
