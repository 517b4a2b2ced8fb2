"""Everything that is asked of features once it is known in which cells they are active; attributed some together, to share passes.

Source: `concepts.md` sections 5 and 6.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from perturbook.concepts.attribution import attribute
from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.differential_genes import RankedGenes
from perturbook.concepts.gene_sets import Library
from perturbook.explorer.atlas import TABLES
from perturbook.explorer.feature_genes import TOP, GenesOf, example_table, other_examples
from perturbook.explorer.feature_terms import terms
from perturbook.explorer.recipe import Recipe
from perturbook.explorer.rounding import digits
from perturbook.explorer.subject import Subject

LEAST, CHUNK = 10, 16
"""Training cells in which a feature must be active, and silent, to be attributed; features attributed together."""


@dataclass(frozen=True)
class Asked:
    """Everything that is asked of a feature once it is known in which cells it is active."""

    subject: Subject
    recipe: Recipe
    libraries: Sequence[Library]
    codes: np.ndarray
    column: dict[str, int]

    def all(self, chosen: Mapping) -> Iterator[tuple[str, dict, dict[str, pd.DataFrame]]]:
        """Uid, row of `features` and further tables of every feature."""
        own = self.subject.part == "train"
        ranked = RankedGenes.of(self.subject.expression[own])
        for arm, (concepts, numbers) in chosen.items():
            for start in range(0, len(numbers), CHUNK):
                chunk = numbers[start : start + CHUNK]
                active = np.stack([self.codes[own, self.column[f"{arm}-{one}"]] > 0 for one in chunk])
                de = ranked.scores(active)
                yield from self._chunk(arm, concepts, chunk, active, de)

    def _chunk(self, arm, concepts, chunk, active, de):
        n = active.shape[1]
        fit = [int(one) for one, of in zip(chunk, active, strict=True) if LEAST <= of.sum() <= n - LEAST]
        found = self._attributed(concepts, fit, self.recipe.prototypes) if self.subject.encoder else {}
        nulls = [
            self._attributed(concepts, fit, self.recipe.controls, against)
            for against in (("active", "random") if found else ())
        ]
        for number, of, z in zip(chunk, active, de, strict=True):
            uid, number = f"{arm}-{number}", int(number)
            by_gene = pd.Series(z, self.subject.adata.var_names)
            codes = self.codes[:, self.column[uid]]
            if number in found:
                one = GenesOf(self.subject, found[number], by_gene, [null[number] for null in nulls])
                yield uid, *self._told(one, concepts, codes)
            else:
                why = self._why(int(of.sum()), n)
                yield uid, _blank(why), self._untold(by_gene, codes, of)

    def _why(self, active: int, n: int) -> str:
        if not self.subject.encoder:
            return "the embedding came without its encoder, so no gene can be asked"
        few, what = (active, "active") if active < LEAST else (n - active, "silent")
        return f"{what} in {few} of {n} training cells; attribution needs {LEAST}"

    def _attributed(self, concepts, fit, n: int, against: str = "inactive"):
        settings = AttributionSettings(n=n, match_on=tuple(self.subject.labels[:1]), against=against)
        screen = self.recipe.screen
        if screen is not None and against != "inactive":
            screen = replace(screen, lead=0)
        return attribute(self.subject.encoder, concepts, self.subject.training, fit, settings, screen)[0]

    def _told(self, one: GenesOf, concepts, codes):
        scores = one.tested
        examples, row = one.examples(codes), _blank("attributed")
        made = {"examples": examples, "swaps": one.swaps(), "curves": one.curves(concepts)}
        if not len(scores):
            return _blank("no gene differs in enough pairs of cells of one kind"), made
        row |= {
            "ranked_by": one.found.rank_by,
            "tested": len(scores),
            "overtaken": float(digits(one.found.overtaken)),
            "completeness": float(digits(one.completeness())),
            "null_cutoff": float(digits(one.null_cutoff)),
        }
        prototypes = [match.cell for match in one.found.matched]
        seen = np.asarray((self.subject.training.counts[prototypes] > 0).mean(axis=0)).ravel()
        seen = pd.Series(seen, one.found.genes).loc[scores.index]
        found, count, share = terms(scores["score"], one.de.loc[scores.index], seen, self.libraries)
        row |= {"terms": count, "null_share": share}
        return row, made | {"genes": one.genes(), "cutoffs": one.cutoffs(), "terms": found}

    def _untold(self, de: pd.Series, codes: np.ndarray, active: np.ndarray) -> dict[str, pd.DataFrame]:
        order = np.argsort(-codes, kind="stable")
        top = [
            ("top", int(at), codes[at], -1, np.nan, 0)
            for at in order[: self.recipe.prototypes]
            if codes[at] > 0
        ]
        rest = other_examples(codes, {row[1] for row in top}, self.subject.seed)
        made = {"examples": example_table(top + rest)}
        if active.any() and not active.all():
            first = (
                de.rename_axis("gene")
                .reset_index(name="de")
                .sort_values(["de", "gene"], ascending=[False, True])
            )
            first = first.head(TOP).assign(de=lambda of: digits(of["de"]), tested=0)
            made["genes"] = first.reindex(columns=[one for one in TABLES["genes"] if one != "uid"])
        return made


def _blank(status: str) -> dict:
    return {
        "status": status,
        "ranked_by": "",
        "tested": 0,
        "overtaken": np.nan,
        "completeness": np.nan,
        "null_cutoff": np.nan,
        "terms": 0,
        "null_share": np.nan,
    }
