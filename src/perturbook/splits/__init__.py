"""Splits: who may see which cell, and the audit that proves it."""

from typing import Any

import numpy as np
from anndata import AnnData

from perturbook.errors import ConfigError
from perturbook.registry import import_files
from perturbook.splits.audit import AuditReport, audit
from perturbook.splits.partition import Split
from perturbook.splits.pretrained import Pretrained, TrainedOn
from perturbook.splits.setting import N_FOLDS, SETTINGS, Screen

import_files(__import__(__name__, fromlist=["_"]))

__all__ = ["SETTINGS", "AuditReport", "Pretrained", "Split", "TrainedOn", "audit", "split"]


def split(
    adata: AnnData,
    setting: str,
    seed: int = 0,
    *,
    k: int | None = None,
    held_out: Any = None,
    mode: str | None = None,
    fold: int | None = None,
    context: str | None = None,
) -> Split:
    """Divide a data set under one setting; the same seed gives the same split whatever the row order.

    Args:
        adata: canonical AnnData, `(cells, genes)`.
        setting: a key of `SETTINGS`.
        seed: seed of every draw.
        k: support size, for `few_shot_context`.
        held_out: a context, a list of drugs, of genes, of doubles, or of `(context, drug)` pairs, as the setting
            understands it.
        mode: "A" or "B", for `zero_shot_context`.
        fold: 0 to 4, for `unseen_drug` and `unseen_combination`.
        context: the context a gene setting concerns; may be left out where the treated cells stand in one.

    Returns:
        A `Split`. Its `reference` is a random half of the query controls of each context.

    Raises:
        ConfigError: unknown setting, an option the setting does not take, or one that the data cannot meet.

    Source: scdca.md section 5; perturbedvae.md sections 9 and 14 for the gene settings; metrics.md section 3.4 for the
    reference half.
    """
    rule = SETTINGS[setting]
    given = {"k": k, "held_out": held_out, "mode": mode, "fold": fold, "context": context}
    given = {name: value for name, value in given.items() if value is not None}
    _refuse_options(setting, seed, given)
    if rule.of_genes:
        _refuse_other_kinds(adata, setting)
    screen = Screen.of(adata)
    obs, names = screen.obs, screen.obs.index.to_numpy(str)
    drawn = rule.draw(screen, np.random.default_rng(seed), **given)
    tested = obs[drawn.test]
    if tested.empty:
        raise ConfigError(f"{setting} with {given} leaves no treated cell to score.")
    control = ~screen.treated
    query = control & obs["context"].isin(tested["context"]).to_numpy()
    learn = ~(drawn.test | drawn.withheld)
    if not (learn & ~drawn.valid & screen.treated).any():
        raise ConfigError(f"{setting} with {given} leaves no treated cell to learn from.")
    conditions = (
        tested.drop_duplicates("key").set_index("key").sort_index()[["context", "perturbation", "dose_um"]]
    )
    if drawn.strata is not None:
        conditions["stratum"] = conditions["perturbation"].map(drawn.strata)
    return Split(
        setting=setting,
        seed=seed,
        options=drawn.options,
        held_out=drawn.held_out,
        train=names[learn & ~drawn.valid],
        valid=names[learn & drawn.valid],
        test=names[drawn.test],
        query=names[query],
        reference=np.intersect1d(names[query], _half_of_each_context(obs[control], seed)),
        conditions=conditions,
    )


def _refuse_options(setting: str, seed: int, given: dict[str, Any]) -> None:
    """Raise ConfigError for a number that is none from 0, or an option that the setting does not take."""
    for name in ("seed", "k", "fold"):
        number = {"seed": seed, **given}.get(name)
        whole = isinstance(number, int | np.integer) and not isinstance(number, bool) and number >= 0
        if number is not None and not whole:
            raise ConfigError(f"{name}={number!r} must be a whole number from 0.")
    if given.get("fold", 0) >= N_FOLDS:
        raise ConfigError(f"fold={given['fold']} must lie in 0..{N_FOLDS - 1}.")
    if unknown := sorted(set(given) - set(SETTINGS[setting].takes)):
        takes = list(SETTINGS[setting].takes) or "no option"
        raise ConfigError(f"{setting} does not take {unknown}; it takes {takes}.")


def _refuse_other_kinds(adata: AnnData, setting: str) -> None:
    """Raise ConfigError where column `kind` says that no gene is perturbed."""
    kinds = sorted(adata.obs["kind"].astype(str).unique()) if "kind" in adata.obs else ["CRISPR"]
    if not any(kind.startswith("CRISPR") for kind in kinds):
        raise ConfigError(
            f"{setting} needs genes as perturbations; here they are of kind {', '.join(kinds)}."
        )


def _half_of_each_context(controls, seed: int) -> np.ndarray:
    """Draw half of the control cells of each context; only `seed` decides, so that all folds agree on the halves."""
    rng = np.random.default_rng([seed, 1])
    halves = [
        rng.permutation(np.sort(rows.index.to_numpy(str)))[: len(rows) // 2]
        for _, rows in sorted(controls.groupby("context"))
    ]
    return np.concatenate(halves)
