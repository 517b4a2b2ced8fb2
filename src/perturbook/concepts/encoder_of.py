"""The encoder of a backbone, ready to be asked what one gene does, and the embeddings it gives."""

import numpy as np
from anndata import AnnData

from perturbook.concepts.scgpt_swaps import ScGPTSwaps
from perturbook.concepts.scvi_swaps import ScviSwaps
from perturbook.concepts.swap_encoder import SwapEncoder
from perturbook.errors import ConfigError

BACKBONES = {"small": "scGPT, small", "scvi": "scVI"}
BLOCK = 50


def encoder_of(name: str, adata: AnnData, train: np.ndarray) -> SwapEncoder:
    """The encoder of a backbone of `BACKBONES`; scVI is trained on the cells `train` `(cells,)`, scGPT is used as it was shipped.

    Raises:
        ConfigError: there is no such backbone. InputError: scVI, and the cells hold no counts; or see `ScGPTSwaps`.
    """
    if name not in BACKBONES:
        raise ConfigError(f"Unknown backbone {name!r} for attribution. Known: {', '.join(BACKBONES)}.")
    if name == "scvi":
        from perturbook.models.backbones.scvi import ScviBackbone

        return ScviSwaps(ScviBackbone.fit(adata[train].copy()), list(adata.var_names))
    from perturbook.models.backbones.small_checkpoint import SMALL
    from perturbook.models.scgpt import load

    return ScGPTSwaps(load(SMALL), list(adata.var_names))


def embeddings(encoder: SwapEncoder, adata: AnnData) -> np.ndarray:
    """`(cells, width)` float32 of the values in `X`; a row does not depend on the other cells."""
    every, read = np.arange(adata.n_vars), encoder.read(adata.X.tocsr())
    blocks = (read[at : at + BLOCK].toarray() for at in range(0, adata.n_obs, BLOCK))
    return np.concatenate([encoder.embed(every, one).numpy() for one in blocks])
