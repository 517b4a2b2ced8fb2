"""`table`: vectors that the reader brings, by name of the perturbation."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from perturbook.data.findings import three
from perturbook.errors import ConfigError, InputError
from perturbook.models.molecules.encoder import encoder


@encoder("table", title="The reader's own vectors")
class TableEncoder:
    """Rows of a table. Nothing is estimated, and nothing is known of what the vectors were made from."""

    def __init__(self, vectors: pd.DataFrame | str | Path | None = None):
        """Args: `vectors`, index name, one number per column; or a CSV file of such a table, names in its first column.

        Raises:
            ConfigError: no vectors are given.
            InputError: the file is missing or cannot be read, a name stands twice, or a value is no finite number.
        """
        if vectors is None:
            raise ConfigError("The encoder `table` needs vectors=, a table or a CSV file of one.")
        if not isinstance(vectors, pd.DataFrame):
            vectors = _read(Path(vectors))
        if twice := sorted({str(one) for one in vectors.index[vectors.index.duplicated()]}):
            raise InputError(f"Vectors are given twice for {three(twice)}; name each perturbation once.")
        with np.errstate(over="ignore"):  # infinite, and refused below
            values = vectors.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float32)
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any() or not values.size:
            raise InputError(
                f"The vector of {three(vectors.index[bad].astype(str).tolist()) or 'no perturbation'} is not a row of finite "
                "numbers; correct the table."
            )
        self.width = values.shape[1]
        self._rows = dict(zip(vectors.index.astype(str), values, strict=True))
        written = "\n".join(self._rows).encode() + np.ascontiguousarray(values).tobytes()
        self.settings = {"sha256": hashlib.sha256(written).hexdigest()}

    def fit(self, table: pd.DataFrame, names: Sequence[str]) -> "TableEncoder":
        """Check that every training perturbation has a vector."""
        self.encode(table, names)
        self.fitted_on = tuple(names)
        return self

    def encode(self, table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
        """Rows `(names, columns)`; raises InputError listing the names that have none."""
        if missing := sorted({name for name in names if name not in self._rows}):
            raise InputError(
                f"{len(missing)} perturbations have no vector in the table: {', '.join(missing)}; add a row for each."
            )
        return (
            np.stack([self._rows[name] for name in names])
            if len(names)
            else np.zeros((0, self.width), np.float32)
        )


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a CSV file with names in its first column.")
    try:
        return pd.read_csv(path, index_col=0, keep_default_na=False)
    except ValueError as error:  # of the parser, or of the decoder of text
        first = str(error).splitlines()[0]
        raise InputError(
            f"{path} cannot be read as CSV ({first}); names stand in its first column."
        ) from None
