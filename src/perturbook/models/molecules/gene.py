"""`gene`: a perturbed gene is the row of the foundation model's own gene table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from perturbook.data.findings import three
from perturbook.data.gene_labels import genes_of
from perturbook.errors import NotApplicable
from perturbook.models.molecules.encoder import encoder


@encoder("gene", title="The gene's own embedding")
class GeneEncoder:
    """The gene's vector behind its norm, `(D,)`; of a double the sum. Nothing is estimated.

    Source: our choice, so that a screen of genes can be asked the questions of a screen of drugs.
    """

    def __init__(self, backbone: str = "small"):
        """Args: `backbone`, a scGPT model of the registry of backbones."""
        self.backbone = backbone

    def fit(self, table: pd.DataFrame, names: Sequence[str]) -> "GeneEncoder":
        """Check that the vocabulary knows every training gene."""
        from perturbook.models.backbones import BACKBONES

        model = BACKBONES[self.backbone].make(None).model
        self._vocabulary, self._table = model.vocabulary, model.encoder
        self.width = model.width
        self.encode(table, names)
        self.fitted_on = tuple(names)
        return self

    def encode(self, table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
        """Vectors `(names, D)`; raises NotApplicable naming genes that the vocabulary lacks."""
        import torch

        parts = [genes_of(name) for name in names]
        genes = sorted({gene for part in parts for gene in part})
        ids = self._vocabulary.ids_of(genes)
        if missing := [gene for gene, token in zip(genes, ids, strict=True) if token < 0]:
            raise NotApplicable(f"the vocabulary of the backbone lacks {three(missing)}")
        with torch.inference_mode():
            vectors = dict(zip(genes, self._table(torch.from_numpy(ids)).numpy(), strict=True))
        rows = [np.sum([vectors[gene] for gene in part], axis=0) for part in parts]
        return np.stack(rows).astype(np.float32) if rows else np.zeros((0, self.width), np.float32)
