"""What the floors for gene pairs share: the effect of each gene perturbed alone, in the same context."""

import numpy as np

from perturbook.data.gene_labels import genes_of
from perturbook.errors import NotApplicable
from perturbook.models.protocol import Prediction, Query, Training

Genes = tuple[str, ...]
Parts = list[np.ndarray | None]


class OfSingles:
    """yhat = mu0 + a shift that `_shift` makes of the effects of the single genes; NaN where it makes none.

    The conditions of a question need not all be doubles: a single is a sum, or a mean, of one.
    """

    missing = "training holds no single of a gene asked about"
    for_pairs = True
    """False where it has a meaning without any double perturbation."""

    def fit(self, train: Training) -> "OfSingles":
        """Keep the training effects, and those of singles by context and gene, `(genes,)` each."""
        self.effects = train.effects
        self.genes = [
            tuple(sorted(genes_of(name))) for name in self.effects.index.get_level_values("perturbation")
        ]
        contexts = self.effects.index.get_level_values("context")
        rows: dict[str, dict[str, list[int]]] = {context: {} for context in contexts}
        for i, (context, genes) in enumerate(zip(contexts, self.genes, strict=True)):
            if len(genes) == 1:
                rows[context].setdefault(genes[0], []).append(i)
        values = self.effects.to_numpy()
        self.singles = {
            context: {gene: values[at].mean(axis=0) for gene, at in found.items()}
            for context, found in rows.items()
        }
        return self

    def predict(self, query: Query) -> Prediction:
        """Add each shift to the control mean; raises NotApplicable where no pair is known or none is defined."""
        asked = [
            (context, tuple(sorted(genes_of(name))), dose)
            for context, name, dose in query.group("context", "perturbation", "dose_um")
        ]
        pairs = any(len(genes) > 1 for genes in (*self.genes, *(genes for _, genes, _ in asked)))
        if self.for_pairs and not pairs:
            raise NotApplicable("no double perturbation is known or asked about")
        shifts = np.full(query.mu0.shape, np.nan)
        for row, condition in enumerate(asked):
            if (shift := self._shift(*condition)) is not None:
                shifts[row] = shift
        if np.isnan(shifts).all():
            raise NotApplicable(self.missing)
        return Prediction(query.mu0 + shifts)

    def _shift(self, context: str, genes: Genes, dose: float) -> np.ndarray | None:
        raise NotImplementedError

    def _parts(self, context: str, genes: Genes) -> Parts:
        """Effect of each gene alone in the context, None where training lacks that single."""
        known = self.singles.get(context, {})
        return [known.get(gene) for gene in genes]

    def _mean_single(self, context: str) -> np.ndarray | None:
        """Mean effect of the training singles of the context, `(genes,)`; None where it has none."""
        known = self.singles.get(context)
        return np.mean(list(known.values()), axis=0) if known else None
