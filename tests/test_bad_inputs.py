"""What a reader's file can have wrong, and what it is told: one error before anything is computed, one row for each.

Every fault goes through `load`, as on a page. Faults of files in canonical columns stand in test_validate.py, those of
R files in test_rda.py, those of large files in test_backed.py.
"""

import shutil
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from perturbook.data import Columns, load
from perturbook.errors import ConfigError, InputError, PerturbookError

OWN = Columns(
    perturbation="treatment", context="line", dose="dose_nM", dose_unit="nM", control="DMSO", kind="drug"
)
GENES = Columns(perturbation="guide", context="line", kind="CRISPRi")


@pytest.fixture
def mine(screen):
    """The hand-made screen under other names: 2 lines, DMSO and 2 drugs at 2 doses, a guide, structures, raw counts."""
    drug = screen.obs["perturbation"].astype(str).replace("control", "DMSO").to_numpy()
    obs = pd.DataFrame(
        {
            "treatment": drug,
            "guide": pd.Series(drug).map({"DMSO": "ctrl", "Aspirin": "KLF1", "Metformin": "SET"}).to_numpy(),
            "line": screen.obs["context"].astype(str).to_numpy(),
            "dose_nM": 1000 * screen.obs["dose_um"].to_numpy(),
            "structure": pd.Series(drug).map(screen.uns["perturbations"]["smiles"]).fillna("").to_numpy(),
        },
        index=screen.obs_names,
    )
    return AnnData(X=screen.X, obs=obs, var=screen.var.copy())


def column(name, change):
    """A fault in one column; `change(position, old)` gives the new entry."""

    def spoil(adata):
        adata.obs[name] = [change(i, old) for i, old in enumerate(adata.obs[name])]

    return spoil


def values(change):
    """A fault in X; `change(dense)` gives the new matrix."""

    def spoil(adata):
        adata.X = change(adata.X.toarray())

    return spoil


def at(row, gene, value):
    def change(dense):
        dense[row, gene] = value
        return dense

    return values(change)


def log_normalised(dense, scale=1e4):
    return np.log1p(dense * (scale / dense.sum(axis=1, keepdims=True)))


def keep(rows):
    return lambda adata: adata._inplace_subset_obs(rows(adata))


def ensembl(adata):
    adata.var_names = [f"ENSG{i:011d}" for i in range(adata.n_vars)]


def ensembl_with_a_symbol_twice(adata):
    adata.var["gene_symbols"] = ["TBCE", "TBCE", *adata.var_names[2:]]
    ensembl(adata)


def mouse_genes(adata):
    adata.var_names = ["Klf1", "Set", *adata.var_names[2:]]


def selected_genes_per_million(adata):
    adata.X = log_normalised(adata.X.toarray(), 1e6)
    adata._inplace_subset_var(np.arange(adata.n_vars) < 20)


def counts_layer_of_fractions(adata):
    adata.layers["counts"] = adata.X.toarray() + 0.25


def shuffled(adata):
    """The public mock: right shape, right labels, and every column shuffled on its own."""
    adata.obs["cov_drug"] = adata.obs["line"] + "_" + adata.obs["treatment"]
    rng = np.random.default_rng(5)
    for name in adata.obs:
        adata.obs[name] = adata.obs[name].to_numpy()[rng.permutation(adata.n_obs)]
    adata.X = log_normalised(adata.X.toarray())[:, rng.permutation(adata.n_vars)] * 1.1


BAD = {
    # Columns that are not there
    "a perturbation column that does not exist": (
        None, replace(OWN, perturbation="drug"),
        "obs has no column 'drug' for perturbation; it has treatment, guide, line, dose_nM, structure.",
    ),
    "donors that do not exist": (
        None, replace(OWN, context="donor"), "obs has no column 'donor' for context; it has treatment, guide",
    ),
    "a batch column that does not exist": (
        None, replace(OWN, batch="plate"), "obs has no column 'plate' for batch; it has",
    ),
    "a dose column that does not exist": (
        None, replace(OWN, dose="dose"), "obs has no column 'dose' for dose; it has",
    ),
    "a column of structures that does not exist": (
        None, replace(OWN, smiles="SMILES"), "obs has no column 'SMILES' for smiles; it has",
    ),
    "no perturbation column named": (
        None, Columns(kind="drug"), "obs has no column 'perturbation' for perturbation; it has",
    ),
    "no columns named at all": (None, None, "obs lacks dataset, context, perturbation, .* Say which column holds what"),
    "no kind named": (
        None, replace(OWN, kind=""), r"Say what kind of perturbation the cells had: one of drug, CRISPRa, CRISPRi",
    ),
    "a kind that is none": (
        None, replace(OWN, kind="knockout"), r"no column 'knockout' for kind \(one of drug, .*none, or a column of them",
    ),
    # Labels
    "cells without a perturbation": (
        column("treatment", lambda i, old: None if i < 2 else old), OWN,
        r"obs\['treatment'\] has no label in 2.0 % of cells \(2 of 100\), such as 'cell000', 'cell001'. Drop these cells",
    ),
    "cells without a context": (
        column("line", lambda i, old: " " if i == 9 else old), OWN, r"obs\['line'\] has no label in 1.0 % .*'cell009'",
    ),
    "numbers with a fraction as labels": (
        column("treatment", lambda i, old: 0.5), OWN, r"obs\['treatment'\] holds float64 numbers and cannot be perturbation",
    ),
    "two cells of one name": (
        lambda a: setattr(a, "obs_names", ["twin", "twin", *a.obs_names[2:]]), OWN,
        r"cell names \(obs index\) stand more than once: 'twin'. Make them unique",
    ),
    "a control label that no cell has": (
        None, replace(OWN, control="vehicle"), r"obs\['treatment'\] has no label 'vehicle' for control; it has 'Aspirin', 'DMSO'",
    ),
    "no usual spelling of control": (
        column("treatment", lambda i, old: "mock" if old == "DMSO" else old), replace(OWN, control=""),
        r"no usual spelling of control; say with control= which label is untreated: 'Aspirin', 'Metformin', 'mock'",
    ),
    "two spellings of control": (
        column("treatment", lambda i, old: "Vehicle" if i == 0 else old), replace(OWN, control=""),
        r"spells control in more than one way: 'DMSO', 'Vehicle'. Give all untreated cells one label",
    ),
    "a second control beside the one named": (
        column("treatment", lambda i, old: "unstimulated" if i == 0 else old), OWN,
        r"spells control in more than one way: 'DMSO', 'unstimulated'",
    ),
    "control cells only": (
        keep(lambda a: (a.obs["treatment"] == "DMSO").to_numpy()), OWN,
        "is 'control' in all 20 cells: nothing to predict. If the cells are unperturbed, say so with kind none",
    ),
    "a context without control": (
        keep(lambda a: ~((a.obs["line"] == "K562") & (a.obs["treatment"] == "DMSO")).to_numpy()), OWN,
        r"obs\['context'\] without control cells: 'K562', 44.4 % of cells",
    ),
    "every column shuffled on its own": (
        shuffled, OWN, r"obs\['cov_drug'\] disagrees with obs\['(line|treatment)'\] in \d\d.\d % of cells",
    ),
    # Doses
    "a dose that is no number": (
        column("dose_nM", lambda i, old: "high" if i == 30 else str(old)), OWN,
        r"obs\['dose_nM'\] is not read as a dose in 1.0 % of cells \(1 of 100\), such as 'cell030' \('high'\)",
    ),
    "a dose in milligrams": (
        column("dose_nM", lambda i, old: "5 mg/kg"), OWN, r"not read as a dose in 80.0 % .*'cell010' \('5 mg/kg'\)",
    ),
    "a treated cell without dose": (
        column("dose_nM", lambda i, old: np.nan if i == 30 else old), OWN, r"not read as a dose in 1.0 % .*\(nan\)",
    ),
    "a negative dose": (
        column("dose_nM", lambda i, old: -old if i == 30 else old), OWN,
        r"obs\['dose_um'\] of a treated cell must be positive, or NaN without meaning: .*'cell030' \(-1\)",
    ),
    "a treated cell at dose 0": (
        column("dose_nM", lambda i, old: 0 if i == 30 else old), OWN, r"of a treated cell must be positive, .*'cell030' \(0\)",
    ),
    # Genes and structures
    "Ensembl ids without symbols": (ensembl, OWN, r"30 of 30 gene names are Ensembl ids \('ENSG00000000000'"),
    "numbers for gene names": (
        lambda a: setattr(a, "var_names", [str(i) for i in range(a.n_vars)]), OWN, "30 of 30 gene names are numbers",
    ),
    "one symbol for two Ensembl ids": (
        ensembl_with_a_symbol_twice, OWN, r"var\['gene_symbols'\] gives 1 symbols to more than one Ensembl id: 'TBCE'",
    ),
    "a perturbed gene that is no symbol": (
        column("guide", lambda i, old: old.replace("SET", "SET guide 2")), GENES,
        r"obs\['perturbation'\] has 'SET guide 2', which cannot be gene symbols",
    ),
    "a pair whose second gene nobody knows": (
        column("guide", lambda i, old: old.replace("SET", "KLF1_SETT")), GENES,
        r"obs\['perturbation'\] has 'KLF1_SETT', which cannot be gene symbols; write one symbol, or several joined by '\+'",
    ),
    "perturbed genes as Ensembl ids": (
        column("guide", lambda i, old: old.replace("SET", "ENSG00000119335")), GENES, "has 'ENSG00000119335', which cannot be",
    ),
    "human guides and mouse genes": (
        mouse_genes, GENES, "spells genes in other letters than var_names: 'KLF1 for Klf1', 'SET for Set'",
    ),
    "a drug with two structures": (
        column("structure", lambda i, old: "CCO" if i == 10 else old), replace(OWN, smiles="structure"),
        r"obs\['structure'\] gives 1 of 2 names of obs\['treatment'\] two structures or more: 'Aspirin': 'CC\(=O\)O",
    ),
    "a drug without a structure": (
        column("structure", lambda i, old: ""), replace(OWN, smiles="structure"),
        r"obs\['structure'\] has cells without a structure for 'Aspirin', 'Metformin'; fill them in",
    ),
    "a structure that cannot be read": (
        column("structure", lambda i, old: "C1CC" if old else ""), replace(OWN, smiles="structure"),
        "The SMILES 'C1CC' of drug 'Aspirin' cannot be read",
    ),
    # Values
    "counts with fractions": (counts_layer_of_fractions, OWN, r'layers\["counts"\] is not whole and non-negative'),
    "values of neither kind": (
        values(lambda x: x * 0.3), OWN, r"neither whole counts nor log1p of scaled counts .* declare uns\[\"value_kind\"\]",
    ),
    "NaN": (at(3, 4, np.nan), OWN, r"X has NaN in .* genes 'GENE4'"),
    "a gene that is NaN throughout": (at(slice(None), 4, np.nan), OWN, "X is NaN in every cell for 1 genes: 'GENE4'"),
    "infinity": (at(3, 4, np.inf), OWN, "X has infinite values"),
    "negative counts": (at(3, 4, -2), OWN, "X has negative values: .* lowest -2"),
    "centred values": (
        values(lambda x: log_normalised(x) - 5), OWN, "X has negative values: .* It looks scaled or centred; give the values before",
    ),
    "a selection of genes in counts per million": (
        selected_genes_per_million, OWN, "expm1 of X sums to between .* per cell: not log1p of values scaled to 1e4",
    ),
    "cells without a count": (
        at(slice(0, 2), slice(None), 0), OWN, r"obs\['n_counts'\] must be positive: 2.0 % of cells \(2 of 100\), such as 'cell000' \(0\)",
    ),
    "declared log values without depth": (
        lambda a: a.uns.update(value_kind="lognorm"), OWN, "obs has no total counts .*; add one of n_counts, total_counts",
    ),
    "no cells": (keep(lambda a: np.zeros(a.n_obs, bool)), OWN, "empty: 0 cells and 30 genes"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_is_refused(mine, tmp_path, name):
    spoil, columns, message = BAD[name]
    if spoil:
        spoil(mine)
    mine.write_h5ad(tmp_path / "mine.h5ad")
    with pytest.raises(PerturbookError, match=message):
        load(tmp_path / "mine.h5ad", columns=columns)


def html(label):
    return lambda adata: column("treatment", lambda i, old: label if old == "Aspirin" else old)(adata)


GOOD = {
    "the file itself": (None, OWN),
    "guides": (None, GENES),
    "structures": (None, replace(OWN, smiles="structure")),
    "markup in a label": (html("<script>alert('x')</script>"), OWN),
    "categories that no cell has": (
        lambda a: a.obs.update(
            {"treatment": a.obs["treatment"].astype("category").cat.add_categories("ctrl")}
        ),
        OWN,
    ),
    "a dose for the control": (column("dose_nM", lambda i, old: old or -666), OWN),
}


@pytest.mark.parametrize("name", GOOD)
def test_passes(mine, tmp_path, name):
    spoil, columns = GOOD[name]
    if spoil:
        spoil(mine)
    mine.write_h5ad(tmp_path / "mine.h5ad")
    assert load(tmp_path / "mine.h5ad", columns=columns).n_obs == 100


@pytest.mark.parametrize("unit", ["ng/ml", "M", "", "nanomolar"])
def test_a_unit_that_is_no_concentration_in_moles_is_refused(unit):
    with pytest.raises(ConfigError, match=r"dose_unit=.* must be nM, uM or mM"):
        Columns(perturbation="treatment", dose="dose", dose_unit=unit)


# Paths


def test_a_folder_that_is_no_zarr_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder but no .zarr; give an .h5ad file, or the top folder"):
        load(tmp_path)


def test_an_empty_zarr_folder_is_refused(tmp_path):
    (tmp_path / "mine.zarr").mkdir()
    with pytest.raises(InputError, match="mine.zarr is a folder but no .zarr"):
        load(tmp_path / "mine.zarr")


@pytest.mark.parametrize("name", ["gone.h5ad", "gone.zarr"])
def test_a_path_without_a_file_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=f"There is no file .*{name}.*, or a name: .*kang2018-mini"):
        load(str(tmp_path / name))


def test_an_hdf5_file_of_something_else_is_refused(tmp_path):
    with h5py.File(tmp_path / "mine.h5ad", "w") as file:
        file["weights"] = np.zeros(5)
    with pytest.raises(InputError, match="mine.h5ad cannot be read as .h5ad"):
        load(tmp_path / "mine.h5ad", columns=OWN)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_an_h5ad_file_cut_short_anywhere_is_one_error(mine, tmp_path, share):
    mine.write_h5ad(tmp_path / "whole.h5ad")
    whole = (tmp_path / "whole.h5ad").read_bytes()
    (tmp_path / "mine.h5ad").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="mine.h5ad (cannot be read|is not an)"):
        load(tmp_path / "mine.h5ad", columns=OWN)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("obs", "mine.zarr cannot be read as .zarr; it may be truncated"),
        ("obs/line", "mine.zarr cannot be read as .zarr; it may be truncated"),
        ("X/indptr", "mine.zarr cannot be read as .zarr; it may be truncated"),
        ("X/data/.zarray", "mine.zarr cannot be read as .zarr; it may be truncated"),
        ("X/data/0", "mine.zarr: X/data has 0 of 1 chunks; copy the folder again"),
        ("X", "There is no matrix X"),
        ("var", "30 of 30 gene names are numbers"),
        ("obs/_index/0", r"cell names \(obs index\) stand more than once: ''"),
    ],
)
def test_a_zarr_folder_with_a_part_missing_is_one_error(mine, tmp_path, lost, message):
    mine.write_zarr(tmp_path / "mine.zarr")
    (tmp_path / "mine.zarr" / ".zmetadata").unlink(missing_ok=True)
    part = tmp_path / "mine.zarr" / lost
    shutil.rmtree(part) if part.is_dir() else part.unlink()
    with pytest.raises(InputError, match=message):
        load(tmp_path / "mine.zarr", columns=OWN)


def test_a_zarr_chunk_cut_in_half_is_one_error(mine, tmp_path):
    mine.write_zarr(tmp_path / "mine.zarr")
    chunk = tmp_path / "mine.zarr" / "X" / "data" / "0"
    chunk.write_bytes(chunk.read_bytes()[: chunk.stat().st_size // 2])
    with pytest.raises(InputError, match="mine.zarr cannot be read as .zarr; it may be truncated"):
        load(tmp_path / "mine.zarr", columns=OWN)
