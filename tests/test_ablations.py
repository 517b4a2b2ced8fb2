"""The ablations: what is asked, what is said of paired differences, and a page that works with what is stored so far."""

import ast
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_book import ROOT

from perturbook import data
from perturbook.errors import ConfigError
from perturbook.models import scdca_arms
from perturbook.models.scdca import LIMIT
from perturbook.pages import ablations, ablations_aims, parameters, train, trained
from perturbook.pages import ablations_reading as reading
from perturbook.pages import ablations_tables as tables
from perturbook.pages.charts import ablations as charts
from perturbook.pages.charts import ablations_gains
from perturbook.pages.drug_aims import ABSENT, AIMS, MET, MISSED, SHUFFLED
from perturbook.pages.standings import title
from perturbook.pages.table import page as page_of

PAGE = page_of("ablations")
ERROR, CORRELATION = ablations.MEASURES
DRUGS = [f"drug-{i:02d}" for i in range(12)]
BASE = np.linspace(0.2, 0.42, 12)


def values(**other):
    """Parameters of the page in the book, some of them replaced."""
    return parameters.check("ablations", {**PAGE.parameters, "page": "ablations", **other})


# by hand


def hand(parts, stored=("scdca", "scdca_static"), drugs=DRUGS, seeds=(0, 1), **more):
    """`Ablations` of one setting: `parts` is {(seed, method): error per drug}; correlations are one minus the error."""
    rows, absent = [], []
    roles = {"no_change": "floor", "morgan_ridge": "opponent", "oracle": "oracle"}
    for seed in seeds:
        for method in dict.fromkeys([*(name for _, name in parts), *stored]):
            given = parts.get((seed, method))
            if given is None:
                absent.append({"setting": "unseen_drug", "seed": seed, "method": method, "reason": "lost"})
            for metric in ablations.MEASURES:
                for drug, error in zip(drugs, [np.nan] * len(drugs) if given is None else given, strict=True):
                    rows.append(
                        {
                            **{"setting": "unseen_drug", "seed": seed, "metric": metric, "method": method},
                            **{"condition": f"line-1|{drug}", "context": "line-1", "perturbation": drug},
                            **{"dose_um": 10.0, "value": error if metric == ERROR else 1 - error},
                            **{"role": roles.get(method, "model"), "n_true": 10, "effect": 0.3},
                            "similarity": 0.1 + 0.05 * drugs.index(drug),
                        }
                    )
    made = {m for _, m in parts if m in stored and any(parts.get((s, m)) is not None for s in seeds)}
    records = {name: {"trainable_share": more.get("shares", {}).get(name, 0.009)} for name in made}
    asked = values(stored=list(stored), models=["no_change", "morgan_ridge", "oracle"], seeds=list(seeds))
    missing = pd.DataFrame(absent, columns=["setting", "seed", "method", "reason"])
    return ablations.Ablations(asked, pd.DataFrame(rows), missing, records, [])


def against(shift, **more):
    """The adapter, and an arm whose error is larger by `shift`, for two seeds."""
    arms = {"scdca": BASE, "scdca_static": BASE + shift, "morgan_ridge": BASE + 0.02, "no_change": BASE + 0.1}
    return hand({(seed, name): error for seed in (0, 1) for name, error in arms.items()}, **more)


@pytest.mark.parametrize(
    ("shift", "words"),
    [
        (0.03, "better by 0.030 [0.030, 0.030]"),
        (-0.02, "worse by 0.020 [0.020, 0.020]"),
        (0.1 * (-1.0) ** np.arange(12), reading.NONE),
        (0.0, reading.NONE),
        (np.nan, reading.UNMEASURED),
    ],
)
def test_a_difference_is_said_from_the_side_of_the_adapter_in_error_and_in_correlation(shift, words):
    shown = against(shift)
    for metric in ablations.MEASURES:  # of the error less is better, of the correlation more
        row = reading.gain(shown, metric, "unseen_drug", "scdca_static", 200)
        assert reading.verdict(row) == words
        said = reading.sentence(shown, metric, "scdca_static", 200)
        assert said.endswith(f": {words} (unseen drug).")


def test_below_ten_conditions_there_is_no_interval_and_the_words_say_so():
    few = {
        (seed, name): BASE[:4] + 0.1 * (name != "scdca")
        for seed in (0, 1)
        for name in ("scdca", "scdca_static")
    }
    row = reading.gain(hand(few, drugs=DRUGS[:4]), ERROR, "unseen_drug", "scdca_static", 200)
    assert np.isnan(row["low"]) and row["n_defined"] == 4
    assert reading.verdict(row) == "better by 0.100, over too few conditions or drugs for an interval"


def test_only_seeds_that_both_arms_have_are_compared_and_a_condition_of_two_seeds_counts_once():
    arms = {
        (0, "scdca"): BASE,
        (1, "scdca"): BASE + 1,
        (0, "scdca_static"): BASE + 0.01,
    }
    shown = hand(arms)
    row = reading.gain(shown, ERROR, "unseen_drug", "scdca_static", 200)
    assert (row["seeds"], row["n_defined"], row["n_total"]) == (1, 12, 12)
    assert row["mean"] == pytest.approx(0.01)
    both = hand({**arms, (1, "scdca_static"): BASE + 1.03})
    row = reading.gain(both, ERROR, "unseen_drug", "scdca_static", 200)
    assert (row["seeds"], row["n_defined"]) == (2, 12) and row["mean"] == pytest.approx(0.02)


def test_the_mean_is_over_conditions_then_seeds_and_its_error_is_over_seeds():
    shown = hand(
        {(seed, "scdca"): BASE + shift for seed, shift in enumerate((0.0, 0.03, 0.06))}, seeds=(0, 1, 2)
    )
    row = shown.means.loc[(ERROR, "unseen_drug", "scdca")]
    assert row["mean"] == pytest.approx(0.31 + 0.03)
    assert row["se"] == pytest.approx(
        0.03 / np.sqrt(3)
    )  # the means lie 0.03 apart, so their deviation is 0.03
    assert (row["seeds"], row["n_defined"], row["n_total"]) == (3, 36, 36)
    alone = hand({(0, "scdca"): BASE}).means.loc[(ERROR, "unseen_drug", "scdca")]
    assert alone["seeds"] == 1 and np.isnan(alone["se"])


def test_a_row_says_how_many_seeds_and_conditions_it_rests_on_and_nothing_undefined_becomes_a_number():
    gap = BASE.copy()
    gap[0] = np.nan
    shown = hand({(0, "scdca"): gap, (0, "scdca_static"): BASE * np.nan, (1, "scdca_static"): BASE * np.nan})
    said = tables.score_table(shown, ERROR).data
    rows = {part.split("</td>")[0]: part for part in said.split("<tr><td>")[1:]}
    assert "1 of 2 seeds, 11 of 12 conditions" in rows[title("scdca")]
    assert "undefined" in rows[title("scdca_static")] and "0.0" not in rows[title("scdca_static")]


def test_the_answer_counts_the_settings_and_an_absent_adapter_is_said_with_its_reason():
    said = reading.answer(against(0.03), 200).data
    assert "than the same adapter not told the drug in 1 of 1 settings" in said
    assert "than the best simple predictor in 1 of 1 settings" in said
    assert "(worse in 1)" in reading.answer(against(-0.02), 200).data
    assert "a trained head alone in no setting that can be judged" in said
    lost = hand({(seed, "scdca"): None for seed in (0, 1)})
    assert reading.answer(lost, 200).data == f"**“{title('scdca')}” is not shown here: lost.**"


def test_the_reading_counts_its_comparisons_and_says_what_chance_would_give():
    said = reading.reading(against(0.03), 200).data
    assert "Is the drug used?" in said and "Does the width matter?" not in said
    assert "2 of these differences have an interval, and 2 of the intervals exclude zero" in said
    assert "about 0 would do so by chance" in said
    assert "too few arms or seeds are stored" in reading.reading(against(np.nan), 200).data


def test_the_reading_says_which_arm_is_not_stored_and_how_few_seeds_a_pair_rests_on():
    arms = {(0, "scdca"): BASE, (1, "scdca"): BASE, (0, "scdca_static"): BASE + 0.1}
    said = reading.reading(hand(arms, stored=("scdca", "scdca_static", "scdca_permuted")), 200).data
    assert f"“{title('scdca_static')}”, over 1 of 2 seeds where fewest are stored. RMSE" in said
    assert f"no prediction of “{title('scdca_permuted')}” is stored" in said


def test_an_arm_that_trains_more_than_the_limit_is_called_over_budget_in_table_and_chart():
    shown = against(0.03, shares={"scdca": LIMIT, "scdca_static": 1.01 * LIMIT})
    assert tables.budget(shown, "scdca") == "1 %"
    assert tables.budget(shown, "scdca_static") == "1.01 %, over budget"
    assert tables.budget(shown, "scdca_full") == "no training is stored"
    rows = charts._points(shown, {ERROR: "RMSE"}).set_index("arm")["budget"]
    assert dict(rows) == {title("scdca"): "within budget", title("scdca_static"): "over budget"}


def test_an_arm_of_fewer_seeds_says_so_in_the_chart():
    arms = {(0, "scdca"): BASE, (1, "scdca"): BASE, (0, "scdca_static"): BASE + 0.01}
    rows = charts._points(hand(arms), {ERROR: "RMSE"}).set_index("arm")["fewer"]
    assert dict(rows) == {title("scdca"): "", title("scdca_static"): "1 of 2 seeds"}


def test_an_arm_that_is_not_stored_is_a_lane_with_words_and_charts_open_where_most_arms_are():
    shown = hand({(seed, "scdca"): BASE for seed in (0, 1)}, stored=("scdca", "scdca_full"))
    lanes = charts._points(shown, {ERROR: "RMSE"}).set_index("arm")["why"]
    assert lanes[title("scdca_full")] == "not stored" and pd.isna(lanes[title("scdca")])
    assert "not stored" in set(ablations_gains._gains(shown, 200)["why"])
    more = hand({(0, name): BASE for name in ("scdca", "scdca_full")}, stored=("scdca", "scdca_full"))
    both = [
        one.replace({"setting": {"unseen_drug": "few_shot_context"}}) for one in (more.scores, more.absent)
    ]
    wide = replace(more, scores=pd.concat([shown.scores, both[0]]), absent=pd.concat([shown.absent, both[1]]))
    assert [len(wide.stored_in(setting)) for setting in wide.settings] == [1, 2]
    opened = [charts.arms_chart(wide).to_dict(), ablations_gains.gains_chart(wide, 200).to_dict()]
    for name, chart in zip(("setting", "gain_setting"), opened, strict=True):
        assert next(one for one in chart["params"] if one["name"] == name)["value"] == "few-shot context"


def test_the_chart_of_gains_has_a_lane_for_each_pair_and_the_numbers_of_the_tables():
    rows = ablations_gains._gains(against(0.03), 200)
    error = rows[rows["metric"] == "RMSE of means"].set_index("against")
    names = ("scdca_static", "no_change", "morgan_ridge", "oracle")
    assert list(error.index) == [title(name) for name in names]
    assert list(error["kind"]) == ["arm", "simple predictor", "simple predictor", "oracle"]
    assert error["why"].to_list()[3] == "undefined" and np.isnan(error["mean"].iloc[3])
    known = error.iloc[:3]
    assert known["mean"].to_list() == pytest.approx([0.03, 0.1, 0.02])
    assert (known["conditions"] == 12).all() and (known["seeds"] == 2).all()
    assert set(rows["kind"]) <= set(ablations_gains.KINDS)


def test_a_comparison_says_in_how_many_settings_it_could_be_made():
    arms = {(seed, name): BASE + (name != "scdca") for seed in (0, 1) for name in ("scdca", "scdca_static")}
    shown = hand(arms)
    few = hand({(seed, "scdca"): BASE for seed in (0, 1)})
    there = [
        one.replace({"setting": {"unseen_drug": "few_shot_context"}}) for one in (few.scores, few.absent)
    ]
    wide = replace(shown, scores=pd.concat([shown.scores, there[0]]), absent=there[1])
    said = reading.reading(wide, 200).data
    assert f"“{title('scdca_static')}”, in 1 of 2 settings. RMSE" in said
    assert "few-shot" not in said and reading.UNMEASURED not in said


def test_predictors_that_are_missing_in_the_same_places_share_a_row():
    parts = {(seed, "scdca"): BASE for seed in (0, 1)}
    said = tables.missing_table(hand(parts, stored=("scdca", "scdca_full", "scdca_lora"))).data
    assert said.count("<tr>") == 2 and f"{title('scdca_full')}; {title('scdca_lora')}" in said


def test_the_best_simple_predictor_follows_the_direction_of_the_metric_and_is_no_oracle():
    arms = {"scdca": BASE, "no_change": BASE + 0.2, "morgan_ridge": BASE + 0.1, "oracle": BASE - 0.1}
    shown = hand({(seed, name): error for seed in (0, 1) for name, error in arms.items()})
    assert shown.best_simple(ERROR, "unseen_drug") == "morgan_ridge"
    assert shown.best_simple(CORRELATION, "unseen_drug") == "morgan_ridge"


def test_error_and_similarity_are_related_over_drugs():
    said = reading.similarity(against(0.03)).data
    assert f"“{title('scdca')}” 1.00 (p = 0.00, 12 drugs), “{title('morgan_ridge')}” 1.00" in said


def test_every_arm_is_stored_has_a_purpose_and_is_compared_but_for_the_encoder_that_is_not_ranked():
    assert set(PAGE.parameters["stored"]) <= set(scdca_arms.ARMS) == set(tables.PURPOSE)
    compared = {arm for arms in reading.QUESTIONS.values() for arm in arms}
    assert compared == set(scdca_arms.ARMS) - {"scdca", "scdca_rdkit"}


# the aims over seeds


def test_an_aim_is_judged_over_all_seeds_and_every_seed_is_shown():
    arms = {
        **{(seed, "scdca"): BASE for seed in (0, 1)},
        (0, "morgan_ridge"): BASE + 0.05,
        (1, "morgan_ridge"): BASE - 0.01,
        **{(seed, "scdca_shuffled"): None for seed in (0, 1)},
    }
    shown = hand(arms, stored=("scdca", "scdca_shuffled"))
    ridge, shuffled = (row for _, row in ablations_aims.judged(shown, 200).iterrows())
    assert ridge["difference"] == pytest.approx(-0.02) and ridge["by_seed"] == pytest.approx([-0.05, 0.01])
    assert (ridge["verdict"], ridge["seeds"], ridge["n_defined"]) == (MET, 2, 12)
    assert shuffled["verdict"] == ABSENT and np.isnan(shuffled["by_seed"]).all()
    said = ablations_aims.aims_table(shown, 200).data
    assert "-0.050" in said and "0.010" in said and "Seed 1" in said and "no worse" in said


def test_an_arm_that_must_lose_is_subtracted_from_and_an_aim_missed_says_so():
    arms = {(seed, name): BASE for seed in (0, 1) for name in ("scdca", "scdca_shuffled", "morgan_ridge")}
    found = ablations_aims.judged(hand(arms, stored=("scdca", "scdca_shuffled")), 200)
    assert found["verdict"].tolist() == [MET, MISSED]  # no worse than an equal; nothing lost to an equal
    arms |= {(seed, "scdca_shuffled"): BASE + 0.03 for seed in (0, 1)}
    lost = ablations_aims.judged(hand(arms, stored=("scdca", "scdca_shuffled")), 200).iloc[1]
    assert lost["verdict"] == MET and lost["low"] == pytest.approx(0.03) == lost["high"]


def test_every_aim_on_drugs_that_are_simulated_as_usual_is_judged_over_seeds_too():
    wanted = [aim for aim in AIMS if aim.page.startswith("simulated-") and aim.page != SHUFFLED]
    assert [aim for aim in AIMS if aim.page in ablations_aims.SETTING] == wanted
    assert {aim.metric for aim in wanted} == {ERROR}
    assert set(ablations_aims.SETTING.values()) == set(PAGE.parameters["settings"])


# what is asked


def test_every_setting_and_seed_has_a_design_and_a_folder_of_its_own():
    usual = {name: one.default for name, one in parameters.parameters("ablations").items()}
    asked = ablations.designs({**usual, **{name: PAGE.parameters[name] for name in ("models", "stored")}})
    assert [(one.page, one.seed) for one in asked] == [
        (f"ablations-{setting}", seed)
        for setting in ("unseen-combination", "unseen-drug", "few-shot-context", "zero-shot-context")
        for seed in (0, 1, 2)
    ]
    few, zero = asked[6:9], asked[9:]
    assert [list(one.held_out) for one in few] == [[f"line-{i}"] for i in (1, 2, 3)]
    assert [list(one.held_out) for one in zero] == [[f"line-{i}"] for i in (1, 2, 3)]
    assert {one.k for one in few} == {4} and {tuple(one.modes) for one in zero} == {("B",)}
    assert all(not one.held_out and not one.k and not one.modes for one in asked[:6])
    assert all(list(one.stored) == PAGE.parameters["stored"] for one in asked)
    assert len({trained.place(one) for one in asked}) == len(asked)


def test_seeds_beyond_the_lines_begin_again_and_doubles_are_refused():
    asked = ablations.designs(values(settings=["zero_shot_context"], seeds=[3, 5], size="small"))
    assert [list(one.held_out) for one in asked] == [["line-1"], ["line-3"]]
    for wrong in ({"seeds": []}, {"seeds": [0, 0]}, {"settings": ["unseen_drug", "unseen_drug"]}):
        with pytest.raises(ConfigError, match="must name at least one, and none twice"):
            ablations.designs(values(**wrong))


# the page


SMALL = {
    "size": "small",
    "scored_pairs": 0,
    "settings": ["unseen_drug", "zero_shot_context"],
    "models": ["no_change", "mean_train", "oracle"],
    "stored": ["scdca", "scdca_permuted", "scdca_full"],
    "resamples": 100,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project folder in which two arms of one seed are stored, trained for two steps."""
    load, kept = data.load, {}

    def once(name, **options):
        key = (name, *sorted(options.items()))
        if key not in kept:
            kept[key] = load(name, **options)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", once)
        patch.setattr(trained, "ROOT", tmp_path_factory.mktemp("project"))
        for name, value in {"epochs": 1, "least_steps": 2, "warmup_steps": 0}.items():
            patch.setitem(scdca_arms.TRAINING, name, value)
        said = list(train.train("ablations", ["scdca", "scdca_permuted"], {**SMALL, "seeds": [0]}))
        assert [line.split(",")[0] for line in said] == [
            f"ablations-{setting}: {arm}"
            for setting in ("unseen-drug", "zero-shot-context")
            for arm in ("scdca", "scdca_permuted")
        ]
        yield


def run(**given):
    """The notebook's cells from top to bottom; returns the names it leaves and what each cell shows."""
    cells = json.loads((ROOT / "notebooks" / "ablations.ipynb").read_text())["cells"]
    names, shown = values(**given), {}
    for cell in cells:
        if cell["cell_type"] == "code" and cell["id"] != "parameters":
            *body, last = ast.parse("".join(cell["source"])).body
            exec(compile(ast.Module(body, []), cell["id"], "exec"), names)
            shown[cell["id"]] = eval(compile(ast.Expression(last.value), cell["id"], "eval"), names)
    return names["shown"], shown


def test_the_page_runs_with_what_is_stored_and_says_what_is_not(project):
    result, shown = run(**SMALL, seeds=[0, 1])
    assert shown["begin"].data.startswith('<div class="admonition warning simulated">')
    assert result.made == {"scdca", "scdca_permuted"}
    assert {(one["setting"], one["seed"]) for one in result.audits} == {
        (setting, seed) for setting in SMALL["settings"] for seed in (0, 1)
    }
    missing = shown["missing"].data
    assert "unseen drug (seed 1), zero-shot context (seed 1)" in missing and title("scdca_full") in missing
    assert "`perturbook train ablations` makes them" in missing and "ablations-unseen" not in missing
    scores = shown["error-table"].data
    assert "1 of 2 seeds" in scores and "not stored" in scores
    row = result.means.loc[(ERROR, "unseen_drug", "no_change")]
    assert row["seeds"] == 2 and row["se"] > 0
    assert "24" in shown["audit"].data and "perturbook run ablations" in shown["provenance"].data
    for name in ("arms-chart", "gains-chart", "error-chart"):
        spec = shown[name].to_dict()
        assert spec["width"] == "container" and len(spec["description"]) > 100


def test_the_effect_of_a_condition_is_the_error_of_no_change(project):
    result = ablations.read(values(**SMALL, seeds=[0]))
    rows = result.scores[(result.scores["metric"] == ERROR) & (result.scores["method"] == "no_change")]
    np.testing.assert_allclose(rows["value"], rows["effect"], atol=1e-6)
    near = rows.groupby("setting")["similarity"]
    assert near.max()["unseen_drug"] < 1 == near.min()["zero_shot_context"]
    options = charts._options(result)
    assert list(options.values()) == ["effect", "dose_um", "similarity", "effect", "dose_um"]


def test_a_page_without_any_stored_arm_shows_the_floors_and_the_command(project):
    result, shown = run(
        **{**SMALL, "settings": ["unseen_drug"], "stored": ["scdca", "scdca_full"]}, seeds=[7]
    )
    assert not result.made
    said = shown["answer"].data
    assert "is not shown here: no predictions are stored" in said and "seed 7" in said
    assert "`perturbook train ablations` makes them" in said
    assert "no training is stored" in shown["arms-table"].data
    assert "No other predictor can be paired with the adapter" in shown["error-gain"].data
    assert shown["error-chart"].to_dict()["description"] and "undefined" in shown["dose-table"].data


def test_only_arms_of_the_page_are_trained():
    with pytest.raises(ConfigError, match="ablations-unseen-drug does not store no_change"):
        list(train.train("ablations", ["no_change"], {**SMALL, "settings": ["unseen_drug"], "seeds": [0]}))


def test_the_charts_are_drawn_without_a_warning(project):
    import vl_convert

    shown = against(0.03)
    for make, words in (
        (charts.arms_chart, "Best simple predictor"),
        (charts.error_chart, "Best simple predictor"),
        (ablations_gains.gains_chart, "Gain of the adapter"),
    ):
        picture = vl_convert.vegalite_to_svg({**make(shown).to_dict(), "width": 500})
        assert words in picture and "NaN" not in picture
