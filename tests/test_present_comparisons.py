"""What a setting page says of differences and strata, on a small simulated screen of gene pairs."""

import pandas as pd
import pytest

from perturbook.evaluation.withheld import withhold
from perturbook.pages import present
from perturbook.pages import present_comparisons as comparisons
from perturbook.pages.charts import change
from perturbook.pages.charts import setting as charts
from perturbook.pages.design import Design
from perturbook.pages.layout import layout_of
from perturbook.pages.study import Study, run

MODELS = ["no_change", "matching_mean", "additive_pairs", "additive_ridge", "shifted_controls", "oracle"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERTURBOOK_CACHE", str(tmp_path_factory.mktemp("cache")))
        design = Design("p", "simulated-pairs", "additive_split", MODELS, size="small")
        return run(design, tmp_path_factory.mktemp("pairs") / "bundle")


def rows_of(shown):
    return [part for part in shown.split("<tr>")[1:] if "<td>" in part]


def test_every_world_of_a_screen_is_a_fold_of_its_own_and_shows_itself_alone(study):
    folds = study.layout.groupby("fold")["context"].unique()
    assert [list(contexts) for contexts in folds] == [["world-1"], ["world-2"]]
    assert all(fold.startswith(f"{contexts[0]}: ") for fold, contexts in folds.items())
    assert "not used" not in set(study.layout["part"])


def test_differences_carry_their_interval_the_naive_one_and_a_corrected_p(study):
    shown = comparisons.against_best_floor(study, 200).data
    ridge = next(row for row in rows_of(shown) if "ridge coefficients" in row)
    assert "naive [" in ridge and "q, RMSE" in shown and "comparisons of this table" in shown
    assert "Doubles share genes" in shown and "duplicate" not in shown


def test_the_best_floor_is_named_per_metric_and_not_compared_with_itself(study):
    shown = comparisons.against_best_floor(study, 200).data
    floor = present.best(study, study.scores, "rmse_mean", ("floor",))
    title = present.titled(study)[floor["method"]]
    assert f"RMSE, minus {title}" in shown
    mine = next(row for row in rows_of(shown) if f"<td>{title}</td>" in row)
    assert "–" in mine


def test_strata_are_counted_and_those_with_one_level_left_out(study):
    shown = comparisons.strata_table(study, 200).data
    assert shown.count("Planted interaction: additive") == 2  # one row per metric
    assert "Effect: low" in shown and "Cells measured" not in shown  # every double has as many cells
    counts = [int(row.split("<td>")[2].split("<")[0]) for row in rows_of(shown) if "Planted" in row]
    assert sum(counts) == 2 * len(study.bundle.truth.obs)


def test_the_first_row_of_the_score_table_says_how_much_room_a_metric_has(study):
    shown = present.score_table(study, 200).data
    first = rows_of(shown)[0]
    assert "Dynamic range of the metric" in first and "undefined" in first  # the centroid knows no floor
    assert "Interpolated duplicate" in shown


def test_strata_of_a_page_without_measurements_are_not_invented(study):
    bare = Study(
        study.bundle.__class__(withhold(study.bundle.truth), study.bundle.predictions, study.bundle.manifest),
        **{name: getattr(study, name) for name in ("scores", "folder", "audits", "layout")},
        cells=None,
    )
    assert "no measurements at hand" in comparisons.strata_table(bare, 100).data
    assert "not deposited" in change.change_chart(bare).data


def test_clipped_scores_are_kept_and_not_drawn(study):
    assert "r2_mean_clipped" in set(study.scores["metric"])
    spec = charts.score_chart(study, 100).to_dict()
    names = next(p["bind"]["options"] for p in spec["params"] if "bind" in p)
    assert not [name for name in names if "clipped" in name.lower()]


def test_what_varies_decides_the_strata_of_the_chart():
    def scores(contexts, drugs, doses):
        rows = [(c, d, q) for c in contexts for d in drugs for q in doses]
        return pd.DataFrame(rows, columns=["context", "perturbation", "dose_um"])

    assert charts._stratum(scores("ab", "xy", [1.0, 10.0]))[0] == "dose_um"
    assert charts._stratum(scores("ab", "xy", [float("nan")]))[0] == "context"
    assert charts._stratum(scores("a", "xy", [float("nan")]))[0] == "perturbation"
    many = [f"d{i}" for i in range(40)]
    assert charts._stratum(scores("a", many, [float("nan")]))[0] == "context"


def test_an_unused_context_is_not_in_the_layout_and_a_used_one_is_whole(study):
    design = Design("p", "simulated-pairs", "additive_split", MODELS, size="small")
    folds = design.splits(study.cells)[""]
    table = layout_of(study.cells, folds)
    of_world = study.cells.obs.astype({"context": str})
    for split, (_, rows) in zip(folds, table.groupby("fold", sort=False), strict=True):
        assert rows["cells"].sum() == (of_world["context"] == split.options["context"]).sum()
