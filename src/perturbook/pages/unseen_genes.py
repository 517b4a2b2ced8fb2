"""Genes and pairs of genes in the Settings chapter: every setting on one screen, and what training holds of each gene."""

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook import splits
from perturbook.data.gene_labels import genes_of
from perturbook.pages.unseen import mean_profiles
from perturbook.splits import Split

ORDER = (
    "seen_single",
    "unseen_single",
    "double_seen2",
    "double_seen1",
    "double_seen0",
    "additive_split",
    "gears",
)
"""The settings of gene screens, in the order of the chapter."""
N_NEW = 3  # new genes in the examples: a quarter of the twelve, as the settings would draw


def examples(cells: AnnData, seed: int, context: str) -> dict[str, Split]:
    """One split per setting of a gene screen; the same `new_genes` are new in `double_seen1` and `double_seen0`."""
    named = dict.fromkeys(("double_seen1", "double_seen0"), {"held_out": new_genes(cells, seed, context)})
    return {name: splits.split(cells, name, seed, context=context, **named.get(name, {})) for name in ORDER}


def new_genes(cells: AnnData, seed: int, context: str) -> list[str]:
    """Draw genes whose singles are withheld, two of them those of a measured double, so that no stratum is empty."""
    labels = cells.obs.loc[cells.obs["context"] == context, "perturbation"].astype(str).unique()
    conditions, rng = sorted(map(genes_of, labels)), np.random.default_rng(seed)
    pair = rng.choice([genes for genes in conditions if len(genes) == 2])
    others = [genes[0] for genes in conditions if len(genes) == 1 and genes[0] not in pair]
    return sorted(map(str, [*pair, *rng.permutation(others)[: N_NEW - 2]]))


def singles_known(cells: AnnData, split: Split) -> dict[str, int]:
    """Count what is asked about by how many of its genes training holds alone, and the doubles in training."""
    trained = _trained(cells, split)
    asked = [genes_of(label) for label in split.conditions["perturbation"].unique()]
    known = {n: [sum(g in trained for g in genes) for genes in asked if len(genes) == n] for n in (1, 2)}
    return {
        "Singles asked about": len(known[1]),
        "Of these seen": known[1].count(1),
        "Doubles asked about": len(known[2]),
        "Both genes seen alone": known[2].count(2),
        "One gene": known[2].count(1),
        "No gene": known[2].count(0),
        "Doubles in training": sum(len(genes_of(label)) == 2 for label in trained),
    }


def _trained(cells: AnnData, split: Split) -> set[str]:
    """Perturbations that training or validation holds."""
    return set(cells.obs.loc[split.visible, "perturbation"].astype(str))


def board(cells: AnnData, made: dict[str, Split]) -> pd.DataFrame:
    """Lay out the conditions of every split as pairs of genes for `charts.split.pair_grid`, a single as a gene with itself.

    Validation cells of a condition that training has too are counted and not named; `seen` says of how many of its
    genes training holds the single.
    """
    tables = []
    for name, split in made.items():
        obs = cells.obs[cells.obs["context"] == split.options["context"]]
        treated = obs.loc[~obs["is_control"].astype(bool), "perturbation"].astype(str)
        parts = {"training": split.train, "validation": split.valid, "test": split.test}
        table = pd.DataFrame(
            {word: treated.index.isin(names) for word, names in parts.items()}, index=treated.index
        )
        table = table.groupby(treated).sum()
        genes, trained = [genes_of(label) for label in table.index], _trained(cells, split)
        seen = [f"{sum(gene in trained for gene in each)} of {len(each)}" for each in genes]
        first, second = ([each[at] for each in genes] for at in (0, -1))
        table = table.assign(first=first, second=second, part=_part(table), seen=seen, setting=name)
        tables.append(table.reset_index(names="condition"))
    return pd.concat(tables, ignore_index=True)


def _part(counts: pd.DataFrame) -> np.ndarray:
    training, validation, test = (counts[word] > 0 for word in ("training", "validation", "test"))
    cases = {
        "training and test": training & test,
        "test": test,
        "training": training,
        "validation": validation,
    }
    return np.select(list(cases.values()), list(cases), "not used")


def sums(cells: AnnData, split: Split) -> pd.DataFrame:
    """Add up, for every double asked about, the changes of those of its genes whose single training holds.

    Truth is the change of the test cells against one half of the controls, the sum one against the other half.

    Returns:
        One row per double: its genes `first` and `second`, `known` singles, and the `correlation` over genes of the sum
        with the truth; NaN where no single is known.

    Source: metrics.md section 7, `additive`, a missing single counting as no effect.
    """
    test, train = (
        mean_profiles(cells, cells.obs, names, "perturbation") for names in (split.test, split.visible)
    )
    controls = (split.reference, np.setdiff1d(split.query, split.reference))
    kept, shown = (mean_profiles(cells, cells.obs, names, "context").squeeze() for names in controls)
    rows = []
    for genes in filter(lambda genes: len(genes) == 2, map(genes_of, test.index)):
        known = [gene for gene in genes if gene in train.index]
        truth, total = test.loc["+".join(genes)] - kept, (train.loc[known] - shown).sum()
        rows.append((*genes, len(known), np.corrcoef(truth, total)[0, 1] if known else np.nan))
    return pd.DataFrame(rows, columns=["first", "second", "known", "correlation"])
