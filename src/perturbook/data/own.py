"""A reader's own cells: which of their columns hold what, and their way into the canonical schema.

Source: `datasets.md` section 1; what is accepted without being declared is our choice, and every such reading is
said in `uns["origin"]["recovered"]`, which pages print.
"""

import re
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data import check_labels
from perturbook.data.check_composites import composites_agree
from perturbook.data.check_structures import one_structure
from perturbook.data.findings import three
from perturbook.data.gene_labels import normalise
from perturbook.data.molecules import perturbation_table
from perturbook.data.own_labels import UNITS, doses, labels_of, present, untreated
from perturbook.data.own_values import gene_symbols, recognise
from perturbook.data.schema import CONTROL, GENETIC, KINDS, assemble
from perturbook.errors import ConfigError, InputError

POOLED = "all"
"""The one context of a file that names none."""


@dataclass(frozen=True)
class Columns:
    """What the columns of a reader's obs hold. Empty: the canonical column where there is one, else as said below."""

    perturbation: str = ""
    """Column of drug names or gene labels; may stay empty only beside kind "none", where every cell is a control."""
    context: str = ""
    """Column of what a model generalises over: cell line, cell type, donor; empty: one context called "all"."""
    dose: str = ""
    """Column of doses, numbers or text such as "10 nM"; empty: doses have no meaning (NaN)."""
    control: str = ""
    """Label of the untreated cells; empty: the one label that is a usual spelling of control."""
    kind: str = ""
    """One of drug, CRISPRa, CRISPRi, cytokine, none; or the column that holds them."""
    dose_unit: str = "uM"
    """Unit of the doses whose text names none: nM, uM or mM."""
    batch: str = ""
    """Column of the plate or batch, kept as obs["replicate"]."""
    smiles: str = ""
    """Column of drug structures, one per drug, for `uns["perturbations"]`."""

    def __post_init__(self):
        if self.dose_unit.lower() not in UNITS:
            raise ConfigError(f"dose_unit={self.dose_unit!r} must be nM, uM or mM.")


def canonical(adata: AnnData, columns: Columns, name: str = "own") -> AnnData:
    """Bring a reader's cells into the canonical schema; the given object is not changed.

    Values: counts from `layers["counts"]`, `X` or `raw`, whichever holds whole numbers first; else log-normalised
    values that come from counts (`own_values.recognise`). Ensembl ids become symbols where var has them. The doses of
    control cells become 0. Every other column of obs is kept, so that the checks can compare it.

    Args:
        adata: the reader's cells, `(cells, genes)`, in memory.
        columns: which columns hold what.
        name: what the data set is called.

    Raises:
        InputError: a column does not exist or cannot be read in one way only; the columns present are named.
    """
    check_labels.not_empty(adata)
    check_labels.names_unique(adata)
    composites_agree(adata)  # on the reader's own columns: a shuffled table is refused as such
    kinds = _kinds(adata, columns)
    labels, control_said = _perturbations(adata, columns, kinds)
    control = labels == CONTROL
    context = columns.context or ("context" if "context" in adata.obs else "")
    dose = columns.dose or ("dose_um" if "dose_um" in adata.obs else "")
    values, (symbols, ids, symbols_said) = recognise(adata), gene_symbols(adata)
    told = [values.said + symbols_said, control_said]
    told.append(
        f"Context is {context!r}." if context else f'No context was named: all cells are one, "{POOLED}".'
    )
    told.append(f"Doses from {dose!r}, in uM, 0 for controls." if dose else "No dose was named.")
    new = {
        "context": labels_of(adata, context, "context") if context else POOLED,
        "perturbation": labels,
        "kind": kinds,
        "dose_um": doses(adata, dose, columns.dose_unit, control) if dose else np.where(control, 0.0, np.nan),
        "n_counts": values.n_counts,
    }
    if columns.batch:
        new["replicate"] = labels_of(adata, columns.batch, "batch")
    mapped = assemble(
        name,
        values.x,
        adata.obs.assign(**new),
        symbols,
        value_kind=values.value_kind,
        recovered=" ".join(told),
        lognorm=values.x.copy() if values.value_kind == "lognorm" else None,
        perturbations=_structures(adata, columns, labels),
    )
    if ids is not None:
        mapped.var["gene_id"] = ids.to_numpy()
    return mapped


def _kinds(adata: AnnData, columns: Columns) -> str | np.ndarray:
    """One kind for all cells, or the kinds of a column."""
    if columns.kind in KINDS:
        return columns.kind
    if not columns.kind and "kind" not in adata.obs:
        raise ConfigError(f"Say what kind of perturbation the cells had: one of {', '.join(KINDS)}.")
    return labels_of(adata, columns.kind or "kind", f"kind (one of {', '.join(KINDS)}, or a column of them)")


def _perturbations(adata: AnnData, columns: Columns, kinds: str | np.ndarray) -> tuple[np.ndarray, str]:
    """Canonical perturbation labels (cells,), and a sentence on the control."""
    if not columns.perturbation and isinstance(kinds, str) and kinds == "none":
        return np.full(adata.n_obs, CONTROL, dtype=object), "Every cell is a control."
    column = columns.perturbation or "perturbation"
    labels = labels_of(adata, column, "perturbation")
    control = untreated(labels, columns.control, column)
    names = {label: CONTROL if label == control else label for label in set(labels)}
    genetic = set(labels[np.isin(np.broadcast_to(kinds, len(labels)), GENETIC)]) - {control}
    if genetic:
        ordered = sorted(genetic)
        # A gene that was perturbed alone is known though it may not be measured.
        alone = {label for label in ordered if not re.search("[+_,]", label)}
        names |= dict(zip(ordered, normalise(ordered, {*adata.var_names, *alone}), strict=True))
    return np.array([names[label] for label in labels], dtype=object), f"{control!r} is the control."


def _structures(adata: AnnData, columns: Columns, labels: np.ndarray) -> pd.DataFrame | None:
    """The table of drugs and structures; raises InputError where a drug has none, or two."""
    if not columns.smiles:
        return None
    smiles = present(adata, columns.smiles, "smiles").astype(object)
    treated = pd.DataFrame({"name": labels, "smiles": smiles.fillna("").astype(str).str.strip()})
    treated = treated[labels != CONTROL].drop_duplicates().sort_values(["name", "smiles"])
    where = f"obs[{columns.smiles!r}]"
    if none := sorted(treated.loc[treated["smiles"] == "", "name"]):
        raise InputError(f"{where} has cells without a structure for {three(none)}; fill them in.")
    one_structure(treated["name"], treated["smiles"], where, f"obs[{columns.perturbation!r}]")
    table = treated.drop_duplicates("name")  # what is left differs in stereochemistry or salt only
    return perturbation_table(table["name"].tolist(), table["smiles"].tolist(), [""] * len(table))


def with_columns(adata: AnnData, columns: Columns) -> AnnData:
    """A canonical data set with another column taken as context, or as replicate.

    The labels of the new column stand alone, so that holding out a donor holds out all of the donor's cells; the
    former context stays as `cell_type` where that column does not exist.

    Raises:
        ConfigError: another field than context and batch is given, or the data set is simulated, whose truth is known
            by its own contexts.
        InputError: there is no such column.
    """
    given = {field.name for field in fields(columns) if getattr(columns, field.name) != field.default}
    if wrong := sorted(given - {"context", "batch"}):
        raise ConfigError(f"The data set is in canonical columns: {', '.join(wrong)} cannot be named again.")
    if "truth" in adata.uns:
        raise ConfigError(
            "Simulated cells know their truth by context; no other column can be their context."
        )
    new = {}
    if columns.context:
        new["context"] = pd.Categorical(labels_of(adata, columns.context, "context"))
        new |= {"cell_type": adata.obs["context"]} if "cell_type" not in adata.obs else {}
    if columns.batch:
        new["replicate"] = pd.Categorical(labels_of(adata, columns.batch, "batch"))
    adata.obs = adata.obs.assign(**new)
    said = [f"{label} is column {getattr(columns, label)!r}" for label in sorted(given)]
    adata.uns["origin"]["recovered"] += f" Here {' and '.join(said)}."
    return adata
