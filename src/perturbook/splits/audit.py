"""The leak audit: no number exists before it has passed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data.blocks import row_blocks
from perturbook.data.schema import expression
from perturbook.errors import LeakError
from perturbook.splits.partition import Split
from perturbook.splits.pretrained import Pretrained, refuse_pretrained
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


class _Parts:
    """Lists of cell names as masks over the cells of a data set, `(cells,)`, made once and compared many times."""

    def __init__(self, names: pd.Index):
        self.names = names
        _refuse(names[names.duplicated()], "the data set lists a cell twice")

    def mask(self, cells: Iterable[str], what: str) -> np.ndarray:
        """Mask of the cells named; refuses names that the data set does not have."""
        cells = pd.Index(cells, dtype=object)
        at = self.names.get_indexer(cells)
        _refuse(cells[at < 0].unique(), f"{what} names cells that the data set does not have")
        mask = np.zeros(len(self.names), bool)
        mask[at] = True
        return mask

    def refuse(self, mask: np.ndarray, what: str) -> None:
        """Raise LeakError naming the cells of a mask, where there are any."""
        _refuse(self.names[mask], what)


def _same_profiles(adata: AnnData, cells: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Mask of those of `cells` whose profile, of at least 20 genes, also stands in `others` under another name.

    `cells` and `others` are masks in the order of the rows of `adata`.
    """
    weights = np.random.default_rng(0).standard_normal((adata.n_vars, 2))
    print_, long_enough = np.empty(adata.n_obs, complex), np.empty(adata.n_obs, bool)
    for rows, values in row_blocks(expression(adata)):
        sums = np.asarray(values.astype(np.float64) @ weights).round(8)  # they may differ in the last bits
        print_[rows] = sums[:, 0] + 1j * sums[:, 1]
        long_enough[rows] = np.asarray((values != 0).sum(axis=1)).ravel() >= 20
    cells = cells & long_enough
    found = np.zeros(adata.n_obs, bool)
    found[cells] = np.isin(print_[cells], print_[others & long_enough])
    return found


def audit(
    adata: AnnData,
    split: Split,
    fitted: Mapping[str, Iterable[str]] | None = None,
    pretrained: Pretrained | None = None,
) -> AuditReport:
    """Prove that nothing a model has seen or used tells it what it is asked; raise otherwise.

    Args:
        adata: the canonical AnnData that was split, `(cells, genes)`.
        split: the split.
        fitted: for everything fitted on cells of this data set before prediction (gene panel, scaler, DE list), the
            obs names it was fitted on.
        pretrained: what the frozen backbone was trained on, where there is one.

    Returns:
        An `AuditReport` with counts and the checks that passed.

    Raises:
        LeakError: names the check, the number of offenders and three of them.

    Source: style.md habit 1 and scdca.md section 5; comparison of profiles is our choice.
    """
    rule, screen = SETTINGS[split.setting], Screen.of(adata)
    obs, cells = screen.obs, _Parts(screen.obs.index)
    listed = {part: getattr(split, part) for part in ("train", "valid", "test", "query", "reference")}
    parts = {part: cells.mask(names, part) for part, names in listed.items()}
    for part, names in listed.items():
        _refuse(pd.Index(names)[pd.Index(names).duplicated()], f"{part} lists a cell twice")
    used = {name: list(names) for name, names in (fitted or {}).items()}
    seen = {"training": parts["train"], "validation": parts["valid"]}
    seen |= {f"fitted {name}": cells.mask(names, f"fitted {name}") for name, names in used.items()}

    forbidden, treated, test = rule.forbidden(screen, split), screen.treated, parts["test"]
    cells.refuse(parts["train"] & parts["valid"], "Cells in training and in validation")
    cells.refuse(test & ~treated, "Control cells in the test")
    for name, mask in seen.items():
        cells.refuse(mask & test, f"Test cells in {name}")
        cells.refuse(mask & forbidden, f"Cells of held-out labels in {name} ({split.setting})")
    cells.refuse(parts["query"] & treated, "Treated cells in the inference input")
    asked = obs["context"].isin(split.conditions["context"]).to_numpy()
    cells.refuse(parts["query"] & ~asked, "Inference input from a context that is not asked about")
    cells.refuse(
        parts["reference"] & (treated | ~asked),
        "Reference cells that are not controls of a context asked about",
    )
    _refuse(
        set(obs["key"][test].unique()) ^ set(split.conditions.index),
        "Conditions asked about and tested differ",
    )
    anything = np.logical_or.reduce(list(seen.values()))
    learned = obs[anything & treated]
    if not rule.shares_conditions(split):
        _refuse(
            set(learned["key"].unique()) & set(split.conditions.index), "Conditions in training and in test"
        )
    if "k" in split.options:
        _refuse_large_support(obs[anything & treated & asked], split.options)
    if split.blinded:
        cells.refuse(parts["reference"] & (anything | parts["query"]), "Reference controls shown to a model")
    row = cells.names.get_indexer(adata.obs_names)  # from the order of the screen to that of the rows
    copies = _same_profiles(adata, test[row], (anything | parts["query"])[row])
    _refuse(adata.obs_names[copies], "Test cells that a model sees under another name")
    counts = {name: len(names) for name, names in listed.items()} | {"conditions": len(split.conditions)}
    n_seen = {"training": counts["train"], "validation": counts["valid"]}
    n_seen |= {f"fitted {name}": len(names) for name, names in used.items()}
    checks = _sentences(split, n_seen, int(np.count_nonzero(forbidden)))
    if pretrained:
        checks += refuse_pretrained(adata, pretrained)
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
