"""The Settings chapter: every setting on one screen, what training knows in each, and leaks put in to be caught."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook import splits
from perturbook.data.schema import condition_keys, expression
from perturbook.errors import LeakError, PerturbookError
from perturbook.pages.study import layout_of
from perturbook.splits import SETTINGS, Split
from perturbook.splits.unseen_context import MODES

K = 4  # support drugs in the examples


def examples(cells: AnnData, seed: int) -> dict[str, Split]:
    """One split per setting of a drug screen, one per mode where it has modes; keys such as "zero_shot_context, mode A"."""
    made = {}
    for name, rule in SETTINGS.items():
        if rule.of_genes:
            continue
        given = {"k": K} if "k" in rule.takes else {}
        if "mode" in rule.takes:
            for mode in MODES:
                made[f"{name}, mode {mode}"] = splits.split(cells, name, seed, mode=mode, **given)
        else:
            made[name] = splits.split(cells, name, seed, **given)
    return made


def rows_of(cells: AnnData, shown: dict[str, Split], context: str = "") -> pd.DataFrame:
    """Lay out several splits below each other for `charts.split.split_grid`.

    Args:
        cells: the cells that were split.
        shown: splits by the words that tell their rows apart; empty words where there is one split.
        context: keep this context alone and leave its name out.
    """
    tables = []
    for words, split in shown.items():
        table = layout_of(cells, [split])
        table = table[table["context"] == context] if context else table
        names = table["context"].map(lambda name, words=words: f"{name}, {words}" if words else name)
        tables.append(table.assign(fold="", context=words if context else names))
    return pd.concat(tables, ignore_index=True)


def known(cells: AnnData, split: Split) -> dict[str, str]:
    """How many of the conditions asked about could be looked up in training, and in how far."""
    obs = cells.obs.assign(key=condition_keys(cells.obs)).astype({"context": str, "perturbation": str})
    seen = obs.loc[split.visible]
    treated = seen[~seen["is_control"].astype(bool)]
    controls = seen.loc[seen["is_control"].astype(bool), "context"]
    asked = split.conditions.astype({"context": str, "perturbation": str})
    found = {
        "the same condition": asked.index.isin(treated["key"]),
        "the drug, anywhere": asked["perturbation"].isin(treated["perturbation"]),
        "treated cells of the line": asked["context"].isin(treated["context"]),
        "control cells of the line": asked["context"].isin(controls),
    }
    return {what: _share(np.asarray(hits)) for what, hits in found.items()}


def _share(hits: np.ndarray) -> str:
    if hits.all() or not hits.any():
        return "all" if hits.all() else "none"
    return f"{hits.sum()} of {len(hits)}"


def lookup(cells: AnnData, split: Split) -> pd.DataFrame:
    """Score two tables that predict without a model: the condition's own training cells, and the other drugs'.

    Truth is the change of the test cells against one half of the controls, the prediction one against the other half,
    so that no control cell stands on both sides.

    Returns:
        One row per condition that training holds: perturbation, dose_um, and the correlations `own` and `others` over
        genes. Empty where no condition can be looked up.

    Source: our choice.
    """
    obs = cells.obs.assign(key=condition_keys(cells.obs)).astype({"context": str})
    test, train = (_means(cells, obs, names, "key") for names in (split.test, split.visible))
    kept = _means(cells, obs, split.reference, "context")
    shown = _means(cells, obs, np.setdiff1d(split.query, split.reference), "context")
    rows = []
    asked = split.conditions.astype({"context": str, "perturbation": str})
    for key in asked.index.intersection(train.index):
        one = asked.loc[key]
        alike = (asked["context"] == one["context"]) & (asked["dose_um"] == one["dose_um"])
        others = asked.index[alike & (asked["perturbation"] != one["perturbation"])].intersection(train.index)
        truth, base = test.loc[key] - kept.loc[one["context"]], shown.loc[one["context"]]
        own, other = train.loc[key] - base, train.loc[others].mean() - base
        scores = np.corrcoef([truth, own, other])[0, 1:]
        rows.append((one["perturbation"], one["dose_um"], *scores))
    return pd.DataFrame(rows, columns=["perturbation", "dose_um", "own", "others"])


def _means(cells: AnnData, obs: pd.DataFrame, names: np.ndarray, by: str) -> pd.DataFrame:
    """Mean profile of the cells `names` per label in `by`, `(labels, genes)`."""
    label = pd.Categorical(obs.loc[names, by])
    member = (label.codes == np.arange(len(label.categories))[:, None]) / label.value_counts().to_numpy()[
        :, None
    ]
    values = expression(cells)[cells.obs_names.get_indexer(names)]
    return pd.DataFrame(member @ values, index=label.categories)


def supports(cells: AnnData, seed: int, sizes: list[int]) -> dict[str, Split]:
    """Few-shot splits of one seed that differ in the size of their support."""
    return {f"k = {k}": splits.split(cells, "few_shot_context", seed, k=k) for k in sizes}


def leaks(cells: AnnData, made: dict[str, Split]) -> Iterator[tuple[str, str, str]]:
    """Put a leak into a sound split, one after the other, and yield setting, leak and the message that stops the page.

    Raises:
        PerturbookError: the audit let a leak pass.
    """
    for setting, leak, changed, split, fitted in _injected(cells, made):
        try:
            splits.audit(changed, split, fitted)
        except LeakError as caught:
            yield setting, leak, str(caught)
        else:
            raise PerturbookError(f"The audit let a leak pass: {leak} ({setting}).")


def _injected(cells: AnnData, made: dict[str, Split]) -> Iterator[tuple]:
    drug, zero = made["unseen_drug"], made["zero_shot_context, mode B"]
    pair, plain = made["unseen_combination"], made["random_cells"]
    one = drug.test[0]
    yield (
        "random_cells",
        "one test cell is also in training",
        cells,
        replace(plain, train=np.append(plain.train, plain.test[0])),
        None,
    )
    yield (
        "unseen_drug",
        "a cell of a held-out drug moves from the test into training",
        cells,
        replace(drug, train=np.append(drug.train, one), test=drug.test[1:]),
        None,
    )
    yield (
        "unseen_combination",
        "genes were chosen on all cells",
        cells,
        pair,
        {"gene panel": cells.obs_names},
    )
    yield (
        "zero_shot_context, mode B",
        "control cells of the new line are in training, as in mode A",
        cells,
        replace(zero, train=np.append(zero.train, zero.query)),
        None,
    )
    yield (
        "zero_shot_context, mode B",
        "a treated cell of the new line is shown at prediction time",
        cells,
        replace(zero, query=np.append(zero.query, zero.test[0])),
        None,
    )
    yield (
        "unseen_drug",
        "a training cell is a copy of a test cell under another name",
        _with_copy(cells, one, drug.train[0]),
        drug,
        None,
    )


def _with_copy(cells: AnnData, of: str, name: str) -> AnnData:
    """The cells, with the values of cell `of` put in the place of cell `name`."""
    rows = np.arange(cells.n_obs)
    rows[cells.obs_names.get_loc(name)] = cells.obs_names.get_loc(of)
    layers = {layer: values[rows] for layer, values in cells.layers.items()}
    return AnnData(cells.X[rows], obs=cells.obs, var=cells.var, layers=layers, uns=cells.uns)
