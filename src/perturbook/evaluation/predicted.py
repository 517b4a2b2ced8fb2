"""`Predicted`: what one model said about the conditions of a truth."""

from dataclasses import dataclass

import numpy as np

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
    significant: np.ndarray | None = None
    """1 where as many generated cells as were measured differ from all controls (rank-sum, adjusted p below 0.05), 0
    where not, -1 where there are fewer, `(conditions, genes)`."""
    reason: str = ""
    """Why the predictor is not applicable; then all arrays are None and the manifest holds the reason."""

    @property
    def file(self) -> str:
        """File name inside the bundle."""
        return f"{self.name}{'-' + self.mode if self.mode else ''}.h5ad"
