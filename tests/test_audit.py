"""The audit passes clean splits, and finds each leak that is planted in one (style.md, habit 1)."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hand_made import cells, grid, keys14

from perturbook import splits
from perturbook.errors import LeakError
from perturbook.splits import audit

LINES = ["A549", "K562", "MCF7"]
DRUGS = [f"drug{i}" for i in range(6)]
CLEAN = [
    ("random_cells", {}),
    ("unseen_combination", {}),
    ("unseen_combination", {"held_out": [("A549", "Valproic")]}),
    *(("unseen_drug", {"fold": fold}) for fold in range(5)),
    *(("few_shot_context", {"k": k}) for k in (0, 2, 4)),
    ("zero_shot_context", {"mode": "A"}),
    ("zero_shot_context", {"mode": "B"}),
]


@pytest.fixture(scope="module")
def screen():
    """Three lines, six drugs and a salt of one, two doses, five cells each; six controls per line."""
    table = keys14([["Divalproex", "Valproic"], *([d] for d in DRUGS)])
    return cells(grid(LINES, [*DRUGS, "Divalproex", "Valproic"], n=5), table=table)


@pytest.fixture(scope="module")
def kang_shape():
    rows = [(c, p, q) for c in LINES for p, q in (("control", 0.0), ("IFN-beta", np.nan)) for _ in range(10)]
    return cells(rows)


def named(adata, **labels):
    """Names of the cells with these labels."""
    keep = np.all([(adata.obs[column] == label).to_numpy() for column, label in labels.items()], axis=0)
    return adata.obs_names[keep].to_numpy(str)


def put(part, name, *cells_):
    """The split with cells added to one part, and taken from nowhere."""
    return replace(part, **{name: np.union1d(getattr(part, name), np.concatenate(cells_))})


def moved(part, name, gone):
    """The split with the cells `gone` moved into one part out of all others."""
    kept = {other: np.setdiff1d(getattr(part, other), gone) for other in ("train", "valid", "test")}
    return replace(part, **kept | {name: np.union1d(kept[name], gone)})


def refused(adata, part, message, *offenders, fitted=None):
    """Assert that the audit raises with this message and names only true offenders."""
    with pytest.raises(LeakError, match=message) as caught:
        audit(adata, part, fitted)
    shown = str(caught.value).split("such as ")[1].split(". No score")[0].split(", ")
    assert set(shown) <= set(map(str, offenders)) and len(shown) == min(3, len(set(offenders)))
    assert f": {len(set(offenders))} found" in str(caught.value)


# Clean splits


@pytest.mark.parametrize(("setting", "options"), CLEAN)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_clean_split_passes_and_its_counts_add_up(screen, setting, options, seed):
    part = splits.split(screen, setting, seed, **options)
    report = audit(screen, part, fitted={"gene panel": part.visible})
    counts = report.counts
    withheld = counts["query"] if options.get("mode") == "B" else 0
    assert counts["train"] + counts["valid"] + counts["test"] + withheld == screen.n_obs
    assert counts["reference"] == counts["query"] / 2 and counts["conditions"] == len(part.conditions)
    assert report.setting == setting
    said = [line for line in report.checks if "support" in line]
    assert said == (
        [f"Training holds at most k={options['k']} support perturbations of the held-out context."]
        if "k" in options
        else []
    )
    assert any(f"Fitted gene panel used {len(part.visible)} cells" in line for line in report.checks)


@pytest.mark.parametrize(("setting", "options"), CLEAN)
def test_a_clean_blind_split_passes_and_says_that_its_reference_was_hidden(screen, setting, options):
    part = splits.split(screen, setting, **options).blind()
    report = audit(screen, part)
    hidden = f"The {len(part.reference)} reference controls of the truth were shown to no model."
    assert (
        hidden in report.checks
        and hidden not in audit(screen, splits.split(screen, setting, **options)).checks
    )


@pytest.mark.parametrize(("setting", "options"), CLEAN)
def test_the_row_order_of_the_cells_does_not_matter(screen, setting, options):
    part = splits.split(screen, setting, **options)
    order = np.random.default_rng(0).permutation(screen.n_obs)
    assert audit(screen[order].copy(), part) == audit(screen, part)


def test_the_report_is_a_table_of_passed_checks(screen):
    report = audit(screen, splits.split(screen, "unseen_drug"), {"DE list": []})
    table = report.table()
    assert list(table.columns) == ["check", "verdict"] and set(table["verdict"]) == {"passed"}
    assert list(table["check"]) == list(report.checks)
    assert "Fitted DE list used 0 cells, none held out." in report.checks


def test_conditions_are_not_compared_where_the_setting_shares_them(screen, kang_shape):
    for adata, setting, options in (
        (screen, "random_cells", {}),
        (kang_shape, "few_shot_context", {"k": 4}),
    ):
        part = splits.split(adata, setting, **options)
        learned = {tuple(row) for row in adata.obs.loc[part.train, ["context", "perturbation"]].to_numpy()}
        assert {(c, p) for c, p in part.conditions[["context", "perturbation"]].to_numpy()} & learned
        assert any("by definition" in line for line in audit(adata, part).checks)
    part = splits.split(kang_shape, "few_shot_context", k=0)
    assert any("and none is in training" in line for line in audit(kang_shape, part).checks)


def test_splits_of_real_cells_pass(kang):
    for context in sorted(kang.obs["context"].unique()):
        for part in (
            splits.split(kang, "zero_shot_context", held_out=context, mode="B"),
            splits.split(kang, "few_shot_context", held_out=context, k=10),
        ):
            audit(kang, part)
            audit(kang, part.blind())


# Leaks between the parts


@pytest.mark.parametrize(("setting", "options"), CLEAN)
@pytest.mark.parametrize(("name", "word"), [("train", "training"), ("valid", "validation")])
def test_a_test_cell_in_training_or_validation_is_found(screen, setting, options, name, word):
    part = splits.split(screen, setting, **options)
    refused(screen, put(part, name, part.test[:1]), f"Test cells in {word}: 1 found", part.test[0])


def test_a_cell_in_training_and_validation_is_found(screen):
    part = splits.split(screen, "unseen_drug")
    refused(
        screen, put(part, "train", part.valid[:2]), "Cells in training and in validation", *part.valid[:2]
    )


def test_a_control_in_the_test_is_found(screen):
    part = splits.split(screen, "unseen_drug")
    control = named(screen, context="A549", perturbation="control")[:2]
    refused(screen, moved(part, "test", control), "Control cells in the test", *control)


@pytest.mark.parametrize("name", ["train", "valid", "test", "query", "reference"])
def test_a_cell_listed_twice_is_found(screen, name):
    part = splits.split(screen, "unseen_drug")
    listed = getattr(part, name)
    twice = replace(part, **{name: np.append(listed, listed[0])})
    refused(screen, twice, f"{name} lists a cell twice", listed[0])


@pytest.mark.parametrize("name", ["train", "valid", "test", "query", "reference"])
def test_a_cell_that_does_not_exist_is_found(screen, name):
    part = splits.split(screen, "unseen_drug")
    refused(
        screen, put(part, name, ["ghost"]), f"{name} names cells that the data set does not have", "ghost"
    )


def test_names_that_stand_twice_in_the_data_are_found(screen):
    part, twice = splits.split(screen, "unseen_drug"), screen.copy()
    names = twice.obs_names.to_numpy(str).copy()
    unused = np.setdiff1d(names[7:9], part.test)[0]
    kept = names[names != unused]
    names[names == unused] = kept[0]
    twice.obs.index = names
    rest = {
        n: np.setdiff1d(getattr(part, n), [unused]) for n in ("train", "valid", "test", "query", "reference")
    }
    refused(twice, replace(part, **rest), "the data set lists a cell twice", kept[0])


# Leaks through labels: the cell is another one, but it tells the answer


@pytest.mark.parametrize(("name", "word"), [("train", "training"), ("valid", "validation")])
def test_a_drug_of_the_same_structure_under_another_name_is_found(screen, name, word):
    part = splits.split(screen, "unseen_drug", held_out=["Valproic"])
    salt, acid = named(screen, perturbation="Divalproex"), named(screen, perturbation="Valproic")
    asked = part.conditions[part.conditions["perturbation"] == "Valproic"]
    leak = moved(replace(part, test=acid, conditions=asked), name, salt)
    refused(screen, leak, rf"Cells of held-out labels in {word} \(unseen_drug\)", *salt)


def test_the_same_structure_under_another_name_is_found_in_unseen_combination_too(screen):
    part = splits.split(screen, "unseen_combination", held_out=[("A549", "Valproic")])
    salt, acid = (named(screen, context="A549", perturbation=d) for d in ("Divalproex", "Valproic"))
    asked = part.conditions[part.conditions["perturbation"] == "Valproic"]
    leak = moved(replace(part, test=acid, conditions=asked), "train", salt)
    refused(screen, leak, r"Cells of held-out labels in training \(unseen_combination\)", *salt)


@pytest.mark.parametrize(
    ("setting", "options", "labels"),
    [
        ("unseen_drug", {"held_out": ["drug3"]}, {"perturbation": "drug3"}),
        ("unseen_drug", {"held_out": ["drug3"]}, {"perturbation": "drug3", "context": "K562"}),
        (
            "unseen_combination",
            {"held_out": [("K562", "drug3")]},
            {"perturbation": "drug3", "context": "K562"},
        ),
        ("zero_shot_context", {"held_out": "K562"}, {"perturbation": "drug3", "context": "K562"}),
        ("few_shot_context", {"held_out": "K562", "k": 0}, {"perturbation": "drug3", "context": "K562"}),
    ],
)
@pytest.mark.parametrize(("name", "word"), [("train", "training"), ("valid", "validation")])
def test_another_dose_of_what_is_held_out_is_found(screen, setting, options, labels, name, word):
    part = splits.split(screen, setting, **options)
    dose = named(screen, **labels, dose_um=10.0)
    leak = moved(part, name, dose)
    keys = part.conditions.index[
        [(part.conditions.loc[key, list(labels)] == pd.Series(labels)).all() for key in part.conditions.index]
    ]
    asked = part.conditions.drop([key for key in keys if key.endswith("|10")])
    leak = replace(leak, conditions=asked, test=leak.test)
    refused(screen, leak, rf"Cells of held-out labels in {word} \({setting}\)", *dose)


def test_a_treated_cell_of_the_held_out_context_in_validation_is_found(screen):
    part = splits.split(screen, "zero_shot_context", held_out="A549")
    refused(
        screen, moved(part, "valid", part.test[:1]), "Cells of held-out labels in validation", part.test[0]
    )


def test_a_control_of_the_held_out_context_is_a_leak_in_mode_b_only(screen):
    control = named(screen, context="A549", perturbation="control")[:1]
    for mode in "AB":
        part = put(splits.split(screen, "zero_shot_context", held_out="A549", mode=mode), "train", control)
        if mode == "A":
            audit(screen, part)
        else:
            refused(screen, part, "Cells of held-out labels in training", *control)


def test_a_support_larger_than_declared_is_found_though_the_split_lists_it(screen):
    part = splits.split(screen, "few_shot_context", held_out="A549", k=2)
    drug = part.conditions["perturbation"].iloc[0]
    extra = named(screen, context="A549", perturbation=drug)
    support = [*part.options["support"], drug]
    leak = moved(part, "train", extra)
    leak = replace(leak, conditions=part.conditions[part.conditions["perturbation"] != drug])
    refused(screen, leak, "Cells of held-out labels in training", *extra)
    leak = replace(leak, options=part.options | {"support": support})
    refused(screen, leak, "Support of more than k=2 perturbations", *support)


def test_two_names_of_one_structure_are_one_support_drug(screen):
    for seed in range(30):
        part = splits.split(screen, "few_shot_context", seed, k=1)
        audit(screen, part)
        if part.options["support"] == ["Divalproex", "Valproic"]:
            return
    raise AssertionError("no seed drew the drug that has two names")


def test_support_cells_beyond_those_declared_are_found(kang_shape):
    part = splits.split(kang_shape, "few_shot_context", held_out="A549", k=3)
    audit(kang_shape, part)
    extra = part.test[:1]
    leak = moved(part, "train", extra)
    refused(kang_shape, leak, "Cells of held-out labels in training", *extra)
    support = [*part.options["support"], *extra]
    leak = replace(leak, options=part.options | {"support": support})
    refused(kang_shape, leak, "Support of more than k=3 cells", *support)


def test_a_condition_that_is_asked_about_but_not_tested_is_found(screen):
    part = splits.split(screen, "unseen_drug", held_out=["drug3"])
    key = part.conditions.index[0]
    fewer = replace(part, conditions=part.conditions.drop(key))
    refused(screen, fewer, "Conditions asked about and tested differ", key)


def test_a_shared_condition_is_found_where_a_setting_forbids_too_little(screen, monkeypatch):
    nothing = replace(splits.SETTINGS["unseen_drug"], forbidden=lambda s, _: np.zeros(len(s.obs), bool))
    monkeypatch.setitem(splits.SETTINGS, "unseen_drug", nothing)
    part = splits.split(screen, "unseen_drug", held_out=["drug3"])
    one = named(screen, context="A549", perturbation="drug3", dose_um=1.0)[:1]
    refused(screen, moved(part, "train", one), "Conditions in training and in test", "A549|drug3|1")


# Leaks through the inference input and the reference


@pytest.mark.parametrize(("setting", "options"), CLEAN)
def test_a_treated_cell_in_the_inference_input_is_found(screen, setting, options):
    part = splits.split(screen, setting, **options)
    refused(screen, put(part, "query", part.test[:1]), "Treated cells in the inference input", part.test[0])


def test_inference_input_of_another_context_is_found(screen):
    part = splits.split(screen, "zero_shot_context", held_out="A549")
    other = named(screen, context="K562", perturbation="control")
    message = "Inference input from a context that is not asked about"
    refused(screen, put(part, "query", other), message, *other)


@pytest.mark.parametrize("name", ["train", "query"])
def test_reference_controls_shown_in_a_blind_split_are_found(screen, name):
    part = splits.split(screen, "zero_shot_context", held_out="A549")
    shown = part.reference[:2]
    refused(screen, put(part.blind(), name, shown), "Reference controls shown to a model", *shown)


def test_something_fitted_on_the_reference_controls_of_a_blind_split_is_found(screen):
    part = splits.split(screen, "zero_shot_context", held_out="A549")
    message = "Reference controls shown to a model"
    refused(screen, part.blind(), message, *part.reference, fitted={"scaler": part.visible})


def test_a_reference_that_is_no_control_of_the_context_is_found(screen):
    part = splits.split(screen, "zero_shot_context", held_out="A549")
    message = "Reference cells that are not controls of a context asked about"
    for wrong in (part.test[:1], named(screen, context="K562", perturbation="control")[:1]):
        refused(screen, put(part, "reference", wrong), message, *wrong)


# Leaks through what was fitted


@pytest.mark.parametrize("what", ["gene panel", "scaler", "DE list"])
@pytest.mark.parametrize(("setting", "options"), CLEAN)
def test_something_fitted_on_a_test_cell_is_found_by_its_name(screen, setting, options, what):
    part = splits.split(screen, setting, **options)
    fitted = {"backbone": part.train, what: [*part.train, part.test[0]]}
    refused(screen, part, f"Test cells in fitted {what}", part.test[0], fitted=fitted)


def test_something_fitted_on_the_held_out_context_is_a_leak_in_mode_b_only(screen):
    control = named(screen, context="A549", perturbation="control")
    fitted = {"gene panel": control}
    audit(screen, splits.split(screen, "zero_shot_context", held_out="A549", mode="A"), fitted)
    part = splits.split(screen, "zero_shot_context", held_out="A549", mode="B")
    message = r"Cells of held-out labels in fitted gene panel \(zero_shot_context\)"
    refused(screen, part, message, *control, fitted=fitted)


def test_something_fitted_on_unknown_cells_is_found(screen):
    part = splits.split(screen, "unseen_drug")
    message = "fitted scaler names cells that the data set does not have"
    refused(screen, part, message, "ghost", fitted={"scaler": ["ghost"]})


# Copies


def copied(adata, source, target):
    """The data set with the profile of one cell overwritten by that of another."""
    changed = adata.copy()
    values = changed.layers["lognorm"].toarray()
    values[changed.obs_names.get_loc(target)] = values[changed.obs_names.get_loc(source)]
    changed.layers["lognorm"] = sp.csr_matrix(values)
    return changed


@pytest.mark.parametrize(("setting", "options"), CLEAN)
def test_a_test_cell_copied_into_training_under_another_name_is_found(screen, setting, options):
    part = splits.split(screen, setting, **options)
    changed = copied(screen, part.test[0], part.train[-1])
    refused(changed, part, "Test cells that a model sees under another name", part.test[0])


def test_a_test_cell_copied_into_the_inference_input_is_found(screen):
    part = splits.split(screen, "zero_shot_context", mode="B")
    changed = copied(screen, part.test[0], part.query[0])
    refused(changed, part, "Test cells that a model sees under another name", part.test[0])


def test_a_copy_is_found_in_dense_values_without_a_lognorm_layer(screen):
    part = splits.split(screen, "unseen_drug")
    changed = copied(screen, part.test[0], part.train[0])
    changed.X = changed.layers.pop("lognorm").toarray()
    refused(changed, part, "Test cells that a model sees under another name", part.test[0])


def test_cells_too_small_to_be_told_apart_are_not_called_copies():
    rows = grid(LINES, DRUGS)
    few_genes = cells(rows, np.ones((len(rows), 19)))
    audit(few_genes, splits.split(few_genes, "unseen_drug"))
    enough = cells(rows, np.ones((len(rows), 20)))
    with pytest.raises(LeakError, match="under another name"):
        audit(enough, splits.split(enough, "unseen_drug"))
