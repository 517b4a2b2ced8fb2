"""How far a seed moves a cell: what the utility measures, and the reference's scheme beside ours."""

from pathlib import Path

import anndata
import numpy as np
import pytest

from perturbook.errors import ConfigError
from perturbook.models.backbones.seed_spread import seed_spread, under_our_rule, under_the_reference
from perturbook.models.scgpt import load

A = Path(__file__).parent / "fixtures" / "scgpt" / "A"


@pytest.fixture(scope="module")
def model():
    return load(A, weights="best_model.pt")


@pytest.fixture
def counts():
    """The nine cells with more than one non-zero gene, and ties."""
    return anndata.read_h5ad(A / "counts.h5ad")[3:].copy()


def test_a_spread_by_hand():
    turned = {0: [[1.0, 0.0], [2.0, 0.0]], 1: [[0.0, 3.0], [5.0, 0.0]], 2: [[1.0, 1.0], [1.0, 0.0]]}
    found = seed_spread(lambda seed: np.array(turned[seed]), ["a", "b"], [0, 1, 2])
    np.testing.assert_allclose(found.loc["a"], [2 * np.sqrt(0.5) / 3, 0], atol=1e-12)
    np.testing.assert_allclose(found.loc["b"], [1, 1])
    with pytest.raises(ConfigError, match="1 seed was given; a spread needs two"):
        seed_spread(lambda seed: np.ones((1, 2)), ["a"], [0])


def test_the_references_scheme_gives_its_embeddings_where_there_are_no_ties(model):
    cells, expected = anndata.read_h5ad(A / "embed_input.h5ad"), np.load(A / "embed_data.npz")["X_scGPT"]
    for seed in (0, 1):
        np.testing.assert_allclose(under_the_reference(cells, model, seed), expected, atol=1e-5)


def test_under_the_reference_a_cell_depends_on_those_before_it_and_under_our_rule_it_does_not(model, counts):
    last = [-1]
    theirs, ours = under_the_reference(counts, model, 0), under_our_rule(counts, model, 0)
    assert np.abs(under_the_reference(counts[last].copy(), model, 0) - theirs[last]).max() > 1e-3
    np.testing.assert_allclose(under_our_rule(counts[last].copy(), model, 0), ours[last], atol=1e-6)
    assert not counts.obsm and not counts.uns


def test_the_spread_of_cells_with_ties_is_seen_and_the_upper_edge_has_none(model, counts):
    ours = seed_spread(lambda seed: under_our_rule(counts, model, seed), counts.obs_names, range(5))
    theirs = seed_spread(lambda seed: under_the_reference(counts, model, seed), counts.obs_names, range(5))
    tied = slice(1, None)  # the first has 38 different values: few of its ties reach two edges
    assert (ours["least"] < ours["mean"])[tied].all() and (ours["mean"][tied] < 0.999).all()
    assert abs(ours["mean"].mean() - theirs["mean"].mean()) < 0.05  # the same randomness, in other hands
    one = seed_spread(
        lambda seed: under_our_rule(counts, model, seed, ties="one"), counts.obs_names, range(3)
    )
    np.testing.assert_allclose(one, 1, atol=1e-12)
    assert one.index.name == "cell" and list(one.index) == list(counts.obs_names)


def test_the_reference_permutes_and_cuts_long_cells_by_torchs_stream(model, counts):
    long = [under_the_reference(counts, model, 0, torch_seed, max_length=20) for torch_seed in (0, 0, 1)]
    np.testing.assert_array_equal(long[0], long[1])
    assert np.abs(long[0] - long[2]).max() > 1e-3
