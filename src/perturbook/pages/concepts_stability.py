"""Are the concepts the same in another training, in other cells, in another data set? `results/concepts-stability.csv.gz`.

Five seeds on the same cells; three times two halves of the cells that share none; and dictionaries of pbmc3k held against those
of kang2018-mini, which the same encoder embedded. `perturbook train concepts-stability` makes it. Source: `concepts.md` section
7; the halves, without which an arm that draws nothing is stable by construction, are our choice.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from perturbook.concepts.concept_labels import Labelled, label_f1
from perturbook.concepts.dictionary import Dictionary
from perturbook.concepts.embedding_rows import EmbeddingRows, moments
from perturbook.concepts.fidelity import quality
from perturbook.concepts.sae_settings import SAESettings
from perturbook.concepts.stability import Agreement, activation_agreement, atom_agreement
from perturbook.concepts.topk_sae import TopKSAE
from perturbook.pages import arm_by_arm, trained_table
from perturbook.pages.concepts_arms import SAE, SETTINGS, WIDTH, K, arm, autoencoders
from perturbook.pages.concepts_cells import DATA, SAME_TYPES, Embedded, stored
from perturbook.pages.table import ROOT

PAGE = "concepts-stability"
DEPOSIT = ROOT / "results" / "concepts-stability.csv.gz"
COLUMNS = ["arm", "kind", "atoms", "quantity", "of", "value"]
SEEDS, HALVES = 5, 3
FROM, TO = "pbmc3k", "kang2018-mini"
KINDS = {
    "seeds": "Other seed, same cells",
    "halves": "Other seed, other half of the cells",
    "activations": "Other seed, by activation",
    "data sets": "Other data set",
    "data sets, activations": "Other data set, by activation",
}
"""What is compared -> words."""


def make(names: Sequence[str] = (), to: Path = DEPOSIT, settings: SAESettings = SETTINGS) -> Iterator[str]:
    """Train every dictionary on both data sets with five seeds and on halves, compare, store after each, and say so.

    Args:
        names: "sae" or some of `ARMS`; all when empty. Rows of the others are kept where the file has them.
        to: the deposit.
        settings: of the autoencoder.

    Raises:
        ConfigError: an unknown arm. InputError: the embeddings are missing.
    """
    cells = {name: stored(name) for name in DATA}
    about = {"settings": settings.as_dict(), "width": WIDTH, "k": K, "seeds": SEEDS, "halves": HALVES}
    kept = arm_by_arm.begin(to, COLUMNS, "", [])
    for name in arm_by_arm.chosen(names):
        fitted, rows = {}, []
        for number, (data, one) in enumerate(cells.items()):
            whole = [(one.of("train"), number * SEEDS + seed) for seed in range(SEEDS)]
            halves = [part for seed in range(HALVES) for part in _halves(one, seed)]
            fitted[data] = _fitted(name, one, whole, settings)
            rows += _within(name, one, fitted[data], _fitted(name, one, halves, settings))
        rows += _across(name, cells, fitted)
        kept = arm_by_arm.put(kept, pd.DataFrame(rows, columns=COLUMNS), name)
        trained_table.write(kept, to, PAGE, DATA, about)
        yield f"{name}: {SEEDS} seeds and {HALVES} pairs of halves of each data set"


def read(arms: Sequence[str] = (), path: Path = DEPOSIT) -> pd.DataFrame:
    """The deposit, of the autoencoder and of some of `ARMS`, or of all; errors as `trained_table.read`.

    Columns arm, kind (`KINDS`, with the data set behind a colon; "dictionary"; "transfer"), atoms ("all", or "usual": of concepts
    active in ten test cells or more), quantity, of (a pair, seed or cell type), value.
    """
    rows = trained_table.read(path, COLUMNS, PAGE, DATA).fillna({"of": "", "atoms": ""})
    return rows[rows["arm"].isin([SAE, *arm_by_arm.chosen(arms)])] if arms else rows


def _halves(cells: Embedded, seed: int) -> list[tuple[np.ndarray, int]]:
    """Two halves of the training cells, each with a seed of its own: from one draw, atoms that hardly move would agree."""
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(cells.of("train")))
    return [(np.sort(half), 100 + 2 * seed + i) for i, half in enumerate(np.array_split(rows, 2))]


def _fitted(name: str, cells: Embedded, parts: list[tuple], settings) -> list[Dictionary]:
    """One dictionary per (cells to train on, seed), keeping K concepts per cell."""
    if name != SAE:
        return [arm(name, cells.points, part, seed).keeping(K) for part, seed in parts]
    return [
        autoencoders(cells.points, part, None, [(WIDTH, K, seed)], settings)[0].sae for part, seed in parts
    ]


def _within(name: str, cells: Embedded, seeds: list[Dictionary], halves: list[Dictionary]) -> list[tuple]:
    test, rows = cells.of("test"), []
    found = [quality(one, cells.points, test) for one in seeds]
    for seed, one in enumerate(found):
        for quantity in ("ev", "dead_eval", "rare_eval"):
            rows.append((name, f"dictionary: {cells.name}", "all", quantity, seed, getattr(one, quantity)))
    if name == SAE:  # how far from where they were drawn
        for seed, (one, measured) in enumerate(zip(seeds, found, strict=True)):
            drawn = TopKSAE(one.d_model, one.n_latents, one.k, seed=one.seed).atoms
            near = (one.atoms * drawn).sum(dim=1).detach().numpy()
            for atoms, value in (("all", near.mean()), ("usual", near[measured.usual].mean())):
                rows.append((name, f"dictionary: {cells.name}", atoms, "start", seed, value))
    of_halves = [quality(one, cells.points, test).usual for one in halves]
    usual = [one.usual for one in found]
    for atoms, keep, keep_halves in (("all", None, None), ("usual", usual, of_halves)):
        rows += _rows(name, f"seeds: {cells.name}", atoms, atom_agreement(_atoms(seeds, keep)))
        pairs = _atoms(halves, keep_halves)
        each = [atom_agreement(pairs[i : i + 2]) for i in range(0, len(pairs), 2)]
        rows += _rows(name, f"halves: {cells.name}", atoms, _joined(each))
    codes = [_codes(one, cells.points[test]) for one in seeds]
    return rows + _rows(name, f"activations: {cells.name}", "all", activation_agreement(codes))


def _across(name: str, cells: dict[str, Embedded], fitted: dict[str, list[Dictionary]]) -> list[tuple]:
    here, there = cells[FROM], cells[TO]
    usual = {
        data: [quality(one, cells[data].points, cells[data].of("test")).usual for one in made]
        for data, made in fitted.items()
    }
    rows = []
    for atoms in ("all", "usual"):
        sides = [_atoms(fitted[data], usual[data] if atoms == "usual" else None) for data in (FROM, TO)]
        rows += _rows(name, "data sets", atoms, atom_agreement(*sides))
    test, valid = there.of("test"), here.of("valid")
    sides = [[_codes(one, there.points[test]) for one in fitted[data]] for data in (FROM, TO)]
    rows += _rows(name, "data sets, activations", "all", activation_agreement(*sides))
    types = np.array([SAME_TYPES.get(one, one) for one in here.labels["cell type"]])
    shared = np.isin(types, there.labels["cell type"])  # without platelets
    for seed, (carried, own) in enumerate(zip(fitted[FROM], fitted[TO], strict=True)):
        for said, one in (("carried", carried), ("rescaled", rescaled(carried, there)), ("own", own)):
            rows.append((name, "transfer", "all", f"ev, {said}", seed, quality(one, there.points, test).ev))
        names = there.labels["cell type"]
        chosen = {
            "carried": _told(carried, here.points[valid & shared], types[valid & shared], there, test, names),
            "own": _told(own, there.points[there.of("valid")], names[there.of("valid")], there, test, names),
        }
        for said, best in chosen.items():
            for row in best.itertuples():
                rows.append((name, "transfer", "all", f"f1, {said}", f"{seed}, {row.label}", row.f1_test))
                rows.append((name, "transfer", "all", f"base, {said}", f"{seed}, {row.label}", row.base))
    return rows


def rescaled(made: Dictionary, cells: Embedded) -> Dictionary:
    """The same atoms, with mean and scale of the training cells of another data set."""
    other = deepcopy(made)
    mu, s = moments(EmbeddingRows(cells.points, cells.of("train"))).scaling(True)
    other.mu.copy_(torch.from_numpy(mu))
    other.s.fill_(s)
    return other


def _told(made: Dictionary, points, labels, there: Embedded, test, names) -> pd.DataFrame:
    return label_f1(Labelled(_codes(made, points), labels, _codes(made, there.points[test]), names[test]))


def _codes(made: Dictionary, points: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return made.encode(points).numpy()


def _atoms(made: list[Dictionary], keep: list[np.ndarray] | None) -> list[np.ndarray]:
    atoms = [one.atoms.detach().numpy() for one in made]
    atoms = atoms if keep is None else [one[which] for one, which in zip(atoms, keep, strict=True)]
    return [one[np.linalg.norm(one, axis=1) > 0] for one in atoms]  # a part of NMF may cancel


def _joined(each: list[Agreement]) -> Agreement:
    return Agreement(
        means=np.concatenate([one.means for one in each]),
        **{
            name: float(np.mean([getattr(one, name) for one in each])) for name in ("alike", "same", "chance")
        },
    )


def _rows(name: str, kind: str, atoms: str, found: Agreement) -> list[tuple]:
    rows = [(name, kind, atoms, "mean", pair, value) for pair, value in enumerate(found.means)]
    return rows + [
        (name, kind, atoms, one, "", getattr(found, one)) for one in ("alike", "same", "chance", "sd")
    ]
