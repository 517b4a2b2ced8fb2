"""How well hidden genes of held-out cells are predicted: the model, gene means, and what no predictor can reach."""

import numpy as np
import torch

from perturbook.models.scgpt.gene_mean import GeneMeans, whole_cells
from perturbook.models.scgpt.model import ScGPT
from perturbook.models.scgpt.objective import RATIOS, mask, split
from perturbook.models.scgpt.pretraining_cells import Cells
from perturbook.models.scgpt.tokens import pad, tokenise

ALL = "all"
SIZE = 16  # cells per block; the ratios take turns


class HeldOut:
    """Held-out cells with one fixed split into perceived and generated genes, and one of hidden genes; scores in squared bins.

    Calling it with a model gives its mean squared errors: `loss` over all generated genes, the same by data set, and
    `masked` over the hidden genes of the masked form. Source: our choice.
    """

    def __init__(
        self, cells: Cells, rows: np.ndarray, max_length: int, seed: int, project_generated: bool = True
    ):
        self.project_generated = project_generated
        rows = np.random.default_rng([seed, 2]).permutation(rows)
        self.blocks = []
        for number, at in enumerate(range(0, len(rows), SIZE)):
            part = rows[at : at + SIZE]
            names, ratio = list(cells.names[part]), RATIOS[number % len(RATIOS)]
            tokens = tokenise(
                cells.matrix[part],
                np.arange(cells.matrix.shape[1]),
                names,
                cells.vocabulary,
                seed,
                max_length,
            )
            tokens = pad(tokens, cells.vocabulary.pad)
            self.blocks.append((part, split(tokens, names, ratio, seed), mask(tokens, names, ratio, seed)))
        self.rows, self.ids, self.bins = self._asked()
        self.dataset = np.array([str(label).split(" ")[0] for label in cells.source[self.rows]])
        self.noise = self._noise(cells, seed)

    def _asked(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, token id and bin of every generated gene, each `(n,)`."""
        found = []
        for part, block, _ in self.blocks:
            cell, place = np.nonzero(~block.generated.padding.numpy())
            found.append(
                (
                    part[cell],
                    block.generated.gene_ids[cell, place].numpy(),
                    block.generated.values[cell, place].numpy(),
                )
            )
        return tuple(np.concatenate(one) for one in zip(*found, strict=True))

    def _noise(self, cells: Cells, seed: int) -> np.ndarray:
        """Squared error, at every generated gene, that ties alone cause: half the squared change under another seed."""
        rows = np.unique(self.rows)
        place = {row: i for i, row in enumerate(rows)}
        drawn = [np.zeros((len(rows), cells.matrix.shape[1])) for _ in range(2)]
        for shift, table in enumerate(drawn, start=1):
            for row, (ids, bins) in enumerate(whole_cells(cells, rows, seed + shift)):
                table[row, ids[1:]] = bins[1:]
        at = [place[row] for row in self.rows], self.ids
        return (drawn[0][at] - drawn[1][at]) ** 2 / 2

    def predictions(self, model: ScGPT) -> np.ndarray:
        """The model's bins of all generated genes, `(n,)`; the model in eval mode."""
        made = []
        with torch.no_grad():
            for _, block, _ in self.blocks:
                device = next(model.parameters()).device
                inputs = [one.to(device) for one in (*block.perceived, *block.generated[::2])]
                preds = model.perceive_and_generate(*inputs, project_generated=self.project_generated)
                made.append(preds.gen_preds.float().cpu()[~block.generated.padding])
        return torch.cat(made).numpy()

    def masked(self, model: ScGPT) -> float:
        """Mean squared error of the masked form over all hidden genes."""
        errors = []
        with torch.no_grad():
            for _, _, block in self.blocks:
                device = next(model.parameters()).device
                preds = model(*(one.to(device) for one in block.tokens)).expression.float().cpu()
                errors.append((preds - block.bins)[block.hidden] ** 2)
        return float(torch.cat(errors).mean())

    def by_dataset(self, errors: np.ndarray) -> dict[str, float]:
        """Mean of `errors` `(n,)` over all generated genes and over those of each data set."""
        parts = {ALL: errors} | {str(one): errors[self.dataset == one] for one in np.unique(self.dataset)}
        return {name: float(part.mean(dtype=float)) for name, part in parts.items()}

    def __call__(self, model: ScGPT) -> dict[str, float]:
        """Errors of the model."""
        found = self.by_dataset((self.predictions(model) - self.bins) ** 2)
        return {"loss": found.pop(ALL), **found, "masked": self.masked(model)}

    def opponents(self, means: GeneMeans) -> dict[str, dict[str, float]]:
        """Errors of the gene means at the same places, and the part of any error that random ties make unavoidable."""
        predicted = means.predict(self.rows, self.ids)
        scores = {name: self.by_dataset((made - self.bins) ** 2) for name, made in predicted.items()}
        return {**scores, "random ties alone": self.by_dataset(self.noise)}
