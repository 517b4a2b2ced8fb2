"""Quality of the autoencoder over width and K, and of every arm, on two data sets: `results/concepts-quality.csv`.

`perturbook train concepts-quality` makes it. Source: `concepts.md` section 7.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from perturbook.concepts.concept_labels import Labelled, label_ami, label_f1
from perturbook.concepts.dictionary import Dictionary
from perturbook.concepts.fidelity import quality
from perturbook.concepts.power_kept import Power, difference, power_kept
from perturbook.concepts.sae_settings import SAESettings
from perturbook.pages import arm_by_arm, trained_table
from perturbook.pages.concepts_arms import ARMS, KS, SAE, SETTINGS, WIDTH, WIDTHS, K, arm, autoencoders
from perturbook.pages.concepts_cells import DATA, Embedded, stored
from perturbook.pages.table import ROOT

PAGE = "concepts-quality"
DEPOSIT = ROOT / "results" / "concepts-quality.csv"
COLUMNS = ["data", "arm", "n_latents", "k", "quantity", "of", "value", "low", "high"]
DENSE = 0
"""What `k` says where every positive concept is kept."""
EMBEDDING = "embedding"


def make(names: Sequence[str] = (), to: Path = DEPOSIT, settings: SAESettings = SETTINGS) -> Iterator[str]:
    """Fit the sweep and every arm on both data sets, measure, store after each arm, and say so line by line.

    Args:
        names: "sae" or some of `ARMS`; all when empty. Rows of the others are kept where the file has them.
        to: the deposit.
        settings: of the autoencoder.

    Raises:
        ConfigError: an unknown arm. InputError: the embeddings are missing.
    """
    cells = [stored(name) for name in DATA]
    known = {one.name: {label: _power(one, one.points, label) for label in one.told} for one in cells}
    itself = [
        row
        for name, powers in known.items()
        for label in powers
        for row in _power_rows((name, EMBEDDING), powers, powers, label)
    ]
    kept = arm_by_arm.begin(to, COLUMNS, EMBEDDING, itself)
    about = {"settings": settings.as_dict(), "widths": WIDTHS, "ks": KS, "arms": ARMS}
    for name in arm_by_arm.chosen(names):
        rows = []
        for one in cells:
            rows += (
                _sweep(one, known[one.name], settings) if name == SAE else _arm(one, name, known[one.name])
            )
        kept = arm_by_arm.put(kept, pd.DataFrame(rows, columns=COLUMNS), name)
        trained_table.write(kept, to, PAGE, DATA, about)
        yield f"{name}: {len(rows)} numbers"


def _sweep(cells: Embedded, known: dict[str, Power], settings: SAESettings) -> list[dict]:
    sizes = [(width, k, 0) for width in WIDTHS for k in KS if width == WIDTH or k == K]
    rows = []
    for one in autoencoders(cells.points, cells.of("train"), None, sizes, settings):
        rows += measured(cells, SAE, one.sae, known)
        key = (cells.name, SAE, one.sae.n_latents, one.sae.k)
        rows.append(_row(key, "dead_train", "", one.log["dead_train"].iloc[-1]))
    return rows


def _arm(cells: Embedded, name: str, known: dict[str, Power]) -> list[dict]:
    fitted, rows = arm(name, cells.points, cells.of("train")), []
    for k in (None, *KS):
        rows += measured(cells, name, fitted.keeping(k), known if k in (None, K) else {})
    return rows


def measured(cells: Embedded, name: str, made: Dictionary, known: dict[str, Power]) -> list[dict]:
    """Rows of one dictionary on the test cells; labels are chosen on validation cells.

    `known`: the embedding's own power for each label that is asked for; none asks for fidelity alone.
    """
    key = (cells.name, name, made.n_latents, made.k or DENSE)
    test, valid = cells.of("test"), cells.of("valid")
    found = quality(made, cells.points, test)
    rows = [_row(key, quantity, "", value) for quantity, value in found.as_row().items()]
    if not known:
        return rows
    with torch.no_grad():
        coded = made(cells.points)
    codes = coded.codes.numpy()
    powers = {label: _power(cells, codes, label) for label in known}
    for label in known:
        values = cells.labels[label]
        told = Labelled(codes[valid], values[valid], codes[test], values[test])
        best = label_f1(told)
        rows += [
            _row(key, "ami", label, label_ami(told)["ami_test"]),
            _row(key, "f1", label, best["f1_test"].mean()),
            _row(key, "f1_valid", label, best["f1_valid"].mean()),
            _row(key, "f1_base", label, best["base"].mean()),
            *_power_rows(key, powers, known, label),
        ]
    if name == SAE:
        given = _power(cells, coded.reconstruction.numpy(), "cell type").macro_f1
        rows.append(_row(key, "macro_f1_reconstruction", "cell type", given))
    return rows


def _power(cells: Embedded, points: np.ndarray, label: str) -> Power:
    return power_kept(points, cells.labels[label], *(cells.of(part) for part in ("train", "valid", "test")))


def _power_rows(key: tuple, powers: dict, known: dict, label: str) -> list[dict]:
    rows = []
    for score in ("macro_f1", "balanced_accuracy"):
        rows.append(_row(key, score, label, getattr(powers[label], score), *powers[label].interval(score)))
        rows.append(_row(key, f"{score}_less", label, *difference(powers[label], known[label], score)))
    return rows


def _row(key: tuple, quantity: str, of: str, value: float, low=np.nan, high=np.nan) -> dict:
    data, name, n_latents, k = key if len(key) == 4 else (*key, 0, DENSE)
    return dict(
        zip(COLUMNS, (data, name, n_latents, k, quantity, of, round(float(value), 4), low, high), strict=True)
    )


def read(path: Path = DEPOSIT) -> pd.DataFrame:
    """The deposit; errors as `trained_table.read`.

    Columns data, arm, n_latents, k (0: every positive concept), quantity, of (a label, or empty), value, low, high. Quantities:
    those of `Quality.as_row`; ami, f1, f1_valid, f1_base (means over the values of a label); macro_f1, balanced_accuracy and
    their difference to the embedding itself (`..._less`), with intervals over test cells; macro_f1_reconstruction.
    """
    return trained_table.read(path, COLUMNS, PAGE, DATA).fillna({"of": ""})
