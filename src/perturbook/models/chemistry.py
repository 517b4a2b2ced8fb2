"""Drugs as a predictor sees them: fingerprints of the parent molecule, with a plain reason where there are none."""

import numpy as np
import pandas as pd

from perturbook.errors import NotApplicable


def smiles_of(table: pd.DataFrame, drugs: list[str]) -> list[str]:
    """SMILES of `drugs` from a perturbation table; raises NotApplicable naming drugs without one."""
    if "smiles" not in table:
        raise NotApplicable("the perturbations of this data set have no chemical structure")
    found = table["smiles"].reindex(drugs)
    if missing := [drug for drug, smiles in found.items() if not isinstance(smiles, str) or not smiles]:
        raise NotApplicable(f"no SMILES for {', '.join(missing[:3])}")
    return found.tolist()


def fingerprints(table: pd.DataFrame, drugs: list[str]) -> np.ndarray:
    """Morgan fingerprints (radius 2, 2,048 bits) of the parent molecules, `(drugs, bits)`."""
    from perturbook.data.molecules import morgan

    return morgan(smiles_of(table, drugs)).astype(float)
