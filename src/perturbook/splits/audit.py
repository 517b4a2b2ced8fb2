"""The leak audit: no number exists before it has passed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.errors import LeakError
from perturbook.splits.partition import Split
from perturbook.splits.setting import SETTINGS, Screen


@dataclass(frozen=True)
class AuditReport:
    """What was checked and on how many cells; only a passed audit has one."""

    setting: str
    """Setting of the audited split."""
    counts: dict[str, int]
    """Cells per part and conditions to predict."""
    checks: tuple[str, ...]
    """One sentence per check that passed."""

    def table(self) -> pd.DataFrame:
        """Return the checks as a table, one row each."""
        return pd.DataFrame({"check": self.checks, "verdict": "passed"})


def _refuse(found: Iterable, what: str) -> None:
    found = sorted(map(str, found))
    if found:
        raise LeakError(
            f"{what}: {len(found)} found, such as {', '.join(found[:3])}. No score may be computed."
        )


def _same_profiles(adata: AnnData, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Names in `one` whose expression profile, at least 20 genes long, also stands in `other` under another name."""
    x = adata.layers["lognorm"] if "lognorm" in adata.layers else adata.X
    weights = np.random.default_rng(0).standard_normal((adata.n_vars, 2))
    print_ = np.asarray(x.astype(np.float64) @ weights).round(8)  # sums may differ in the last bits
    long_enough = np.asarray((x != 0).sum(axis=1)).ravel() >= 20
    rows, others = adata.obs_names.get_indexer(one), adata.obs_names.get_indexer(other)
    shared = set(map(tuple, print_[others[long_enough[others]]]))
    return np.array(
        [n for n, r in zip(one, rows, strict=True) if long_enough[r] and tuple(print_[r]) in shared],
        dtype=str,
    )


def audit(adata: AnnData, split: Split, fitted: Mapping[str, Iterable[str]] | None = None) -> AuditReport:
    """Prove that nothing a model has seen or used tells it what it is asked; raise otherwise.

    Args:
        adata: the canonical AnnData that was split, `(cells, genes)`.
        split: the split.
        fitted: for everything fitted before prediction (gene panel, scaler, DE list, backbone), the obs names
            it was fitted on.

    Returns:
        An `AuditReport` with counts and the checks that passed.

    Raises:
        LeakError: names the check, the number of offenders and three of them.

    Source: style.md habit 1 and scdca.md section 5; comparison of profiles is our choice.
    """
    rule, screen = SETTINGS[split.setting], Screen.of(adata)
    obs = screen.obs
    parts = {
        part: np.asarray(getattr(split, part), dtype=str)
        for part in ("train", "valid", "test", "query", "reference")
    }
    seen = {"training": parts["train"], "validation": parts["valid"]}
    seen |= {f"fitted {name}": np.asarray(list(cells), dtype=str) for name, cells in (fitted or {}).items()}
    for name, cells in {"the data set": obs.index, **parts, **seen}.items():
        _refuse(set(cells) - set(obs.index), f"{name} names cells that the data set does not have")
    for name, cells in {"the data set": obs.index, **parts}.items():
        _refuse(pd.Index(cells)[pd.Index(cells).duplicated()], f"{name} lists a cell twice")

    forbidden = set(obs.index[rule.forbidden(screen, split)])
    treated, test = set(obs.index[screen.treated]), set(parts["test"])
    _refuse(set(parts["train"]) & set(parts["valid"]), "Cells in training and in validation")
    _refuse(test - treated, "Control cells in the test")
    for name, cells in seen.items():
        _refuse(set(cells) & test, f"Test cells in {name}")
        _refuse(set(cells) & forbidden, f"Cells of held-out labels in {name} ({split.setting})")
    _refuse(set(parts["query"]) & treated, "Treated cells in the inference input")
    asked = set(obs.index[obs["context"].isin(split.conditions["context"])])
    _refuse(set(parts["query"]) - asked, "Inference input from a context that is not asked about")
    _refuse(
        set(parts["reference"]) - (asked - treated),
        "Reference cells that are not controls of a context asked about",
    )
    _refuse(
        set(obs.loc[parts["test"], "key"]) ^ set(split.conditions.index),
        "Conditions asked about and tested differ",
    )
    used = np.unique(np.concatenate(list(seen.values())))
    learned = obs.loc[np.intersect1d(used, sorted(treated))]
    if not rule.shares_conditions(split):
        _refuse(set(learned["key"]) & set(split.conditions.index), "Conditions in training and in test")
    if "k" in split.options:
        _refuse_large_support(learned[learned.index.isin(asked)], split.options)
    if split.blinded:
        _refuse(set(parts["reference"]) & {*used, *parts["query"]}, "Reference controls shown to a model")
    _refuse(
        _same_profiles(adata, parts["test"], np.union1d(used, parts["query"])),
        "Test cells that a model sees under another name",
    )
    checks = _sentences(split, {name: len(cells) for name, cells in seen.items()}, len(forbidden))
    counts = {name: len(cells) for name, cells in parts.items()} | {"conditions": len(split.conditions)}
    return AuditReport(split.setting, counts, checks)


def _refuse_large_support(support: pd.DataFrame, options: Mapping) -> None:
    """Refuse more than k drugs, or cells, among the treated cells of the context asked about that a model sees."""
    by_cells = options["support_unit"] == "cells"
    if (support.index if by_cells else support["structure"]).nunique() > options["k"]:
        names = support.index if by_cells else support["perturbation"].unique()
        _refuse(names, f"Support of more than k={options['k']} {options['support_unit']}")


def _sentences(split: Split, seen: Mapping[str, int], n_forbidden: int) -> tuple[str, ...]:
    """Say what was checked; `seen` counts the cells of everything a model learns from."""
    shares = SETTINGS[split.setting].shares_conditions(split)
    of_conditions = (
        "; training holds other cells of them, by definition" if shares else ", and none is in training"
    )
    checks = [
        f"No cell in two of training ({len(split.train)}), validation ({len(split.valid)}) and test ({len(split.test)}).",
        f"None of the {n_forbidden} cells that {split.setting} forbids is in training or validation.",
        f"The {len(split.query)} cells shown at prediction time are controls of the contexts asked about.",
        f"Conditions asked about ({len(split.conditions)}) are those of the test cells{of_conditions}.",
        "No test profile stands under another name among the cells that a model sees.",
    ]
    if "k" in split.options:
        checks.append(
            f"Training holds at most k={split.options['k']} support {split.options['support_unit']} of the held-out context."
        )
    checks += [
        f"F{name[1:]} used {n} cells, none held out." for name, n in seen.items() if name.startswith("fitted")
    ]
    if split.blinded:
        checks.append(f"The {len(split.reference)} reference controls of the truth were shown to no model.")
    return tuple(checks)
