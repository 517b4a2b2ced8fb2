"""What a split does with the cells of a screen: one row per fold, context and perturbation."""

import pandas as pd
from anndata import AnnData

from perturbook.splits import Split


def _parts(parts: pd.Series) -> str:
    """The parts that one context and perturbation plays, in their logical order."""
    order = ["training", "validation", "support", "test", "shown", "not used"]
    return " and ".join(part for part in order if part in set(parts))


def layout_of(cells: AnnData, folds: list[Split]) -> pd.DataFrame:
    """Count the cells of every context and perturbation, and name the parts they play in each fold."""
    words = {"query": "shown", "train": "training", "valid": "validation", "test": "test"}
    tables = []
    for split in folds:
        part = pd.Series("not used", index=cells.obs_names.astype(str))
        for name, word in words.items():
            part.loc[getattr(split, name)] = word
        obs = cells.obs[["context", "perturbation"]].astype(str).assign(part=part)
        treated = ~cells.obs["is_control"].astype(bool)
        if split.setting == "few_shot_context":
            obs.loc[obs["context"].isin(split.held_out) & treated & (part == "training"), "part"] = "support"
        groups = obs.groupby(["context", "perturbation"])["part"]
        table = groups.agg(part=_parts, cells="size").reset_index()
        idle = (table["part"] == "not used").groupby(table["context"]).transform("all")
        table = table[~idle]  # other worlds of a screen of genes, and lines that a fold does not touch
        held = ", ".join(split.held_out[:2]) + (
            f" and {len(split.held_out) - 2} more" if len(split.held_out) > 2 else ""
        )
        of_screen = f"{split.options['context']}: " if "context" in split.options and len(folds) > 1 else ""
        tables.append(table.assign(fold=of_screen + (held or "cells at random")))
    return pd.concat(tables, ignore_index=True)
