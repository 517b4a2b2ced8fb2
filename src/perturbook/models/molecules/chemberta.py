"""`chemberta`: what a language model of SMILES, read from a local folder, makes of the parent molecule."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from perturbook.data.trust import file_sha256
from perturbook.errors import ConfigError, InputError
from perturbook.models.chemistry import smiles_of
from perturbook.models.molecules.chemberta_folder import files_of, load, sizes_of
from perturbook.models.molecules.encoder import encoder

POOLING = ("molecule", "all", "first")
VECTORS: dict[tuple[str, str, str], np.ndarray] = {}
"""By checksum of the model, pooling and parent: every adapter of every fold asks for the same molecules."""


@encoder("chemberta", title="ChemBERTa")
class ChemBERTaEncoder:
    """Mean over the tokens of the parent's SMILES in the last hidden layer, start and end token left out.

    Nothing is estimated. Each molecule goes through the model alone, so that no padding and no other molecule can reach its
    vector. How the paper pools is not known; the default is our choice. Source: `scdca.md` section 3; Chithrananda 2020.
    """

    def __init__(self, folder: str | Path | None = None, pooling: str = "molecule"):
        """Look at the folder; weights are read by `fit`.

        Args:
            folder: of a ChemBERTa model, with config.json, weights and tokenizer.
            pooling: "molecule", the mean over its own tokens; "all", start and end among them; "first", the start alone.

        Raises:
            ConfigError: no folder is given, it or a file in it is missing, or `pooling` is another.
            InputError: its config.json is not that of a ChemBERTa.
        """
        if folder is None:
            raise ConfigError("The encoder `chemberta` needs folder=, a ChemBERTa model on this machine.")
        if pooling not in POOLING:
            raise ConfigError(f"pooling is {pooling!r}; expected one of {', '.join(POOLING)}.")
        self.folder, self.pooling = Path(folder), pooling
        self._files = files_of(self.folder)
        self.width, self.longest = sizes_of(self.folder)
        self._loaded = None

    @property
    def settings(self) -> dict:
        """What decides a vector beside the molecule: pooling, and one sha256 over all files that are read."""
        whole = " ".join(f"{path.name} {file_sha256(path)}" for path in self._files)
        return {"pooling": self.pooling, "sha256": hashlib.sha256(whole.encode()).hexdigest()}

    def fit(self, table: pd.DataFrame, names: Sequence[str]) -> "ChemBERTaEncoder":
        """Load the model; raises NotApplicable naming training drugs without a structure, and as `load` does."""
        smiles_of(table, list(names))
        if self._loaded is None:
            self._loaded = load(self.folder)
        self.fitted_on = tuple(names)
        return self

    def encode(self, table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
        """Vectors `(names, m)`.

        Raises:
            NotApplicable: a drug has no structure.
            InputError: the model cannot read a drug: too long, or letters that its vocabulary lacks.
        """
        from perturbook.data.molecules import parent

        found, model = np.zeros((len(names), self.width), np.float32), self.settings["sha256"]
        for row, (name, smiles) in enumerate(zip(names, smiles_of(table, list(names)), strict=True)):
            key = (model, self.pooling, parent(smiles, name))
            if key not in VECTORS:
                VECTORS[key] = self._vector(key[-1], name)
            found[row] = VECTORS[key]
        return found

    def _vector(self, smiles: str, name: str) -> np.ndarray:
        import torch

        tokenizer, model = self._loaded
        ids = tokenizer(smiles)["input_ids"]
        if len(ids) > self.longest:
            raise InputError(
                f"The SMILES of {name!r} has {len(ids)} tokens, the model in {self.folder} reads {self.longest}; leave the "
                "drug out, or use another encoder."
            )
        if max(ids) >= model.config.vocab_size:
            raise InputError(
                f"The tokenizer in {self.folder} has more tokens than the {model.config.vocab_size:,} of its model; both must "
                "come from one source."
            )
        inside = [
            i for i, one in enumerate(ids) if one not in (tokenizer.cls_token_id, tokenizer.sep_token_id)
        ]
        # Tokenizers drop letters that they do not know without a word, so that Cl could be read as C.
        read = "".join(tokenizer.decode([ids[i] for i in inside], clean_up_tokenization_spaces=False).split())
        if read != smiles:
            raise InputError(
                f"The tokenizer in {self.folder} reads the SMILES {smiles!r} of {name!r} as {read!r}; its vocabulary does not "
                "fit. Use another folder, or bring vectors by the encoder `table`."
            )
        with torch.inference_mode():
            hidden = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        rows = {"molecule": inside, "all": slice(None), "first": slice(0, 1)}[self.pooling]
        vector = hidden[rows].mean(dim=0).numpy()
        if not np.isfinite(vector).all():
            raise InputError(
                f"The model in {self.folder} gives no finite vector for {name!r}; copy it again."
            )
        return vector
