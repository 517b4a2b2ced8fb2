"""The predictors that a pre-trained model has to beat: a gene's mean bin over the training cells that express it."""

import numpy as np

from perturbook.models.scgpt.pretraining_cells import Cells
from perturbook.models.scgpt.tokens import tokenise


class GeneMeans:
    """Mean bins by gene, by gene and context, and over everything. Source: our choice."""

    def __init__(self, cells: Cells, rows: np.ndarray, seed: int = 0):
        """Learn from the whole cells in `rows`; ties are drawn by `seed`."""
        self.cells = cells
        width = cells.matrix.shape[1]
        groups, self.group = np.unique(
            [f"{source} {context}" for source, context in zip(cells.source, cells.context, strict=True)],
            return_inverse=True,
        )
        total, count = np.zeros((len(groups), width)), np.zeros((len(groups), width))
        for row, (ids, bins) in zip(rows, whole_cells(cells, rows, seed), strict=True):
            np.add.at(total[self.group[row]], ids[1:], bins[1:])
            np.add.at(count[self.group[row]], ids[1:], 1)
        self.overall = float(total.sum() / count.sum())
        self.by_gene = _mean(total.sum(axis=0), count.sum(axis=0), self.overall)
        self.by_context = _mean(total, count, self.by_gene)
        self.seen = count.sum(axis=0) > 0
        """True for the tokens of genes that a training cell expresses, `(tokens,)`."""

    def predict(self, rows: np.ndarray, ids: np.ndarray) -> dict[str, np.ndarray]:
        """Predicted bins of genes `ids` in cells `rows`, both `(n,)`, by predictor; a gene never seen gets the wider mean."""
        return {
            "overall mean": np.full(len(ids), self.overall),
            "gene mean": self.by_gene[ids],
            "gene mean by context": self.by_context[self.group[rows], ids],
        }


def whole_cells(cells: Cells, rows: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Tokens of all expressed genes of the cells in `rows`, `<cls>` first."""
    width = cells.matrix.shape[1]
    names = list(cells.names[rows])
    return tokenise(
        cells.matrix[rows], np.arange(width), names, cells.vocabulary, seed=seed, max_length=width + 1
    )


def _mean(total: np.ndarray, count: np.ndarray, otherwise: np.ndarray | float) -> np.ndarray:
    return np.where(count > 0, total / np.maximum(count, 1), otherwise)
