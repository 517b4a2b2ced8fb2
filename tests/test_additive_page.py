"""The additive page: on a screen whose interactions are planted it finds them and who knows them, and its words follow."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import load_or_skip

from perturbook import data, splits
from perturbook.errors import DataUnavailable, InputError
from perturbook.evaluation import Bundle, Predicted, build_truth
from perturbook.evaluation.bundle import read_bundle
from perturbook.pages import additive, kept
from perturbook.pages import additive_scores as sc
from perturbook.pages import additive_tables as tables
from perturbook.pages import additive_verdicts as verdicts
from perturbook.pages.charts.additive import where_chart, who_chart
from perturbook.pages.charts.additive_doubles import (
    GENES,
    gene_rows,
    genes_chart,
    weights_chart,
    within_chart,
)

R = 200
FACTS = {"data": "simulated-pairs", "seed": 0, "scale": "log1p", "panel_hash": "", "synthetic": True}


@pytest.fixture(scope="module")
def screen():
    return data.load("simulated-pairs", size="small", expectation=False)


def doubles_of(page, cells, scale, keep=None):
    """Doubles of a page with predictors that add `scale` times the measured deviation to the sum: {name: scale}."""
    folds = [splits.split(cells, "additive_split", 0, context=f"world-{i}") for i in (1, 2)]
    truth = build_truth(cells, folds, seed=0, facts={**FACTS, "page": page})
    asked = {"parameters": {"size": "small", "models": list(scale)}}
    one = additive.Doubles(page, Bundle(truth, [], asked), cells)
    left = one.noise.deviation
    made = [
        Predicted(
            name,
            f"Title of {name}",
            "floor" if name in additive.FLOORS else "model",
            mean=truth.mean + (k - 1) * left,
        )
        for name, k in scale.items()
    ]
    return replace(one, bundle=Bundle(truth, made, asked))


SCALES = {"additive_pairs": 0, "additive_ridge": 0.2, "knows": 1, "triples": 3, "perturbed_vae": -1}


@pytest.fixture(scope="module")
def simulated(screen):
    return doubles_of(additive.PAGES[0], screen, SCALES)


@pytest.fixture(scope="module")
def real(simulated, screen):
    """The first five doubles once more, as if nothing were known of them; one variant loses them, the other does not."""
    bare = screen.copy()
    del bare.uns["truth"]
    one = doubles_of(
        additive.PAGES[1], bare, {"additive_pairs": 0, "perturbed_vae": -1, "perturbed_vae_contrast": 0.5}
    )
    truth = one.bundle.truth
    arrays = ("obs", "mean", "variance", "halves")
    few = replace(truth, **{name: getattr(truth, name)[:5] for name in arrays})
    made = [replace(one, mean=one.mean[:5]) for one in one.bundle.predictions]
    return additive.Doubles(one.page, Bundle(few, made, one.bundle.manifest), bare)


@pytest.fixture(scope="module")
def noise(simulated, real):
    return sc.where([simulated, real])


@pytest.fixture(scope="module")
def rows(simulated):
    return sc.scores([simulated])


def of(rows, method):
    return rows[rows["method"] == method]


def test_deviations_are_measured_from_the_sum_that_the_floor_predicts(simulated):
    assert simulated.noise.deviation == pytest.approx(simulated.measured - simulated.sum, abs=1e-3)


def test_planted_interactions_stand_out_lie_on_the_planted_genes_and_additive_doubles_do_not(
    simulated, noise
):
    mine = noise[noise["page"] == simulated.title]
    groups = sc.groups(mine)
    assert list(groups)[:2] == [sc.PLANTED, additive.ADDITIVE]
    planted, plain = mine[groups[sc.PLANTED]], mine[groups[additive.ADDITIVE]]
    assert planted["stands_out"].mean() > 0.1 > plain["stands_out"].mean()
    beyond = [1 - (one["expected"] ** 2).sum() / (one["size"] ** 2).sum() for one in (planted, plain)]
    assert beyond[0] > 0.2 > 0.1 > abs(beyond[1])
    assert (plain["planted"] == 0).all() and (planted["planted"] > 0).all()
    assert 0.7 < planted["on_planted"].sum() / planted["total"].sum() < 1.3


def test_whoever_knows_the_deviation_has_slope_and_correlation_one_and_no_error_left(rows):
    knows = of(rows, "knows")
    for column, value in {"slope": 1, "correlation": 1, "error": 0}.items():
        assert knows[column].to_numpy() == pytest.approx(value, abs=2e-2)
    assert knows["gain"].to_numpy() == pytest.approx(knows["size"].to_numpy(), abs=1e-3)


def test_three_times_the_deviation_is_worse_than_none_and_the_wrong_way_worse_still(rows):
    assert of(rows, "triples")["slope"].to_numpy() == pytest.approx(1 / 3, abs=0.02)
    assert of(rows, "perturbed_vae")["slope"].to_numpy() == pytest.approx(-1, abs=0.05)
    assert (of(rows, "triples")["gain"] < 0).all() and (of(rows, "perturbed_vae")["gain"] < 0).all()


def test_the_sum_adds_nothing_and_so_has_no_slope(rows):
    mine = of(rows, "additive_pairs")
    assert mine["slope"].isna().all() and (mine["gain"] == 0).all()
    said = tables.who_table(rows, R).data
    assert "Equal to the sum on every double: Title of additive_pairs." in said


def test_gains_are_paired_differences_to_the_best_sum(rows):
    found = sc.gains(rows, R).set_index(["class", "method"])
    assert set(found["floor"]) == {"additive_ridge"}
    wide = rows.pivot(index="double", columns="method", values="error")
    planted = wide.loc[rows.loc[sc.groups(rows)[sc.PLANTED], "double"].unique()]
    by_hand = (planted["additive_ridge"] - planted["knows"]).mean()
    row = found.loc[(sc.PLANTED, "knows")]
    assert row["mean"] == pytest.approx(by_hand) and 0 < row["low"] < row["mean"] < row["high"]
    assert row["n_defined"] == len(planted)
    assert found.loc[(sc.PLANTED, "additive_ridge"), "high"] == 0


def test_the_sentence_names_who_gains_and_stops_naming_it_when_it_does_not(rows):
    said = verdicts.who_answer(rows, R).data
    assert (
        "“Title of knows”" in said
        and "is lower than that of the best sum" in said
        and "no loss is shown" in said
    )
    worse = verdicts.who_answer(rows[rows["method"] != "knows"], R).data
    assert "“Title of triples”" in worse and "not shown to be lower" in worse and "it loses" in worse
    assert "No predictor" in verdicts.who_answer(rows[rows["role"] == "floor"], R).data


def test_the_sentence_on_where_counts_and_names_measured_doubles_that_stand_out(noise):
    said = verdicts.where_answer(noise).data
    planted = noise[sc.groups(noise)[sc.PLANTED]]
    assert (
        f"Of {len(planted)} simulated doubles" in said and f" {planted['stands_out'].sum()} deviate" in said
    )
    mine = noise["class"] == additive.REAL
    none = noise.assign(stands_out=noise["stands_out"] & ~mine)
    assert "none stands out" in verdicts.where_answer(none).data
    assert "No interaction is left to be predicted" in verdicts.room_answer(none).data
    first = noise.loc[mine, "double"].iloc[0]
    one = none.assign(stands_out=none["stands_out"] | (mine & (noise["double"] == first)))
    assert f"{first} stands out" in verdicts.where_answer(one).data
    assert first in verdicts.room_answer(one).data
    assert "not known" in verdicts.room_answer(noise[~mine]).data


def test_noise_of_the_sum_is_said_to_pass_for_a_deviation(rows):
    said = verdicts.noise_answer(rows).data
    assert "noise of the sum stands in both" in said and "“Title of " in said


def test_a_variant_that_goes_the_wrong_way_loses_every_double_and_half_the_deviation_none(real):
    found = sc.within(real).set_index(["method", "double"])
    assert found.loc["perturbed_vae", "lost"].all() and not found.loc["perturbed_vae_contrast", "lost"].any()
    assert (found.loc["additive_pairs", ["gain", "low", "high"]].to_numpy() == 0).all()
    scored = sc.scores([real]).set_index(["method", "double"])["gain"]
    assert found["gain"].to_numpy() == pytest.approx(scored.loc[found.index].to_numpy(), abs=2e-3)
    same = replace(real.of("additive_pairs"), name="perturbed_vae_sum", mean=real.sum + 1e-4 * (real.sum > 1))
    rounded = replace(real, bundle=replace(real.bundle, predictions=[real.of("additive_pairs"), same]))
    assert not sc.within(rounded)["lost"].any()  # what rounding does is no loss
    said = verdicts.lost_answer(found.reset_index()).data
    assert (
        "Of 2 variants of PerturbedVAE, 1 loses none of 5" in said
        and "“Title of perturbed_vae_contrast”" in said
    )
    bad = found.reset_index()
    bad = bad[bad["method"] != "perturbed_vae_contrast"]
    assert "Each of 1 variants" in verdicts.lost_answer(bad).data
    assert "5 of 5" in tables.within_table(bad).data
    assert "No variant" in verdicts.lost_answer(bad[bad["method"] == "additive_pairs"]).data


def test_without_its_cells_a_page_is_read_from_its_bundle_and_loses_the_noise_of_its_sums_alone(
    real, simulated
):
    bare = replace(real, cells=None)
    halved, of_cells = sc.within(bare), sc.within(real)
    assert halved["gain"].to_numpy() == pytest.approx(of_cells["gain"].to_numpy(), abs=2e-3)
    assert (halved["lost"] == of_cells["lost"]).all() and "halvings" in halved["kind"].iloc[0]
    assert set(sc.where([simulated, bare])["class"]).isdisjoint({additive.REAL})
    assert len(sc.scores([bare])) == len(sc.scores([real]))
    assert "could not be fetched" in tables.banner([simulated, bare]).data
    assert tables.banner([simulated, real]).data == ""
    assert tables.real_table(sc.where([simulated, bare])).data == ""


def test_the_demonstration_takes_the_double_whose_sum_correlates_worst_and_its_tangent_is_the_formula(
    simulated, rows
):
    method, double = verdicts.chosen(rows)
    assert method == "knows"
    planted = rows[sc.groups(rows)[sc.PLANTED]]
    assert double == planted.loc[planted["agreement"].idxmin(), "double"]
    found = sc.weighted(simulated, method, double)
    assert found["derivative"].to_numpy() == pytest.approx(found["difference"].to_numpy(), abs=1e-6)
    knows, gain, left = (part for _, part in found.groupby("correction", sort=False))
    assert gain["correlation"].to_numpy() == pytest.approx(gain["correlation"].iloc[0], abs=1e-9)
    assert left.set_index("weight").loc[1.0, ["correlation", "error"]].tolist() == pytest.approx(
        [1, 0], abs=1e-9
    )
    assert np.diff(knows["correlation"].iloc[:15]).min() > 0
    assert "0.00000" in tables.weighted_table(found).data


def test_what_the_charts_draw_is_what_the_tables_say(simulated, real, noise, rows):
    spec = where_chart(noise).to_dict()
    drawn = max(spec["datasets"].values(), key=len)
    assert len(drawn) == len(noise)
    assert [row["ratio"] for row in drawn] == pytest.approx(
        (noise["size"] / noise["expected"]).round(3).tolist()
    )
    who = who_chart(rows, noise, "knows").to_dict()
    drawn = max(who["datasets"].values(), key=len)
    names = next(p for p in who["params"] if p["name"] == "who")["bind"]["options"]
    assert "Title of additive_pairs" not in names and len(drawn) == rows["double"].nunique()
    place = names.index("Title of triples")
    gains = of(rows, "triples").set_index("double")["gain"]
    assert [row[f"g{place}"] for row in drawn] == pytest.approx(
        gains.loc[[row["double"] for row in drawn]].tolist(), abs=1e-4
    )
    shown = within_chart(sc.within(real)).to_dict()
    assert "perturbed_vae 5" in shown["description"]
    for spec in (
        who,
        shown,
        weights_chart(sc.weighted(simulated, "knows", rows["double"].iloc[0])).to_dict(),
    ):
        assert spec["width"] == "container" and spec["description"]


def test_a_reader_can_pick_any_double_and_see_its_genes(simulated, real):
    drawn, names = gene_rows([simulated, real])
    assert len(drawn) == len(simulated.names) + len(real.names)
    row = next(one for one in drawn if one["label"].endswith(simulated.names[3]))
    i = list(simulated.names).index(row["label"].split(": ")[1])
    left = simulated.measured[i] - simulated.sum[i]
    assert (
        row["gene"] == simulated.bundle.truth.genes[np.argsort(-np.abs(left), kind="stable")[:GENES]].tolist()
    )
    assert row["d"] == pytest.approx(
        (1000 * np.sort(np.abs(left))[::-1][:GENES] * np.sign(row["d"])).tolist(), abs=0.51
    )
    assert row[f"p{names.index('Title of knows')}"] == pytest.approx(row["d"], abs=2)
    assert f"p{names.index('Title of perturbed_vae_contrast')}" not in row
    spec = genes_chart([simulated, real], simulated.names[3], "knows").to_dict()
    chosen = {param["name"]: param["value"] for param in spec["params"]}
    assert chosen == {"double_": row["label"], "whose": "Title of knows"}


def test_tables_hold_every_class_and_every_measured_double(noise, rows, real):
    shown = tables.where_table(noise).data + tables.gain_table(rows, R).data
    assert all(name in shown for name in set(noise["class"]))
    one_by_one = tables.real_table(noise).data + tables.every_table(sc.scores([real])).data
    assert all(one_by_one.count(name) == 2 for name in real.names)


def test_the_deposits_of_the_project_can_be_read_and_cells_of_another_screen_are_refused(monkeypatch, screen):
    folders = {page: kept.folder_of(page, "", "scores.csv.gz") for page in additive.PAGES}
    assert all("results" in str(folder) for folder in folders.values())
    bundle = additive.read_bundle(folders[additive.PAGES[1]])

    def absent(*_, **__):
        raise DataUnavailable("not here")

    monkeypatch.setattr(additive.data, "load", absent)
    one = additive._open(additive.PAGES[1], bundle)
    assert one.cells is None and set(sc.within(one)["method"]) >= {"additive_pairs", "no_change"}
    monkeypatch.setattr(additive.data, "load", lambda *_, **__: screen)
    with pytest.raises(InputError, match="made from other cells"):
        additive._open(additive.PAGES[1], bundle)


def test_a_bundle_of_which_one_double_had_another_number_of_cells_is_refused(simulated, screen, monkeypatch):
    monkeypatch.setattr(additive.data, "load", lambda *_, **__: screen)
    assert additive._open(simulated.page, simulated.bundle).cells is screen
    truth = simulated.bundle.truth
    counts = truth.obs["n_cells"].to_numpy() + (np.arange(len(truth.obs)) == 3)
    other = replace(simulated.bundle, truth=replace(truth, obs=truth.obs.assign(n_cells=counts)))
    with pytest.raises(InputError, match="made from other cells"):
        additive._open(simulated.page, other)


def test_the_variant_chosen_without_a_double_loses_no_measured_double_beyond_its_cells():
    load_or_skip("norman2019-mini")
    folder = kept.folder_of("norman-seen-2", "", "perturbed_vae_shrunken.h5ad")
    one = additive._open("norman-seen-2", read_bundle(folder))
    found = sc.within(one).set_index("method").loc["perturbed_vae_shrunken"]
    assert len(found) == 5 and not found["lost"].any() and found["gain"].mean() > 0
    assert not sc.where([one])["stands_out"].any()  # so that nobody can win by an interaction


def test_a_page_without_the_sum_says_so(simulated):
    with pytest.raises(InputError, match="no prediction of 'additive_pairs'"):
        replace(simulated, bundle=Bundle(simulated.bundle.truth, [], {})).sum
