"""What the adapter is trained on: pairs of a control profile and the profile after a perturbation, by condition.

A profile is the mean of `lognorm` over cells. The target is fixed; the input is drawn anew at every step, as the mean of a
bootstrap of that context's control cells, so that the model learns what control cells look like and not one average of
them. Source: `scdca.md` section 4.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data import pseudobulk
from perturbook.data.pseudobulk import Profiles
from perturbook.data.schema import CONTROL, expression
from perturbook.errors import NotApplicable
from perturbook.models.protocol import Training
from perturbook.models.scgpt.vocabulary import Vocabulary

MOST_GENES = 2000
"""Genes of the panel. Source: `scdca.md` section 4."""


@dataclass(frozen=True)
class Controls:
    """Control cells of each context, for drawing."""

    cells: dict[str, np.ndarray]
    """`(cells, genes)` float32 per context, in the order of their names."""

    @classmethod
    def of(cls, adata: AnnData, genes: np.ndarray) -> "Controls":
        """Those among the cells of `adata`, genes `genes` (positions)."""
        obs = adata.obs
        contexts = obs["context"].astype(str).to_numpy()
        order = np.argsort(adata.obs_names.to_numpy(str))
        order = order[obs["is_control"].to_numpy(bool)[order]]
        values = expression(adata)[order][:, genes]
        values = np.asarray(values.todense() if hasattr(values, "todense") else values, dtype=np.float32)
        return cls({c: values[contexts[order] == c] for c in np.unique(contexts[order])})

    def mean(self, context: str) -> np.ndarray:
        """Mean profile `(genes,)` of all control cells of a context."""
        return self.cells[context].mean(axis=0, dtype=np.float64).astype(np.float32)

    def bootstrap(self, context: str, rng: np.random.Generator) -> np.ndarray:
        """Mean profile `(genes,)` of as many cells drawn with replacement."""
        cells = self.cells[context]
        times = rng.multinomial(len(cells), np.full(len(cells), 1 / len(cells)))
        return (times @ cells.astype(np.float64) / len(cells)).astype(np.float32)

    def of_contexts(self, *examples: "Examples") -> "Controls":
        """Those of the contexts that the examples lie in, so that no other control can have a say."""
        named = {str(context) for one in examples for context in one.conditions["context"]}
        return Controls({context: cells for context, cells in self.cells.items() if context in named})


@dataclass(frozen=True)
class Examples:
    """Conditions with their mean profiles, one row each."""

    conditions: pd.DataFrame
    """Columns context, perturbation, dose_um; the perturbation of a control row is `control`."""
    target: np.ndarray
    """Mean of `lognorm`, `(conditions, genes)` float32."""

    def __len__(self) -> int:
        return len(self.conditions)


def examples(train: Training, genes: np.ndarray, least: int, controls: bool) -> tuple[Examples, Examples]:
    """Training and validation examples of all conditions with at least `least` cells in a context that has controls.

    Args:
        train: what a model may learn from.
        genes: positions of the panel.
        least: fewest cells of a condition; the released screens have 3, a bulk screen 1.
        controls: whether each context's controls are an example too, of the vehicle.

    Raises:
        NotApplicable: no condition is left to train on.
    """
    valid = train.cells.obs_names.isin(train.valid)
    parts = []
    for number, chosen in enumerate((~valid, valid)):
        of = train.profiles if chosen.all() else pseudobulk(train.cells[chosen]) if chosen.any() else None
        parts.append(_examples(of, train, genes, least, controls and number == 0))
    if not (parts[0].conditions["perturbation"] != CONTROL).any():
        raise NotApplicable(f"no training condition has {least} cells in a context with controls")
    return parts[0], parts[1]


def _examples(
    of: Profiles | None, train: Training, genes: np.ndarray, least: int, controls: bool
) -> Examples:
    columns = ["context", "perturbation", "dose_um"]
    if of is None:
        return Examples(pd.DataFrame(columns=columns), np.zeros((0, len(genes)), np.float32))
    obs = of.obs
    keep = (
        (~obs["is_control"] | controls)
        & (obs["n_cells"] >= least)
        & obs["context"].isin(train.controls.index)
    )
    return Examples(
        obs.loc[keep, columns].reset_index(drop=True), of.mean[keep.to_numpy()][:, genes].astype(np.float32)
    )


def panel(train: Training, vocabulary: Vocabulary, most: int = MOST_GENES) -> np.ndarray:
    """Positions `(genes,)` of the genes that the model reads and predicts, ascending.

    Those of the vocabulary, and of these the `most` that vary most over the profiles of contexts with treated conditions;
    ties by position. A context of which training has controls alone has no say, so that zero-shot modes A and B choose the
    same panel (our choice).

    Raises:
        InputError: fewer than half of the genes are known, see `Vocabulary.ids_of_data`.
    """
    known = np.flatnonzero(vocabulary.ids_of_data(train.cells.var_names) >= 0)
    obs = train.profiles.obs
    treated = obs["context"].isin(obs.loc[~obs["is_control"], "context"]).to_numpy()
    spread = train.profiles.mean[treated][:, known].var(axis=0)
    return np.sort(known[np.argsort(-spread, kind="stable")[:most]])
