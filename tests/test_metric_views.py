"""Every registered metric gives the value computed by hand, and its row of the registry tells a reader what it is."""

import ast
import inspect
from dataclasses import replace

import hand_made
import numpy as np
import pytest
from hand_made_bundle import MEAN, of_cells, truth

from perturbook.errors import ConfigError
from perturbook.evaluation import METRICS, Options, Predicted, Truth, de_agreement, retrieval, weighted
from perturbook.evaluation import mean_profile as mp
from perturbook.evaluation.measure import measure
from perturbook.evaluation.metric import Metric, key_on
from perturbook.evaluation.view import other_half, view
from perturbook.splits import split

U = np.nan
W = (
    (2 - np.sqrt(0.5)) / (5 / np.sqrt(3) - np.sqrt(0.5))
) ** 2  # weights (W, 0, 1), |t| = (2, 1/sqrt 2, 5/sqrt 3) / c
M = (W + 4) / (W + 1)  # weighted mean of the change (1, 1, 4)
MMD = np.mean([2 * np.exp(-2 / q) - (3 * np.exp(-0.5 / q) + np.exp(-4.5 / q)) / 2 for q in (1, 4, 16)])
PEARSON = (1.5 / np.sqrt(13 / 3), -2 / np.sqrt(7), U)
BY_HAND = {  # conditions a|x|1, a|y|1, b|x|1 of hand_made_bundle; in the last the prediction is the control mean
    "r2_mean": (1 - 2 / 6, -44.0, 0.88),
    "r2_mean_clipped": (1 - 2 / 6, 0.0, 0.88),
    "r2_mean_swapped_clipped": (0.0, 0.0, 1 - 2 / 14),
    "pearson_delta_ctrl_shared": (0.5, -np.sqrt(3) / 2, U),
    "pearson_delta_ctrl": PEARSON,
    "pearson_delta_ctrl_heg1000": PEARSON,  # of all three genes
    "pearson_delta_centroid": (3 / np.sqrt(12), -0.5, 15 / np.sqrt(700 / 3)),
    "rmse_mean": (np.sqrt(2 / 3), np.sqrt(10), np.sqrt(2 / 3)),
    "rel_rmse_mean": (np.sqrt(2 / 33), np.sqrt(30), np.sqrt(2 / 38)),
    "l2_heg1000": (np.sqrt(2), np.sqrt(30), np.sqrt(2)),
    "rel_rmse_cell": (
        np.sqrt((2 + 2.25 + 4.8) / (33 + 4.8)),
        np.sqrt((30 + 2.25 + 5) / (1 + 5)),
        np.sqrt((2 + 2.25 + 36 / 7) / (38 + 36 / 7)),
    ),
    "var_ratio": (0.5, 0.5, 0.5),
    "var_ratio_gene_median": (0.5, 0.5, 0.5),  # of 1, 1/2, 1/3
    "edist_u": (-1.0, -1.0, -1.0),
    "mmd2_u": (MMD, MMD, MMD),  # the median distance of true cells is 2
    "nir": (1.0, 0.0, U),
    "rank_pred": (1.0, 1.0, U),
    "pds_l1": (1.0, 0.5, U),
    "pds_l2": (1.0, 0.5, U),
    "pds_cosine": (1.0, 0.5, U),
    "wmse": (1.0, (4 * W + 25) / (W + 1), U),
    "r2w_delta": (
        1 - (W + 1) / (W * (1 - M) ** 2 + (4 - M) ** 2),
        U,
        U,
    ),  # the change of a|y|1 weighs to a constant
    "de_overlap_at_n": (0.5, 1 / 3, U),
    "de_sig_recall": (0.5, 1 / 3, U),
    "de_sig_precision": (0.5, 1.0, 0.0),
    "de_sign_agreement": (1.0, 0.0, U),
    "de_overlap_20": (U, U, U),
    "de_overlap_50": (U, U, U),
    **{
        f"{base}_deg{k}": (U, U, U)
        for base in ("r2_mean", "rmse_mean", "pearson_delta_ctrl", "pearson_delta_centroid")
        for k in (20, 50)
    },
}


@pytest.mark.parametrize("key", METRICS)
def test_a_registered_metric_gives_the_value_computed_by_hand(key):
    np.testing.assert_allclose(METRICS[key].compute(view(truth(), of_cells())), BY_HAND[key], rtol=1e-12)


def test_titles_formulas_traps_and_reasons_are_there_and_titles_differ():
    rows = METRICS.values()
    assert len({one.title for one in rows}) == len({one.compute.__doc__ for one in rows}) == len(METRICS)
    for one in rows:
        assert one.formula and one.trap and one.undefined, one.key
        assert "Source:" in one.compute.__doc__ and "`(conditions,)`" in one.compute.__doc__, one.key
        assert one.better in ("up", "down", "to 1") and one.best in (0.0, 1.0, None), one.key
        assert not (one.better == "to 1" and one.best != 1.0)


def test_a_key_says_which_list_which_reference_and_what_is_clipped():
    centroid, effects = (
        ("pearson_delta_centroid", "r2w_delta"),
        ("pearson_delta", "pds_cosine", "de_", "r2w_delta"),
    )
    for one in METRICS.values():
        assert ("_deg" in one.key) == one.of_list, one.key
        assert one.key.startswith(effects) == (one.reference != "none"), one.key
        assert one.key.startswith(centroid) == ("centroid" in one.reference), one.key
        assert one.clipped == ("clipped" in one.key), one.key
    assert METRICS["pearson_delta_ctrl"].reference != METRICS["pearson_delta_ctrl_shared"].reference


def test_a_smaller_panel_has_its_distance_under_a_key_of_its_own():
    assert key_on("l2_heg1000", 600) == "l2_heg600" and key_on("l2_heg1000", 1000) == "l2_heg1000"
    assert key_on("pearson_delta_ctrl_heg1000", 999) == "pearson_delta_ctrl_heg999"
    assert key_on("r2_mean_deg50", 3) == "r2_mean_deg50"
    assert METRICS["l2_heg600"].title == "L2 over the 600 genes highest in control"
    assert "l2_heg600" not in list(METRICS) and METRICS["l2_heg1000"].k(None) == 1000
    for unknown in ("l2_heg0", "r2_heg10", "l2_heg"):
        with pytest.raises(ConfigError, match=f"Unknown metric '{unknown}'"):
            METRICS[unknown]


def test_the_highest_genes_are_those_of_the_control_of_the_same_context():
    v = view(truth(), of_cells())
    np.testing.assert_array_equal(v.heg(2), [[2, 1], [2, 1], [2, 1]])  # (1, 2, 3) and (0, 1, 5)
    np.testing.assert_allclose(METRICS["l2_heg2"].compute(v), [1, np.sqrt(26), 1])


def test_an_unknown_direction_is_refused():
    with pytest.raises(ConfigError, match="metric 'm': better='higher' must be up, down or to 1"):
        Metric("m", "M", "x", "higher", 1.0, "none", "never", lambda v: v.y)


def test_no_metric_clips_but_the_one_whose_name_says_so():
    modules = {inspect.getmodule(one.compute) for one in METRICS.values()}
    modules |= {mp, de_agreement, retrieval, weighted}
    for module in modules:
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.FunctionDef) and not node.name.endswith("_clipped"):
                calls = {ast.unparse(one.func) for one in ast.walk(node) if isinstance(one, ast.Call)}
                clips = calls & {"np.clip", "np.maximum", "np.minimum", "max", "min", "np.nan_to_num"}
                allowed = {"np.maximum"} if node.name == "take" else set()  # positions of genes, not values
                assert clips <= allowed, f"{module.__name__}.{node.name}"


@pytest.fixture(scope="module")
def many():
    """Truth of 60 genes and 12 conditions in one context, a guess at it, and five generated cells each."""
    rng = np.random.default_rng(0)
    cells = hand_made.cells(
        hand_made.grid(["a", "b", "c"], [f"d{i}" for i in range(6)], n=8, controls=12),
        rng.uniform(0, 3, size=(3 * 12 + 3 * 12 * 8, 60)),
    )
    held = split(cells, "zero_shot_context", held_out="a")
    made = measure(cells, [held], seed=0, facts={})  # unrounded, so that no two changes tie
    some = [made.mean[i] + rng.normal(scale=0.4, size=(5, 60)) for i in range(12)]
    mean, variance = (np.stack([getattr(one, what)(axis=0) for one in some]) for what in ("mean", "var"))
    spots = np.stack([made.project(one) for one in some])
    differ = np.array([rng.permutation(60) < 55 for _ in range(24)], np.int8)
    made = replace(made, significant={**made.significant, "all": differ[:12]})
    return made, Predicted(
        "m",
        "M",
        "model",
        mean=mean,
        mean_split=mean + 0.1,
        variance=variance * 5 / 4,
        n_cells=np.full(12, 5),
        coordinates=spots,
        significant=differ[12:],
    )


RANKS = ("nir", "rank_pred", "pds_l1", "pds_l2", "pds_cosine")


def reordered(made: Truth, model: Predicted, rows, genes):
    """The same numbers with conditions and genes in another order."""
    old_to_new = np.argsort(genes)
    controls = {name: v[..., genes] if np.ndim(v) > 1 else v for name, v in made.controls.items()}
    other = replace(
        made,
        obs=made.obs.iloc[rows],
        genes=made.genes[genes],
        mean=made.mean[rows][:, genes],
        variance=made.variance[rows][:, genes],
        halves=made.halves[rows][:, :, genes],
        q=made.q[rows][:, genes],
        significant={name: v[rows][:, genes] for name, v in made.significant.items()},
        others={name: v[..., genes] if np.ndim(v) > 1 else v for name, v in made.others.items()},
        deg={name: old_to_new[v][rows] for name, v in made.deg.items()},
        coordinates=made.coordinates[rows],
        pca_mean=made.pca_mean[genes],
        loadings=made.loadings[genes],
        controls=controls,
        centroid=made.centroid[:, genes],
    )
    names = ("mean", "mean_split", "variance", "significant")
    arrays = {name: getattr(model, name)[rows][:, genes] for name in names}
    return other, replace(model, **arrays, coordinates=model.coordinates[rows])


@pytest.mark.parametrize("key", METRICS)
def test_conditions_and_genes_in_another_order_change_no_metric(key, many):
    rng = np.random.default_rng(1)
    rows, genes = rng.permutation(12), rng.permutation(60)
    value = METRICS[key].compute(view(*many))
    assert np.isfinite(value).all()
    again = METRICS[key].compute(view(*reordered(*many, rows, genes)))
    np.testing.assert_allclose(again, value[rows], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("key", METRICS)
def test_two_swapped_genes_of_a_prediction_are_noticed(key, many):
    made, model = many
    first, second = made.deg["split_half"][0, :2]  # genes that every metric looks at
    mean, mean_split = model.mean.copy(), model.mean_split.copy()
    for profile in (mean[0], mean_split[0]):
        profile[[first, second]] = profile[[second, first]]
    spoiled = replace(model, mean=mean, mean_split=mean_split, coordinates=None)
    value, again = (
        METRICS[key].compute(view(made, one)) for one in (replace(model, coordinates=None), spoiled)
    )
    # variances and significance are not swapped here, ranks may stay, and none of 55 strongest genes may be new
    blind = ("var_ratio", "var_ratio_gene_median", *RANKS, *(one for one in METRICS if one.startswith("de_")))
    assert key in blind or value[0] != again[0]
    if key != "rank_pred":  # which compares predictions with each other
        np.testing.assert_allclose(value[1:], again[1:], rtol=1e-12)


def test_gene_list_metrics_are_their_base_metric_on_the_listed_genes_and_half_b(many):
    made, model = many
    v = view(made, model)
    f = other_half(made.obs["n_cells"].to_numpy(float))[:, None]
    half_b = made.mean - f * made.halves[:, 0]
    for i in range(12):
        top50, top20 = made.deg["split_half"][i, :50], made.deg["split_half"][i, :20]
        r2 = mp.r2_mean(half_b[i : i + 1, top50], model.mean[i : i + 1, top50])
        np.testing.assert_allclose(METRICS["r2_mean_deg50"].compute(v)[i], r2[0])
        kept, shown = made.controls["mean_b"][0], made.controls["mean_a"][0]
        r = np.corrcoef((half_b[i] - kept)[top20], (model.mean_split[i] - shown)[top20])[0, 1]
        np.testing.assert_allclose(METRICS["pearson_delta_ctrl_deg20"].compute(v)[i], r, rtol=1e-6)


@pytest.mark.parametrize("key", [key for key in METRICS if key.startswith("pearson_delta_ctrl")])
def test_correlations_of_change_are_blind_to_its_size(key, many):
    made, model = many
    v = view(made, model)
    larger = replace(
        v, yhat=v.mu0 + 3 * (v.yhat - v.mu0), yhat_split=v.mu0_shown + 3 * (v.yhat_split - v.mu0_shown)
    )
    np.testing.assert_allclose(METRICS[key].compute(larger), METRICS[key].compute(v), rtol=1e-9)


def test_lists_chosen_on_all_test_cells_or_in_training_are_scored_on_all_test_cells(many):
    made, model = many
    lists = {"train_visible": np.tile(np.arange(50), (12, 1))}
    made = replace(made, deg={**made.deg, **lists})
    for source in ("test_truth", "train_visible"):
        v = view(made, model, Options(de_source=source))
        for i in range(12):
            top = made.deg[source][i, :20]
            expected = mp.rmse_mean(made.mean[i : i + 1, top], model.mean[i : i + 1, top])[0]
            np.testing.assert_allclose(METRICS["rmse_mean_deg20"].compute(v)[i], expected, rtol=1e-6)


def crispr(labels, genes):
    """The truth of `hand_made_bundle` with other perturbations, all of kind CRISPRa, and other gene names."""
    made = truth()
    obs = made.obs.assign(perturbation=labels, kind="CRISPRa")
    return replace(made, obs=obs, genes=np.array(genes))


def test_the_genes_that_a_perturbation_changes_itself_leave_lists_and_sets_of_that_condition_alone():
    made = crispr(["KLF1", "KLF1+UBB", "TP53"], ["KLF1", "UBB", "ACTB"])
    np.testing.assert_array_equal(made.targets, [[0, -1], [0, 1], [-1, -1]])
    v = view(made, of_cells())
    np.testing.assert_array_equal(v.deg(1), [[2], [2], [2]])  # lists are 2, 0, 1
    np.testing.assert_array_equal(v.deg(2), [[2, 1], [-1, -1], [2, 0]])
    np.testing.assert_array_equal(v.kept_genes(v.significant), [[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    kept = view(made, of_cells(), Options(drop_targets=False))
    np.testing.assert_array_equal(kept.deg(2), [[2, 0]] * 3)
    assert (kept.kept_genes(kept.significant) == (made.significant["all"] == 1)).all()
    drugs = replace(made, obs=made.obs.assign(kind="drug"))
    assert drugs.targets.shape == (3, 0)  # a drug may be called like a gene


def test_the_target_gene_does_not_help_to_find_the_own_truth():
    """Its own level identifies a knock-down; without it both truths look alike, and the first prediction is lost."""
    mean = np.array([[0.0, 3, 1], [3, 0, 0], [1, 1, 6]])
    made = replace(crispr(["G0", "G1", "G2"], ["G0", "G1", "G2"]), mean=mean)
    nearer = of_cells(mean=np.array([[0.0, 1, 0], [3, 0, 0], [1, 1, 6]]))
    assert (
        METRICS["pds_l2"].compute(view(made, nearer, Options(drop_targets=False)))[0] == 1
    )  # sqrt 5 < sqrt 10
    assert METRICS["pds_l2"].compute(view(made, nearer))[0] == 0.5  # sqrt 5 > 1


def test_without_split_means_the_split_metrics_have_no_value():
    v = view(truth(), of_cells(mean_split=None))
    assert np.isnan(METRICS["pearson_delta_ctrl"].compute(v)).all()
    assert np.isfinite(METRICS["pearson_delta_ctrl_shared"].compute(v)).any()


def test_a_predictor_of_means_is_one_point_without_spread():
    v = view(truth(), of_cells(variance=None, n_cells=None, coordinates=None))
    assert [one.tolist() for one in v.cells_hat] == [[[3.0]], [[2.0]], [[0.0]]]
    assert (v.variance == 0).all() and np.isinf(v.n_predicted).all()
    np.testing.assert_allclose(METRICS["var_ratio"].compute(v), 0)
    np.testing.assert_allclose(METRICS["edist_u"].compute(v)[0], 2 * (3 + 1) / 2 - 2)


def test_a_mean_with_a_variance_of_its_own_is_scored_as_from_infinitely_many_cells():
    v = view(truth(), of_cells(n_cells=None, coordinates=None))
    np.testing.assert_allclose(METRICS["var_ratio"].compute(v), 0.5)
    np.testing.assert_allclose(
        METRICS["rel_rmse_cell"].compute(v)[0], np.sqrt((2 + 3 + 4.8) / (33 + 4.8)), rtol=1e-12
    )


@pytest.mark.parametrize("key", METRICS)
def test_only_a_metric_of_the_mean_declares_that_halves_can_stand_in_for_it(key, many):
    """Such a metric does not move when everything measured but `y` of the condition moves."""
    made, model = many
    v = view(made, model)
    moved = replace(
        v,
        truth=replace(made, variance=made.variance * np.linspace(1, 3, 60)),
        significant=1 - v.significant,
        y=np.concatenate([v.y[:1], v.y[1:] + 1]),
        y_half=v.y_half + np.arange(60),
        cells=[one * 2 for one in v.cells],
    )
    stays = METRICS[key].compute(moved)[0] == METRICS[key].compute(v)[0]
    assert METRICS[key].of_mean <= stays
    assert METRICS[key].of_mean or key in RANKS or not stays


def test_retrieval_keeps_folds_contexts_and_doses_apart():
    made = truth()
    obs = made.obs.assign(dose_um=[1.0, 10.0, 1.0])
    assert len(set(view(replace(made, obs=obs), of_cells()).groups)) == 3
    assert len(set(view(made, of_cells()).groups)) == 2


def test_the_centroid_is_that_of_the_condition_s_fold():
    made = truth()
    made = replace(made, obs=made.obs.assign(fold=[0, 1, 0]), centroid=np.array([[1.0, 1, 1], [2, 2, 2]]))
    np.testing.assert_array_equal(view(made, of_cells()).centroid[:, 0], [1, 2, 1])


def test_every_condition_is_referenced_to_the_controls_of_its_own_context():
    v = view(truth(), of_cells())
    np.testing.assert_array_equal(v.mu0[:, 0], [1, 1, 0])
    np.testing.assert_array_equal(v.mu0_shown[:, 0], [1.5, 1.5, 0])
    np.testing.assert_array_equal(v.mu0_kept[:, 0], [0.5, 0.5, 0])
    np.testing.assert_array_equal(v.y, MEAN)
