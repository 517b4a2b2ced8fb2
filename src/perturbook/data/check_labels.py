"""Checks of the cell table: columns, types, labels, doses and controls. One small function and one message each.

Source: `datasets.md` sections 1 and 5; the list of control spellings and the order of the checks are our choice.
"""

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data.findings import cells_where, three
from perturbook.data.schema import (
    CATEGORIES,
    COLUMNS,
    CONTROL,
    FLOATS,
    KINDS,
    VALUE_KINDS,
    condition_keys,
)
from perturbook.errors import InputError

CONTROL_SPELLINGS = {
    "ctrl",
    "control",
    "non-targeting",
    "nontargeting",
    "nt",
    "dmso",
    "vehicle",
    "unstimulated",
    "",
}


def not_empty(adata: AnnData) -> None:
    """There are cells and genes, and values of them."""
    if 0 in adata.shape:
        raise InputError(f"The data set is empty: {adata.n_obs} cells and {adata.n_vars} genes.")
    if adata.X is None:
        raise InputError("There is no matrix X: put the values into adata.X.")


def names_unique(adata: AnnData) -> None:
    """No cell name and no gene symbol stands twice."""
    for what, names in (
        ("cell names (obs index)", adata.obs_names),
        ("gene symbols (var index)", adata.var_names),
    ):
        if not names.is_unique:
            twice = names[names.duplicated()].unique()
            raise InputError(f"{len(twice):,} {what} stand more than once: {three(twice)}. Make them unique.")


def columns_present(adata: AnnData) -> None:
    """Every canonical column exists."""
    missing = [column for column in COLUMNS if column not in adata.obs]
    if missing:
        raise InputError(
            f"obs lacks {', '.join(missing)}; it has {', '.join(adata.obs.columns) or 'no column'}. "
            "Say which column holds what, perturbation first."
        )


def column_types(adata: AnnData) -> None:
    """Labels are categories, doses and totals floats, `is_control` a boolean."""
    for column in COLUMNS:
        dtype = adata.obs[column].dtype
        if column in CATEGORIES:
            expected, right = "category of text", isinstance(dtype, pd.CategoricalDtype)
            right = right and all(isinstance(label, str) for label in dtype.categories)
        elif column in FLOATS:
            expected, right = "float", pd.api.types.is_float_dtype(dtype)
        else:
            expected, right = "bool", dtype == np.bool_
        if not right:
            raise InputError(
                f"obs[{column!r}] has type {dtype}, expected {expected}; convert it with astype."
            )


def value_kind_known(adata: AnnData) -> None:
    """`uns["value_kind"]` says what X holds."""
    kind = adata.uns.get("value_kind")
    if kind not in VALUE_KINDS:
        raise InputError(
            f'uns["value_kind"] is {kind!r}; say what X holds with one of {", ".join(VALUE_KINDS)}.'
        )


def labels_complete(adata: AnnData) -> None:
    """No label is missing, empty, or surrounded by spaces. What a label holds is data: markup in it is legal."""
    for column in CATEGORIES:
        labels = adata.obs[column]
        if labels.isna().any():
            raise InputError(
                f"obs[{column!r}] has no label in {cells_where(labels.isna().to_numpy(), adata.obs_names)}."
            )
        odd = [label for label in labels.unique() if label != label.strip() or not label]
        if odd:
            raise InputError(
                f"obs[{column!r}] has labels that are empty or have spaces around them: {three(odd)}."
            )


def kinds_known(adata: AnnData) -> None:
    """`kind` is one of five, and `none` has no perturbed cell."""
    unknown = sorted(set(adata.obs["kind"].unique()) - set(KINDS))
    if unknown:
        raise InputError(f"obs['kind'] has {three(unknown)}; allowed: {', '.join(KINDS)}.")
    bad = ((adata.obs["kind"] == "none") & (adata.obs["perturbation"] != CONTROL)).to_numpy()
    if bad.any():
        raise InputError(
            f"obs['kind'] is none but obs['perturbation'] is not {CONTROL}: {cells_where(bad, adata.obs_names)}."
        )


def control_spelled_once(adata: AnnData) -> None:
    """Untreated cells are called `control`, in no other way."""
    labels = adata.obs["perturbation"].unique()
    other = sorted(label for label in labels if label != CONTROL and label.lower() in CONTROL_SPELLINGS)
    if other:
        raise InputError(f"obs['perturbation'] has {three(other)}: rename what is untreated to {CONTROL!r}.")


def is_control_agrees(adata: AnnData) -> None:
    """`is_control` equals `perturbation == "control"`."""
    labels = adata.obs["perturbation"].astype(str).to_numpy()
    flags = adata.obs["is_control"].to_numpy()
    bad = flags != (labels == CONTROL)
    if bad.any():
        told = cells_where(bad, adata.obs_names, lambda i: f"{labels[i]}, is_control {flags[i]}")
        raise InputError(f"obs['is_control'] disagrees with obs['perturbation'] in {told}.")


def doses_possible(adata: AnnData) -> None:
    """The control has dose 0; a treated cell has a positive dose, or NaN where dose has no meaning."""
    dose, control = adata.obs["dose_um"].to_numpy(), adata.obs["is_control"].to_numpy()
    for bad, rule in (
        (control & ~(dose == 0), "of a control cell must be 0"),
        (
            ~control & ((dose <= 0) | np.isinf(dose)),
            "of a treated cell must be positive, or NaN without meaning",
        ),
    ):
        if bad.any():
            raise InputError(
                f"obs['dose_um'] {rule}: {cells_where(bad, adata.obs_names, lambda i: f'{dose[i]:g}')}."
            )


def contexts_have_controls(adata: AnnData) -> None:
    """Every context has control cells of its own: the control of one is not the control of another."""
    contexts, control = adata.obs["context"].astype(str), adata.obs["is_control"].to_numpy()
    without = sorted(set(contexts) - set(contexts[control]))
    if without:
        bad = contexts.isin(without).to_numpy()
        raise InputError(
            f"obs['context'] without control cells: {three(without)}, {cells_where(bad, adata.obs_names)}. "
            "Add the controls of the same context, or leave the context out."
        )


def something_perturbed(adata: AnnData) -> None:
    """Some cell is perturbed, or the kind of all cells is `none`."""
    if adata.obs["is_control"].all() and (adata.obs["kind"] != "none").any():
        raise InputError(
            f"obs['perturbation'] is {CONTROL!r} in all {adata.n_obs:,} cells: nothing to predict. "
            "If the cells are unperturbed, say so with kind none."
        )


def keys_unique(adata: AnnData) -> None:
    """Different conditions have different keys: labels with `|`, or doses equal in six digits, could collide."""
    triples = adata.obs[["context", "perturbation", "dose_um"]].astype({"context": str, "perturbation": str})
    triples = triples.assign(key=condition_keys(adata.obs)).drop_duplicates()
    twice = sorted(triples.loc[triples["key"].duplicated(), "key"])
    if twice:
        raise InputError(
            f"Different (context, perturbation, dose_um) give one condition key: {three(twice)}. Rename them."
        )
