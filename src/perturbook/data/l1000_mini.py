"""LINCS L1000 phase 1: bulk expression of the colon line HT115, 6 h after 349 drugs; a small public extract.

A profile is one well, not a cell, and its values are log2 intensities: there are no counts and no `lognorm`, and
`n_counts` is NaN. Values end at a cap of 15. Wells of one plate share a plate effect: compare with the DMSO wells of
the same `replicate`, which the pairing in the file (`paired_control_index`) does in half of the wells only. The 349
names are 347 structures (tipifarnib stands under two names), so that splits group by `inchikey14`.
Source: `datasets.md` section 3.5.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData, read_h5ad

from perturbook.data.dataset import PublicFile, dataset
from perturbook.data.molecules import canonical, perturbation_table
from perturbook.data.schema import CONTROL, assemble

NAME = "l1000-mini"
VEHICLE = "DMSO"

FILE = PublicFile(
    name="prnet_l1000_demo.h5ad",
    url="https://raw.githubusercontent.com/Perturbation-Response-Prediction/PRnet/f19174bde3ed2633f54c7831799cc38c4ffc7a0d/dataset/demo.h5ad",
    sha256="c3bd7c7e3e08fa68062fbf2080ada31f9086359b5ab03f843b7f0efd21389d9b",
    size=3_136_818,
    licence="Apache-2.0 (Perturbation-Response-Prediction/PRnet)",
)


@dataset(
    NAME,
    title="LINCS L1000 phase 1: colon line HT115, 349 drugs, 6 h, bulk log2 intensities (681 profiles, 978 genes)",
    files=(FILE,),
    cite="subramanian2017",
)
def prepare(path: Path) -> AnnData:
    """Put the file into the canonical schema (681 profiles, 978 genes): 349 drugs, 354 conditions, 20 controls.

    Raises:
        InputError: a structure cannot be read.
    """
    origin = read_h5ad(path)
    wells = origin.obs.rename_axis(index=None)
    obs = pd.DataFrame(
        {
            "context": wells["cell_id"],
            "perturbation": wells["pert_iname"].astype(str).replace({VEHICLE: CONTROL}),
            "kind": "drug",
            "dose_um": wells["dose"],  # `pert_dose` is -666 for DMSO
            "n_counts": np.nan,
            "replicate": wells["rna_plate"],
            "time_h": wells["pert_time"],
        }
    )
    return assemble(
        NAME,
        origin.X,
        obs,
        origin.var_names,
        value_kind="log_intensity",
        recovered="No counts: log2 intensities of bulk profiles as in the file, capped at 15.",
        perturbations=_structures(obs["perturbation"], wells["SMILES"].astype(str)),
    )


def _structures(names: pd.Series, smiles: pd.Series) -> pd.DataFrame:
    """One structure per drug name.

    Five names have two SMILES that differ in stereochemistry only. The longer canonical one is kept, which states more
    of it, and of two equally long ones the last of the alphabet: our choice. Nothing here depends on it, because
    identities and fingerprints leave stereochemistry out.
    """
    pairs = pd.DataFrame({"name": names, "smiles": smiles}).drop_duplicates()
    pairs = pairs[pairs["name"] != CONTROL]
    pairs["smiles"] = [canonical(one, name) for name, one in zip(pairs["name"], pairs["smiles"], strict=True)]
    kept = pairs.groupby("name", sort=True)["smiles"].agg(lambda found: max(found, key=lambda s: (len(s), s)))
    return perturbation_table(kept.index, kept, [""] * len(kept)).drop(columns="mechanism")
