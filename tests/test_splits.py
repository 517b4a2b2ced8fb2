"""Every setting divides every screen as its definition says (scdca.md section 5), the same way for the same seed."""

import numpy as np
import pandas as pd
import pytest
from hand_made import cells, grid, keys14
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from perturbook import splits
from perturbook.errors import ConfigError, InputError
from perturbook.splits import SETTINGS
from perturbook.splits.setting import Screen, structures

LINES = ["A549", "K562", "MCF7", "HeLa"]
DRUGS = [f"drug{i}" for i in range(8)]
# Salts and stereoisomers: two names of one parent, as Divalproex and Valproic acid have.
GROUPS = [["Divalproex", "Valproic"], ["Ruxolitinib", "S-Ruxolitinib"], *([d] for d in DRUGS)]
PARTS = ("train", "valid", "test", "query", "reference")
ALL = [
    ("random_cells", {}),
    ("unseen_combination", {}),
    ("unseen_combination", {"fold": 3}),
    ("unseen_drug", {"fold": 2}),
    ("few_shot_context", {"k": 3}),
    ("few_shot_context", {"k": 0}),
    ("zero_shot_context", {"mode": "A"}),
    ("zero_shot_context", {"mode": "B"}),
]


def full():
    names = [name for group in GROUPS for name in group]
    return cells(grid(LINES, names, n=5), table=keys14(GROUPS))


@st.composite
def screens(draw):
    """Screens with missing combinations, one to three doses, unequal cell numbers and names that share a structure."""
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    lines = LINES[: draw(st.integers(3, 4))]
    groups = [[f"d{i}", f"d{i} salt"] if i < draw(st.integers(0, 2)) else [f"d{i}"] for i in range(7)]
    doses = [0.1, 1.0, 10.0][: draw(st.integers(1, 3))]
    missing = draw(st.sampled_from([0.0, 0.2, 0.4]))
    rows = [(c, "control", 0.0) for c in lines for _ in range(rng.integers(1, 6))]
    for line in lines:
        for name in (name for group in groups for name in group):
            if rng.random() >= missing:
                rows += [(line, name, dose) for dose in doses for _ in range(rng.integers(1, 7))]
    return cells([rows[i] for i in rng.permutation(len(rows))], np.ones((len(rows), 2)), keys14(groups))


def divide(adata, setting, seed=0, **options):
    """Split, passing over the random screens that a setting refuses because of their design."""
    try:
        return splits.split(adata, setting, seed, **options)
    except ConfigError as refused:
        assume("needs" not in str(refused) and "leave" not in str(refused))
        raise


def labels(adata, names, *columns):
    """The distinct labels, as tuples, that the named cells carry."""
    obs = Screen.of(adata).obs.loc[names, list(columns)]
    return set(obs.itertuples(index=False, name=None))


def treated(adata, names):
    return names[~adata.obs.loc[names, "is_control"].to_numpy()]


any_screen = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 1000)


# What every setting keeps


@any_screen
@given(screens(), seeds, st.sampled_from(ALL))
def test_the_parts_are_disjoint_and_only_known_cells_are_in_them(adata, seed, case):
    part = divide(adata, case[0], seed, **case[1])
    names = np.concatenate([part.train, part.valid, part.test])
    assert len(set(names)) == len(names) and set(names) <= set(adata.obs_names)
    withheld = set(adata.obs_names) - set(names)
    assert withheld == (set(part.query) if case[1].get("mode") == "B" else set())


@any_screen
@given(screens(), seeds, st.sampled_from(ALL))
def test_the_test_holds_treated_cells_and_the_query_all_controls_of_their_contexts(adata, seed, case):
    part = divide(adata, case[0], seed, **case[1])
    control = adata.obs["is_control"]
    assert not control[part.test].any()
    there = adata.obs["context"].isin(adata.obs.loc[part.test, "context"])
    assert set(part.query) == set(adata.obs_names[control & there])


@any_screen
@given(screens(), seeds, st.sampled_from(ALL))
def test_the_conditions_are_those_of_the_test_cells(adata, seed, case):
    part = divide(adata, case[0], seed, **case[1])
    columns = ("key", "context", "perturbation", "dose_um")
    asked = set(part.conditions.reset_index().itertuples(index=False, name=None))
    assert asked == labels(adata, part.test, *columns)
    assert part.conditions.index.is_unique and part.conditions.index.is_monotonic_increasing


@any_screen
@given(screens(), seeds, st.sampled_from(ALL))
def test_the_reference_is_half_of_the_controls_of_each_context(adata, seed, case):
    part = divide(adata, case[0], seed, **case[1])
    context = adata.obs["context"].astype(str)
    whole, half = (context[names].value_counts() for names in (part.query, part.reference))
    assert half.reindex(whole.index, fill_value=0).to_dict() == (whole // 2).to_dict()
    assert set(part.reference) <= set(part.query)


@any_screen
@given(screens(), seeds, st.sampled_from(ALL), st.integers(0, 5))
def test_the_same_seed_gives_the_same_split_whatever_the_row_order(adata, seed, case, shuffle):
    order = np.random.default_rng(shuffle).permutation(adata.n_obs)
    one, other = (
        divide(adata, case[0], seed, **case[1]),
        divide(adata[order].copy(), case[0], seed, **case[1]),
    )
    for name in PARTS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    pd.testing.assert_frame_equal(one.conditions, other.conditions)
    assert (one.options, one.held_out) == (other.options, other.held_out)


@pytest.mark.parametrize(("setting", "options"), ALL)
def test_another_seed_gives_another_split(setting, options):
    adata = full()
    tests = {tuple(splits.split(adata, setting, seed, **options).test) for seed in range(5)}
    assert len(tests) > 1


@pytest.mark.parametrize(("setting", "options"), ALL)
def test_only_the_seed_decides_which_half_of_the_controls_is_the_reference(setting, options):
    adata = full()
    everywhere = splits.split(adata, "random_cells", 3).reference
    part = splits.split(adata, setting, 3, **options)
    np.testing.assert_array_equal(part.reference, np.intersect1d(everywhere, part.query))


@pytest.mark.parametrize(("setting", "options"), ALL)
def test_blinding_takes_the_reference_away_from_everything_a_model_sees_and_nothing_else(setting, options):
    part = splits.split(full(), setting, **options)
    blind = part.blind()
    assert blind.blinded and not part.blinded and len(part.reference)
    for name in ("train", "valid", "query"):
        assert set(getattr(part, name)) - set(getattr(blind, name)) <= set(part.reference)
        assert not set(getattr(blind, name)) & set(part.reference)
    np.testing.assert_array_equal(blind.test, part.test)
    np.testing.assert_array_equal(blind.reference, part.reference)
    assert len(blind.query) == len(part.query) / 2


def test_what_is_visible_is_training_and_validation():
    part = splits.split(full(), "unseen_drug")
    np.testing.assert_array_equal(part.visible, np.sort(np.concatenate([part.train, part.valid])))


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_has_a_title_and_a_question(setting):
    assert SETTINGS[setting].title and SETTINGS[setting].question.endswith("?")


# random_cells


def test_random_cells_tests_a_fifth_and_validates_on_a_tenth_of_every_condition():
    adata = cells(grid(LINES, DRUGS, n=10))
    part = splits.split(adata, "random_cells")
    keys = Screen.of(adata).obs["key"]
    assert set(keys[part.test].value_counts()) == {2} and set(keys[part.valid].value_counts()) == {1}
    assert set(keys[treated(adata, part.train)].value_counts()) == {7}


@any_screen
@given(screens(), seeds)
def test_random_cells_asks_only_about_conditions_of_training(adata, seed):
    part = divide(adata, "random_cells", seed)
    assert labels(adata, part.test, "key") <= labels(adata, part.train, "key")


# unseen_drug


@any_screen
@given(screens(), seeds, st.integers(0, 4))
def test_unseen_drug_hides_the_structure_in_every_context_dose_and_name(adata, seed, fold):
    part = divide(adata, "unseen_drug", seed, fold=fold)
    hidden = labels(adata, part.test, "structure")
    assert not hidden & labels(adata, part.visible, "structure")
    assert not labels(adata, part.valid, "structure") & labels(adata, part.train, "structure")
    structure = Screen.of(adata).obs["structure"]
    assert set(part.test) == set(structure.index[structure.isin([one for (one,) in hidden])])


@any_screen
@given(screens(), seeds)
def test_the_five_folds_of_unseen_drug_test_every_drug_exactly_once(adata, seed):
    folds = [divide(adata, "unseen_drug", seed, fold=fold) for fold in range(5)]
    tested = [drug for fold in folds for drug in fold.held_out]
    assert sorted(tested) == sorted(set(adata.obs["perturbation"]) - {"control"})
    for fold in folds:
        assert set(fold.held_out) == {drug for (drug,) in labels(adata, fold.test, "perturbation")}


@pytest.mark.parametrize("named", ["Valproic", ["Valproic"]])
def test_a_named_drug_takes_the_other_names_of_its_structure_with_it(named):
    part = splits.split(full(), "unseen_drug", held_out=named)
    assert part.held_out == ("Divalproex", "Valproic")


def test_structures_are_computed_where_a_table_has_smiles_only():
    table = pd.DataFrame(
        {"smiles": ["CCCC(CCC)C(=O)[O-].[Na+]", "CCCC(CCC)C(=O)O", "CCO", "", None]},
        index=["Valproate sodium", "Valproic", "Ethanol", "control", "unknown"],
    )
    found = structures(table)
    assert found["Valproate sodium"] == found["Valproic"] != found["Ethanol"]
    assert list(found.index) == ["Valproate sodium", "Valproic", "Ethanol"]
    rows = grid(LINES, ["Valproate sodium", "Valproic", "Ethanol", "unknown", "x", "y"])
    table = table.reindex([*table.index, "x", "y"])
    part = splits.split(cells(rows, table=table), "unseen_drug", held_out=["Valproic"])
    assert part.held_out == ("Valproate sodium", "Valproic")


def test_a_drug_without_structure_is_its_own_structure_and_bad_smiles_are_named():
    assert list(Screen.of(cells(grid(LINES[:1], ["x"]))).obs["structure"].unique()) == ["control", "x"]
    with pytest.raises(InputError, match="'C1CC'.*'broken'"):
        structures(pd.DataFrame({"smiles": ["C1CC"]}, index=["broken"]))


# unseen_combination


@any_screen
@given(screens(), seeds)
def test_unseen_combination_hides_the_pair_at_every_dose_and_keeps_both_sides_known(adata, seed):
    part = divide(adata, "unseen_combination", seed)
    pairs, known = (
        labels(adata, treated(adata, names), "context", "structure") for names in (part.test, part.train)
    )
    assert pairs and not pairs & labels(adata, part.visible, "context", "structure")
    for context, structure in pairs | labels(adata, part.valid, "context", "structure"):
        assert any(c == context and s != structure for c, s in known)
        assert any(c != context and s == structure for c, s in known)


@any_screen
@given(screens(), seeds)
def test_unseen_combination_validates_on_pairs_of_its_own(adata, seed):
    part = divide(adata, "unseen_combination", seed)
    validating = labels(adata, part.valid, "context", "structure")
    assert not validating & labels(adata, treated(adata, part.train), "context", "structure")
    assert not validating & labels(adata, part.test, "context", "structure")


def test_unseen_combination_tests_a_fifth_of_the_pairs_of_a_full_screen():
    adata = cells(grid(LINES, DRUGS[:5]))
    part = splits.split(adata, "unseen_combination")
    assert len(labels(adata, part.test, "context", "perturbation")) == len(part.held_out) == 4
    assert len(labels(adata, part.valid, "context", "perturbation")) == 2


@any_screen
@given(screens(), seeds)
def test_the_five_folds_of_unseen_combination_test_every_pair_that_can_be_spared_exactly_once(adata, seed):
    folds = [divide(adata, "unseen_combination", seed, fold=fold) for fold in range(5)]
    tested = [pair for part in folds for pair in labels(adata, part.test, "context", "structure")]
    every = labels(adata, treated(adata, adata.obs_names.to_numpy(str)), "context", "structure")
    sides = [[one[side] for one in every] for side in (0, 1)]
    spared = {one for one in every if all(count.count(one[i]) > 1 for i, count in enumerate(sides))}
    assert sorted(tested) == sorted(spared)
    for part in folds:
        assert set(part.options["never_tested"]) == {" | ".join(one) for one in every - spared}
        kept = every - labels(adata, part.test, "context", "structure")
        assert [{one[side] for one in kept} for side in (0, 1)] == [set(side) for side in sides]


def test_nine_genes_in_three_lines_are_all_tested_once_in_folds_of_like_size():
    rows = grid(LINES[:3], [f"gene{i}" for i in range(9)], doses=(np.nan,))
    for seed in range(20):
        folds = [splits.split(cells(rows), "unseen_combination", seed, fold=fold) for fold in range(5)]
        assert sorted(len(part.conditions) for part in folds) == [5, 5, 5, 6, 6]
        assert len({key for part in folds for key in part.conditions.index}) == 27
        assert all(part.options == {"fold": i, "never_tested": []} for i, part in enumerate(folds))


def test_a_fold_that_no_pair_is_left_for_is_refused_by_its_number():
    adata = cells(grid(LINES[:2], DRUGS[:2]))  # four pairs, so that one of the five folds stays empty
    made = []
    for fold in range(5):
        try:
            made.append(splits.split(adata, "unseen_combination", fold=fold))
        except ConfigError as refused:
            assert f"can be spared for fold {fold}" in str(refused)
    assert len(made) == 4


def test_named_pairs_are_held_out_with_the_other_names_of_their_structure():
    part = splits.split(full(), "unseen_combination", held_out=[("A549", "Valproic"), ("K562", "drug0")])
    assert part.held_out == ("A549 | Divalproex", "A549 | Valproic", "K562 | drug0")
    assert len(part.conditions) == 6 and len(part.test) == 30


# zero_shot_context


@any_screen
@given(screens(), seeds, st.sampled_from("AB"))
def test_zero_shot_hides_every_treated_cell_of_the_context_and_mode_b_its_controls_too(adata, seed, mode):
    part = divide(adata, "zero_shot_context", seed, mode=mode)
    (context,) = part.held_out
    there = adata.obs_names[adata.obs["context"] == context]
    assert set(part.test) == set(treated(adata, there))
    shown = set(part.query) if mode == "A" else set()
    assert set(there) & set(part.visible) == shown


@any_screen
@given(screens(), seeds, st.sampled_from("AB"))
def test_zero_shot_validates_on_another_context_as_it_tests(adata, seed, mode):
    part = divide(adata, "zero_shot_context", seed, mode=mode)
    other = part.options["validation_context"]
    assert other != part.held_out[0]
    there = adata.obs_names[adata.obs["context"] == other]
    assert set(part.valid) == set(there if mode == "B" else treated(adata, there))


def test_both_modes_test_the_same_cells():
    one, other = (splits.split(full(), "zero_shot_context", 4, mode=mode) for mode in "AB")
    for name in ("test", "query", "reference"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


# few_shot_context


@any_screen
@given(screens(), seeds)
def test_few_shot_without_support_is_zero_shot_a(adata, seed):
    none, zero = (
        divide(adata, "few_shot_context", seed, k=0),
        divide(adata, "zero_shot_context", seed, mode="A"),
    )
    for name in PARTS:
        np.testing.assert_array_equal(getattr(none, name), getattr(zero, name))


@any_screen
@given(screens(), seeds, st.integers(1, 3))
def test_few_shot_learns_k_drugs_of_the_context_at_all_doses_and_tests_the_others(adata, seed, k):
    part = divide(adata, "few_shot_context", seed, k=k)
    (context,) = part.held_out
    there = treated(adata, adata.obs_names[adata.obs["context"] == context].to_numpy(str))
    learned = np.intersect1d(there, part.train)
    assert len(labels(adata, learned, "structure")) == k
    assert not labels(adata, learned, "structure") & labels(adata, part.test, "structure")
    assert set(part.test) == set(there) - set(learned)
    assert {name for (name,) in labels(adata, learned, "perturbation")} == set(part.options["support"])


@any_screen
@given(screens(), seeds)
def test_supports_of_one_seed_nest_and_their_tests_shrink(adata, seed):
    parts = [divide(adata, "few_shot_context", seed, k=k) for k in (0, 1, 2, 3)]
    for small, large in zip(parts, parts[1:], strict=False):
        assert small.held_out == large.held_out
        assert set(small.options["support"]) < set(large.options["support"])
        assert set(large.test) < set(small.test) and set(small.train) < set(large.train)


@any_screen
@given(screens(), seeds)
def test_what_the_largest_support_leaves_to_predict_is_asked_at_every_k_of_a_sweep(adata, seed):
    parts = [divide(adata, "few_shot_context", seed, k=k) for k in (0, 1, 3)]
    for part in parts:
        assert set(parts[-1].conditions.index) <= set(part.conditions.index)
        assert part.options["validation_context"] == parts[-1].options["validation_context"]


def one_perturbation():
    """Kang's shape: cell types, control and one cytokine whose dose has no meaning."""
    return cells(
        [
            (c, p, q)
            for c in ("B", "NK", "T")
            for p, q in (("control", 0.0), ("IFN-beta", np.nan))
            for _ in range(25)
        ]
    )


@pytest.mark.parametrize("k", [5, 10, 20])
def test_with_a_single_perturbation_the_support_is_k_cells_and_the_others_are_scored(k):
    adata = one_perturbation()
    part = splits.split(adata, "few_shot_context", 1, k=k, held_out="NK")
    there = treated(adata, adata.obs_names[adata.obs["context"] == "NK"].to_numpy(str))
    assert part.options["support_unit"] == "cells" and len(part.options["support"]) == k
    assert set(part.options["support"]) == set(there) & set(part.train)
    assert set(part.test) == set(there) - set(part.train) and len(part.test) == 25 - k
    assert list(part.conditions.index) == ["NK|IFN-beta"]
    smaller = splits.split(adata, "few_shot_context", 1, k=k - 1, held_out="NK")
    assert set(smaller.options["support"]) < set(part.options["support"])


def test_names_of_a_single_structure_count_as_a_single_perturbation():
    rows = grid(LINES, ["Divalproex", "Valproic"], doses=(1.0,))
    part = splits.split(cells(rows, table=keys14([["Divalproex", "Valproic"]])), "few_shot_context", k=2)
    assert part.options["support_unit"] == "cells" and len(part.test) == 4


def test_a_small_validation_context_keeps_the_support_it_can_spare():
    rows = grid(LINES[:2], DRUGS, doses=(1.0,)) + grid(["small"], DRUGS[:2], doses=(1.0,))
    for seed in range(6):  # whichever context validates
        part = splits.split(cells(rows), "few_shot_context", seed, k=5, held_out="A549")
        assert len(part.valid) == (3 if part.options["validation_context"] == "small" else 9)


# Refusals


@pytest.mark.parametrize(
    ("setting", "options", "message"),
    [
        ("unseen_planet", {}, r"Unknown setting 'unseen_planet'. Known: additive_split, double_seen0, .*, zero_shot_context"),
        ("random_cells", {"k": 3}, r"random_cells does not take \['k'\]; it takes no option"),
        ("unseen_drug", {"mode": "A", "k": 1}, r"unseen_drug does not take \['k', 'mode'\]; it takes \['fold', 'held_out'\]"),
        ("zero_shot_context", {"k": 0}, r"does not take \['k'\]; it takes \['held_out', 'mode'\]"),
        ("unseen_drug", {"fold": 5}, r"fold=5 must lie in 0..4"),
        ("unseen_combination", {"fold": 5}, r"fold=5 must lie in 0..4"),
        ("unseen_drug", {"context": "A549"}, r"unseen_drug does not take \['context'\]"),
        ("unseen_drug", {"fold": -1}, r"fold=-1 must be a whole number from 0"),
        ("unseen_drug", {"fold": "1"}, r"fold='1' must be a whole number from 0"),
        ("few_shot_context", {"k": 2.5}, r"k=2.5 must be a whole number from 0"),
        ("few_shot_context", {"k": True}, r"k=True must be a whole number from 0"),
        ("random_cells", {"seed": -1}, r"seed=-1 must be a whole number from 0"),
        ("few_shot_context", {"k": 8, "held_out": "A549"}, r"k=8 support perturbations leave nothing to predict in 'A549', which has 8"),
        ("zero_shot_context", {"mode": "C"}, r"mode='C' must be A \(control_in_training\) or B \(control_at_inference_only\)"),
        ("zero_shot_context", {"held_out": "HEK"}, r"held_out names \['HEK'\], which no treated cell has as context. Present: A549, HeLa, K562, MCF7"),
        ("few_shot_context", {"held_out": ["A549", "K562"]}, r"one context per split, not \['A549', 'K562'\]; make one split for each"),
        ("unseen_drug", {"held_out": ["drug1drug2"]}, r"held_out names \['drug1drug2'\], which no treated cell has as perturbation. Present: drug0, drug1"),
        ("unseen_drug", {"held_out": "drug1drug2"}, r"held_out names \['drug1drug2'\]"),
        ("unseen_drug", {"held_out": ["control"]}, r"held_out names \['control'\]"),
        ("unseen_drug", {"held_out": []}, r"leaves no treated cell to score"),
        ("unseen_drug", {"held_out": DRUGS}, r"leaves no treated cell to learn from"),
        ("unseen_combination", {"held_out": [("A549", "drug1drug2")]}, r"held_out names the pairs \['A549 \| drug1drug2'\], which no treated cell has"),
        ("unseen_combination", {"held_out": ("A549", "drug1")}, r"must list pairs \(context, perturbation\); 'A549' is none"),
        ("unseen_combination", {"held_out": [(c, "drug1") for c in LINES]}, r"leaves \['drug1'\] no pair to train on"),
        ("unseen_combination", {"held_out": [("A549", d) for d in DRUGS]}, r"leaves \['A549'\] no pair to train on"),
    ],
)  # fmt: skip
def test_an_impossible_request_is_refused_by_name(setting, options, message):
    adata = cells(grid(LINES, DRUGS), np.ones((len(grid(LINES, DRUGS)), 2)))
    with pytest.raises(ConfigError, match=message):
        splits.split(adata, setting, **options)


@pytest.mark.parametrize(
    ("setting", "contexts", "drugs", "n", "message"),
    [
        ("zero_shot_context", 2, 5, 3, r"at least three treated contexts .* found \['A549', 'K562'\]"),
        ("few_shot_context", 2, 5, 3, r"at least three treated contexts"),
        ("unseen_drug", 3, 4, 3, r"at least 5 drugs of different structure; this data set has 4"),
        (
            "unseen_combination",
            4,
            1,
            3,
            r"two contexts that share two perturbations; .* Use zero_shot_context",
        ),
        ("unseen_combination", 1, 8, 3, r"no pair of this design can be spared"),
        ("random_cells", 3, 5, 2, r"random_cells with {} leaves no treated cell to score"),
    ],
)
def test_a_screen_too_small_for_the_setting_is_refused_with_what_it_needs(
    setting, contexts, drugs, n, message
):
    adata = cells(grid(LINES[:contexts], DRUGS[:drugs], n=n))
    with pytest.raises(ConfigError, match=message):
        splits.split(adata, setting)


def test_names_of_one_structure_do_not_count_as_different_drugs():
    adata = cells(grid(LINES, DRUGS[:5]), table=keys14([DRUGS[:2], *([d] for d in DRUGS[2:5])]))
    with pytest.raises(ConfigError, match="this data set has 4"):
        splits.split(adata, "unseen_drug")


def test_real_cells_take_five_ten_and_twenty_support_cells_in_every_type(kang):
    for context in sorted(kang.obs["context"].unique()):
        for k in (5, 10, 20):
            part = splits.split(kang, "few_shot_context", k=k, held_out=context)
            assert len(part.options["support"]) == k and list(part.conditions.index) == [
                f"{context}|IFN-beta"
            ]
