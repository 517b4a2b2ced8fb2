"""`score(bundle)`: from files to numbers that are right by hand, never clipped, and undefined where they do not exist."""

from dataclasses import replace

import hand_made
import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad
from hand_made_bundle import GENES, KEYS, PREDICTED, bundle, of_cells, truth, value
from test_metric_views import BY_HAND, W

from perturbook.errors import ConfigError
from perturbook.evaluation import (
    CEILING,
    CEILINGS,
    INTERPOLATED,
    METRICS,
    Bundle,
    Options,
    Predicted,
    build_truth,
    compare,
    read_bundle,
    score,
    summarise,
    write_bundle,
)
from perturbook.evaluation.metric import key_on
from perturbook.evaluation.score import from_csv, highest_dose, to_csv, wide
from perturbook.pages.own_bundle import not_applicable, short_table
from perturbook.splits import split

TERRIBLE = Predicted("terrible", "Terrible", "model", mean=np.full((3, 3), 100.0))
SCORED = [key_on(key, len(GENES)) for key in METRICS]
ABSENT = Predicted("absent", "Absent", "floor", reason="the perturbation is no molecule")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bundle on disk of a model of cells, a terrible one, one without split means, and one that does not apply."""
    path = tmp_path_factory.mktemp("scores") / "bundle"
    return write_bundle(bundle(of_cells(), TERRIBLE, ABSENT), path)


@pytest.fixture(scope="module")
def scores(folder):
    return score(folder)


@pytest.mark.parametrize("key", METRICS)
def test_scores_of_a_stored_bundle_are_those_computed_by_hand(key, scores):
    found = [value(scores, key_on(key, len(GENES)), condition) for condition in KEYS]
    np.testing.assert_allclose(found, BY_HAND[key], rtol=1e-12)


def test_there_is_one_row_per_method_condition_and_metric_with_what_a_reader_must_know(scores):
    assert len(scores) == 5 * 3 * len(METRICS)  # three predictions and two duplicates
    assert set(scores["metric"]) == set(SCORED) and "l2_heg3" in SCORED  # a panel of three genes
    assert not scores.duplicated(["method", "mode", "condition", "metric"]).any()
    said = "setting method seed condition stratum metric value status reason n_true n_pred panel_hash scale reference de_source"
    assert set(said.split()) < set(scores)
    assert {"clipped", "code_version", "k", "drop_targets"} < set(scores)
    assert set(scores["panel_hash"]) == {"0" * 64} and set(scores["stratum"]) == {""}
    clipped = set(scores.loc[scores["clipped"], "metric"])
    assert clipped == {"r2_mean_clipped", "r2_mean_swapped_clipped"}
    assert value(scores, "r2_mean", "a|y|1", column="n_true") == 6
    assert value(scores, "r2_mean", "a|y|1", column="n_pred") == 4
    assert np.isinf(value(scores, "r2_mean", "a|y|1", "terrible", "n_pred"))
    assert value(scores, "pearson_delta_ctrl_deg20", "a|x|1", column="de_source") == "split_half"
    assert value(scores, "r2_mean", "a|x|1", column="de_source") == ""


def test_a_row_says_how_many_genes_or_conditions_its_value_rests_on(scores):
    def k(metric, condition):
        return value(scores, metric, condition, column="k")

    assert (
        k("r2_mean_deg50", "a|x|1") == 50 and k("l2_heg3", "a|x|1") == 3 and np.isnan(k("r2_mean", "a|x|1"))
    )
    assert (k("nir", "a|x|1"), k("nir", "b|x|1")) == (2, 1)
    assert k("wmse", "a|x|1") == pytest.approx((W + 1) ** 2 / (W**2 + 1))  # of weights W, 0, 1
    assert k("de_overlap_at_n", "a|x|1") == 2


def test_the_stratum_of_a_condition_stands_in_its_rows():
    made = truth()
    made = replace(made, obs=made.obs.assign(stratum=["seen 0", "seen 1", "seen 0"]))
    assert value(score(Bundle(made, [of_cells()])), "r2_mean", "a|y|1", column="stratum") == "seen 1"


def test_another_source_of_gene_lists_and_kept_targets_stand_in_the_rows_they_change():
    made = truth()
    obs = made.obs.assign(perturbation=["G0", "G1", "G2+G7"], kind="CRISPRi")
    made = Bundle(replace(made, obs=obs), [of_cells()])
    rows = score(made)
    dropped = rows[rows["drop_targets"]]
    assert {m.split("_")[0] for m in set(dropped["metric"])} == {"r2", "rmse", "pearson", "de", "pds"}
    assert all("_deg" in m or m.startswith(("de_", "pds_")) for m in set(dropped["metric"]))
    assert set(dropped["condition"]) == set(KEYS)
    other = score(made, options=Options(de_source="train_visible", drop_targets=False))
    assert not other["drop_targets"].any()
    assert value(other, "r2_mean_deg20", "a|x|1", column="de_source") == "train_visible"


def test_gene_sets_mean_nothing_where_generated_cells_have_collapsed():
    narrow = of_cells(variance=np.array([[1.0, 1, 1], [0.9, 1, 1], [1, 1, 1]]))  # true variances sum to 6
    rows = score(bundle(narrow))
    assert value(rows, "de_sig_recall", "a|x|1") == 0.5
    assert np.isnan(value(rows, "de_sig_recall", "a|y|1"))
    assert value(rows, "de_sig_recall", "a|y|1", column="status") == "not meaningful"
    assert "vary less than half as much" in value(rows, "de_sig_recall", "a|y|1", column="reason")
    assert value(rows, "de_sig_recall", "a|x|1", CEILING) == 1  # halves a and b hold the same sets here
    means = score(bundle(of_cells(variance=None, n_cells=None, coordinates=None, significant=None)))
    assert value(means, "de_sig_recall", "a|x|1", column="status") == "undefined"
    assert "no generated cells" in value(means, "de_sig_recall", "a|x|1", column="reason")


def test_bulk_profiles_are_scored_from_one_profile_on():
    few = truth(n_cells=(1, 2, 5))
    assert np.isnan(value(score(Bundle(few, [of_cells()])), "r2_mean", "a|x|1"))
    bulk = replace(few, facts={**few.facts, "value_kind": "log_intensity"})
    rows = score(Bundle(bulk, [of_cells()]))
    assert value(rows, "r2_mean", "a|x|1") == pytest.approx(BY_HAND["r2_mean"][0])


def test_a_very_bad_score_is_kept_as_it_is_in_the_file_and_in_the_table(folder, scores, tmp_path):
    found = value(scores, "r2_mean", "a|x|1", "terrible")
    assert found == pytest.approx(1 - (98**2 + 98**2 + 95**2) / 6) and found < -1
    to_csv(scores, tmp_path / "scores.csv")
    assert from_csv(tmp_path / "scores.csv").loc[("terrible", "", "a|x|1"), "r2_mean"] == pytest.approx(found)
    shown = short_table(scores, ["r2_mean"]).loc[("terrible", ""), "r2_mean"]
    assert float(shown) < -1000


def test_what_does_not_exist_is_undefined_with_its_reason_and_not_zero(scores):
    for metric, reason in {
        "pearson_delta_ctrl": "the effect is constant over genes",
        "nir": "no other condition of the same context and dose is tested",
        "r2_mean_deg50": "no list of 50 genes, or no change over them",
        "wmse": "the context has no other treated cells, or the condition fewer than two cells",
    }.items():
        assert np.isnan(value(scores, metric, "b|x|1"))
        assert value(scores, metric, "b|x|1", column="status") == "undefined"
        assert value(scores, metric, "b|x|1", column="reason") == reason
    ok = scores[scores["status"] == "ok"]
    assert ok["value"].notna().all() and (ok["reason"] == "").all()
    assert scores.loc[scores["status"] == "undefined", "value"].isna().all()


def test_a_predictor_that_does_not_apply_has_rows_with_its_reason(scores):
    rows = scores[scores["method"] == "absent"]
    assert len(rows) == 3 * len(METRICS) and (rows["status"] == "undefined").all()
    assert set(rows["reason"]) == {"not applicable: the perturbation is no molecule"}


def test_a_condition_that_a_predictor_leaves_out_is_undefined_for_that_reason():
    holes = PREDICTED.copy()
    holes[1] = np.nan
    scores = score(bundle(of_cells(mean=holes, mean_split=None)))
    assert value(scores, "r2_mean", "a|y|1", column="reason") == "the predictor gives no value here"
    assert value(scores, "r2_mean", "a|x|1") == pytest.approx(BY_HAND["r2_mean"][0])
    assert np.isnan(value(scores, "edist_u", "a|y|1")) and np.isnan(
        value(scores, "nir", "a|x|1")
    )  # no competitor
    halves = PREDICTED.copy()
    halves[0] = np.nan
    split_holes = score(bundle(of_cells(mean_split=halves)))
    assert (
        value(split_holes, "pearson_delta_ctrl", "a|x|1", column="reason")
        == "the predictor gives no value here"
    )
    assert np.isfinite(value(split_holes, "r2_mean", "a|x|1"))


def test_fewer_than_five_measured_cells_are_undefined_for_every_method():
    scores = score(bundle(n_cells=(4, 5, 6)))
    rows = scores[scores["condition"] == "a|x|1"]
    assert (rows["status"] == "undefined").all() and rows["within_se"].isna().all()
    assert set(rows["reason"]) == {"fewer than 5 measured cells"}
    assert (scores.loc[scores["condition"] == "a|y|1", "status"] == "ok").any()


def test_means_are_over_defined_conditions_and_say_how_many(scores):
    for registered, metric in zip(METRICS, SCORED, strict=True):
        row = summarise(scores[(scores["metric"] == metric) & (scores["method"] == "cells")]).iloc[0]
        values = BY_HAND[registered]
        by_hand = [one for one in values if not np.isnan(one)]
        assert (row["n_defined"], row["n_total"]) == (len(by_hand), 3)
        assert np.isnan(row["mean"]) if not by_hand else row["mean"] == pytest.approx(np.mean(by_hand))
        without = scores[scores["condition"].isin([k for k, v in zip(KEYS, values, strict=True) if v == v])]
        if by_hand:
            again = summarise(without[(without["metric"] == metric) & (without["method"] == "cells")]).iloc[0]
            assert again["mean"] == row["mean"] and again["n_total"] == len(by_hand)


def test_the_table_writes_undefined_with_its_count_and_a_partial_mean_with_its_count(scores):
    shown = short_table(scores)
    assert shown.loc[("cells", ""), "r2_mean_deg50"] == "undefined (0 of 3)"
    assert shown.loc[("cells", ""), "pearson_delta_ctrl_shared"] == "-0.183 (2 of 3)"
    assert shown.loc[("cells", ""), "var_ratio"] == "0.500"


def test_a_method_that_does_not_apply_stands_below_the_table_with_its_reason(scores):
    assert "absent" not in short_table(scores).index.get_level_values("method")
    assert set(not_applicable(scores)) == {"absent"} and all(not_applicable(scores).values())


def test_below_ten_conditions_there_is_no_interval_over_conditions_but_one_within_each(scores):
    rows = summarise(scores[scores["method"] == "cells"])
    assert rows[["low", "high"]].isna().all(axis=None)
    assert value(scores, "r2_mean", "a|x|1", column="within_se") < 1e-12  # halves equal the mean here
    assert np.isnan(value(scores, "var_ratio", "a|x|1", column="within_se"))


def test_one_swapped_gene_in_a_stored_file_changes_the_scores(folder, tmp_path):
    other = write_bundle(bundle(of_cells(mean=PREDICTED[:, [0, 2, 1]])), tmp_path / "b")
    assert value(score(other), "r2_mean", "a|x|1") != value(score(folder), "r2_mean", "a|x|1")


def test_conditions_and_genes_of_a_stored_file_may_stand_in_any_order(folder, scores, tmp_path):
    copy = write_bundle(read_bundle(folder), tmp_path / "b")
    read_h5ad(copy / "cells.h5ad")[KEYS[::-1], [GENES[i] for i in (2, 0, 1)]].copy().write_h5ad(
        copy / "cells.h5ad"
    )
    pd.testing.assert_frame_equal(score(copy), scores)


def test_chosen_metrics_give_the_rows_of_all_and_an_unknown_one_is_refused(folder, scores):
    some = score(folder, ["nir", "r2_mean"])
    assert list(some["metric"].unique()) == ["nir", "r2_mean"]
    keys = ["method", "condition", "metric"]
    merged = some.merge(scores, on=keys, suffixes=("", "_all"), validate="1:1")
    np.testing.assert_array_equal(merged["value"], merged["value_all"])
    with pytest.raises(ConfigError, match="Unknown metric 'r2'. Known: "):
        score(folder, ["r2"])


def test_scores_survive_the_file_with_undefined_as_a_word(scores, tmp_path):
    to_csv(scores, tmp_path / "scores.csv")
    pd.testing.assert_frame_equal(
        from_csv(tmp_path / "scores.csv"), wide(scores), rtol=1e-7, check_names=False
    )
    assert "undefined" in (tmp_path / "scores.csv").read_text()


def test_compressed_scores_are_the_same_scores_and_the_same_bytes_each_time(scores, tmp_path):
    (tmp_path / "again").mkdir()
    plain, small, again = (tmp_path / name for name in ("scores.csv", "scores.csv.gz", "again/scores.csv.gz"))
    for path in (plain, small, again):
        to_csv(scores, path)
    pd.testing.assert_frame_equal(from_csv(plain), from_csv(small))
    assert small.read_bytes() == again.read_bytes()
    assert small.stat().st_size < plain.stat().st_size / 2


def test_the_wide_table_has_one_column_per_metric(scores):
    assert list(wide(scores)) == SCORED


def test_modes_keep_their_rows_apart():
    better = of_cells(mode="B", mean=truth().mean)
    table = wide(score(bundle(of_cells(mode="A"), better)))
    assert table.loc[("cells", "A", "a|x|1"), "r2_mean"] == pytest.approx(2 / 3)
    assert table.loc[("cells", "B", "a|x|1"), "r2_mean"] == 1


def screen(seed=0, n=8, drugs=6, genes=60):
    rng = np.random.default_rng(seed)
    rows = hand_made.grid(["a", "b", "c"], [f"d{i}" for i in range(drugs)], doses=(1.0,), n=n, controls=12)
    cells = hand_made.cells(rows, rng.uniform(0, 3, size=(len(rows), genes)))
    made = build_truth(cells, [split(cells, "zero_shot_context", held_out="a")], seed=0, facts={})
    return made, np.searchsorted(made.contexts, made.obs["context"])


def test_the_same_profile_for_every_condition_retrieves_exactly_one_half():
    made, _ = screen()
    same = Predicted("same", "Same", "floor", mean=np.tile(made.centroid[0], (6, 1)))
    rows = summarise(score(Bundle(made, [same]), ["nir"]))
    assert rows.set_index("method").loc["same", "mean"] == 0.5


def test_no_change_has_no_correlation_of_change_and_does_have_the_other_scores():
    made, context = screen()
    mean, shown = made.controls["mean"][context], made.controls["mean_a"][context]
    rows = score(Bundle(made, [Predicted("none", "No change", "floor", mean=mean, mean_split=shown)]))
    rows = rows[rows["method"] == "none"]
    undefined = set(rows.loc[rows["status"] == "undefined", "metric"])
    effects = {key for key in rows["metric"] if key.startswith(("pearson_delta_ctrl", "pds_cosine"))}
    assert undefined - {key for key in undefined if key.startswith("de_")} == effects
    assert rows.loc[~rows["metric"].isin(undefined), "value"].notna().all()


def test_without_any_effect_shared_controls_correlate_replicates_and_split_controls_do_not():
    """n = n0 = 100 cells, 1,000 genes: n / (n + n0) = 0.5 with shared controls (metrics.md section 3.4)."""
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rows = hand_made.grid(["a"], [f"d{i}" for i in range(3)], doses=(1.0,), n=100, controls=100)
        rows += hand_made.grid(["b", "c"], ["d0"], doses=(1.0,), n=2, controls=2)
        cells = hand_made.cells(rows, rng.normal(5, 1, size=(len(rows), 1000)))
        made = build_truth(cells, [split(cells, "zero_shot_context", held_out="a")], seed=seed, facts={})
        replicate = 5 + rng.normal(scale=0.1, size=made.mean.shape)  # means of 100 other cells
        both = ["pearson_delta_ctrl", "pearson_delta_ctrl_shared"]
        found.append(
            score(
                Bundle(made, [Predicted("again", "Again", "model", mean=replicate, mean_split=replicate)]),
                both,
            )
        )
    found = pd.concat(found)
    means = found[found["method"] == "again"].groupby("metric")["value"].mean()
    assert 0.47 < means["pearson_delta_ctrl_shared"] < 0.53
    assert abs(means["pearson_delta_ctrl"]) < 0.02


def long(values, modes=None):
    """A long table of one metric from `{method: values}`; drugs d0, d1, ... at two doses each."""
    frames = []
    for method, series in values.items():
        keys = [f"a|d{i // 2}|{i % 2}" for i in range(len(series))]
        frames.append(
            pd.DataFrame(
                {
                    "condition": keys,
                    "perturbation": [key.split("|")[1] for key in keys],
                    "method": method,
                    "mode": (modes or {}).get(method, ""),
                    "metric": "r2_mean",
                    "value": series,
                }
            )
        )
    return pd.concat(frames)


def test_a_paired_difference_counts_conditions_where_both_are_defined_out_of_all():
    d = compare(long({"one": [0.5, 0.6, np.nan], "two": [0.1, np.nan, 0.3]}), "r2_mean", "one", "two")
    assert d["mean"] == pytest.approx(0.4) and (d["n_defined"], d["n_total"]) == (1, 3)


def test_a_constant_advantage_has_a_point_for_an_interval():
    base = np.random.default_rng(0).uniform(size=24)
    d = compare(long({"one": base + 0.1, "two": base}), "r2_mean", "one", "two", n=200)
    np.testing.assert_allclose([d["mean"], d["low"], d["high"]], 0.1, atol=1e-12)


@pytest.mark.parametrize("method", ["three", "two"])
def test_a_comparison_without_one_row_per_condition_is_refused(method):
    table = pd.concat([long({"one": [1.0], "two": [1.0]}), long({"two": [2.0]}, {"two": "A"})])
    count = {"three": 0, "two": 2}[method]
    with pytest.raises(ConfigError, match=f"'{method}' has rows of 'r2_mean' in {count} modes"):
        compare(table, "r2_mean", "one", method)


def test_intervals_resample_drugs_with_all_their_doses():
    rows = summarise(long({"one": np.repeat(np.arange(6.0), 2)}), n=500).iloc[0]
    assert rows["interval"] == "95 % bootstrap over 6 blocks" and rows["low"] < 2.5 < rows["high"]


def test_a_summary_may_keep_doses_apart():
    table = long({"one": [1.0, 2.0, 3.0, 4.0]}).assign(dose_um=[1, 10, 1, 10])
    rows = summarise(table, by=["dose_um"]).set_index("dose_um")
    assert rows["mean"].to_dict() == {1: 2.0, 10: 3.0} and set(rows["n_total"]) == {2}


def test_the_duplicate_stands_in_the_table_as_the_ceiling(scores):
    rows = scores[scores["method"] == CEILING].set_index(["metric", "condition"])
    assert rows.loc[("r2_mean", "a|x|1"), "value"] == 1  # both halves equal the mean in this bundle
    assert rows.loc[("r2_mean", "a|y|1"), "n_pred"] == 3


def test_the_interpolated_duplicate_stands_in_the_table_as_a_second_ceiling(scores):
    assert set(CEILINGS) == {CEILING, INTERPOLATED} <= set(scores["method"])
    assert value(scores, "rmse_mean", "a|x|1", INTERPOLATED) == pytest.approx(np.sqrt((0.25**2 + 4**2) / 3))
    assert np.isnan(value(scores, "var_ratio", "a|x|1", INTERPOLATED))


def test_a_bundle_in_memory_and_its_folder_give_the_same_scores(folder, scores):
    pd.testing.assert_frame_equal(score(read_bundle(folder)), scores)
    pd.testing.assert_frame_equal(score(str(folder)), scores)


def test_a_new_truth_scores_the_same_predictions_otherwise(scores):
    other = replace(truth(), mean=truth().mean + np.array([1.0, 0, 0]))
    assert value(score(Bundle(other, [of_cells()])), "r2_mean", "a|x|1") != value(scores, "r2_mean", "a|x|1")


def test_doses_are_a_series_only_where_a_quarter_of_the_perturbations_has_the_highest():
    rows = [("c", f"d{i}", 10.0) for i in range(8)]
    series = pd.DataFrame(
        rows + [("c", "d0", 100.0), ("c", "d1", 100.0)], columns=["context", "perturbation", "dose_um"]
    )
    top, dose = highest_dose(series)
    assert dose == 100.0 and len(top) == 2
    everything, none = highest_dose(series.iloc[:-1])
    assert np.isnan(none) and len(everything) == 9
