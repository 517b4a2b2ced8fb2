"""The settings of gene screens divide every screen as they say, and a leak planted in one is found."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from conftest import load_or_skip
from hand_made import cells, grid
from norman_labels import DOUBLES, MINI_DOUBLES, MINI_SINGLES, SINGLES, TWICE

from perturbook import splits
from perturbook.errors import ConfigError, LeakError
from perturbook.splits import audit
from perturbook.splits.gears import simulate
from perturbook.splits.setting import Screen

LETTERS = list("ABCDEFGH")
ALL = [
    "seen_single",
    "unseen_single",
    "double_seen2",
    "double_seen1",
    "double_seen0",
    "additive_split",
    "gears",
]
PARTS = ("train", "valid", "test", "query", "reference")


def genes_screen(singles, doubles, contexts=("K562",), n=10, controls=8):
    return cells(grid(contexts, [*singles, *doubles], doses=(np.nan,), n=n, controls=controls))


@pytest.fixture(scope="module")
def norman():
    """The labels of norman2019-mini, ten cells each."""
    return genes_screen(MINI_SINGLES, MINI_DOUBLES)


@pytest.fixture(scope="module")
def full():
    """Eight genes with all singles and all 28 doubles in one context."""
    return genes_screen(LETTERS, ["+".join(pair) for pair in combinations(LETTERS, 2)])


@pytest.fixture(scope="module")
def lines():
    """Five genes and four doubles in two lines."""
    return genes_screen("ABCDE", ["A+B", "B+C", "C+D", "D+E"], ("K562", "RPE1"))


def perturbed(adata, names):
    """Distinct perturbations of the named cells, without control."""
    return set(adata.obs.loc[names, "perturbation"].astype(str)) - {"control"}


def doubles(labels):
    return {label for label in labels if "+" in label}


def named(adata, label, context="K562"):
    keep = (adata.obs["perturbation"] == label) & (adata.obs["context"] == context)
    return adata.obs_names[keep].to_numpy(str)


# What every gene setting keeps


@pytest.mark.parametrize("setting", ALL)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_parts_are_disjoint_the_conditions_are_those_of_the_test_and_the_audit_passes(
    full, setting, seed
):
    part = splits.split(full, setting, seed)
    names = np.concatenate([part.train, part.valid, part.test])
    assert len(set(names)) == len(names) and set(names) <= set(full.obs_names)
    assert set(Screen.of(full).obs.loc[part.test, "key"]) == set(part.conditions.index)
    assert not full.obs.loc[part.test, "is_control"].any() and len(part.test) and len(part.valid)
    controls = set(full.obs_names[full.obs["is_control"]])
    assert set(part.query) == controls and controls <= set(part.train)
    report = audit(full, part, {"panel": part.visible})
    assert report.counts["conditions"] == len(part.conditions)
    audit(full, part.blind())


@pytest.mark.parametrize("setting", ALL)
def test_the_same_seed_gives_the_same_split_whatever_the_row_order_and_another_seed_another(full, setting):
    order = np.random.default_rng(1).permutation(full.n_obs)
    one, other = (splits.split(adata, setting, 3) for adata in (full, full[order].copy()))
    for name in PARTS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    pd.testing.assert_frame_equal(one.conditions, other.conditions)
    assert (one.options, one.held_out) == (other.options, other.held_out)
    several = [splits.split(full, setting, seed) for seed in range(5)]
    assert len({(*part.test, *part.valid) for part in several}) > 1


@pytest.mark.parametrize("setting", ALL)
def test_where_treated_cells_stand_in_several_contexts_one_must_be_named(lines, setting):
    for wrong in (None, "HeLa"):
        with pytest.raises(
            ConfigError, match=f"context={wrong!r} must name one of K562, RPE1; a gene setting"
        ):
            splits.split(lines, setting, context=wrong)


@pytest.mark.parametrize("setting", ALL)
def test_cells_of_other_contexts_are_in_no_part_and_forbidden(lines, setting):
    part = splits.split(lines, setting, context="RPE1")
    assert part.options["context"] == "RPE1" and set(part.conditions["context"]) == {"RPE1"}
    for name in PARTS:
        assert set(lines.obs.loc[getattr(part, name), "context"]) == {"RPE1"}
    audit(lines, part)
    for label in ("control", "A"):
        with pytest.raises(LeakError, match=rf"Cells of held-out labels in training \({setting}\)"):
            audit(lines, replace(part, train=np.append(part.train, named(lines, label)[0])))


@pytest.mark.parametrize(
    "setting", ["double_seen2", "double_seen1", "double_seen0", "additive_split", "gears"]
)
def test_a_screen_without_doubles_is_refused_by_what_it_lacks(setting):
    with pytest.raises(ConfigError, match="needs double perturbations, and K562 has none"):
        splits.split(genes_screen("ABC", []), setting)
    with pytest.raises(ConfigError, match="needs single perturbations, and K562 has none"):
        splits.split(genes_screen([], ["A+B", "B+C"]), setting)


@pytest.mark.parametrize("setting", ALL)
def test_a_screen_of_drugs_is_refused_by_its_kind(full, setting):
    adata = full.copy()
    adata.obs["kind"] = "drug"
    with pytest.raises(
        ConfigError, match=f"{setting} needs genes as perturbations; here they are of kind drug"
    ):
        splits.split(adata, setting)
    adata.obs["kind"] = "CRISPRi"
    assert len(splits.split(adata, setting).test)


@pytest.mark.parametrize(
    ("setting", "held_out", "message"),
    [
        ("seen_single", "ZZZ", r"held_out names \['ZZZ'\], which K562 does not have as single perturbations. Present: A, B"),
        ("seen_single", ["A+B"], r"held_out names \['A\+B'\], which K562 does not have as single"),
        ("unseen_single", ["A", "control"], r"held_out names \['control'\]"),
        ("unseen_single", list("ABCDE"), "leaves no treated cell to learn from"),
        ("unseen_single", [], "leaves no treated cell to score"),
        ("double_seen1", "AB", r"held_out names \['AB'\], which K562 does not have as single"),
        ("double_seen0", "A", "leaves no treated cell to score"),
        ("additive_split", ["A+C"], r"held_out names \['A\+C'\], which K562 does not have as double perturbations. Present: A\+B, "),
        ("double_seen2", "A", r"double_seen2 does not take \['held_out'\]; it takes \['context'\]"),
        ("gears", "A", r"gears does not take \['held_out'\]"),
    ],
)  # fmt: skip
def test_an_impossible_request_is_refused_by_name(lines, setting, held_out, message):
    with pytest.raises(ConfigError, match=message):
        splits.split(lines, setting, held_out=held_out, context="K562")


@pytest.mark.parametrize("setting", ALL)
def test_conditions_of_three_genes_are_never_learned_from_but_where_one_gene_is_held_out(setting):
    adata = genes_screen("ABCDEF", ["A+B", "B+C", "C+D", "D+E", "E+F", "A+B+C"])
    for seed in range(5):
        try:
            part = splits.split(adata, setting, seed)
        except ConfigError:
            continue
        assert "A+B+C" not in perturbed(adata, part.test)
        assert setting == "unseen_single" or "A+B+C" not in perturbed(adata, part.visible)
        audit(adata, part)


# seen_single


def test_seen_single_tests_a_fifth_of_every_single_at_most_96_cells_and_no_double():
    rows = [("K562", "control", 0.0)] * 4
    rows += [("K562", gene, np.nan) for gene, n in (("A", 700), ("B", 40), ("A+B", 30)) for _ in range(n)]
    adata = cells(rows, np.random.default_rng(0).uniform(size=(len(rows), 2)))
    part = splits.split(adata, "seen_single")
    counts = {
        name: adata.obs.loc[getattr(part, name), "perturbation"].value_counts()
        for name in ("test", "valid", "train")
    }
    assert {gene: counts["test"][gene] for gene in "AB"} == {"A": 96, "B": 8}
    assert {gene: counts["valid"][gene] for gene in "AB"} == {"A": 70, "B": 4}
    assert {gene: counts["train"][gene] for gene in "AB"} == {"A": 700 - 96 - 70, "B": 28}
    assert not any(count.get("A+B", 0) for count in counts.values())
    assert "stratum" not in part.conditions and part.held_out == ("A", "B")


def test_seen_single_tests_the_named_singles_and_learns_the_others_whole(norman):
    part = splits.split(norman, "seen_single", held_out=["KLF1", "PLK4"])
    assert perturbed(norman, part.test) == perturbed(norman, part.valid) == {"KLF1", "PLK4"}
    assert perturbed(norman, part.train) == set(MINI_SINGLES)
    assert set(named(norman, "HK2")) <= set(part.train)
    assert splits.SETTINGS["seen_single"].shares_conditions(part)


# unseen_single


@pytest.mark.parametrize("seed", range(5))
def test_unseen_single_hides_a_fifth_of_the_genes_alone_and_in_every_double(norman, seed):
    part = splits.split(norman, "unseen_single", seed)
    hidden = perturbed(norman, part.test)
    assert len(hidden) == 4 and hidden <= set(MINI_SINGLES)  # a fifth of 18
    visible = perturbed(norman, part.visible)
    assert visible == {
        label for label in [*MINI_SINGLES, *MINI_DOUBLES] if not set(label.split("+")) & hidden
    }
    validating = perturbed(norman, part.valid)
    assert len(validating - doubles(validating)) == 4
    for gene in validating - doubles(validating):
        assert not any(gene in label.split("+") for label in perturbed(norman, part.train))


def test_unseen_single_takes_the_genes_that_are_named(norman):
    part = splits.split(norman, "unseen_single", held_out="KLF1")
    assert part.held_out == ("KLF1",) and list(part.conditions.index) == ["K562|KLF1"]
    assert not any("KLF1" in label for label in perturbed(norman, part.visible))


# double_seen


SEEN = {
    2: {"KLF1+MAP2K6", "KLF1+TGFBR2", "MAP2K3+MAP2K6", "MAP2K3+SLC38A2", "MAPK1+TGFBR2"},
    1: {"CNN1+MAPK1", "SET+KLF1", "SGK1+TBX3"},
}
SEEN[0] = set(MINI_DOUBLES) - SEEN[1] - SEEN[2]


@pytest.mark.parametrize("n", [2, 1, 0])
def test_the_doubles_of_norman2019_mini_are_five_three_and_seven(norman, n):
    part = splits.split(norman, f"double_seen{n}")
    assert set(part.held_out) == perturbed(norman, part.test) == SEEN[n] and len(SEEN[n]) == (7, 3, 5)[n]
    assert set(part.conditions["stratum"]) == {f"seen {n}"}
    assert perturbed(norman, part.train) == set(MINI_SINGLES)
    valid = norman.obs.loc[part.valid, "perturbation"].astype(str).value_counts()
    assert valid.to_dict() == dict.fromkeys(MINI_SINGLES, 1)  # a tenth of ten cells


def test_the_singles_of_named_genes_are_withheld_in_addition(norman):
    part = splits.split(norman, "double_seen1", held_out="KLF1")
    assert perturbed(norman, part.test) == {"CNN1+MAPK1", "SGK1+TBX3", "KLF1+MAP2K6", "KLF1+TGFBR2"}
    assert perturbed(norman, part.visible) == set(MINI_SINGLES) - {"KLF1"}
    part = splits.split(norman, "double_seen0", held_out=["KLF1", "MAP2K6"])
    assert perturbed(norman, part.test) == SEEN[0] | {"KLF1+MAP2K6", "SET+KLF1"}
    assert {"KLF1", "MAP2K6", "SET"} <= set(part.options["unseen_genes"])


@pytest.mark.parametrize(("n", "tested"), [(0, 1), (1, 2 * 6)])
def test_where_every_gene_has_a_single_a_quarter_of_the_genes_is_drawn(full, n, tested):
    draws = set()
    for seed in range(6):
        part = splits.split(full, f"double_seen{n}", seed)
        unseen = set(part.options["unseen_genes"])
        assert len(unseen) == 2 and len(part.conditions) == tested
        assert all(len(set(label.split("+")) - unseen) == n for label in part.held_out)
        assert perturbed(full, part.visible) == set(LETTERS) - unseen
        draws.add(tuple(unseen))
    assert len(draws) > 1


# additive_split


@pytest.mark.parametrize("seed", range(3))
def test_additive_split_learns_all_singles_and_half_of_the_doubles(norman, full, seed):
    for adata, n in ((norman, 15), (full, 28)):
        part = splits.split(adata, "additive_split", seed)
        tested, valid, train = (perturbed(adata, names) for names in (part.test, part.valid, part.train))
        assert len(tested) == n // 2 and doubles(tested) == tested
        assert len(valid) == round(0.2 * (n - n // 2)) and doubles(valid) == valid
        assert len(doubles(train)) == n - len(tested) - len(valid)
        assert len(train - doubles(train)) == (18 if adata is norman else 8)


def test_the_stratum_of_the_additive_split_counts_the_singles(norman):
    part = splits.split(norman, "additive_split", held_out=["KLF1+SET", "MAPK1+TGFBR2", "CBL+CNN1"])
    assert part.conditions.set_index("perturbation")["stratum"].to_dict() == {
        "CBL+CNN1": "seen 0",
        "MAPK1+TGFBR2": "seen 2",
        "SET+KLF1": "seen 1",  # named in the other order
    }


# gears


def test_gears_on_a_toy_sorts_conditions_by_how_many_of_their_genes_are_in_training():
    pairs = [("A", "B"), ("C", "D"), ("A", "G"), ("G", "H"), ("E", "F"), ("B", "C")]
    conditions = [(gene,) for gene in LETTERS] + pairs
    seed = next(s for s in range(1000) if simulate(conditions, 0.75, 0.75, s)[2] == ["G", "H"])
    train, strata, _ = simulate(conditions, 0.75, 0.75, seed)
    assert {one: s for one, s in strata.items() if s != "seen 2"} == {
        ("A", "G"): "seen 1",
        ("G", "H"): "seen 0",
        ("G",): "unseen single",
        ("H",): "unseen single",
    }
    held = [one for one, stratum in strata.items() if stratum == "seen 2"]
    assert len(held) == 1 and set(held) < {("A", "B"), ("C", "D"), ("E", "F"), ("B", "C")}
    assert sorted([*train, *strata]) == sorted(conditions) and not set(train) & set(strata)
    assert simulate(conditions[::-1], 0.75, 0.75, seed)[:2] == (train, strata)


def test_the_published_counts_of_norman_come_out():
    # perturbedvae.md section 14: seen 0 9, seen 1 52, seen 2 18, and 37 single labels, which tell the two orders apart.
    conditions = [(gene,) for gene in SINGLES] + [tuple(label.split("+")) for label in DOUBLES]
    _, strata, unseen = simulate(conditions, 0.75, 0.75, 1)
    counts = pd.Series(strata).value_counts().to_dict()
    assert counts == {"seen 0": 9, "seen 1": 52, "seen 2": 18, "unseen single": len(unseen)}
    assert sum(2 if gene in TWICE else 1 for gene in unseen) == 37


def test_the_order_of_genes_in_labels_decides_only_which_doubles_of_two_seen_genes_are_tested():
    origin = [(gene,) for gene in SINGLES] + [tuple(label.split("+")) for label in DOUBLES]
    strata = [simulate(one, 0.75, 0.75, 1)[1] for one in (origin, [tuple(sorted(c)) for c in origin])]
    same = [
        {(tuple(sorted(genes)), stratum) for genes, stratum in each.items() if stratum != "seen 2"}
        for each in strata
    ]
    assert same[0] == same[1] and len(strata[0]) == len(strata[1])


def test_gears_validates_by_the_same_rule_on_nine_tenths(full):
    part = splits.split(full, "gears", 1)
    unseen = set(part.options["unseen_genes"])
    assert (
        len(unseen) == 2 and len(part.conditions) == 2 + 1 + 12 + 4
    )  # singles, seen 0, seen 1, a quarter of 15
    visible, valid = perturbed(full, part.visible), perturbed(full, part.valid)
    assert not any(set(label.split("+")) & unseen for label in visible) and len(visible) == 6 + 11
    (new,) = {
        gene for gene in set(LETTERS) - unseen if gene not in perturbed(full, part.train)
    }  # one of six genes
    assert {label for label in visible if new in label.split("+")} <= valid
    assert (
        len(valid) == sum(new in label.split("+") for label in visible) + 1
    )  # and a tenth of the other doubles


# Leaks


def leaked(adata, part, message, names):
    """Assert that the cells, moved out of the test into training, validation or something fitted, are found."""
    kept = np.setdiff1d(part.test, names)
    asked = part.conditions[part.conditions.index.isin(Screen.of(adata).obs.loc[kept, "key"])]
    for name, word in (("train", "training"), ("valid", "validation")):
        others = {other: np.setdiff1d(getattr(part, other), names) for other in ("train", "valid", "test")}
        bad = replace(part, **others | {name: np.union1d(others[name], names)}, conditions=asked)
        with pytest.raises(LeakError, match=message.format(word)) as caught:
            audit(adata, bad)
        assert any(cell in str(caught.value) for cell in names)
    with pytest.raises(LeakError, match=message.format("fitted panel")):
        audit(adata, part, {"panel": [*part.train, *names]})


HELD = r"(Cells of held-out labels|Test cells) in {}"


@pytest.mark.parametrize(
    ("setting", "options", "label"),
    [
        ("seen_single", {}, "KLF1+MAP2K6"),
        ("unseen_single", {"held_out": "KLF1"}, "SET+KLF1"),
        ("double_seen2", {}, "SGK1+TBX3"),
        ("double_seen2", {}, "KLF1+MAP2K6"),
        ("double_seen1", {"held_out": "KLF1"}, "KLF1"),
        ("double_seen1", {}, "CBL+CNN1"),
        ("double_seen0", {"held_out": ["KLF1", "MAP2K6"]}, "MAP2K6"),
        ("double_seen0", {}, "KLF1+MAP2K6"),
    ],
)
def test_a_condition_that_tells_what_is_asked_is_found_in_training_validation_and_fits(
    norman, setting, options, label
):
    leaked(norman, splits.split(norman, setting, **options), HELD, named(norman, label))


@pytest.mark.parametrize("setting", ["gears", "additive_split"])
def test_a_tested_double_is_found_in_training_validation_and_fits(full, setting):
    for seed in range(3):
        part = splits.split(full, setting, seed)
        for label in part.held_out[:4]:
            leaked(full, part, HELD, named(full, label)[:5])  # the other five are still asked about


def test_the_single_of_an_unseen_gene_is_found_though_the_split_says_that_the_gene_is_seen(full):
    for setting in ("double_seen1", "double_seen0", "gears"):
        part = splits.split(full, setting, 1)
        gene = part.options["unseen_genes"][0]
        part = replace(part, options=part.options | {"unseen_genes": []})
        if setting == "gears":  # its single is asked about itself
            asked = part.conditions[part.conditions["perturbation"] != gene]
            part = replace(part, conditions=asked, test=np.setdiff1d(part.test, named(full, gene)))
        with pytest.raises(LeakError, match=rf"Cells of held-out labels in training \({setting}\)"):
            audit(full, replace(part, train=np.union1d(part.train, named(full, gene))))


def test_a_test_cell_of_a_seen_single_is_found_in_training(norman):
    part = splits.split(norman, "seen_single")
    with pytest.raises(LeakError, match="Test cells in training: 1 found"):
        audit(norman, replace(part, train=np.append(part.train, part.test[0])))


def test_a_double_whose_label_names_its_genes_in_the_other_order_is_the_same_double():
    adata = genes_screen("ABCD", ["A+B", "B+A", "B+C", "C+D"])
    part = splits.split(adata, "additive_split", held_out="A+B")
    assert part.held_out == ("A+B", "B+A")
    only = replace(part, conditions=part.conditions.loc[["K562|A+B"]], test=named(adata, "A+B"))
    audit(adata, only)
    leaked(adata, only, HELD, named(adata, "B+A"))


def test_splits_of_real_cells_pass():
    norman2019 = load_or_skip("norman2019-mini")
    for setting, n in (("double_seen2", 5), ("double_seen1", 3), ("double_seen0", 7)):
        part = splits.split(norman2019, setting)
        assert len(part.conditions) == n and len(part.test) == 100 * n - (20 if n == 7 else 0)
        audit(norman2019, part)
    for setting in ("seen_single", "unseen_single", "additive_split", "gears"):
        audit(norman2019, splits.split(norman2019, setting).blind())
