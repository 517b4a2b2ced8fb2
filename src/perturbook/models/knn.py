"""`knn`: what the five most similar training drugs did in the same context at the same dose."""

from itertools import islice

import numpy as np

from perturbook.errors import NotApplicable
from perturbook.models.chemistry import fingerprints
from perturbook.models.mean_effects import at_dose
from perturbook.models.protocol import Prediction, Query, Training, model


@model("knn", title="Nearest drugs (Tanimoto)", role="floor")
class NearestDrugs:
    """yhat = mu0 + mean effect of the `k` drugs nearest by Tanimoto similarity among those trained in the same context.

    Of the same dose where training has it there; ties by drug name.

    Source: metrics.md section 7, `knn`.
    """

    k = 5

    def fit(self, train: Training) -> "NearestDrugs":
        """Keep training effects and the fingerprints of their drugs."""
        self.effects, self.table = train.effects, train.perturbations
        self.drugs = sorted(self.effects.index.get_level_values("perturbation").unique())
        self.bits = fingerprints(self.table, self.drugs)
        return self

    def predict(self, query: Query) -> Prediction:
        """Average the neighbours' effects; raises NotApplicable for a drug of training or a context without effects."""
        from perturbook.data.molecules import tanimoto

        asked = sorted({drug for (drug,) in query.group("perturbation")})
        if seen := sorted(set(asked) & set(self.drugs)):
            raise NotApplicable(f"the drug itself is in training ({seen[0]})")
        similarity = tanimoto(fingerprints(self.table, asked), self.bits)
        nearest_first = dict(
            zip(asked, np.array(self.drugs)[np.argsort(-similarity, axis=1, kind="stable")], strict=True)
        )
        contexts, rows, known = self.effects.index.get_level_values("context"), [], {}
        for context, drug, dose in query.group("context", "perturbation", "dose_um"):
            if (context, dose) not in known:
                here = at_dose(self.effects[contexts == context], dose)
                known[context, dose] = here, here.index.get_level_values("perturbation").to_numpy(str)
            here, trained = known[context, dose]
            if here.empty:
                raise NotApplicable(f"training holds no treated cell of {context}")
            there = set(trained)
            near = list(islice((other for other in nearest_first[drug] if other in there), self.k))
            rows.append(here.to_numpy()[np.isin(trained, near)].mean(axis=0))
        return Prediction(query.mu0 + np.stack(rows))
