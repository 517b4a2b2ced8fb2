"""`Truth` holds what scores need of the measured cells: halves that belong together, whatever else the file holds."""

from dataclasses import replace
from itertools import combinations

import hand_made
import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, mannwhitneyu, ttest_ind

from perturbook.data import pseudobulk
from perturbook.errors import ConfigError, InputError
from perturbook.evaluation import Bundle, Predicted, build_truth, score
from perturbook.evaluation.measure import measure
from perturbook.evaluation.rounding import MEAN_STEP, rounded, stored, stored_variance
from perturbook.evaluation.training_side import centroid_and_genes, related_rows
from perturbook.evaluation.truth import rng_of
from perturbook.evaluation.view import other_half, view
from perturbook.splits import split

ARRAYS = (
    "mean",
    "variance",
    "halves",
    "coordinates",
    "pca_mean",
    "loadings",
    "centroid",
    "genes",
    "contexts",
    "q",
)


@pytest.fixture
def cells():
    return hand_made.cells(hand_made.grid(["a", "b", "c"], ["x", "y", "z"], n=5, controls=7))


@pytest.fixture
def one(cells):
    return split(cells, "unseen_combination", seed=1)


def same(one, other):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for part in ("deg", "controls", "significant", "others"):
        mine, theirs = getattr(one, part), getattr(other, part)
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name], err_msg=f"{part} {name}")
    pd.testing.assert_frame_equal(one.obs, other.obs)


def values_of(cells, names):
    return cells[np.sort(np.asarray(names, str))].layers["lognorm"].toarray().astype(float)


def cells_of(cells, one, key):
    context, drug, dose = one.conditions.loc[key, ["context", "perturbation", "dose_um"]]
    obs = cells.obs
    return obs.index[(obs["context"] == context) & (obs["perturbation"] == drug) & (obs["dose_um"] == dose)]


def test_each_half_is_the_mean_of_half_of_the_cells_and_the_other_half_recombines_to_the_mean(cells, one):
    truth = measure(cells, [one], seed=0, facts={})
    for i, key in enumerate(truth.obs.index):
        mine = values_of(cells, cells_of(cells, one, key))
        possible = [
            (mine[list(two)].mean(axis=0), np.delete(mine, two, axis=0).mean(axis=0))
            for two in combinations(range(5), 2)
        ]
        for a in truth.mean[i] + truth.halves[i]:
            b = truth.mean[i] - (a - truth.mean[i]) * other_half(np.array(5))
            assert any(np.allclose(a, first) and np.allclose(b, second) for first, second in possible)
            np.testing.assert_allclose(2 / 5 * a + 3 / 5 * b, mine.mean(axis=0), atol=1e-12)


def test_the_twenty_halvings_differ(cells, one):
    halves = measure(cells, [one], seed=0, facts={}).halves
    assert all(len(np.unique(one, axis=0)) > 5 for one in halves)  # of ten possible


def test_rows_in_another_order_give_the_same_truth_bit_for_bit(cells, one):
    shuffled = cells[np.random.default_rng(3).permutation(cells.n_obs)].copy()
    same(
        build_truth(cells, [one], seed=0, facts={}),
        build_truth(shuffled, [split(shuffled, "unseen_combination", seed=1)], seed=0, facts={}),
    )


def test_a_split_that_lists_its_cells_in_another_order_gives_the_same_truth(cells, one):
    back = {part: getattr(one, part)[::-1] for part in ("train", "test", "query", "reference")}
    same(*(build_truth(cells, [each], seed=0, facts={}) for each in (one, replace(one, **back))))


def test_a_condition_does_not_depend_on_the_others_that_are_tested(cells, one):
    key = one.conditions.index[0]
    fewer = replace(
        one,
        conditions=one.conditions.loc[[key]],
        test=np.intersect1d(one.test, np.asarray(cells_of(cells, one, key), str)),
    )
    whole, alone = (build_truth(cells, [s], seed=0, facts={}) for s in (one, fewer))
    for name in ("mean", "variance", "halves"):
        np.testing.assert_array_equal(getattr(whole, name)[0], getattr(alone, name)[0])
    np.testing.assert_array_equal(whole.deg["split_half"][0], alone.deg["split_half"][0])


def test_another_seed_halves_otherwise_and_leaves_the_means(cells, one):
    first, second = (build_truth(cells, [one], seed=seed, facts={}) for seed in (0, 1))
    assert not np.array_equal(first.halves, second.halves)
    np.testing.assert_array_equal(first.mean, second.mean)


def test_control_halves_are_the_shown_and_the_kept_controls_of_the_split(cells, one):
    truth = measure(cells, [one], seed=0, facts={})
    assert list(truth.contexts) == sorted(one.conditions["context"].astype(str).unique())
    for i, context in enumerate(truth.contexts):
        controls = cells.obs_names[(cells.obs["context"] == context) & cells.obs["is_control"]]
        kept = np.intersect1d(controls, one.reference)
        shown = np.setdiff1d(controls, one.reference)
        assert set(shown) <= set(one.blind().query) and not set(kept) & set(one.blind().query)
        at = {name: values[i] for name, values in truth.controls.items()}
        assert (at["n"], at["n_a"]) == (7, len(shown)) == (7, 4)
        np.testing.assert_allclose(at["mean_a"], values_of(cells, shown).mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(at["mean_b"], values_of(cells, kept).mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(4 / 7 * at["mean_a"] + 3 / 7 * at["mean_b"], at["mean"], atol=1e-12)
        np.testing.assert_allclose(at["mean"] + at["halves"][0], at["mean_a"], atol=1e-12)


def test_gene_lists_of_half_a_do_not_see_half_b_or_the_kept_controls(cells, one):
    before = measure(cells, [one], seed=0, facts={}).deg
    key, dense = one.conditions.index[0], cells.layers["lognorm"].toarray()
    mine = np.sort(np.asarray(cells_of(cells, one, key), str))
    half_a = rng_of(0, key).permutation(5)[:2]
    spoiled = np.union1d(np.delete(mine, half_a), one.reference)
    dense[cells.obs_names.get_indexer(spoiled)] = 99 * np.random.default_rng(0).random((len(spoiled), 25))
    cells.layers["lognorm"] = dense
    after = measure(cells, [one], seed=0, facts={}).deg
    np.testing.assert_array_equal(before["split_half"][0], after["split_half"][0])
    assert not np.array_equal(before["test_truth"][0], after["test_truth"][0])


def test_the_planted_gene_leads_both_gene_lists(cells, one):
    dense = cells.layers["lognorm"].toarray()
    dense[~cells.obs["is_control"].to_numpy(), 7] += 20
    cells.layers["lognorm"] = dense
    for positions in measure(cells, [one], seed=0, facts={}).deg.values():
        assert (positions[:, 0] == 7).all()


def test_the_centroid_weighs_training_conditions_alike_and_holds_no_control_and_no_test_cell(cells, one):
    visible = cells[one.visible]
    treated = visible[~visible.obs["is_control"].to_numpy(bool)]
    keys = treated.obs[["context", "perturbation", "dose_um"]].astype(str).agg("|".join, axis=1)
    means = [treated[(keys == key).to_numpy()].layers["lognorm"].toarray().mean(axis=0) for key in set(keys)]
    found = measure(cells, [one], seed=0, facts={}).centroid
    np.testing.assert_allclose(found, [np.mean(means, axis=0)], rtol=1e-6)


def test_a_measured_cell_and_a_predicted_profile_meet_in_the_same_pca(cells, one):
    truth = measure(cells, [one], seed=0, facts={})
    mine = values_of(cells, cells_of(cells, one, truth.obs.index[0]))
    np.testing.assert_allclose(truth.coordinates[0], truth.project(mine), atol=1e-12)
    assert truth.n_components == 25  # as many as genes, below 50


def test_one_cell_has_a_mean_and_neither_variance_halves_nor_genes(cells, one):
    key = one.conditions.index[0]
    drop = np.asarray(cells_of(cells, one, key), str)[1:]
    truth = build_truth(cells, [replace(one, test=np.setdiff1d(one.test, drop))], seed=0, facts={})
    assert truth.obs["n_cells"].iloc[0] == 1 and np.isfinite(truth.mean[0]).all()
    assert np.isnan(truth.variance[0]).all() and np.isnan(truth.halves[0]).all()
    assert (truth.deg["split_half"][0] == -1).all() and np.isfinite(truth.halves[1:]).all()


def test_a_condition_tested_in_two_folds_is_refused_by_name(cells, one):
    with pytest.raises(ConfigError, match=f"tested in two folds, such as {one.conditions.index[0][0]}"):
        build_truth(cells, [one, one], seed=0, facts={})


def test_a_context_with_one_control_cell_is_refused_by_name(cells, one):
    context = str(one.conditions["context"].iloc[0])
    there = cells.obs.loc[one.query, "context"] == context
    with pytest.raises(InputError, match=f"{context} has 1 control cell; two are needed"):
        build_truth(
            cells,
            [replace(one, query=np.concatenate([one.query[there][:1], one.query[~there]]))],
            seed=0,
            facts={},
        )


def test_rounding_moves_no_score_by_a_thousandth(cells, one):
    """Of 1; those of distances and of 20 genes (whose R2 divides by the spread of 20 numbers) by a hundredth.

    Not asked of lists of 50 (there are 25 genes), of retrieval (no second drug in the group), and of generated cells.
    """
    exact = measure(cells, [one], seed=0, facts={})
    guess = exact.mean + np.random.default_rng(0).normal(scale=0.05, size=exact.mean.shape)
    fine = Predicted("m", "m", "model", mean=guess, mean_split=guess)
    coarse = replace(fine, mean=stored(guess), mean_split=stored(guess))
    before, after = (score(Bundle(*pair)) for pair in ((exact, [fine]), (rounded(exact), [coarse])))
    mine = before["method"] == "m"
    assert (before["status"] == after["status"]).all() and before.loc[mine, "value"].notna().sum() == 4 * 21
    moved = (before["value"] - after["value"]).abs()[mine]
    loose = before["metric"].str.contains("deg20|edist|mmd")[mine]
    assert moved[~loose].max() < 1e-3 and moved[loose].max() < 1e-2


def test_stored_means_are_multiples_of_the_step_and_half_a_step_away_at_most():
    values = np.random.default_rng(0).uniform(0, 8, 1000)
    kept = stored(values)
    assert kept.dtype == np.float32 and (kept / MEAN_STEP == np.round(kept / MEAN_STEP)).all()
    assert np.abs(kept - values).max() <= MEAN_STEP / 2


def test_rounding_half_means_adds_little_to_their_variance(cells, one):
    exact = measure(cells, [one], seed=0, facts={})
    added = (rounded(exact).halves - exact.halves)[:, 1:].var(axis=(1, 2)) / exact.halves.var(axis=(1, 2))
    assert (added > 0).all() and added.max() < 0.018


def test_stored_variances_are_within_two_per_cent_and_zero_stays_zero():
    values = np.append(np.random.default_rng(0).gamma(0.3, 1, 1000), [0.0, np.nan])
    kept = stored_variance(values)
    assert kept[-2] == 0 and np.isnan(kept[-1])
    assert np.abs(kept[:-2] / values[:-2] - 1).max() <= 1 / 63


def test_no_change_made_from_the_stored_controls_has_exactly_no_effect(cells, one):
    truth = build_truth(cells, [one], seed=0, facts={})
    rows = np.searchsorted(truth.contexts, truth.obs["context"])
    v = view(truth, Predicted("n", "n", "floor", mean=truth.controls["mean"][rows]))
    assert (v.yhat == v.mu0).all()


def test_lists_from_training_hold_the_genes_of_the_same_drug_elsewhere_and_never_see_a_test_cell(cells, one):
    before = measure(cells, [one], seed=0, facts={}).deg["train_visible"]
    visible = cells[one.visible].obs
    key, (context, drug) = one.conditions.index[0], one.conditions.iloc[0][["context", "perturbation"]]
    elsewhere = visible["perturbation"].astype(str) == drug
    dense = cells.layers["lognorm"].toarray()
    dense[cells.obs_names.get_indexer(one.test)] = 99
    assert elsewhere.any() and not (visible["context"][elsewhere] == context).any()
    raised = cells.obs_names.get_indexer(visible.index[elsewhere])
    dense[raised, 7] += 5
    cells.layers["lognorm"] = dense
    after = measure(cells, [one], seed=0, facts={}).deg["train_visible"]
    at = list(one.conditions.index).index(key)
    assert after[at, 0] == 7 and (before >= 0).all()
    others = one.conditions["perturbation"].to_numpy() != drug
    np.testing.assert_array_equal(before[others], after[others])


def pairs():
    """Gene singles and doubles in one context: KLF1 raises gene 3, UBB gene 5; 25 genes called after neither."""
    rows = hand_made.grid(
        ["a"], ["KLF1", "UBB", "TP53", "KLF1+UBB", "KLF1+MYC"], doses=(np.nan,), n=6, controls=12
    )
    values = np.random.default_rng(0).uniform(1, 2, size=(len(rows), 25))
    labels = np.array([row[1] for row in rows])
    values[labels == "KLF1", 3] += 9
    values[labels == "UBB", 5] += 8
    values[labels == "TP53", 9] += 9
    made = hand_made.cells(rows, values)
    made.obs["kind"] = "CRISPRa"
    return made


def test_the_list_of_a_pair_is_the_union_of_its_singles_as_far_as_they_are_in_training():
    made = pairs()
    labels = made.obs["perturbation"].astype(str)
    doubles = ["KLF1+UBB", "KLF1+MYC"]
    conditions = pd.DataFrame(
        {"context": "a", "perturbation": doubles, "dose_um": np.nan}, index=[f"a|{d}" for d in doubles]
    )

    def lists(visible):
        profiles = centroid_and_genes(made[labels.isin([*visible, "control"])], asked, 2)
        return profiles[1].tolist()

    class asked:
        pass

    asked.conditions = conditions
    asked.visible = slice(None)
    both, one = lists(["KLF1", "UBB", "TP53"])
    assert set(both) == {3, 5} and one[0] == 3
    assert lists(["UBB", "TP53"])[1] == [-1, -1] and lists(["UBB", "TP53"])[0][0] == 5
    assert related_rows(pseudobulk(made).obs, "KLF1+UBB").size == 2


def test_other_treated_cells_of_the_context_are_pooled_and_tested_ones_are_not(cells, one):
    found = measure(cells, [one], seed=0, facts={})
    for i, context in enumerate(found.contexts):
        tested = set(one.conditions.index)
        mine = cells.obs[(cells.obs["context"] == context) & ~cells.obs["is_control"]]
        keys = mine[["context", "perturbation", "dose_um"]].astype(str).agg("|".join, axis=1)
        keys = keys.str.replace(r"\.0$", "", regex=True)
        rest = values_of(cells, mine.index[~keys.isin(tested)])
        assert found.others["n"][i] == len(rest) > 2
        np.testing.assert_allclose(found.others["mean"][i], rest.mean(axis=0))
        np.testing.assert_allclose(found.others["variance"][i], rest.var(axis=0, ddof=1))


def test_weights_are_those_of_t_against_every_other_treated_cell_of_the_context(cells, one):
    found = measure(cells, [one], seed=0, facts={})
    for i, key in enumerate(found.obs.index):
        mine = np.asarray(cells_of(cells, one, key), str)
        same = (cells.obs["context"] == found.obs["context"].iloc[i]) & ~cells.obs["is_control"]
        x, rest = values_of(cells, mine), values_of(cells, np.setdiff1d(cells.obs_names[same], mine))
        t = np.abs(ttest_ind(x, rest, equal_var=False).statistic)
        np.testing.assert_allclose(found.weights[i], ((t - t.min()) / (t.max() - t.min())) ** 2, atol=1e-9)


def test_q_is_the_adjusted_welch_p_value_of_half_a_against_the_shown_controls(cells, one):
    found = measure(cells, [one], seed=0, facts={})
    shown = np.setdiff1d(one.query, one.reference)
    for i, key in enumerate(found.obs.index):
        mine = np.sort(np.asarray(cells_of(cells, one, key), str))[rng_of(0, key).permutation(5)[:2]]
        here = shown[(cells.obs.loc[shown, "context"] == found.obs["context"].iloc[i]).to_numpy()]
        p = ttest_ind(values_of(cells, mine), values_of(cells, here), equal_var=False).pvalue
        np.testing.assert_allclose(found.q[i], false_discovery_control(p), rtol=1e-9)


def test_genes_that_differ_are_those_of_a_rank_sum_test_against_all_controls(cells, one):
    key = one.conditions.index[0]
    dense = cells.layers["lognorm"].toarray()
    dense[cells.obs_names.get_indexer(cells_of(cells, one, key)), :4] += 3
    cells.layers["lognorm"] = dense
    found = measure(cells, [one], seed=0, facts={})
    controls = cells.obs_names[
        cells.obs["is_control"] & (cells.obs["context"] == found.obs["context"].iloc[0])
    ]
    x, base = values_of(cells, cells_of(cells, one, key)), values_of(cells, controls)
    p = mannwhitneyu(x, base, method="asymptotic").pvalue
    expected = false_discovery_control(p) < 0.05
    assert expected[:4].all() and not expected[4:].all()
    np.testing.assert_array_equal(found.significant["all"][0], expected)
    assert set(np.unique(found.significant["a"])) <= {0, 1}
