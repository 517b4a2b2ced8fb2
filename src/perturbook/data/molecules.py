"""Molecules as strings and fingerprints: one parse, one parent, one identity for every drug in the book.

The *parent* of a drug is its largest fragment with charges removed, so that a salt and its free base are one
molecule; its first InChIKey block, which ignores stereochemistry, is the identity that splits group by.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from perturbook.data.schema import CONTROL
from perturbook.errors import InputError, ShapeError


def parse(smiles: str, name: str = ""):
    """Read one SMILES into an RDKit molecule.

    Args:
        smiles: the string to read.
        name: the drug's name, used in the message only.

    Raises:
        InputError: the string is empty or is no valid SMILES.
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise InputError(
            f"The SMILES {smiles!r} of drug {name!r} cannot be read; correct it in the drug table."
        )
    return molecule


@lru_cache(maxsize=4096)
def parent(smiles: str, name: str = "") -> str:
    """Return the canonical SMILES of the largest fragment, uncharged.

    Raises:
        InputError: the SMILES cannot be read.

    Source: our choice, as `specs/scdca.md` section 3 fixes it for the whole book.
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem.MolStandardize import rdMolStandardize

    molecule = parse(smiles, name)
    with rdBase.BlockLogs():
        largest = rdMolStandardize.LargestFragmentChooser().choose(molecule)
        return Chem.MolToSmiles(rdMolStandardize.Uncharger().uncharge(largest))


def canonical(smiles: str, name: str = "") -> str:
    """Return RDKit's canonical SMILES of the whole molecule, salts included; raises InputError."""
    from rdkit import Chem

    return Chem.MolToSmiles(parse(smiles, name))


def inchikey14(smiles: str, name: str = "") -> str:
    """Return the first InChIKey block (14 letters) of the parent, equal for all its stereoisomers.

    Raises:
        InputError: the SMILES cannot be read.
    """
    from rdkit import Chem, rdBase

    molecule = parse(parent(smiles, name), name)
    with rdBase.BlockLogs():
        return Chem.MolToInchiKey(molecule)[:14]


def morgan(smiles: Iterable[str], n_bits: int = 2048, radius: int = 2) -> np.ndarray:
    """Compute Morgan fingerprints of the parents, shape `(drugs, bits)`, uint8 of 0 and 1.

    An empty string, which is what the control has, gives a row of zeros (our choice for the vehicle).

    Raises:
        InputError: a SMILES cannot be read.

    Source: Rogers and Hahn 2010, extended-connectivity fingerprints; radius and width as in `specs/scdca.md`.
    """
    rows = [_bits(one, n_bits, radius) if one else np.zeros(n_bits, np.uint8) for one in smiles]
    return np.stack(rows).astype(np.uint8) if rows else np.zeros((0, n_bits), np.uint8)


@lru_cache(maxsize=4096)  # every model of every fold asks for the same molecules
def _bits(smiles: str, n_bits: int, radius: int) -> np.ndarray:
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=n_bits)
    return generator.GetFingerprintAsNumPy(parse(parent(smiles, smiles)))


def tanimoto(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compare fingerprints: bits in both over bits in either, shape `(drugs of a, drugs of b)`.

    NaN where neither has a bit.

    Raises:
        ShapeError: the fingerprints differ in width.
    """
    if a.shape[1] != b.shape[1]:
        raise ShapeError(f"Fingerprints of shapes {a.shape} and {b.shape} differ in width; use one n_bits.")
    a, b = a.astype(np.float64), b.astype(np.float64)
    both = a @ b.T
    either = a.sum(1)[:, None] + b.sum(1)[None, :] - both
    return np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)


def perturbation_table(
    names: Sequence[str], smiles: Sequence[str], mechanisms: Sequence[str]
) -> pd.DataFrame:
    """Build `uns["perturbations"]`: one row per drug, and a first row for the control without a structure.

    Args:
        names: drug names without the control, in the order of the table.
        smiles: one SMILES per name, as its source writes it.
        mechanisms: one mechanism class per name.

    Returns:
        Index `perturbation`; columns `smiles` (canonical), `parent_smiles`, `inchikey14`, `mechanism`. All four are
        empty strings in the control's row.

    Raises:
        InputError: a SMILES cannot be read, or a name stands twice or is the control's.
        ShapeError: the three sequences differ in length.
    """
    if not len(names) == len(smiles) == len(mechanisms):
        raise ShapeError(
            f"{len(names)} names, {len(smiles)} SMILES and {len(mechanisms)} mechanisms do not match."
        )
    index = pd.Index([CONTROL, *names], name="perturbation")
    if not index.is_unique:
        raise InputError(
            f"Drug names stand twice: {', '.join(index[index.duplicated()].unique())}; name each drug once."
        )
    rows = [("", "", "", "")]
    for name, one, mechanism in zip(names, smiles, mechanisms, strict=True):
        rows.append((canonical(one, name), parent(one, name), inchikey14(one, name), mechanism))
    return pd.DataFrame(rows, index=index, columns=["smiles", "parent_smiles", "inchikey14", "mechanism"])
