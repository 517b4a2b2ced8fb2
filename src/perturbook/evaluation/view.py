"""`View`: one truth beside one prediction, as every metric sees them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from perturbook.evaluation import distribution, retrieval
from perturbook.evaluation.cell_profile import var_ratio
from perturbook.evaluation.differential import top_genes
from perturbook.evaluation.predicted import Predicted
from perturbook.evaluation.truth import Truth, present


@dataclass(frozen=True)
class Options:
    """Choices that change which genes a score looks at; they stand in the rows of every table."""

    de_source: str = "split_half"
    """Cells that gene lists are chosen on: "split_half" (half A of the test cells, scored on half B), "test_truth" (all
    test cells, scored on the same), or "train_visible" (the same perturbation, or the singles of a pair, in training)."""
    drop_targets: bool = True
    """Leave the genes that a CRISPR perturbation changes directly out of gene lists, gene sets and `pds`."""


@dataclass(frozen=True)
class View:
    """One truth beside one prediction, float64, `(conditions, genes)` unless said otherwise."""

    truth: Truth
    options: Options
    y: np.ndarray
    """Measured means."""
    y_half: np.ndarray
    """Measured means of half B, for gene lists chosen on half A."""
    mu0: np.ndarray
    """Control means of each condition's context, all controls."""
    mu0_shown: np.ndarray
    """Control means of the half that split predictions were made from."""
    mu0_kept: np.ndarray
    """Control means of the half that no model saw; the reference of the truth."""
    yhat: np.ndarray
    """Predicted means, made with all controls visible."""
    yhat_split: np.ndarray
    """Predicted means, made from the shown half of the controls."""
    variance: np.ndarray
    """Predicted variances; zeros for a predictor of means."""
    n_predicted: np.ndarray
    """Generated cells per condition; infinity for a predictor of means, `(conditions,)`."""
    significant: np.ndarray
    """Genes in which measured cells differ from control: 1, 0, or -1 where untested."""
    significant_hat: np.ndarray
    """Genes in which generated cells differ from control: 1, 0, or -1 where untested."""
    cells: list[np.ndarray]
    """PCA coordinates of measured cells, each `(cells, components)`."""
    cells_hat: list[np.ndarray]
    """PCA coordinates of generated cells; one point for a predictor of means."""

    @property
    def obs(self) -> pd.DataFrame:
        """Labels of the conditions."""
        return self.truth.obs

    @cached_property
    def centroid(self) -> np.ndarray:
        """Training centroid of each condition's fold."""
        return np.asarray(self.truth.centroid, dtype=float)[self.obs["fold"].to_numpy()]

    @property
    def groups(self) -> np.ndarray:
        """Conditions told apart by retrieval, `Truth.groups`."""
        return self.truth.groups

    @property
    def dropped(self) -> np.ndarray:
        """Positions of the genes that stay out of gene lists, `(conditions, most per condition)`, -1 for none."""
        targets = self.truth.targets
        return targets if self.options.drop_targets else targets[:, :0]

    @property
    def y_listed(self) -> np.ndarray:
        """Measured means that gene lists are scored on: of cells that did not choose the genes, where some did."""
        return self.y_half if self.options.de_source == "split_half" else self.y

    def deg(self, k: int) -> np.ndarray:
        """Positions of the top `k` genes, `(conditions, k)`; -1 throughout where there is no such list."""
        positions = np.asarray(self.truth.deg[self.options.de_source])
        dropped = (positions[:, :, None] == self.dropped[:, None, :]).any(axis=2)
        kept = np.where(dropped, -1, positions)
        kept = np.take_along_axis(kept, np.argsort(kept < 0, axis=1, kind="stable"), axis=1)[:, :k]
        whole = (kept >= 0).all(axis=1, keepdims=True) & (kept.shape[1] == k)
        return np.where(whole, np.resize(kept, (len(kept), k)), -1)

    def heg(self, k: int) -> np.ndarray:
        """Positions of the `k` genes highest in control, `(conditions, k)`; all genes where the panel has fewer."""
        control = np.asarray(self.truth.controls["mean"], dtype=float)
        return top_genes(control, min(k, control.shape[1]))[self.truth.context_rows]

    def kept_genes(self, significant: np.ndarray) -> np.ndarray:
        """Mask of the significant genes without those that a perturbation changes directly."""
        mask = significant == 1
        for genes in self.dropped.T:
            rows = np.flatnonzero(genes >= 0)
            mask[rows, genes[rows]] = False
        return mask

    @cached_property
    def spread(self) -> np.ndarray:
        """Generated over measured cell-to-cell variance, `(conditions,)`."""
        return var_ratio(self.truth.variance, self.variance)

    @cached_property
    def distances(self) -> np.ndarray:
        """Distance of each predicted mean from each measured one of its group, `(conditions, conditions)`."""
        return retrieval.distances(self.y, self.yhat, self.groups)

    @cached_property
    def two_samples(self) -> np.ndarray:
        """Energy distance and squared MMD of generated from measured cells, `(conditions, 2)`."""
        found = []
        for truth, predicted, unit in zip(
            self.cells, self.cells_hat, self.truth.median_distances, strict=True
        ):
            pairs = distribution.pair_distances(truth, predicted)
            lengths = tuple(length * unit for length in distribution.LENGTHS)
            found.append((distribution.energy_u(*pairs), distribution.kernel_u(*pairs, lengths)))
        return np.array(found)


def view(truth: Truth, model: Predicted, options: Options | None = None) -> View:
    """Set a prediction beside the truth.

    Without `mean_split` the split means are NaN: means made with all controls visible share cells with the reference
    of the truth, so metrics that split the controls have no value for them.
    """
    control = {
        name: np.asarray(truth.controls[name], dtype=float)[truth.context_rows]
        for name in ("mean", "mean_a", "mean_b")
    }
    mean = np.asarray(model.mean, dtype=float)
    split = (
        np.full_like(mean, np.nan) if model.mean_split is None else np.asarray(model.mean_split, dtype=float)
    )
    no_cells = model.variance is None
    n_cells = truth.obs["n_cells"].to_numpy(float)
    half = np.asarray(truth.halves[:, 0], dtype=float)
    y = np.asarray(truth.mean, dtype=float)
    points = truth.project(mean)[:, None, :] if model.coordinates is None else model.coordinates
    untested = np.full(mean.shape, -1, np.int8)
    return View(
        truth=truth,
        options=options or Options(),
        y=y,
        y_half=y - half * other_half(n_cells)[:, None],
        mu0=control["mean"],
        mu0_shown=control["mean_a"],
        mu0_kept=control["mean_b"],
        yhat=mean,
        yhat_split=split,
        variance=np.zeros_like(mean) if no_cells else np.asarray(model.variance, dtype=float),
        n_predicted=np.full(len(mean), np.inf)
        if model.n_cells is None
        else np.asarray(model.n_cells, dtype=float),
        significant=truth.significant["all"],
        significant_hat=untested if model.significant is None else model.significant,
        cells=truth.cells,
        cells_hat=present(points),
    )


def other_half(n: np.ndarray) -> np.ndarray:
    """Factor f with mean(B) = mean - f * (mean(A) - mean), for halves of n // 2 and n - n // 2 cells, `(conditions,)`."""
    return (n // 2) / (n - n // 2)
