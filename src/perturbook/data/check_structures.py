"""One drug name, one structure: compared by the first InChIKey block of the parent molecule.

Source: `datasets.md` section 5.
"""

import warnings

import pandas as pd
from anndata import AnnData

from perturbook.data.findings import three
from perturbook.data.schema import CONTROL
from perturbook.errors import InputError

NAME_COLUMNS = ("perturbation", "product_name", "drug", "drug_name", "compound", "pert_iname", "condition")


def structure_table(adata: AnnData) -> None:
    """`uns["perturbations"]`, where it exists, has one row for each perturbation of the cells."""
    table = adata.uns.get("perturbations")
    if table is None:
        return
    if not isinstance(table, pd.DataFrame):
        raise InputError(
            f'uns["perturbations"] is a {type(table).__name__}, expected a DataFrame with one row per name.'
        )
    if "smiles" in table:
        one_structure(
            table.index.to_series().astype(str), table["smiles"], 'uns["perturbations"]["smiles"]', "index"
        )
    twice = table.index[table.index.duplicated()].unique()
    if len(twice):
        raise InputError(f'uns["perturbations"] has more than one row for {three(twice)}.')
    if "perturbation" in adata.obs:
        missing = sorted(set(adata.obs["perturbation"].dropna().astype(str)) - set(table.index) - {CONTROL})
        if missing:
            raise InputError(f'uns["perturbations"] has no row for {three(missing)} of obs["perturbation"].')


def one_structure_per_name(adata: AnnData) -> None:
    """Where `obs` holds SMILES, each drug name has one structure; a warning where only stereochemistry differs."""
    for smiles in (column for column in adata.obs if "smiles" in str(column).lower()):
        for name in (column for column in NAME_COLUMNS if column in adata.obs):
            one_structure(
                adata.obs[name].astype(str), adata.obs[smiles], f"obs[{smiles!r}]", f"obs[{name!r}]"
            )


def one_structure(names: pd.Series, smiles: pd.Series, where: str, by: str) -> None:
    """Compare the structures of each name; a warning where only stereochemistry or salt differs, else InputError."""
    pairs = pd.DataFrame(
        {"name": names.to_numpy(), "smiles": smiles.astype(object).to_numpy()}
    ).drop_duplicates()
    pairs = pairs[pairs["smiles"].notna() & (pairs["smiles"] != "")]
    several = pairs[pairs["name"].duplicated(keep=False) & (pairs["name"] != CONTROL)]
    if several.empty:
        return
    from perturbook.data.molecules import inchikey14  # rdkit is slow to import

    blocks = {one: inchikey14(one) for one in several["smiles"].unique()}
    distinct = several.assign(block=several["smiles"].map(blocks)).groupby("name")["block"].nunique()
    share = f"{(distinct > 1).sum()} of {pairs['name'].nunique()} names"
    if (distinct > 1).any():
        told = "; ".join(
            f"{name!r}: {three(several.loc[several['name'] == name, 'smiles'])}"
            for name in distinct.index[distinct > 1][:3]
        )
        raise InputError(f"{where} gives {share} of {by} two structures or more: {told}.")
    warnings.warn(
        f"{where} gives {len(distinct)} names of {by} SMILES that differ in stereochemistry or salt only "
        f"({three(distinct.index)}): they count as one drug.",
        stacklevel=2,
    )
