"""`gene`: a perturbed gene is the row of the foundation model's own gene table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from perturbook.data.findings import three
from perturbook.data.gene_labels import genes_of
from perturbook.errors import ConfigError, NotApplicable
from perturbook.models.molecules.encoder import encoder

if TYPE_CHECKING:
    from perturbook.models.scgpt import ScGPT


@encoder("gene", title="The gene's own embedding")
class GeneEncoder:
    """The gene's vector behind its norm, `(D,)`; of a double the sum. Nothing is estimated.

    Source: our choice, so that a screen of genes can be asked the questions of a screen of drugs.
    """

    def __init__(self, backbone: "str | ScGPT" = "small"):
        """Args: `backbone`, a scGPT model, or its name in the registry of backbones."""
        self.backbone = backbone

    @property
    def settings(self) -> dict:
        """The backbone; its checksum too, once fitted."""
        of = self.backbone if isinstance(self.backbone, str) else self.backbone.name
        return {"backbone": of} | ({"sha256": self._model.identity} if hasattr(self, "_model") else {})

    def fit(self, table: pd.DataFrame, names: Sequence[str]) -> "GeneEncoder":
        """Check that the vocabulary knows every training gene; raises ConfigError for a backbone without a gene table."""
        self._model = _model_of(self.backbone)
        self.width = self._model.width
        self.encode(table, names)
        self.fitted_on = tuple(names)
        return self

    def encode(self, table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
        """Vectors `(names, D)`; raises NotApplicable naming genes that the vocabulary lacks, or names without a gene."""
        import torch

        parts = [genes_of(name) for name in names]
        if bare := [name for name, part in zip(names, parts, strict=True) if not part]:
            raise NotApplicable(f"{three(bare)} names no gene")
        genes = sorted({gene for part in parts for gene in part})
        ids = self._model.vocabulary.ids_of(genes)
        if missing := [gene for gene, token in zip(genes, ids, strict=True) if token < 0]:
            raise NotApplicable(f"the vocabulary of the backbone lacks {three(missing)}")
        with torch.inference_mode():
            vectors = dict(zip(genes, self._model.encoder(torch.from_numpy(ids)).numpy(), strict=True))
        rows = [np.sum([vectors[gene] for gene in part], axis=0) for part in parts]
        return np.stack(rows).astype(np.float32) if rows else np.zeros((0, self.width), np.float32)


def _model_of(backbone: "str | ScGPT") -> "ScGPT":
    if not isinstance(backbone, str):
        if getattr(backbone, "vocabulary", None) is None:
            raise ConfigError(
                "The backbone of the encoder `gene` has no vocabulary; load a whole checkpoint folder."
            )
        return backbone
    from perturbook.models.backbones import BACKBONES

    recipe = BACKBONES[backbone]
    model = None if recipe.fitted else getattr(recipe.make(None), "model", None)
    if model is None:
        raise ConfigError(
            f"The backbone {backbone!r} has no vectors of genes; take a scGPT model, such as 'small'."
        )
    return model
