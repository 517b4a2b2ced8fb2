"""What is read of one concept: its pairs, its genes, and every diagnostic that must stand beside an attribution.

Source: `concepts.md` section 5. The backbone is scVI, small enough that every swap of every concept, and of every negative
control, is computed exactly; it is the one of the positive control, with the same training cells.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbook.concepts.attribution import ConceptAttribution, attribute
from perturbook.concepts.attribution_diagnostics import (
    NULL_PERCENTILE,
    above_cutoffs,
    completeness,
    identity_noise,
    joint_swap,
    off_manifold,
    quartiles,
    rank_agreement,
)
from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.confound_audit import distance_ratio, gene_classes, labels_agree
from perturbook.concepts.deletion_curve import area, deletion_curve, halves, orders
from perturbook.concepts.dictionary import Dictionary
from perturbook.concepts.negative_controls import negative_controls
from perturbook.concepts.topk_sae import TopKSAE
from perturbook.data.schema import expression
from perturbook.pages.concepts_control import STIMULATION, TYPE, aurocs
from perturbook.pages.concepts_control_arms import Control, ranked_differential

SETTINGS = AttributionSettings(match_on=(TYPE,))
"""Thirty prototypes, the nearest counterfactual of the same cell type."""
CONCEPTS = 10
GRID = np.round(np.geomspace(0.001, 0.5, 28), 4)
"""Cutoffs at which genes are counted."""
TOP = 30
Row = tuple[str, object, object, float]


@dataclass(frozen=True)
class Study:
    """Cells, concepts, and which of them are told."""

    control: Control
    sae: TopKSAE
    chosen: dict[int, str]
    """Concept -> what it separates best among validation cells."""

    @classmethod
    def of(cls, control: Control, sae: TopKSAE, first: int, n: int = CONCEPTS) -> "Study":
        """The concept `first`, the best one for every cell type, and then those active in most training cells.

        A concept that is active in fewer than ten training cells, or inactive in fewer than ten, is not told.
        """
        active = (control.codes(sae)[control.part == "train"] > 0).sum(axis=0)
        n_cells = int((control.part == "train").sum())
        allowed = np.flatnonzero((active >= 10) & (active <= n_cells - 10))
        types = control.adata.obs[TYPE].astype(str).to_numpy()
        own = control.part == "validation"
        codes = control.codes(sae)[own]
        labels = {one: types[own] == one for one in sorted(set(types[own]))}
        found = {STIMULATION: aurocs(codes, control.stimulated[own])}
        found |= {name: aurocs(codes, positive) for name, positive in labels.items()}
        best = {int(first): STIMULATION}
        for name, values in found.items():
            best.setdefault(int(allowed[values[allowed].argmax()]), name)
        for one in allowed[np.argsort(-active[allowed], kind="stable")]:
            best.setdefault(int(one), max(found, key=lambda name, one=one: found[name][one]))
        return cls(control, sae, dict(list(best.items())[:n]))

    def attributed(self, **changed: object) -> dict[int, ConceptAttribution]:
        """Attributions of all told concepts, with some settings changed."""
        settings = AttributionSettings(**(SETTINGS.as_dict() | {"match_on": SETTINGS.match_on} | changed))
        control = self.control
        return attribute(control.encoder, self.sae, control.training, list(self.chosen), settings)[0]

    def rows(self) -> Iterator[tuple[int, str, object, object, float]]:
        """Everything that is deposited, concept by concept."""
        own, free = self.attributed(), self.attributed(match_on=())
        removed, middle = self.attributed(by="removal"), self.attributed(stratum="middle")
        untrained = _untrained(self.sae)
        cells = self.control.training
        nulls = negative_controls(
            self.control.encoder, self.sae, cells, list(self.chosen), SETTINGS, untrained
        )
        for concept, label in self.chosen.items():
            one = own[concept]
            yield concept, "label", label, "", 1.0
            others = {"match": free[concept], "middle": middle[concept], "removal": removed[concept]}
            for rows in (
                _pairs(one),
                _genes(one),
                _cutoffs(one, {name: of[concept] for name, of in nulls.items() if concept in of}),
                self._diagnostics(one, others),
                self._deletion(one, removed[concept]),
            ):
                yield from ((concept, *row) for row in rows)

    def _diagnostics(self, one: ConceptAttribution, others: dict) -> Iterator[Row]:
        encoder, cells = self.control.encoder, self.control.training
        yield "joint swap", "furthest from 1", "", float(np.abs(joint_swap(encoder, self.sae, one) - 1).max())
        yield "noise", "largest", "", float(identity_noise(encoder, self.sae, one).max())
        for kind, values in completeness(one).items():
            for of, value in quartiles(values).items():
                yield "completeness", kind, of, float(value)
        yield "overtaken", "", "", one.overtaken
        yield "ranked by", one.rank_by, "", 1.0
        yield "refused", "", "", one.refused
        for name, other in others.items():
            yield "rank agreement", name, "", rank_agreement(one, other)
        for label, row in labels_agree(one, cells, [TYPE, STIMULATION]).iterrows():
            yield "equal label", label, "pairs", row["pairs"]
            yield "equal label", label, "any", row["any two cells"]
        yield "distance ratio", "median", "", float(np.median(distance_ratio(one, cells)))
        for name, row in gene_classes(one).iterrows():
            yield "gene class", name, "top", row.iloc[0]
            yield "gene class", name, "tested", row.iloc[1]
        for of, value in quartiles(pd.Series(off_manifold(encoder, cells, one))).items():
            yield "off-manifold", "single swap", of, float(value)

    def _deletion(self, one: ConceptAttribution, removed: ConceptAttribution) -> Iterator[Row]:
        encoder, cells = self.control.encoder, self.control.training
        decides, judged = halves(one)
        apart = np.ones(len(cells.embeddings), dtype=bool)
        apart[[match.cell for match in one.matched]] = False
        active = cells.codes(self.sae, [one.concept])[:, 0] > 0
        x = self._expression[apart]
        de = ranked_differential(x, active[apart], one.genes).reindex(one.genes).to_numpy()
        half = {match.cell for match in decides.matched}
        by_removal = removed.swaps[removed.swaps["prototype"].isin(half)]
        gone = np.bincount(by_removal["gene"], by_removal["relative"], len(one.genes)) / len(half)
        scores = orders(encoder, self.sae, cells, decides, {"DE": de, "removal": gone})
        curve = deletion_curve(encoder, self.sae, judged, scores)
        random = curve.index.str.startswith("random ")
        told = pd.concat([curve[~random], curve[random].mean().to_frame("random, mean").T])
        told = pd.concat([told, curve[random].min().to_frame("random, lowest").T])
        for arm, row in told.iterrows():
            yield from (("deletion", arm, size, float(value)) for size, value in row.items())
        for arm, value in area(curve[~random]).items():
            yield "area", arm, "", float(value)
        yield "area", "random, mean", "", float(area(curve[random]).mean())
        yield "area", "random, lowest", "", float(area(curve[random]).min())

    @property
    def _expression(self) -> np.ndarray:
        own = self.control.part == "train"
        return np.asarray(expression(self.control.adata[own]).toarray(), np.float32)


def _untrained(sae: TopKSAE) -> Dictionary:
    made = TopKSAE(sae.d_model, sae.n_latents, sae.k, seed=1)
    made.mu.copy_(sae.mu)
    made.s.copy_(sae.s)
    return made.eval().requires_grad_(False)


def _pairs(one: ConceptAttribution) -> Iterator[Row]:
    for _, row in one.pairs.iterrows():
        yield "pair", int(row["prototype"]), row["counterfactual"], row["distance"]
        yield "code", int(row["prototype"]), "", row["code"]
        yield "differing", int(row["prototype"]), "", row["differing"]


def _genes(one: ConceptAttribution) -> Iterator[Row]:
    scores, tested = one.scores, (one.scores["status"] == "exact").sum()
    yield "tested", "", "", float(tested)
    kept = scores.loc[one.ranking.index[:TOP]]
    columns = ["relative", "pre", "error", "tested", "value change", "removal", "addition", "same_sign"]
    for gene, row in kept[[name for name in columns if name in kept]].iterrows():
        yield from (("gene", gene, name, float(value)) for name, value in row.items())


def _cutoffs(one: ConceptAttribution, nulls: dict[str, ConceptAttribution]) -> Iterator[Row]:
    scores = _exact(one)
    for cutoff, count in above_cutoffs(scores, [*GRID, 0.01, 0.02, 0.05, 0.1]).items():
        yield "above", "concept", cutoff, float(count)
    pooled = pd.concat([_exact(null) for null in nulls.values()]) if nulls else pd.Series(dtype=float)
    for cutoff, count in above_cutoffs(pooled, GRID).items():
        yield "above", "controls", cutoff, float(count)
    yield "tested", "controls", "", float(len(pooled))
    for name, null in nulls.items():
        exact = _exact(null).abs()
        yield "null", name, "", float(np.percentile(exact, NULL_PERCENTILE)) if len(exact) else np.nan
    limit = float(np.percentile(pooled.abs(), NULL_PERCENTILE)) if len(pooled) else np.nan
    yield "null", "all", "", limit
    yield "above", "null", limit, float((scores > limit).sum())


def _exact(one: ConceptAttribution) -> pd.Series:
    return one.scores.loc[one.scores["status"] == "exact", "relative"].astype(float)
