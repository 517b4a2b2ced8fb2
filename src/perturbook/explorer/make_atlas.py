"""Make an atlas: train the autoencoder, take some neurons beside it, and ask everything of every feature.

Source: `concepts.md` sections 3, 5 to 8. Sizes are our choice; what they leave out is told in `about["notes"]`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from perturbook.concepts.atom_matching import chance_cosine
from perturbook.concepts.attribution import attribute
from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.dictionaries import fit_dictionary
from perturbook.concepts.dictionary import Dictionary
from perturbook.concepts.differential_genes import RankedGenes
from perturbook.concepts.gene_sets import Library
from perturbook.concepts.gradient_screen import Screen
from perturbook.concepts.sae_settings import SAESettings
from perturbook.concepts.topk_sae import TopKSAE
from perturbook.concepts.train_sae import train_many
from perturbook.explorer.atlas import ARMS, TABLES, Atlas, artefact_hash
from perturbook.explorer.feature_genes import GenesOf, example_table, other_examples
from perturbook.explorer.feature_table import activity, best_labels, entries, groups, near, stability
from perturbook.explorer.feature_terms import terms
from perturbook.explorer.rounding import digits
from perturbook.explorer.subject import Subject

SEEDS, NEURONS, LEAST, CHUNK = 5, 24, 10, 16
"""Trainings behind the stability; neurons beside the concepts; training cells in which a feature must be active, and silent, to
be attributed; features attributed together."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Sizes of one atlas."""

    width: int
    k: int
    passes: int
    batch: int = 128
    prototypes: int = 20
    controls: int = 10
    """Prototypes of each negative control."""
    screen: Screen | None = None
    """Which swaps are verified; every one is where None."""

    def as_dict(self) -> dict:
        """Plain values by name."""
        return asdict(self) | {"screen": self.screen and asdict(self.screen)}

    def notes(self, subject: Subject) -> list[str]:
        """What a reader must know of every number."""
        said = [
            f"Autoencoder: {self.width} concepts, {self.k} active per cell, trained on {(subject.part == 'train').sum():,} of the "
            f"{len(subject.z):,} cells. Cells are held out within {' and '.join(subject.labels) or 'all cells'}; donors are not known, "
            "so donor effects are not controlled.",
            f"Genes: up to {self.prototypes} prototypes among the training cells, each against its nearest cell of the same "
            f"{subject.labels[0] if subject.labels else 'data'} in which the feature is silent. A swap that takes activity away is a "
            "property of the encoder; it is no proof of regulation in cells.",
        ]
        if self.screen and subject.encoder:
            said.append(
                f"The {self.screen.lead} leading genes of a feature are verified by exact swaps and have a standard error; the others have "
                "the value that a derivative predicts, and no error."
            )
        return said


RECIPES = {
    "small": Recipe(
        width=256, k=16, passes=200, prototypes=12, controls=6, screen=Screen(q=1, others=0, lead=15)
    ),
    "scvi": Recipe(width=160, k=3, passes=100),
}
"""By backbone. Source: `concepts.md` section 3.2 for scVI; the width for scGPT as in the positive control."""


def make_atlas(
    name: str,
    about: Mapping,
    subject: Subject,
    recipe: Recipe,
    libraries: Sequence[Library],
) -> Atlas:
    """Make the tables.

    Args:
        name: of the folder.
        about: `title`, `backbone`, `data`, `notes`, `simulated` and whatever the reader must know beside what is found here.
        subject: the cells.
        recipe: sizes.
        libraries: gene sets.

    Raises:
        ConfigError, InputError: see `train_many` and `attribute`.
    """
    train = np.flatnonzero(subject.part == "train")
    saes = [
        TopKSAE(subject.z.shape[1], recipe.width, recipe.k, seed=subject.seed + one) for one in range(SEEDS)
    ]
    settings = SAESettings(batch=min(recipe.batch, len(train)), passes=recipe.passes)
    train_many(saes, subject.z, settings, cells=train)
    chosen = {
        "sae": (saes[0], np.arange(recipe.width)),
        "neuron": _neurons(subject, train, recipe.k),
    }
    uids = [f"{arm}-{number}" for arm in ARMS for number in chosen[arm][1]]
    codes = np.hstack([_codes(of, subject.z)[:, numbers] for of, numbers in chosen.values()])
    atoms = np.vstack([of.atoms.detach().numpy()[numbers] for of, numbers in chosen.values()])
    stable = stability(atoms[: recipe.width], [one.atoms.detach().numpy() for one in saes[1:]])
    features = activity(uids, codes).join(best_labels(uids, codes, subject))
    features["stability"] = np.r_[stable, np.full(len(uids) - recipe.width, np.nan)]
    features["arm"], features["number"] = zip(*(_split(one) for one in uids), strict=True)
    asked = _Asked(subject, recipe, libraries, codes, dict(zip(uids, range(len(uids)), strict=True)))
    parts = {table: [] for table in ("genes", "cutoffs", "terms", "curves", "examples", "swaps")}
    rows = {}
    steps = tqdm(asked.all(chosen), name, len(uids), disable=None, unit=" features")
    for uid, row, found in steps:
        rows[uid] = row
        for table, part in found.items():
            parts[table].append(part.assign(uid=uid))
    features = features.join(pd.DataFrame(rows).T).reset_index()
    cells = {
        "cell": subject.adata.obs_names.to_numpy(str),
        "x": subject.place[:, 0],
        "y": subject.place[:, 1],
    }
    cells |= {"part": subject.part} | {one: subject.adata.obs[one].to_numpy(str) for one in subject.labels}
    order = {uid: at for at, uid in enumerate(uids)}
    tables = {table: _together(of, table, order) for table, of in parts.items()}
    tables |= {
        "cells": pd.DataFrame(cells),
        "features": _typed(features, "features"),
        "codes": _typed(entries(uids, codes), "codes"),
        "groups": _typed(groups(uids, codes, subject), "groups"),
        "near": _typed(near(uids, atoms), "near"),
    }
    weights = hashlib.sha256(b"".join(one.tobytes() for one in (atoms, codes))).hexdigest()
    return Atlas(
        name,
        {
            **about,
            "artefact_hash": artefact_hash(weights, list(cells["cell"]), uids),
            "cells": len(subject.z),
            "genes": subject.adata.n_vars,
            "k": recipe.k,
            "labels": list(subject.labels),
            "chance": float(digits(chance_cosine(subject.z.shape[1], recipe.width))),
        },
        tables,
    )


@dataclass(frozen=True)
class _Asked:
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
            first = first.head(25).assign(de=lambda of: digits(of["de"]), tested=0)
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


def _neurons(subject: Subject, train: np.ndarray, k: int) -> tuple[Dictionary, np.ndarray]:
    """Neurons, as many active per cell, and which are shown: all that can be attributed, or a drawn part of them."""
    of = fit_dictionary("neurons", subject.z, cells=train, k=k, seed=0)
    active = (_codes(of, subject.z)[train] > 0).sum(axis=0)
    fit = np.flatnonzero((active >= LEAST) & (active <= len(train) - LEAST))
    drawn = np.random.default_rng(subject.seed).permutation(fit)[:NEURONS]
    return of, np.sort(drawn)


def _codes(of: Dictionary, z: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return of.encode(torch.from_numpy(z)).numpy()


def _split(uid: str) -> tuple[str, int]:
    arm, number = uid.split("-")
    return arm, int(number)


def _together(parts: list[pd.DataFrame], table: str, order: dict[str, int]) -> pd.DataFrame:
    columns = list(TABLES[table])
    made = pd.concat([one[columns] for one in parts if len(one)]) if parts else pd.DataFrame(columns=columns)
    return _typed(
        made.sort_values("uid", key=lambda of: of.map(order), kind="stable", ignore_index=True), table
    )


def _typed(made: pd.DataFrame, table: str) -> pd.DataFrame:
    return made[list(TABLES[table])].astype({of: kind for of, kind in TABLES[table].items() if kind != "str"})
