"""The Settings chapter: every setting of a drug screen, its folds and supports, and what training knows in each."""

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook import splits
from perturbook.data.schema import condition_keys, expression
from perturbook.pages.layout import layout_of
from perturbook.splits import N_FOLDS, SETTINGS, Split
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


def folds(cells: AnnData, setting: str, seed: int) -> dict[str, Split]:
    """All folds of one seed, by their number from 1."""
    return {str(fold + 1): splits.split(cells, setting, seed, fold=fold) for fold in range(N_FOLDS)}


def fold_rows(cells: AnnData, shown: dict[str, Split]) -> pd.DataFrame:
    """Lay out several folds for `charts.split.split_grid`, one for each entry of its menu."""
    return pd.concat(
        [layout_of(cells, [split]).assign(fold=number) for number, split in shown.items()], ignore_index=True
    )


def times_tested(cells: AnnData, shown: dict[str, Split]) -> pd.Series:
    """In how many of the folds each treated pair of context and perturbation is tested, `(pairs,)`."""
    columns = ["context", "perturbation"]
    treated = cells.obs.loc[~cells.obs["is_control"].astype(bool), columns].astype(str).drop_duplicates()
    tested = pd.concat([split.conditions[columns].astype(str).drop_duplicates() for split in shown.values()])
    return tested.value_counts().reindex(pd.MultiIndex.from_frame(treated), fill_value=0)


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
    test, train = (mean_profiles(cells, obs, names, "key") for names in (split.test, split.visible))
    kept = mean_profiles(cells, obs, split.reference, "context")
    shown = mean_profiles(cells, obs, np.setdiff1d(split.query, split.reference), "context")
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


def mean_profiles(cells: AnnData, obs: pd.DataFrame, names: np.ndarray, by: str) -> pd.DataFrame:
    """Mean profile of the cells `names` per label that column `by` of `obs` gives them, `(labels, genes)`."""
    label = pd.Categorical(obs.loc[names, by].astype(str))
    member = (label.codes == np.arange(len(label.categories))[:, None]) / label.value_counts().to_numpy()[
        :, None
    ]
    values = expression(cells)[cells.obs_names.get_indexer(names)]
    return pd.DataFrame(member @ values, index=label.categories)


def supports(cells: AnnData, seed: int, sizes: list[int]) -> dict[str, Split]:
    """Few-shot splits of one seed that differ in the size of their support."""
    return {f"k = {k}": splits.split(cells, "few_shot_context", seed, k=k) for k in sizes}
