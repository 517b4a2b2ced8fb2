"""Srivatsan et al. 2020, sci-Plex 3: 188 compounds at four doses on three cell lines; fetched only when asked for.

Three sizes circulate, about 581,000, 650,000 and 800,000 cells; which one was found is said, and scores of different
ones must not stand in one table unmarked. Drugs are named as in `sciplex3-drugs`, which supplies the structures where
the file has none. Source: `datasets.md` sections 3.6 and 4; column names are those of scPerturb and chemCPA.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data import full_size, sciplex3_drugs
from perturbook.data.check_labels import CONTROL_SPELLINGS
from perturbook.data.dataset import PublicFile, dataset
from perturbook.data.findings import three
from perturbook.data.origin_columns import micromolar
from perturbook.data.schema import CONTROL
from perturbook.errors import InputError

NAME = "sciplex3"
HOURS = 24  # the time of every plate but a few of A549, which were kept for 72 hours
DOSES_NM = (10, 100, 1_000, 10_000)

FILE = PublicFile(
    name="SrivatsanTrapnell2020_sciplex3.h5ad",
    url="https://zenodo.org/records/13350497/files/SrivatsanTrapnell2020_sciplex3.h5ad",
    size=2_526_631_614,
    listed="md5:c9e70629505d98c7ca1a837f62b14e89",
    listed_by="third parties that hold copies of Zenodo record 13350497",
    licence="CC-BY-4.0 (Zenodo, scPerturb); the counts of GSE139944 carry no explicit licence",
)

NEEDED = {
    "perturbation": ("perturbation", "condition", "product_name", "drug"),
    "context": ("cell_line", "cell_type"),
    "dose": ("dose_value", "dose"),
}
WELCOME = {
    "dose unit": ("dose_unit",),
    "time": ("time", "time_point"),
    "replicate": ("plate", "replicate"),
    "smiles": ("SMILES", "smiles"),
}
VERSIONS = {
    "the chemCPA preparation": (581_777, None),
    "the number in the paper (about 650,000)": (650_000, None),
    "scPerturb's file": (799_317, None),
}


@dataset(
    NAME,
    title="sci-Plex 3: A549, K562 and MCF7, 188 compounds at four doses (full size, up to 800,000 cells)",
    files=(FILE, sciplex3_drugs.FILE),
    cite="srivatsan2020",
    full_size=True,
)
def prepare(
    path: Path,
    drugs: Path,
    genes: int = 5_000,
    cells_per_condition: int = 0,
    seed: int = 0,
    all_times: bool = False,
) -> AnnData:
    """Put the file into the canonical schema; options and errors as in `full_size.prepare`.

    Args:
        path: the cells.
        drugs: the table of `sciplex3-drugs`.
        genes: most variable genes to keep; 0 keeps all.
        cells_per_condition: treated cells to keep of each condition; 0 keeps all.
        seed: of that draw.
        all_times: keep the wells of 72 hours too, as a context of their own.
    """
    layout = full_size.Layout(
        NEEDED,
        WELCOME,
        VERSIONS,
        lambda columns, symbols: label(columns, sciplex3_drugs.prepare(drugs), all_times),
    )
    return full_size.prepare(
        NAME,
        [path, drugs],
        layout,
        genes=genes,
        cells_per_condition=cells_per_condition,
        seed=seed,
        all_times=all_times,
    )


def drug_name(compound: str) -> str:
    """The name `sciplex3-drugs` has for a compound: up to the first space, `(+)-JQ1` as `JQ1`, `control` for vehicle."""
    name = compound.strip()
    if name.lower() in CONTROL_SPELLINGS:
        return CONTROL
    return name.split()[0].removeprefix("(+)-")


def label(columns: pd.DataFrame, table: pd.DataFrame, all_times: bool) -> full_size.Labelled:
    """Drug names of the table, doses in micromolar, wells of 72 hours left out unless `all_times`.

    Raises:
        InputError: a drug has no structure, or a dose is none of the screen's four.
    """
    compound = columns["perturbation"].astype(object)
    compounds = [one for one in compound.dropna().unique() if one.strip()]
    names = {one: _as_in(table, drug_name(one)) for one in compounds}
    perturbation = compound.map(names)
    control = (perturbation == CONTROL).to_numpy()
    obs = pd.DataFrame(
        {
            "context": columns["context"].astype(object),
            "perturbation": perturbation,
            "kind": "drug",
            "dose_um": np.where(control, 0.0, _doses(columns, control)),
        },
        index=columns.index,
    )
    obs.loc[obs["dose_um"].isna(), "perturbation"] = np.nan  # a treated cell whose dose is not known
    notes = [_shared(names)]
    if "replicate" in columns:
        obs["replicate"] = columns["replicate"].astype(str)
    if "time" in columns:
        obs["time_h"] = columns["time"].astype(float)
        late = obs["time_h"] != HOURS
        later = obs["context"].astype(str) + " " + obs["time_h"].map("{:g} h".format)
        obs["context"] = obs["context"].mask(late, later if all_times else np.nan)
        kept = "kept as contexts of their own" if all_times else "left out"
        notes.append(f"{late.sum():,} cells of another time than {HOURS} h are {kept}.")
    else:
        notes.append(f"No column of times: wells of 72 h, if there are any, stand among those of {HOURS} h.")
    return full_size.Labelled(obs, notes=notes, perturbations=_structures(columns, obs, table))


def _as_in(table: pd.DataFrame, name: str) -> str:
    """The table's spelling: it has a stray question mark in one name."""
    return next((one for one in table.index if one.replace("?", "") == name.replace("?", "")), name)


def _doses(columns: pd.DataFrame, control: np.ndarray) -> np.ndarray:
    dose = columns["dose"].to_numpy(dtype=float)
    treated = ~control & np.isfinite(dose)
    unit = columns["dose unit"].astype(str).to_numpy() if "dose unit" in columns else np.full(len(dose), "nM")
    out = np.full(len(dose), np.nan)
    out[treated] = micromolar(dose[treated], unit[treated])
    other = sorted(set(out[treated]) - {one / 1000 for one in DOSES_NM})
    if other:
        raise InputError(
            f"{NAME}: doses {three(f'{one:g} uM' for one in other)} are none of the screen's {DOSES_NM} nM. "
            f"The unit was read as {', '.join(sorted(set(unit[treated])))}; correct the column of doses or of units."
        )
    return out


def _shared(names: dict[str, str]) -> str:
    """How many compounds stand under how many names, and which share one."""
    drugs = {compound.strip(): name for compound, name in names.items() if name != CONTROL}
    groups = pd.Series(drugs, dtype=object)
    shared = [
        f"{name} ({', '.join(sorted(same.index))})" for name, same in groups.groupby(groups) if len(same) > 1
    ]
    said = f"{len(drugs):,} compounds under {groups.nunique():,} drug names"
    return f"{said}; sharing one: {'; '.join(shared)}." if shared else f"{said}."


def _structures(columns: pd.DataFrame, obs: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    from perturbook.data.molecules import perturbation_table

    drugs = sorted(set(obs["perturbation"].dropna()) - {CONTROL})
    smiles, pathway = table["smiles"], table["pathway"]
    if "smiles" in columns:
        own = pd.DataFrame(
            {"drug": obs["perturbation"], "smiles": columns["smiles"].astype(object)}
        ).drop_duplicates()
        smiles = own.dropna().drop_duplicates("drug").set_index("drug")["smiles"]
    without = [drug for drug in drugs if not smiles.get(drug)]
    if without:
        raise InputError(
            f"{NAME}: {len(without):,} of {len(drugs):,} drugs have no structure in {sciplex3_drugs.NAME}: "
            f"{', '.join(map(repr, without))}. Names may have fused where a comma was missing; correct them."
        )
    return perturbation_table(
        drugs, [smiles[drug] for drug in drugs], [pathway.get(drug, "") for drug in drugs]
    )
