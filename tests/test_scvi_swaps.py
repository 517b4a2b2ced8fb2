"""scVI as an encoder of swaps; its network here has random weights. `concepts.md` section 4, point 6."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData
from hand_made_concepts import HandMade, cells_of, toy_counts

from perturbook.concepts.attribution import attribute
from perturbook.concepts.attribution_diagnostics import completeness, joint_swap
from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.scvi_swaps import ScviSwaps
from perturbook.errors import InputError
from perturbook.models.backbones.scvi import SIZES, ScviBackbone

pytestmark = pytest.mark.slow  # importing scvi-tools takes seconds
GENES = [f"GENE{i}" for i in range(40)]


@pytest.fixture(scope="module")
def backbone():
    from scvi.module import VAE

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = VAE(n_input=40, n_batch=1, n_labels=1, n_latent=4, **SIZES)
    return ScviBackbone(module, GENES[::-1], ["all"], {})


@pytest.fixture(scope="module")
def encoder(backbone):
    return ScviSwaps(backbone, ["OTHER", *GENES])


def counts_with_another_gene(n):
    return np.c_[np.full(n, 7), toy_counts(n, 40)].astype(np.float32)


def test_the_embedding_is_that_of_the_backbone_and_other_genes_are_not_read(backbone, encoder):
    counts = counts_with_another_gene(5)
    stored = backbone.encode(AnnData(sp.csr_matrix(counts), var=pd.DataFrame(index=["OTHER", *GENES])))
    read = encoder.read(sp.csr_matrix(counts)).toarray()
    assert (read[:, 0] == 0).all()
    assert np.abs(encoder.embed(np.arange(41), read).numpy() - stored).max() < 1e-5


def test_single_swaps_are_exact_and_their_derivatives_follow_them(encoder):
    read = encoder.read(sp.csr_matrix(counts_with_another_gene(2))).toarray()
    genes = np.arange(1, 41)
    base, other = read[:, 1:]
    at = np.flatnonzero(base != other)
    values = np.repeat(base[None], len(at), axis=0)
    values[np.arange(len(at)), at] = other[at]
    exact = encoder.embed(genes, values)
    assert (encoder.swapped(genes, base, at, other[at]) - exact).abs().max() < 1e-5
    change = (exact - encoder.embed(genes, base[None])).numpy().T
    screened = encoder.first_order(genes, base, other, lambda z: z)
    assert (screened[:, base == other] == 0).all()
    assert min(np.corrcoef(a, b)[0, 1] for a, b in zip(screened[:, at], change, strict=True)) > 0.9


def test_its_concepts_are_attributed_like_any_others(encoder):
    counts = counts_with_another_gene(40)
    cells = cells_of(encoder, counts, genes=["OTHER", *GENES])
    mean = cells.embeddings.mean(0)
    w = np.r_[np.eye(4), -np.eye(4)].astype(np.float32)

    class Split(HandMade):
        def pre_activations(self, x):
            return super().pre_activations(torch.as_tensor(x) - torch.from_numpy(mean))

    concepts = Split(w, k=3)
    found, passes = attribute(encoder, concepts, cells, range(8), AttributionSettings(n=5))
    assert passes.run <= passes.shared < passes.asked
    for one in found.values():
        assert np.allclose(joint_swap(encoder, concepts, one), 1, atol=1e-5)
        assert completeness(one)["pre"].notna().all() and one.swaps["exact"].all()
        assert one.scores.loc["OTHER", "tested"] == 0


def test_a_gene_of_the_model_that_is_missing_is_named(backbone):
    with pytest.raises(InputError, match="1 of the 40 genes .* such as GENE39"):
        ScviSwaps(backbone, GENES[:-1])
