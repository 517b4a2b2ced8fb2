"""Which genes of a large screen stay: control cells alone decide, block by block, as scanpy does in memory."""

import hand_made_full_size as hand_made
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from perturbook.data.gene_panel import BINS, MIN_CELLS, GeneSums, choose, told, variability
from perturbook.data.schema import normalise

SYMBOLS = pd.Index(hand_made.GENES)


def sums_of(x, size):
    sums = GeneSums.zero(x.shape[1])
    for start in range(0, x.shape[0], size):
        sums.add(x[start : start + size])
    return sums


@pytest.mark.parametrize("size", [1, 7, 60, 1000])
def test_dispersions_from_blocks_are_those_of_scanpy_in_memory(size):
    import scanpy as sc

    x = hand_made.counts(60)
    sums = sums_of(x, size)
    ranked = sums.detected >= MIN_CELLS
    assert 5 < ranked.sum() < len(ranked)  # some genes are too rare
    whole = AnnData(normalise(x, np.asarray(x.sum(axis=1)).ravel())[:, ranked])
    sc.pp.highly_variable_genes(whole, flavor="seurat", n_top_genes=12, n_bins=BINS)
    found = variability(sums, ranked)
    assert np.isnan(found[~ranked]).all()
    np.testing.assert_allclose(
        found[ranked], whole.var["dispersions_norm"], atol=1e-4
    )  # scanpy starts from float32
    chosen = choose(sums, pd.Index([f"G{i}" for i in range(len(ranked))]), 12, set())
    np.testing.assert_array_equal(np.flatnonzero(ranked)[whole.var["highly_variable"]], chosen)


def test_a_gene_that_switches_on_wins_over_one_that_is_steady():
    rng = np.random.default_rng(0)
    steady = rng.poisson(rng.uniform(0.5, 8, 300), (200, 300))
    x = sp.csr_matrix(np.column_stack([steady, rng.choice([0, 8], 200)]))
    assert 300 in choose(sums_of(x, 50), pd.Index([f"G{i}" for i in range(301)]), 5, set())


def test_perturbed_genes_stay_whatever_they_do_and_in_the_order_of_the_file():
    sums = sums_of(hand_made.counts(60), 30)
    few = choose(sums, SYMBOLS, 3, {"KLF1", "CEBPE", "SET"})
    assert {"KLF1", "CEBPE"} <= set(SYMBOLS[few]) and len(few) <= 5
    assert (np.diff(few) > 0).all()
    said = told(3, SYMBOLS, few, {"KLF1", "CEBPE", "SET"})
    assert "and 2 perturbed ones" in said and "Perturbed but not measured: SET." in said


def test_a_symbol_that_stands_twice_is_never_kept():
    sums = sums_of(hand_made.counts(60), 30)
    every = choose(sums, SYMBOLS, 0, set())
    assert len(every) == len(SYMBOLS) - 2 and "TWICE" not in SYMBOLS[every]
    assert "TWICE" not in SYMBOLS[choose(sums, SYMBOLS, 1000, {"TWICE"})]
    assert told(0, SYMBOLS, every, set()) == "All 42 of 44 genes whose symbol stands once."


def test_the_order_of_cells_and_genes_does_not_matter():
    x = hand_made.counts(60)
    cells, genes = (
        np.random.default_rng(1).permutation(60),
        np.random.default_rng(2).permutation(len(SYMBOLS)),
    )
    other = SYMBOLS[genes][choose(sums_of(x[cells][:, genes].tocsr(), 13), SYMBOLS[genes], 10, set())]
    assert set(other) == set(SYMBOLS[choose(sums_of(x, 60), SYMBOLS, 10, set())])
