"""The rank-sum test equals SciPy and scanpy on every kind of tie, and Benjamini-Hochberg equals SciPy."""

import time

import anndata as ad
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import false_discovery_control, mannwhitneyu

from perturbook.errors import InputError, ShapeError
from perturbook.evaluation.ranksum import Ranked, benjamini_hochberg, p_values, p_values_of_halves

RNG = np.random.default_rng(0)
CONTROLS, TREATED = (np.log1p(RNG.negative_binomial(1, p, (n, 40))) for n, p in ((90, 0.5), (35, 0.4)))


def scipy_p(treated, controls, continuity=True):
    return mannwhitneyu(treated, controls, use_continuity=continuity, method="asymptotic", axis=0).pvalue


def test_a_value_computed_by_hand():
    # U = 4 of 4 pairs, mean 2, variance 2 * 2 * 5 / 12, continuity 1/2: z = 1.5 / sqrt(5 / 3)
    p = p_values(np.array([[3.0], [4.0]]), Ranked.of(np.array([[1.0], [2.0]])))
    assert p == pytest.approx(0.245278, abs=1e-6)


@pytest.mark.parametrize("continuity", [True, False])
def test_counts_with_many_zeros_equal_scipy(continuity):
    p = p_values(TREATED, Ranked.of(CONTROLS), continuity=continuity)
    np.testing.assert_allclose(p, scipy_p(TREATED, CONTROLS, continuity), rtol=1e-12, atol=1e-15)


@settings(max_examples=60, deadline=None)
@given(
    arrays(float, st.tuples(st.integers(1, 9), st.just(4)), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])),
    arrays(float, st.tuples(st.integers(1, 9), st.just(4)), elements=st.sampled_from([0.0, 0.5, 1.0])),
)
def test_small_samples_full_of_ties_equal_scipy(treated, controls):
    p = p_values(treated, Ranked.of(controls))
    varies = np.ptp(np.concatenate([treated, controls]), axis=0) > 0
    expected = scipy_p(treated[:, varies], controls[:, varies]) if varies.any() else []
    np.testing.assert_allclose(p[varies], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(p[~varies], 1)


def test_without_continuity_it_is_scanpys_test_with_tie_correction():
    import scanpy as sc

    adata = ad.AnnData(np.concatenate([TREATED, CONTROLS]))
    adata.obs["group"] = np.repeat(["treated", "control"], [len(TREATED), len(CONTROLS)])
    sc.tl.rank_genes_groups(adata, "group", reference="control", method="wilcoxon", tie_correct=True)
    found = sc.get.rank_genes_groups_df(adata, "treated").set_index("names")["pvals"][adata.var_names]
    p = p_values(TREATED, Ranked.of(CONTROLS), continuity=False)
    np.testing.assert_allclose(p, found, rtol=1e-9)


def test_a_silent_gene_says_nothing_and_one_cell_little():
    p = p_values(np.array([[0.0, 9.0]]), Ranked.of(np.c_[np.zeros(5), np.arange(5.0)]))
    assert p[0] == 1
    assert p[1] == pytest.approx(scipy_p(np.array([9.0]), np.arange(5.0)))


def test_only_the_order_of_values_matters():
    ranked = Ranked.of(np.expm1(CONTROLS[::-1]))
    np.testing.assert_array_equal(
        p_values(np.expm1(TREATED[::-1]), ranked), p_values(TREATED, Ranked.of(CONTROLS))
    )


def test_float32_cells_equal_the_same_cells_in_float64():
    treated, controls = TREATED.astype(np.float32), CONTROLS.astype(np.float32)
    wide = p_values(treated.astype(float), Ranked.of(controls.astype(float)))
    np.testing.assert_array_equal(p_values(treated, Ranked.of(controls)), wide)


def test_where_nothing_changed_p_values_are_uniform():
    cells = np.random.default_rng(1).normal(size=(300, 2_000))
    p = p_values(cells[:100], Ranked.of(cells[100:]))
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.015)
    assert np.mean(p) == pytest.approx(0.5, abs=0.02)


def test_missing_values_and_missing_cells_are_undefined():
    holed = TREATED.copy()
    holed[3, 5] = np.nan
    ranked = Ranked.of(CONTROLS)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(p_values(holed, ranked))), [5])
    assert np.isnan(p_values(TREATED[:0], ranked)).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="39 genes, the controls 40"):
        p_values(TREATED[:, 1:], Ranked.of(CONTROLS))
    with pytest.raises(ShapeError, match=r"expected \(cells, genes\)"):
        Ranked.of(CONTROLS[0])
    with pytest.raises(InputError, match="no control cells"):
        Ranked.of(CONTROLS[:0])


def test_a_hundred_cells_by_two_thousand_genes_against_a_thousand_controls_take_milliseconds():
    rng = np.random.default_rng(2)
    ranked = Ranked.of(rng.poisson(1, (1_000, 2_000)))
    treated = rng.poisson(1, (100, 2_000))
    p_values(treated, ranked)  # compiled
    start = time.process_time()
    for _ in range(10):
        p_values(treated, ranked)
    assert time.process_time() - start < 0.5


def test_benjamini_hochberg_by_hand():
    q = benjamini_hochberg([0.001, 0.2, 0.03, 0.04])
    np.testing.assert_allclose(q, [0.004, 0.2, 0.053333, 0.053333], atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(arrays(float, (3, 7), elements=st.floats(0, 1)))
def test_benjamini_hochberg_equals_scipy_along_the_last_axis(p):
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p, axis=-1), rtol=1e-12)


def test_an_undefined_p_value_stays_undefined_and_does_not_enlarge_the_family():
    q = benjamini_hochberg([[0.01, np.nan, 0.5], [np.nan] * 3])
    np.testing.assert_allclose(q, [[0.02, np.nan, 0.5], [np.nan] * 3])


@settings(max_examples=60, deadline=None)
@given(
    arrays(float, st.tuples(st.integers(0, 7), st.just(3)), elements=st.sampled_from([0.0, 0.5, 2.0, 3.0])),
    arrays(float, st.tuples(st.integers(0, 7), st.just(3)), elements=st.sampled_from([0.0, 0.5, 1.0])),
    arrays(float, st.tuples(st.integers(1, 7), st.just(3)), elements=st.sampled_from([-1.0, 0.0, 0.5, 1.0])),
)
def test_halves_tested_together_equal_halves_tested_alone(first, second, controls):
    ranked = Ranked.of(controls)
    alone = [p_values(cells, ranked) for cells in (np.concatenate([first, second]), first, second)]
    np.testing.assert_array_equal(p_values_of_halves(first, second, ranked), alone)


def test_a_missing_value_of_one_half_leaves_its_gene_undefined_in_all_three():
    holed = TREATED.copy()
    holed[0, 7] = np.nan
    for p in p_values_of_halves(holed[:10], TREATED[10:], Ranked.of(CONTROLS)):
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(p)), [7])
