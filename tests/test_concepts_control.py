"""The positive control: its split, its marks and its sentences are those that were written down, whatever comes out."""

import numpy as np
import pandas as pd
import pytest

from perturbook.concepts.encoder_of import BACKBONES
from perturbook.errors import ConfigError, InputError
from perturbook.pages import concepts_control as control
from perturbook.pages import concepts_control_arms as arms
from perturbook.pages import concepts_control_deposit as deposit
from perturbook.pages import concepts_control_tables as shown
from perturbook.pages import planted_programs_deposit as worlds_of
from perturbook.pages import planted_programs_tables as simulated
from perturbook.pages.charts import concepts_control as charts
from perturbook.pages.concepts_control_read import CONCEPTS, Came, all_of
from perturbook.pages.planted_programs import ARMS, COLUMNS

PANEL = list(control.PANEL)
OTHERS = [f"G{i}" for i in range(100)]


def obs(n=30):
    rows = [(kind, stim) for kind in ("A", "B", "C") for stim in ("control", "IFN-beta") for _ in range(n)]
    return pd.DataFrame(
        rows, columns=["cell_type", "perturbation"], index=[f"c{i:03d}" for i in range(len(rows))]
    )


def test_a_third_is_test_a_sixth_chooses_and_one_type_is_held_out_whatever_the_order_of_the_cells():
    table = obs()
    part = pd.Series(control.parts(table), index=table.index)
    kinds = table["cell_type"]
    assert (part[kinds == "B"] == "held out").all()
    counts = part[kinds != "B"].groupby([kinds, table["perturbation"]]).value_counts().unstack()
    assert (counts[["test", "validation", "train"]] == [10, 5, 15]).all(axis=None)
    other = pd.Series(control.parts(table[::-1]), index=table.index[::-1])
    assert (other[table.index] == part).all()
    assert (control.parts(table, seed=1) != part.to_numpy()).any()


def test_auroc_counts_pairs_and_half_of_the_ties():
    values = np.array([[3.0, 0], [1, 0], [2, 0], [0, 0]])
    found = control.aurocs(values, np.array([True, True, False, False]))
    assert found.tolist() == [0.75, 0.5]
    assert np.isnan(control.aurocs(values, np.ones(4, bool))).all()


def test_major_types_have_enough_test_cells_of_both_conditions():
    table = obs(60)
    table = table[(table["cell_type"] != "C") | (table["perturbation"] == "control")]
    assert control.major_types(table, control.parts(table)) == ["A"]


def sets():
    return control.Sets.of([*PANEL[:16], *OTHERS, "IFI44"], [PANEL[0], OTHERS[0], "NOT MEASURED"])


def test_only_measured_genes_count():
    assert sets().panel == {*PANEL[:16]} and sets().hallmark == {PANEL[0], OTHERS[0]}


@pytest.mark.parametrize(("first", "met"), [(6, True), (5, False)])
def test_six_of_the_top_ten_are_asked_and_five_are_missed(first, met):
    ranked = [*PANEL[:first], *OTHERS[1 : 11 - first], *PANEL[first:12], *OTHERS[20:60]]
    ten, thirty, auroc = control.gene_marks(ranked, 0.85, sets())
    assert ten.met is met and thirty.met and auroc.met
    assert ten.found.startswith(f"{first} of the panel, 1 of the Hallmark")
    assert not control.gene_marks(ranked, 0.849, sets())[2].met


def test_panel_and_hallmark_set_are_counted_apart():
    both = control.Sets(frozenset(PANEL[:5]), frozenset(OTHERS[:5]))
    assert not control.gene_marks([*PANEL[:5], *OTHERS[:25]], 1.0, both)[0].met


def test_a_concept_must_pass_on_test_cells_in_every_major_type_and_in_the_type_never_seen():
    good = {"test": 0.95, "held out": 0.9, "A": 0.92, "C": 0.91}
    assert all(one.met for one in control.concept_marks(good, ["A", "C"]))
    worse = control.concept_marks(good | {"C": 0.89}, ["A", "C"])
    assert [one.met for one in worse] == [True, False, True] and "0.890 in the worst, C" in worse[1].found


def test_the_interferon_set_must_be_first_and_an_undefined_or_absent_one_is_missed():
    nes = pd.Series({"OTHER": 2.0, control.SET: 2.5})
    assert control.set_mark(nes).met
    assert not control.set_mark(nes - [0, 1]).met and "place 2 of 2" in control.set_mark(nes - [0, 1]).found
    assert not control.set_mark(nes.drop(control.SET)).met


def test_a_concept_of_another_label_fails_where_it_names_interferon_genes():
    ranked = [*PANEL[:16], *OTHERS[1:]]
    assert not control.unrelated_mark(ranked, 0.5, sets(), "CD4T").met
    assert control.unrelated_mark(OTHERS[1:60], 0.5, sets(), "CD4T").met


def test_differential_expression_ranks_what_is_higher_in_active_cells_first():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 4)).astype(np.float32)
    active = np.arange(40) < 20
    x[active, 2] += 3
    x[active, 0] -= 3
    ranked = arms.ranked_differential(x, active, list("abcd"))
    assert ranked.index[0] == "c" and ranked.index[-1] == "a" and ranked["c"] > 3 > -3 > ranked["a"]


def stored(good=True):
    """Rows as the deposit holds them; where not good, everything is reversed."""
    rows = []
    for name in BACKBONES:
        rows += [(name, "cells", part, "", 10) for part in ("train", "validation", "test", "held out")]
        rows += [(name, "cells", "major", "A", 1)]
        for arm in shown.TITLES:
            ranked = [*PANEL[:16], *OTHERS] if good != (arm == "unrelated") else [*OTHERS, *PANEL[:16]]
            rows += [(name, arm, "score", gene, 1 - place / 200) for place, gene in enumerate(ranked)]
            if arm in (*CONCEPTS, "unrelated"):
                auroc = 0.95 if good else 0.6
                rows += [(name, arm, "auroc", of, auroc) for of in ("validation", "test", "held out", "A")]
                rows += [(name, arm, quantity, "", 1) for quantity in ("concept", "pairs", "overtaken")]
                rows += [
                    (name, arm, "pairs with equal label", of, 0.25) for of in ("cell_type", "perturbation")
                ]
                rows += [(name, arm, "ranked by", "relative", 1)]
                rows += [
                    (name, arm, "nes", control.SET, 2.0 if good else 0.5),
                    (name, arm, "nes", "OTHER", 1.0),
                ]
        rows += [(name, "unrelated", "label", "CD4T", 1)]
        rows += [(name, "probe", "auroc", of, 0.97) for of in ("validation", "test", "held out", "A")]
        rows += [(name, "sae", f"best three, {of}", "7", 0.9) for of in ("validation", "test")]
    made = pd.DataFrame(rows, columns=deposit.COLUMNS)
    return deposit.condensed(made, sets())


@pytest.fixture
def worlds():
    rng, rows = np.random.default_rng(0), []
    for share in (0.0, 0.8):
        for seed in range(6):
            for program in range(2):
                base = rng.uniform(0.4, 0.5)
                gains = {
                    "attribution": 0.2,
                    "shuffled": 0.1,
                    "active": 0.0,
                    "de": 0.0,
                    "de_within": 0.05,
                    "de_truth": 0.4,
                }
                rows += [(share, seed, program, arm, "auprc", base + gain) for arm, gain in gains.items()]
                rows += [(share, seed, program, arm, "top 10", 8) for arm in gains]
                rows += [
                    (share, seed, program, arm, "alike", 0.5) for arm in ("attribution", "shuffled", "active")
                ]
                rows.append((share, seed, program, "concept", "auroc", 0.97))
    return pd.DataFrame(rows, columns=COLUMNS)


def test_condensed_rankings_keep_their_counts_and_are_condensed_once():
    rows = stored()
    came = Came.of(rows, "small")
    assert len(came.ranked("sae")) == deposit.KEPT and came.value("sae", "tested") == 116
    assert (
        came.value("sae", "set auroc", "panel") == 1.0
        and came.value("unrelated", "set auroc", "panel") == 0.0
    )
    again = deposit.condensed(rows, sets())
    keys = list(rows.columns)
    assert again.sort_values(keys, ignore_index=True).equals(rows.sort_values(keys, ignore_index=True))


def test_passed_is_said_only_where_every_mark_is_met(worlds):
    good, bad = stored(), stored(good=False)
    assert "**scGPT, small: passed.** All 8 marks are met." in shown.verdicts(good, worlds).data
    said = shown.sentence(all_of(bad)["scvi"], "scvi")
    assert said.startswith("**scVI: not passed.** 0 of 8 marks") and "0.600; asked at least 0.90" in said
    assert "passed with scGPT, small and scVI" in shown.answer(good, worlds).data
    assert "not passed with either backbone" in shown.answer(bad, worlds).data


def test_a_signal_that_only_the_whole_embedding_holds_is_called_so():
    good, bad = all_of(stored())["scvi"], all_of(stored(good=False))["scvi"]
    assert "one concept holds the stimulation" in shown.fragmented(good, "scvi")
    said = shown.fragmented(bad, "scvi")
    assert "in the embedding but in no single concept" in said and "0.970" in said and "0.600" in said
    assert "by the sparse autoencoder and the neuron and" in shown.plain_arms(good, "scvi")
    assert "by no concept of any dictionary" in shown.plain_arms(bad, "scvi")


def test_a_pair_of_one_stimulation_is_told():
    assert "in 25% of the pairs both cells have the same stimulation" in shown.pairs_verdict(
        all_of(stored())["small"], "small"
    )


def test_the_aim_is_met_by_an_interval_and_missed_without_one(worlds):
    assert worlds_of.aim(worlds)
    even = worlds.copy()
    even.loc[even["arm"] == "attribution", "value"] -= 0.2
    assert not worlds_of.aim(even)
    assert (
        "**missed**" in simulated.planted_verdicts(even)[0]
        and "**met**" in simulated.planted_verdicts(worlds)[0]
    )
    assert "0.650" not in simulated.planted_table(even).data


def test_tables_and_charts_show_every_backbone_and_arm(worlds):
    rows = stored()
    for table in (shown.marks_table, shown.arms_table, shown.concept_table, shown.best_three):
        assert "scVI" in table(rows).data and "scGPT, small" in table(rows).data
    assert shown.arms_table(rows).data.count("<tr>") == 1 + 2 * len(shown.TITLES)
    assert shown.facts(rows)["n_panel"] == 16 and "XAF1" in shown.facts(rows)["absent"]
    assert len(charts.separation_chart(rows).to_dict()["params"][0]["bind"]["options"]) == 2
    assert len(charts.gene_chart(rows).to_dict()["params"][0]["bind"]["options"]) == 2 * len(shown.TITLES)
    assert charts.planted_chart(worlds).to_dict()["description"].startswith("Simulated cells")
    assert simulated.stimulation_table(worlds).data.count("<tr>") == 3
    assert all(title in simulated.planted_table(worlds).data for title in ARMS.values())


def test_an_unknown_part_and_a_missing_deposit_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="Unknown part 'magnet'. Known: small, scvi, planted"):
        list(deposit.make(["magnet"], tmp_path / "a.csv"))
    with pytest.raises(InputError, match="make it with `perturbook train concepts-control`"):
        deposit.stored(tmp_path / "a.csv")
    with pytest.raises(InputError, match="train concepts-control planted"):
        worlds_of.stored(tmp_path / "a.csv")
