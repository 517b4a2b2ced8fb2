"""The space of the distribution metrics: an exact PCA of measured cells, rounded, the same whatever the order of cells."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from perturbook.evaluation.basis import _principal_components, principal_axes, sample_of
from perturbook.evaluation.truth import MAX_CELLS


def cells(n, genes, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, genes)) * np.linspace(3, 0.1, genes) + rng.uniform(0, 2, genes)


@pytest.mark.parametrize(("n", "genes"), [(40, 12), (12, 40)], ids=["more cells", "more genes"])
def test_the_components_are_those_of_scikit_learn_up_to_their_sign(n, genes):
    x = cells(n, genes)
    mean, loadings = _principal_components(x, 5)
    expected = PCA(5, svd_solver="full").fit(x)
    np.testing.assert_allclose(mean, expected.mean_)
    np.testing.assert_allclose(np.abs(loadings.T), np.abs(expected.components_), atol=1e-9)
    np.testing.assert_allclose(loadings.T @ loadings, np.eye(5), atol=1e-9)
    assert (loadings[np.abs(loadings).argmax(axis=0), np.arange(5)] > 0).all()


def test_directions_without_variance_are_no_components():
    x = np.outer(np.arange(6.0), [1, 2, 0, 1])
    assert _principal_components(x, 4)[1].shape == (4, 1)
    assert _principal_components(x[:1], 4)[1].shape == (4, 0)


def test_every_condition_is_described_by_up_to_200_cells_of_its_own_draw():
    few, many = np.arange(30), np.arange(500)
    np.testing.assert_array_equal(sample_of(few, 0, "a|x"), few)
    drawn = sample_of(many, 0, "a|x")
    assert len(set(drawn)) == MAX_CELLS and (np.diff(drawn) > 0).all()
    assert not np.array_equal(drawn, sample_of(many, 0, "a|y"))


def test_rounding_the_axes_keeps_distances_to_one_per_cent():
    x = cells(300, 60)
    names = np.array([f"c{i:03d}" for i in range(300)])
    index = {name: i for i, name in enumerate(names)}
    mean, loadings = principal_axes(
        lambda some: x[[index[n] for n in some]], [names[:200]], ["a|x"], [names[200:]], 0
    )
    exact = _principal_components(x, 50)[1]
    for axes in (loadings, exact):
        assert axes.shape == (60, 50)
    sizes = [np.linalg.norm((x - mean) @ axes, axis=1) for axes in (loadings, exact)]
    np.testing.assert_allclose(sizes[0], sizes[1], rtol=0.05)
    assert abs(np.mean(sizes[0]) / np.mean(sizes[1]) - 1) < 0.01
