"""Every method against one: exact where nothing differs, paired, honest about what conditions share, one family."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from perturbook.errors import ConfigError
from perturbook.evaluation import CEILING
from perturbook.evaluation.comparisons import comparisons

RNG = np.random.default_rng(0)
BASE = RNG.uniform(size=24)


def scored(values, metric="nir", names=None, mode=""):
    """A table of scores from {method: one value per condition}; 24 drugs in one context unless named."""
    frames = []
    for method, series in values.items():
        drugs = names or [f"d{i:02d}" for i in range(len(series))]
        keys = [f"a|{drug}|{i}" for i, drug in enumerate(drugs)]
        labels = {"method": method, "mode": mode, "metric": metric, "value": series}
        frames.append(pd.DataFrame({"condition": keys, "perturbation": drugs, "dose_um": np.nan, **labels}))
    return pd.concat(frames, ignore_index=True)


def one(table):
    assert len(table) == 1
    return table.iloc[0]


def test_identical_methods_differ_by_exactly_nothing():
    row = one(comparisons(scored({"twin": BASE, "floor": BASE}), "nir", "floor", n=200))
    columns = ["difference", "low", "high", "naive_low", "naive_high", "hodges_lehmann"]
    assert (row[columns] == 0).all() and row["p"] == 1


@pytest.mark.parametrize(
    "names", [None, [f"d{i % 6}" for i in range(24)], [f"g{i}+g{(i + 1) % 24}" for i in range(24)]]
)
def test_a_constant_gain_has_no_width_whatever_is_resampled(names):
    table = scored({"better": BASE + 0.1, "floor": BASE}, names=names)
    row = one(comparisons(table, "nir", "floor", n=200))
    columns = ["difference", "low", "high", "naive_low", "naive_high", "hodges_lehmann"]
    np.testing.assert_allclose(row[columns].astype(float), 0.1, atol=1e-12)


def test_every_method_but_the_duplicate_is_compared_and_the_family_is_one():
    values = {
        "floor": BASE,
        "a": BASE + RNG.normal(0.1, 0.1, 24),
        "b": BASE + RNG.normal(0, 0.1, 24),
        CEILING: BASE,
    }
    table = pd.concat([scored(values), scored(values, metric="r2_mean")])
    made = comparisons(table, ["nir", "r2_mean"], "floor", n=100)
    assert made[["metric", "method"]].to_numpy().tolist() == [
        [m, k] for m in ("nir", "r2_mean") for k in "ab"
    ]
    assert (made["family"] == 4).all() and (made["against"] == "floor").all()
    np.testing.assert_allclose(made["q"], false_discovery_control(made["p"]))


def test_each_metric_may_have_its_own_floor():
    values = {"one": BASE, "two": BASE + 1}
    table = pd.concat([scored(values), scored(values, metric="r2_mean")])
    made = comparisons(table, ["nir", "r2_mean"], {"nir": "one", "r2_mean": "two"}, n=10)
    assert made[["method", "against"]].to_numpy().tolist() == [["two", "one"], ["one", "two"]]
    np.testing.assert_allclose(made["difference"], [1, -1])


def test_doses_of_a_drug_are_one_unit_of_the_test_and_one_block_of_the_interval():
    drugs = [f"d{i // 4}" for i in range(24)]
    gain = np.repeat(RNG.normal(0.5, 0.2, 6), 4)
    row = one(comparisons(scored({"a": BASE + gain, "floor": BASE}, names=drugs), "nir", "floor", n=500))
    assert row["n_units"] == 6 and row["p"] == row["smallest_p"] == 0.03125
    assert row["interval"] == "95 % bootstrap over 6 blocks" and row["n_defined"] == 24
    assert row["high"] - row["low"] > 1.5 * (row["naive_high"] - row["naive_low"])


def test_one_perturbation_in_many_contexts_is_tested_over_conditions():
    row = one(
        comparisons(scored({"a": BASE + 1, "floor": BASE}, names=["IFN-beta"] * 24), "nir", "floor", n=10)
    )
    assert row["n_units"] == 24 and row["interval"] == "95 % bootstrap over conditions"


def test_doubles_are_resampled_by_gene_with_the_naive_interval_beside():
    pairs = [f"g{i}+g{j}" for i in range(8) for j in range(i)]
    gene = RNG.normal(size=8)
    gain = np.array([gene[i] + gene[j] for i in range(8) for j in range(i)])
    base = RNG.uniform(size=28)
    row = one(comparisons(scored({"a": base + gain, "floor": base}, names=pairs), "nir", "floor", n=500))
    assert row["interval"] == "95 % bootstrap over 8 genes"
    assert row["high"] - row["low"] > 1.5 * (row["naive_high"] - row["naive_low"])


def test_below_ten_conditions_there_is_a_difference_and_a_test_that_says_what_it_can_reach():
    gain = np.linspace(0.1, 0.2, 9)
    row = one(comparisons(scored({"a": BASE[:9] + gain, "floor": BASE[:9]}), "nir", "floor", n=10))
    assert np.isnan(row[["low", "high", "naive_low", "naive_high"]].astype(float)).all()
    assert row["difference"] == pytest.approx(0.15) and row["interval"] == "every value shown"
    assert row["p"] == row["smallest_p"] == 2 / 2**9


def test_conditions_undefined_on_either_side_are_left_out_and_counted():
    holed, floor = BASE + 0.1, BASE.copy()
    holed[:3], floor[2:5] = np.nan, np.nan
    row = one(comparisons(scored({"a": holed, "floor": floor}), "nir", "floor", n=10))
    assert (row["n_defined"], row["n_units"], row["n_total"]) == (19, 19, 24)


def test_a_method_that_is_nowhere_defined_has_a_row_and_is_no_member_of_the_family():
    table = scored({"a": BASE + 0.1, "none": np.full(24, np.nan), "floor": BASE})
    made = comparisons(table, "nir", "floor", n=10).set_index("method")
    assert np.isnan(made.loc["none", ["difference", "p", "q"]].astype(float)).all()
    assert made.loc["none", "interval"] == "undefined" and (made["family"] == 1).all()
    assert made.loc["a", "q"] == made.loc["a", "p"]


def test_seeds_are_averaged_within_a_condition_before_anything_is_compared():
    seeds = [scored({"a": BASE + e, "floor": BASE - e}).assign(seed=s) for s, e in enumerate((0.0, 0.2))]
    row = one(comparisons(pd.concat(seeds), "nir", "floor", n=50))
    assert row["n_total"] == 24
    np.testing.assert_allclose(row[["difference", "low", "high"]].astype(float), 0.2, atol=1e-12)


def test_a_mode_meets_the_floor_of_its_own_mode_and_a_common_floor_meets_all():
    parts = [scored({"a": BASE + 2}, mode="A"), scored({"a": BASE + 3}, mode="B")]
    own = [scored({"floor": BASE}, mode="A"), scored({"floor": BASE + 1}, mode="B")]
    made = comparisons(pd.concat(parts + own), "nir", "floor", n=10)
    assert made[["mode", "against_mode"]].to_numpy().tolist() == [["A", "A"], ["B", "B"]]
    np.testing.assert_allclose(made["difference"], [2, 2])
    common = comparisons(pd.concat([*parts, scored({"floor": BASE}, mode="AB")]), "nir", "floor", n=10)
    np.testing.assert_allclose(common["difference"], [2, 3])
    assert comparisons(pd.concat([parts[0], own[1]]), "nir", "floor", n=10).empty


def test_the_order_of_rows_changes_nothing():
    table = scored({"a": BASE + RNG.normal(size=24), "floor": BASE}, names=[f"d{i % 6}" for i in range(24)])
    shuffled = table.sample(frac=1, random_state=1).sort_values("method", kind="stable")
    pd.testing.assert_frame_equal(
        comparisons(shuffled, "nir", "floor", n=50), comparisons(table, "nir", "floor", n=50)
    )


def test_an_unknown_metric_or_floor_is_named():
    table = scored({"a": BASE, "floor": BASE})
    with pytest.raises(ConfigError, match="'edist_u' is not scored. Scored: nir"):
        comparisons(table, "edist_u", "floor")
    with pytest.raises(ConfigError, match="'ceiling' has no score of 'nir'"):
        comparisons(table, "nir", "ceiling")


def test_two_methods_that_differ_by_the_rounding_of_a_bundle_are_tied_and_not_significant():
    rows = [
        {"condition": f"c|d{i}", "context": "c", "perturbation": f"d{i}", "dose_um": np.nan, "mode": ""}
        | {"metric": "rmse_mean", "method": method, "value": i / 10 + off}
        for i in range(12)
        for method, off in (("floor", 0.0), ("same", 8e-5), ("better", -0.01))
    ]
    found = comparisons(pd.DataFrame(rows), "rmse_mean", "floor", n=100).set_index("method")
    assert not found.loc["same", "p"] < 1 and found.loc["same", "difference"] == pytest.approx(8e-5)
    assert found.loc["better", "p"] < 0.001
