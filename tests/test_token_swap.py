"""Tokens of a pair of cells: deterministic, on one list of genes, and one value swapped. `concepts.md` section 4."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hand_made_concepts import toy_counts, toy_model

from perturbook.concepts.linear_encoder import LinearEncoder
from perturbook.concepts.scgpt_swaps import ScGPTSwaps
from perturbook.concepts.token_swap import KINDS, gene_list, make_pair, raw_inputs
from perturbook.errors import ConfigError, InputError


def pair_of(encoder, counts, rows=(0, 1)):
    two = sp.csr_matrix(np.asarray(counts)[list(rows)])
    return make_pair(two, encoder.read(two), rows, encoder.most_genes)


@pytest.fixture(scope="module")
def toy():
    model = toy_model()
    return ScGPTSwaps(model, model.vocabulary.tokens[:60])


def test_a_swap_changes_removes_or_adds_and_equal_genes_are_no_swap():
    pair = pair_of(LinearEncoder(np.eye(5)), [[4, 0.5, 0, 2, 0], [1, 0.5, 2, 0, 0]])
    assert pair.genes.tolist() == [0, 1, 2, 3]
    assert pair.at.tolist() == [0, 2, 3] and pair.new.tolist() == [1, 2, 0]
    assert [KINDS[kind] for kind in pair.kinds(pair.at)] == ["value change", "addition", "removal"]
    assert pair.together(pair.at[:2]).tolist() == [1, 0.5, 2, 2]
    assert (pair.together(pair.at) == pair.other).all()


def test_masks_set_every_gene_of_the_cell_and_none_that_it_lacks():
    pair = pair_of(LinearEncoder(np.eye(3)), [[4, 0, 2], [1, 5, 2]])
    assert pair.with_value(0).other.tolist() == [0, 0, 0] and pair.with_value(0).at.tolist() == [0, 2]
    assert pair.with_value(-1).other.tolist() == [-1, 0, -1]


def test_a_union_that_fits_is_the_list():
    assert gene_list(np.array([1, 0, 0, 2]), np.array([1, 3, 0, 0]), 3).tolist() == [0, 1, 3]


def test_a_long_union_keeps_genes_that_differ_most_in_log1p_then_those_expressed_most_then_lower_columns():
    cell = np.array([9.0, 9, 9, 9, 1, 100, 0, 0])
    other = np.array([9.0, 9, 9, 12, 0, 110, 2, 0])
    # differences of log1p: gene 6 1.10, gene 4 0.69, gene 3 0.26, gene 5 0.09, genes 0 to 2 none
    assert gene_list(cell, other, 2).tolist() == [4, 6]
    assert gene_list(cell, other, 4).tolist() == [3, 4, 5, 6]
    assert gene_list(cell, other, 5).tolist() == [0, 3, 4, 5, 6]
    cell[2] = other[2] = 10
    assert gene_list(cell, other, 5).tolist() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(("most", "error"), [(0, ConfigError), (None, InputError)])
def test_a_list_without_room_or_without_genes_is_refused(most, error):
    with pytest.raises(error, match="at least one gene|Neither cell"):
        gene_list(np.array([0.0, most is not None]), np.array([0.0, 0]), most)


def test_tied_counts_take_the_upper_edge_and_nothing_is_drawn(toy):
    counts = sp.csr_matrix(np.r_[np.ones(30), np.full(10, 2), np.zeros(20)][None])
    first, again = (toy.read(counts).toarray() for _ in range(2))
    # 49 steps of rank over 39 places: the lower value fills the edges up to the jump, so its upper edge is bin 37
    edges = np.quantile(counts.data, np.linspace(0, 1, 50))
    assert (
        (first == again).all() and set(first[0, :30]) == {(edges <= 1).sum()} and set(first[0, 30:40]) == {50}
    )


def test_genes_outside_the_vocabulary_are_never_read():
    model = toy_model(genes=10)
    encoder = ScGPTSwaps(model, ["OTHER", *model.vocabulary.tokens[:9]])
    read = encoder.read(sp.csr_matrix(np.array([[500, 1, 2, 0, 0, 0, 0, 0, 0, 3]])))
    assert read.toarray()[0, 0] == 0 and (read.toarray()[0, [1, 2, 9]] > 0).all()


def test_two_extractions_are_bit_identical_and_other_batches_agree_to_1e_5():
    """Check 9, with a cell of more than 1,200 genes."""
    model = toy_model(genes=1300, layers=2, width=8)
    encoder = ScGPTSwaps(model, model.vocabulary.tokens[:1300])
    counts = np.vstack([toy_counts(1, 1300, share=1), toy_counts(6, 1300, seed=1, share=0.2)])
    assert (counts[0] > 0).sum() > 1200
    pairs = [pair_of(encoder, counts, (row, 6)) for row in range(4)]
    assert len(pairs[0].genes) == 1199
    inputs = np.zeros((4, 1300), dtype=np.float32)
    for row, pair in enumerate(pairs):
        inputs[row, pair.genes] = pair.base
    every = np.arange(1300)
    one, two = encoder.embed(every, inputs), encoder.embed(every, inputs)
    assert torch.equal(one, two)
    other = torch.cat([encoder.embed(every, inputs[[row]]) for row in (3, 2, 1, 0)]).flip(0)
    assert (one - other).abs().max() < 1e-5
    assert (encoder.embed(every, inputs[[2, 0, 3, 1]])[[1, 3, 0, 2]] - one).abs().max() < 1e-5


def test_the_embedding_is_that_of_the_backbone_where_nothing_is_drawn():
    import pandas as pd
    from anndata import AnnData

    from perturbook.models.backbones.scgpt_backbone import ScGPTBackbone

    model = toy_model()
    encoder, counts = ScGPTSwaps(model, model.vocabulary.tokens[:60]), toy_counts(5).astype(np.float32)
    var = pd.DataFrame(index=model.vocabulary.tokens[:60])
    stored = ScGPTBackbone(model, ties="one").encode(AnnData(sp.csr_matrix(counts), var=var))
    ours = encoder.embed(np.arange(60), encoder.read(sp.csr_matrix(counts)).toarray()).numpy()
    assert np.abs(stored - ours).max() < 1e-5


def test_at_the_level_of_counts_the_swapped_cell_is_read_anew(toy):
    counts = toy_counts(2)
    pair, two = pair_of(toy, counts), sp.csr_matrix(counts)
    at, inputs = raw_inputs(toy, two, pair)
    assert (counts[0, pair.genes[at]] != counts[1, pair.genes[at]]).all()
    assert len(at) == (counts[0] != counts[1]).sum()
    by_hand = counts[0].copy()
    by_hand[pair.genes[at[3]]] = counts[1, pair.genes[at[3]]]
    assert (inputs[3] == toy.read(sp.csr_matrix(by_hand[None])).toarray()[0, pair.genes]).all()
    others_moved = [np.delete(row != pair.base, one).any() for one, row in zip(at, inputs, strict=True)]
    assert any(others_moved)  # which the level of tokens excludes


def test_the_longest_cell_and_the_model_are_checked():
    model = toy_model()
    with pytest.raises(ConfigError, match="max_length is 1"):
        ScGPTSwaps(model, model.vocabulary.tokens[:60], max_length=1)
    with pytest.raises(ConfigError, match="evaluation mode"):
        ScGPTSwaps(model.train(), model.vocabulary.tokens[:60])
    with pytest.raises(InputError, match="vocabulary"):
        ScGPTSwaps(model.eval(), [f"ENSG{i}" for i in range(60)])
