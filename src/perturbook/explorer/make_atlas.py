"""Make an atlas: train the autoencoder, take some neurons beside it, and ask everything of every feature.

Source: `concepts.md` sections 3 and 5 to 8; numbers our choice.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from perturbook.concepts.atom_matching import chance_cosine
from perturbook.concepts.dictionaries import fit_dictionary
from perturbook.concepts.dictionary import Dictionary
from perturbook.concepts.gene_sets import Library
from perturbook.concepts.sae_settings import SAESettings
from perturbook.concepts.topk_sae import TopKSAE
from perturbook.concepts.train_sae import train_many
from perturbook.explorer.ask_features import LEAST, Asked
from perturbook.explorer.atlas import ARMS, TABLES, Atlas, artefact_hash
from perturbook.explorer.feature_table import activity, best_labels, entries, groups, near, stability
from perturbook.explorer.recipe import Recipe
from perturbook.explorer.rounding import digits
from perturbook.explorer.subject import Subject

SEEDS, NEURONS = 5, 24
"""Trainings behind the stability, and neurons shown beside the concepts, at most."""


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
    asked = Asked(subject, recipe, libraries, codes, dict(zip(uids, range(len(uids)), strict=True)))
    parts = {table: [] for table in ("genes", "cutoffs", "terms", "curves", "examples", "swaps")}
    rows = {}
    steps = tqdm(asked.all(chosen), name, len(uids), disable=None, unit=" features")
    for uid, row, found in steps:
        rows[uid] = row
        for table, part in found.items():
            parts[table].append(part.assign(uid=uid))
    features = features.join(pd.DataFrame(rows).T).reset_index()
    cells = _cells(subject)
    order = {uid: at for at, uid in enumerate(uids)}
    tables = {table: _together(of, table, order) for table, of in parts.items()}
    tables |= {
        "cells": cells,
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


def _cells(subject: Subject) -> pd.DataFrame:
    """Name, place on the map, part and labels of every cell."""
    names, place = subject.adata.obs_names.to_numpy(str), subject.place
    made = {"cell": names, "x": place[:, 0], "y": place[:, 1], "part": subject.part}
    return pd.DataFrame(made | {one: subject.adata.obs[one].to_numpy(str) for one in subject.labels})


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
    kept = [one[columns] for one in parts if len(one)]
    made = pd.concat(kept) if kept else pd.DataFrame(columns=columns)
    return _typed(
        made.sort_values("uid", key=lambda of: of.map(order), kind="stable", ignore_index=True), table
    )


def _typed(made: pd.DataFrame, table: str) -> pd.DataFrame:
    return made[list(TABLES[table])].astype({of: kind for of, kind in TABLES[table].items() if kind != "str"})
