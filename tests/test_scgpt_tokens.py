"""Tokens of a cell: the reference's, bit for bit, in reference mode; and ours, which hang on the cell alone."""

import json
from pathlib import Path

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perturbook.errors import ConfigError, InputError, ShapeError
from perturbook.models.scgpt.masking import mask_values
from perturbook.models.scgpt.reference_draws import (
    bernoulli_in_order,
    choose_in_order,
    collate_in_order,
    mask_in_order,
    tokens_in_order,
)
from perturbook.models.scgpt.tokens import pad, tokenise
from perturbook.models.scgpt.vocabulary import Vocabulary

A = Path(__file__).parent / "fixtures" / "scgpt" / "A"
VOCABULARY = Vocabulary.of(f"G{i}" for i in range(40))  # <pad> 40, <cls> 41


def load(name):
    with np.load(A / f"{name}.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def reference():
    return load("tokenize")


@pytest.fixture(scope="module")
def collated():
    return load("collator")


@pytest.fixture(scope="module")
def raw_cells(collated):
    """What the collator was given: ids and raw counts of the non-zero genes, `<cls>` in front with -2."""
    counts, vocab = anndata.read_h5ad(A / "counts.h5ad"), json.loads((A / "vocab.json").read_text())
    known = counts[:, [name in vocab for name in counts.var_names]]
    ids = np.array([vocab[name] for name in known.var_names])
    return tokens_in_order(known.X[collated["cells"]].toarray(), ids, (vocab["<cls>"], -2.0))


def padded(cells, pad_id=200):
    tokens = pad(cells, pad_id)
    return tokens.gene_ids.numpy(), tokens.values.numpy()


# the reference, bit for bit


@pytest.mark.parametrize("zeros", [0, 1])
@pytest.mark.parametrize("cls", [0, 1])
@pytest.mark.parametrize("longest", ["", "_trunc"])
def test_the_tokeniser_repeats_bit_for_bit_in_reference_mode(reference, zeros, cls, longest):
    first = (int(reference["cls_id"]), 0.0) if cls else None
    cells = tokens_in_order(reference["data"], reference["gene_ids"], first, zeros=bool(zeros))
    if longest:
        length = int(reference["max_len_small"])
        cells = choose_in_order(cells, length, np.random.RandomState(7004), has_cls=bool(cls))
    name = f"zero{zeros}_cls{cls}{longest}"
    genes, values = padded(cells)
    np.testing.assert_array_equal(genes, reference[f"{name}_genes"])
    np.testing.assert_array_equal(values, reference[f"{name}_values"])


def test_the_tokenisers_masking_repeats_bit_for_bit_and_can_hide_cls(reference):
    found = mask_in_order(reference["zero0_cls1_values"], 0.4, np.random.RandomState(7005))
    np.testing.assert_array_equal(found, reference["masked_values"])
    assert (found[:, 0] == -1).sum() == 4


@pytest.mark.parametrize(
    ("name", "length", "sample"), [("full", 1200, True), ("sampled", 20, True), ("head", 20, False)]
)
def test_the_collator_repeats_bit_for_bit_in_reference_mode(collated, raw_cells, name, length, sample):
    draws = np.random.RandomState(7006), torch.Generator().manual_seed(7007)
    genes, values = padded(collate_in_order(raw_cells, *draws, length, sample))
    np.testing.assert_array_equal(genes, collated[f"{name}_gene"])
    np.testing.assert_array_equal(values, collated[f"{name}_expr"])


def test_the_collators_masking_repeats_bit_for_bit(collated, raw_cells):
    generator = torch.Generator().manual_seed(7007)
    tokens = pad(collate_in_order(raw_cells, np.random.RandomState(7006), generator, 1200), 200)
    found = bernoulli_in_order(tokens.values, tokens.padding, 0.4, generator)
    np.testing.assert_array_equal(tokens.values, collated["masked_expr"])
    np.testing.assert_array_equal(found, collated["masked_masked_expr"])


# our own


def cells(n=6, genes=40, seed=0, most=4):
    """Counts of which most are ties, each cell with at least one."""
    counts = np.random.default_rng(seed).integers(0, most, (n, genes)).astype(np.float32)
    counts[:, 0] += 1
    return sp.csr_matrix(counts), np.arange(genes), [f"cell{i}" for i in range(n)]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_cell_is_its_class_token_then_its_known_genes_in_ascending_id():
    matrix = sp.csr_matrix(np.array([[5.0, 0.0, 2.0, 1.0], [0.0, 3.0, 0.0, 0.0]]))
    first, second = tokenise(matrix, np.array([7, 1, -1, 3]), ["a", "b"], VOCABULARY)
    np.testing.assert_array_equal(first[0], [41, 3, 7])  # the third gene is unknown
    np.testing.assert_array_equal(first[1], [-2, 1, 50])
    np.testing.assert_array_equal(second[0], [41, 1])
    assert 1 <= second[1][1] <= 50
    assert (first[0].dtype, first[1].dtype) == (np.int64, np.float32)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(6)), st.permutations(range(40)), st.sampled_from([10, 1200]))
def test_tokens_do_not_depend_on_the_order_of_cells_and_genes(rows, columns, longest):
    matrix, ids, names = cells()
    expected = tokenise(matrix, ids, names, VOCABULARY, max_length=longest)
    shuffled = tokenise(
        matrix[rows][:, columns], ids[columns], [names[i] for i in rows], VOCABULARY, max_length=longest
    )
    assert all(same(shuffled[at], expected[i]) for at, i in enumerate(rows))


def test_a_cell_alone_has_the_tokens_it_has_among_others_and_so_has_one_with_genes_nobody_knows():
    matrix, ids, names = cells()
    expected = tokenise(matrix, ids, names, VOCABULARY, max_length=15)
    alone = tokenise(matrix[3], ids, names[3:4], VOCABULARY, max_length=15)
    assert same(alone[0], expected[3])
    more = sp.hstack([np.ones((6, 2)), matrix]).tocsr()
    assert all(map(same, tokenise(more, np.r_[-1, -1, ids], names, VOCABULARY, max_length=15), expected))


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.float32, np.float64])
def test_the_type_of_the_counts_and_stored_zeros_change_nothing(kind):
    matrix, ids, names = cells()
    expected = tokenise(matrix, ids, names, VOCABULARY)
    stored = sp.csr_matrix(matrix.toarray().astype(kind))
    stored.data[stored.indices == 5] = 0
    plain = matrix.toarray()
    plain[:, 5] = 0
    assert all(map(same, tokenise(matrix.astype(kind), ids, names, VOCABULARY), expected))
    assert all(
        map(
            same,
            tokenise(stored, ids, names, VOCABULARY),
            tokenise(sp.csr_matrix(plain), ids, names, VOCABULARY),
        )
    )


def test_the_matrix_given_is_left_as_it_was():
    matrix, ids, names = cells()
    matrix.data[::3] = 0
    before = matrix.copy()
    tokenise(matrix, ids, names, VOCABULARY)
    np.testing.assert_array_equal(matrix.data, before.data)
    np.testing.assert_array_equal(matrix.indices, before.indices)


def test_another_seed_moves_ties_and_nothing_else():
    matrix, ids, names = cells(most=3)
    one, other = (tokenise(matrix, ids, names, VOCABULARY, seed=seed) for seed in (0, 1))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(one, other, strict=True))
    assert not any(np.array_equal(a[1], b[1]) for a, b in zip(one, other, strict=True))
    free = sp.csr_matrix(np.random.default_rng(0).random((6, 40)))
    assert all(map(same, *(tokenise(free, ids, names, VOCABULARY, seed=seed) for seed in (0, 1))))


def test_another_name_is_another_cell():
    matrix, ids, names = cells(most=3)
    other = tokenise(matrix, ids, [name + "x" for name in names], VOCABULARY)
    assert not any(map(same, tokenise(matrix, ids, names, VOCABULARY), other))


def test_without_draws_ties_take_the_upper_edge_whatever_the_seed_and_name():
    matrix, ids, names = cells()
    one = tokenise(matrix, ids, names, VOCABULARY, ties="one")
    other = tokenise(matrix, ids, [name + "x" for name in names], VOCABULARY, seed=9, ties="one")
    assert all(map(same, one, other))
    equal = sp.csr_matrix(np.full((1, 3), 2.0))
    np.testing.assert_array_equal(
        tokenise(equal, ids[:3], ["a"], VOCABULARY, ties="one")[0][1], [-2, 50, 50, 50]
    )


def test_a_long_cell_keeps_its_length_its_class_token_and_bins_of_all_its_genes():
    matrix, ids, names = cells()
    whole = tokenise(matrix, ids, names, VOCABULARY)
    cut = tokenise(matrix, ids, names, VOCABULARY, max_length=11)
    for (all_ids, all_values), (some, values) in zip(whole, cut, strict=True):
        assert len(some) == min(11, len(all_ids)) and some[0] == 41 and (np.diff(some[1:]) > 0).all()
        np.testing.assert_array_equal(values, all_values[np.isin(all_ids, some)])


def test_a_cell_of_exactly_the_length_is_kept_whole():
    matrix, names = sp.csr_matrix(np.ones((1, 10))), ["a"]
    assert len(tokenise(matrix, np.arange(10), names, VOCABULARY, max_length=11)[0][0]) == 11
    assert len(tokenise(matrix, np.arange(10), names, VOCABULARY, max_length=10)[0][0]) == 10


def test_every_gene_of_a_long_cell_is_kept_equally_often():
    names = [f"cell{i}" for i in range(4000)]
    kept = tokenise(sp.csr_matrix(np.ones((4000, 40))), np.arange(40), names, VOCABULARY, max_length=11)
    counted = np.bincount(np.concatenate([ids[1:] for ids, _ in kept]), minlength=40)
    assert counted.sum() == 40_000
    assert ((counted - 1000) ** 2 / 750).sum() * 39 / 40 < 72  # 39 degrees of freedom: 0.1 % lie above 72


def test_padding_fills_up_to_the_longest_and_is_marked():
    tokens = pad([(np.array([41, 3]), np.array([-2.0, 7.0])), (np.array([41]), np.array([0.0]))], pad_id=40)
    assert tokens.gene_ids.tolist() == [[41, 3], [41, 40]]
    assert tokens.values.tolist() == [[-2, 7], [0, -2]]
    assert tokens.padding.tolist() == [[False, False], [False, True]]
    assert (tokens.gene_ids.dtype, tokens.values.dtype) == (torch.int64, torch.float32)


# masking


@pytest.mark.parametrize("cls_value", [-2.0, 0.0])
@pytest.mark.parametrize("ratio", [0.0, 0.4, 1.0])
def test_masking_hides_the_stated_share_and_never_the_class_token_or_padding(cls_value, ratio):
    matrix, ids, names = cells(n=50)
    tokens = pad(tokenise(matrix, ids, names, VOCABULARY, cls_value=cls_value), VOCABULARY.pad)
    masked, hidden = mask_values(tokens, names, ratio)
    genes = (~tokens.padding).sum(1).numpy() - 1
    np.testing.assert_array_equal(hidden.sum(1), [int(n * ratio) for n in genes])
    assert not hidden[:, 0].any() and not (hidden & tokens.padding).any()
    assert (masked.values[hidden] == -1).all()
    assert torch.equal(masked.values[~hidden], tokens.values[~hidden])


def test_what_is_masked_hangs_on_cell_and_seed_not_on_the_batch():
    matrix, ids, names = cells(n=50)
    of = tokenise(matrix, ids, names, VOCABULARY)
    _, hidden = mask_values(pad(of, VOCABULARY.pad), names, 0.4)
    for i in (0, 17):
        _, alone = mask_values(pad(of[i : i + 1], VOCABULARY.pad), names[i : i + 1], 0.4)
        assert torch.equal(alone[0], hidden[i, : alone.shape[1]])
    _, other = mask_values(pad(of, VOCABULARY.pad), names, 0.4, seed=1)
    assert not torch.equal(other, hidden)


# what cannot be


def test_impossible_arguments_are_refused():
    matrix, ids, names = cells()
    for wrong, error, message in (
        ({"cell_names": names[:5]}, ShapeError, r"matrix \(6, 40\) does not fit 5 cell names and 40 ids"),
        ({"cell_names": ["a"] * 6}, InputError, "Cell names stand twice"),
        ({"ids": np.r_[3, ids[1:]]}, InputError, "Two genes have one token id"),
        (
            {"ids": np.full(40, -1)},
            InputError,
            r"No gene of the vocabulary is expressed in 100.0 % of cells \(6 of 6\)",
        ),
        ({"max_length": 1}, ConfigError, "max_length is 1; <cls> and one gene need 2"),
        ({"ties": "both"}, ConfigError, "ties is 'both'"),
        ({"seed": 0.5}, ConfigError, "seed is 0.5; expected a whole number"),
    ):
        with pytest.raises(error, match=message):
            tokenise(**{"matrix": matrix, "ids": ids, "cell_names": names, "vocabulary": VOCABULARY} | wrong)
    tokens = pad(tokenise(matrix, ids, names, VOCABULARY), VOCABULARY.pad)
    with pytest.raises(ConfigError, match="ratio is 1.2; expected a share from 0 to 1"):
        mask_values(tokens, names, 1.2)
