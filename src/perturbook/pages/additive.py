"""Additive or not: where doubles deviate from the sum of their singles, and which predictor knows, double by double."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from anndata import AnnData

from perturbook import data
from perturbook.errors import DataUnavailable, InputError
from perturbook.evaluation.additivity import Additivity, additivity
from perturbook.evaluation.bundle import SCORES, Bundle, read_bundle
from perturbook.evaluation.predicted import Predicted
from perturbook.pages.kept import folder_of
from perturbook.pages.table import page as page_of

PAGES = ("simulated-pairs", "norman-seen-2")
"""Pages whose doubles stand side by side."""
SUM = "additive_pairs"
"""The predictor that deviations are counted from."""
FLOORS = (SUM, "additive_clipped", "additive_shrunken", "additive_ridge")
"""Sums that a gain must beat, the best of them. Source: `perturbedvae.md` section 16.1."""
VARIANTS = "perturbed_vae"
"""How the names of the variants of PerturbedVAE begin."""
ADDITIVE, REAL = "additive", "real cells"
"""Class of a planted double without interaction, and of doubles of which no class is known."""


@dataclass(frozen=True)
class Doubles:
    """The doubles of one page: what was measured, what was predicted, and the cells where they can be had."""

    page: str
    bundle: Bundle
    cells: AnnData | None
    """None where the data set could not be had."""

    @property
    def title(self) -> str:
        """Title of the page."""
        return page_of(self.page).title

    @cached_property
    def classes(self) -> np.ndarray:
        """Planted class of every double, or `REAL`, `(doubles,)`."""
        planted = self._planted
        if planted is None:
            return np.full(len(self.bundle.truth.obs), REAL)
        return planted["doubles"]["interaction_class"].loc[self.bundle.truth.obs.index].to_numpy(str)

    @cached_property
    def carrying(self) -> np.ndarray | None:
        """Genes with a planted interaction, `(doubles, genes)` boolean; None where nothing is planted."""
        if (planted := self._planted) is None:
            return None
        return planted["interaction"][planted["doubles"].index.get_indexer(self.bundle.truth.obs.index)] != 0

    @property
    def _planted(self) -> dict | None:
        known = {} if self.cells is None else self.cells.uns.get("truth", {})
        return known if "doubles" in known else None

    @property
    def names(self) -> np.ndarray:
        """A double as a reader sees it: its genes, which name the world where cells are simulated."""
        return self.bundle.truth.obs["perturbation"].to_numpy(str)

    @cached_property
    def measured(self) -> np.ndarray:
        """Measured means, `(doubles, genes)`."""
        return np.asarray(self.bundle.truth.mean, dtype=float)

    @cached_property
    def control(self) -> np.ndarray:
        """Control mean of the context of every double, `(doubles, genes)`."""
        truth = self.bundle.truth
        return np.asarray(truth.controls["mean"], dtype=float)[truth.context_rows]

    @cached_property
    def predictions(self) -> list[Predicted]:
        """Predictors with means, as the bundle orders them."""
        return [one for one in self.bundle.predictions if one.mean is not None]

    @cached_property
    def sum(self) -> np.ndarray:
        """Mean that the sum of the two singles predicts, `(doubles, genes)`."""
        return np.asarray(self.of(SUM).mean, dtype=float)

    @cached_property
    def noise(self) -> Additivity | None:
        """Deviations of all doubles with the noise in them; None where there are no cells."""
        return None if self.cells is None else additivity(self.cells, self.bundle.truth.obs)

    def of(self, method: str) -> Predicted:
        """The prediction of one method; raises InputError where the page lacks it."""
        found = [one for one in self.predictions if one.name == method]
        if not found:
            raise InputError(
                f"The bundle of {self.page} has no prediction of {method!r}; run the page with it."
            )
        return found[0]

    def cells_of(self, i: int) -> np.ndarray:
        """Sorted names of the cells of the double in row `i`."""
        obs, row = self.cells.obs, self.bundle.truth.obs.iloc[i]
        mine = (obs["perturbation"] == row["perturbation"]) & (obs["context"] == row["context"])
        return np.sort(self.cells.obs_names[mine.to_numpy()].to_numpy(str))


def read(bundles: str) -> list[Doubles]:
    """The doubles of `PAGES`, with their cells where these can be had.

    Args:
        bundles: folder with one bundle per page; the deposits when empty.

    Raises:
        InputError: a page is neither in `bundles` nor deposited, or was made from other cells.
    """
    return [_open(page, read_bundle(folder_of(page, bundles, SCORES))) for page in PAGES]


def _open(page: str, bundle: Bundle) -> Doubles:
    facts, asked = bundle.truth.facts, bundle.manifest.get("parameters", {})
    options = {"size": asked.get("size") or "default", "expectation": False} if facts["synthetic"] else {}
    try:
        cells = data.load(str(facts["data"]), **options)
    except DataUnavailable:
        return Doubles(page, bundle, None)
    keys = ["context", "perturbation"]
    counted = cells.obs.astype(dict.fromkeys(keys, str)).groupby(keys).size()
    wanted = bundle.truth.obs.set_index(keys)["n_cells"]
    same_genes = np.array_equal(cells.var_names.to_numpy(str), bundle.truth.genes.astype(str))
    if not same_genes or (counted.reindex(wanted.index) != wanted).any():
        raise InputError(
            f"The bundle of {page} was made from other cells than {facts['data']} holds now; run it again."
        )
    return Doubles(page, bundle, cells)
