"""Counterfactual attribution by hand and by property. `concepts.md` sections 5 and 13."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hand_made_concepts import HandMade, cells_of, toy_concepts, toy_counts

from perturbook.concepts.attribution import attribute
from perturbook.concepts.attribution_diagnostics import completeness, identity_noise, joint_swap
from perturbook.concepts.attribution_file import attribution_key, read_attribution, write_attributions
from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.concept_scores import concept_scores
from perturbook.concepts.counterfactual_cells import candidates
from perturbook.concepts.linear_encoder import LinearEncoder
from perturbook.concepts.prototypes import prototypes
from perturbook.errors import ConfigError, InputError, ShapeError

ENCODER = LinearEncoder(np.array([[1.0, 0, -1], [0, 1, 0]]))
FIRST = HandMade(np.eye(2), k=1)


def only(cell, other, concepts=FIRST, settings=None):
    """The attribution of concept 0 on one cell against one other."""
    found, passes = attribute(ENCODER, concepts, cells_of(ENCODER, [cell, other]), [0], settings)
    return found[0], passes


# by hand


def test_attributions_by_hand():
    """Check 2: relative (0.75, 0, 0.5), absolute (3, 0, 2), pre-activation (0.6, 0, 0.4); gene 2 is skipped."""
    one, passes = only([4, 0.5, 0], [1, 0.5, 2])
    assert one.swaps["gene"].tolist() == [0, 2] and passes.run == 2 and passes.asked == 3
    assert np.allclose(one.swaps["relative"], [0.75, 0.5], atol=1e-7)
    assert np.allclose(one.swaps["absolute"], [3, 2], atol=1e-6)
    assert np.allclose(one.swaps["pre"], [0.6, 0.4], atol=1e-7)
    assert one.swaps["kind"].tolist() == [0, 2] and not one.swaps["overtaken"].any()
    assert np.allclose(joint_swap(ENCODER, FIRST, one), 1)
    assert np.allclose(completeness(one), [[1.25, 1]], atol=1e-6)
    scores = concept_scores(one.swaps, one.genes, {0: 1}, least_tested=1)
    assert np.allclose(scores["relative"], [0.75, 0, 0.5]) and scores["tested"].tolist() == [1, 0, 1]


def test_an_overtaken_concept_is_flagged_and_its_pre_activation_is_kept():
    """Check 3."""
    one, _ = only([4, 0.5, 0], [0.4, 0.5, 2])
    assert np.allclose(one.swaps["relative"], [1, 0.5])
    assert np.allclose(one.swaps["pre"], [3.6 / 5.6, 2 / 5.6], atol=1e-6)
    assert one.swaps["overtaken"].tolist() == [True, False]
    assert one.overtaken == 0.5 and one.rank_by == "pre"


def test_a_code_that_falls_to_zero_because_its_own_pre_activation_does_is_not_overtaken():
    one, _ = only([4, 0.5, 0], [0, 0.5, 2])
    assert one.swaps["relative"].tolist() == [1, 0.5] and not one.swaps["overtaken"].any()
    assert one.rank_by == "relative"


def test_scores_are_means_over_all_prototypes_with_equal_genes_as_zero():
    swaps = pd.DataFrame(
        {
            "prototype": [3, 3, 5, 7, 7],
            "counterfactual": [0] * 5,
            "gene": [0, 2, 0, 0, 2],
            "kind": [0, 1, 2, 0, 1],
            "relative": [0.3, -0.2, 0.6, -0.3, -0.4],
            "absolute": [3.0, -2, 6, -3, -4],
            "pre": [0.1] * 5,
            "overtaken": [False, False, True, False, False],
            "exact": [True] * 5,
            "first_order": [np.nan] * 5,
        }
    )
    made = concept_scores(swaps, list("abc"), {3: 1, 5: 1, 7: 1, 9: 1}, least_tested=3)
    assert np.allclose(made["relative"], [0.6 / 4, 0, -0.6 / 4])
    assert made["tested"].tolist() == [3, 0, 2] and made["status"].tolist() == [
        "exact",
        "not tested",
        "not tested",
    ]
    assert np.allclose(made["mean_tested"], [0.2, np.nan, -0.3], equal_nan=True)
    assert np.isclose(made.loc["a", "error"], np.std([0.3, 0.6, -0.3, 0], ddof=1) / 2)
    assert np.allclose(
        made.loc["a", ["value change", "removal", "addition"]].astype(float), [2 / 3, 0, 1 / 3]
    )
    assert np.isclose(made.loc["a", "same_sign"], 2 / 3) and made.loc["c", "same_sign"] == 1
    assert np.isclose(made.loc["a", "overtaken"], 1 / 3) and np.isnan(made.loc["b", "overtaken"])
    twice = pd.concat([swaps, swaps.assign(counterfactual=1, relative=0.0, absolute=0.0)])
    halved = concept_scores(twice, list("abc"), {3: 2, 5: 2, 7: 2, 9: 2}, least_tested=3)
    assert np.allclose(halved["relative"], made["relative"] / 2) and halved["tested"].tolist() == [3, 0, 2]


def test_a_gene_that_was_only_screened_has_no_exact_score_and_no_rank():
    rows = {
        "prototype": range(5),
        "counterfactual": 9,
        "gene": 0,
        "kind": 0,
        "relative": 0.5,
        "absolute": 1.0,
        "pre": 0.5,
    }
    swaps = pd.DataFrame(rows | {"overtaken": False, "exact": True, "first_order": 0.4})
    one = concept_scores(swaps, ["a"], dict.fromkeys(range(5), 1))
    assert one.loc["a", "status"] == "exact" and np.isclose(one.loc["a", "relative"], 0.5)
    swaps.loc[2, ["relative", "exact"]] = [np.nan, False]
    one = concept_scores(swaps.astype({"exact": bool}), ["a"], dict.fromkeys(range(5), 1))
    assert one.loc["a", "status"] == "screened" and np.isnan(one.loc["a", "relative"])
    assert np.isclose(one.loc["a", "first_order"], 0.4)


# which cells


def test_prototypes_are_the_most_active_cells_ties_by_row_and_few_of_a_donor():
    codes = np.array([0.0, 3, 5, 5, 1, 4])
    assert prototypes(codes, 3).tolist() == [2, 3, 5]
    assert prototypes(codes, 9).tolist() == [2, 3, 5, 1, 4]  # never an inactive one
    donors = np.array(["a", "b", "a", "a", "b", "b"])
    assert prototypes(codes, 9, donors=donors, per_donor=1).tolist() == [2, 5]
    assert prototypes(codes, 2, refused={2}).tolist() == [3, 5]
    assert prototypes(codes, 3, stratum="middle").tolist() == [5, 3, 1]
    with pytest.raises(ShapeError, match="one label per cell"):
        prototypes(codes, donors=donors[:2])
    with pytest.raises(ConfigError, match="top or middle"):
        prototypes(codes, stratum="bottom")


def test_the_counterfactual_is_the_nearest_inactive_cell_ties_by_row():
    z = np.array([[0.0, 0], [3, 4], [1, 0], [0, 1], [0.1, 0]])
    codes = np.array([1.0, 0, 0, 0, 2])
    rows, distances = candidates(z, codes, 0)
    assert rows.tolist() == [2, 3, 1] and distances.tolist() == [1, 1, 5]
    assert candidates(z, codes, 0, against="active")[0].tolist() == [4]
    orders = {tuple(candidates(z, codes, 0, against="random", seed=seed)[0]) for seed in range(9)}
    assert len(orders) > 1 and all(sorted(order) == [1, 2, 3] for order in orders)


def tissue(seed=0, cells=120, donors=4):
    """Cells whose donor moves the first gene of the linear encoder above, by name of the donor."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(3.0, (cells, 3))
    obs = pd.DataFrame(
        {"donor": [f"d{i % donors}" for i in range(cells)]}, index=[f"c{i}" for i in range(cells)]
    )
    return cells_of(ENCODER, counts, obs)


def test_matched_counterfactuals_never_cross_donors_and_impossible_ones_are_no_match():
    """Check 13."""
    cells = tissue()
    one = attribute(ENCODER, FIRST, cells, [0], AttributionSettings(n=12, match_on=("donor",)))[0][0]
    donors = cells.obs["donor"].to_numpy()
    pairs = one.pairs[one.pairs["status"] == "matched"]
    assert len(pairs) > 5
    assert (donors[pairs["prototype"]] == donors[pairs["counterfactual"].astype(int)]).all()
    free = attribute(ENCODER, FIRST, cells, [0], AttributionSettings(n=12))[0][0].pairs
    assert (donors[free["prototype"]] != donors[free["counterfactual"].astype(int)]).any()
    alone = replace(cells, obs=cells.obs.assign(donor=[f"d{i}" for i in range(120)]))
    none = attribute(ENCODER, FIRST, alone, [0], AttributionSettings(n=12, match_on=("donor",)))[0][0]
    assert set(none.pairs["status"]) == {"no match"} and len(none.pairs) == 12
    assert set(none.pairs) == set(one.pairs) and none.pairs["counterfactual"].isna().all()
    assert not len(none.swaps) and none.scores["status"].eq("not tested").all() and not len(none.ranking)


def test_a_donor_gives_few_prototypes():
    cells = tissue()
    one = attribute(ENCODER, FIRST, cells, [0], AttributionSettings(n=30, donor="donor", per_donor=2))[0][0]
    assert cells.obs["donor"].iloc[[m.cell for m in one.matched]].value_counts().max() == 2


def test_thirty_prototypes_at_the_top_and_ten_in_the_middle_are_taken_unless_told_otherwise():
    assert AttributionSettings().prototypes == 30 and AttributionSettings(stratum="middle").prototypes == 10
    middle = attribute(ENCODER, FIRST, tissue(), [0], AttributionSettings(stratum="middle"))[0][0]
    top = attribute(ENCODER, FIRST, tissue(), [0], AttributionSettings(n=10))[0][0]
    assert len(middle.matched) == 10
    assert middle.pairs["code"].max() < top.pairs["code"].max() and middle.pairs["code"].min() > 0


def test_columns_and_labels_that_are_missing_are_named():
    cells = tissue()
    with pytest.raises(InputError, match="'batch', and obs has donor"):
        attribute(ENCODER, FIRST, cells, [0], AttributionSettings(match_on=("batch",)))
    with pytest.raises(InputError, match="no column 'batch' for donor"):
        attribute(ENCODER, FIRST, cells, [0], AttributionSettings(donor="batch"))
    unlabelled = replace(cells, obs=cells.obs.assign(donor=None))
    with pytest.raises(InputError, match="has no label"):
        attribute(ENCODER, FIRST, unlabelled, [0], AttributionSettings(match_on=("donor",)))
    with pytest.raises(ConfigError, match="tuple"):
        AttributionSettings(match_on="donor")
    with pytest.raises(ShapeError, match="do not fit"):
        replace(cells, embeddings=cells.embeddings[:3])


def test_five_counterfactuals_are_averaged():
    cells = tissue()
    five = attribute(ENCODER, FIRST, cells, [0], AttributionSettings(n=6, k=5))[0][0]
    assert five.counterfactuals == dict.fromkeys(five.counterfactuals, 5)
    by_hand = five.swaps[five.swaps["gene"] == 0].groupby("prototype")["relative"].sum().sum() / 5 / 6
    assert np.isclose(five.scores.loc["GENE0", "relative"], by_hand)


class Forgetful(LinearEncoder):
    """An encoder of two genes at a time: on the list of a pair a cell may look otherwise than on its own."""

    most_genes = 2


def test_candidates_that_activate_and_prototypes_that_do_not_on_their_list_are_passed_over_and_counted():
    encoder = Forgetful(np.array([[1.0, 1, -1, -1, -1]]))
    counts = [
        [9, 0, 0, 0, 0],  # active
        [0, 6, 3, 3, 3],  # inactive, but active on genes 0 and 1, which tell it best from the first cell
        [0, 0, 4, 0, 0],  # inactive on any list, and further away
        [
            0,
            6,
            3,
            0,
            0,
        ],  # active, but not on genes 3 and 4, which alone tell it from its nearest inactive cell
    ]
    one = attribute(encoder, HandMade(np.ones((1, 1)), k=1), cells_of(encoder, counts), [0])[0][0]
    assert one.refused == 1
    (pair,) = one.pairs.itertuples()
    assert (pair.prototype, pair.counterfactual, pair.passed_over, pair.genes) == (0, 2, 1, 2)
    assert pair.code == 9 and pair.code_counterfactual == 0 and pair.pre_counterfactual == -4


# invariants on an encoder that is not linear


@pytest.fixture(scope="module")
def toy():
    return toy_concepts(k=3)


def test_the_joint_swap_is_one_and_equal_genes_are_exactly_zero(toy):
    """Check 10."""
    encoder, concepts, cells = toy
    found, _ = attribute(encoder, concepts, cells, range(8), AttributionSettings(n=3))
    for one in found.values():
        assert np.abs(joint_swap(encoder, concepts, one) - 1).max() < 1e-5
        assert identity_noise(encoder, concepts, one).max() < 1e-4
        for read in (read for matched in one.matched for read in matched.read):
            of = one.swaps["prototype"] == read.pair.cell
            equal = read.pair.genes[read.pair.base == read.pair.other]
            assert not set(equal) & set(one.swaps["gene"][of])
        never = np.setdiff1d(np.arange(60), one.swaps["gene"])
        assert (one.scores["relative"].to_numpy()[never] == 0).all()


def test_the_joint_swap_shows_an_injected_fault(toy):
    encoder, concepts, cells = toy
    one = attribute(encoder, concepts, cells, [0], AttributionSettings(n=3))[0][0]
    read = one.matched[0].read[0]
    wrong = replace(read, pair=replace(read.pair, other=np.roll(read.pair.other, 1)))
    broken = replace(one, matched=[replace(one.matched[0], read=(wrong,)), *one.matched[1:]])
    assert np.abs(joint_swap(encoder, concepts, broken) - 1).max() > 1e-3


def test_the_pre_activation_is_complete_for_a_linear_encoder_whatever_the_concept():
    """Check 12, first half; the second is in test_gradient_screen.py."""
    rng = np.random.default_rng(0)
    encoder = LinearEncoder(rng.standard_normal((6, 40)))
    cells = cells_of(encoder, toy_counts(50, 40))
    w = rng.standard_normal((10, 6))
    found, _ = attribute(encoder, HandMade(w, k=4), cells, range(10), AttributionSettings(n=5))
    tables = [completeness(one) for one in found.values()]
    pre = pd.concat(tables)["pre"]
    assert len(pre) == 50 and np.abs(pre - 1).max() < 2e-6  # columns are kept in single precision
    relative = pd.concat(tables)["relative"]
    assert np.abs(relative - 1).max() > 0.1  # which the code, with its Top-K, is not


def test_attribution_with_a_threshold_does_not_depend_on_other_cells_in_the_batch():
    """Check 14."""
    cells = tissue()
    frozen = HandMade(np.eye(2), threshold=2.0)
    alone = attribute(ENCODER, frozen, cells, [0], AttributionSettings(n=4))[0][0]
    beside = attribute(ENCODER, frozen, cells, [1, 0], AttributionSettings(n=4))[0][0]
    pd.testing.assert_frame_equal(alone.swaps, beside.swaps)

    class OfTheBatch(HandMade):
        """BatchTopK as in training: what is kept depends on the whole batch."""

        def encode(self, x):
            p = self.pre_activations(x)
            return torch.where(p >= p.flatten().topk(len(p) // 2).values[-1], p, 0).clamp(min=0)

    z = torch.from_numpy(cells.embeddings)
    assert torch.equal(frozen.encode(z)[:5], frozen.encode(z[:5]))
    trained = OfTheBatch(np.eye(2))
    assert not torch.equal(trained.encode(z)[:5], trained.encode(z[:5]))


def test_swaps_of_counts_and_of_tokens_are_two_levels(toy):
    encoder, concepts, cells = toy
    token = attribute(encoder, concepts, cells, [0], AttributionSettings(n=3))[0][0]
    raw = attribute(encoder, concepts, cells, [0], AttributionSettings(n=3, level="raw"))[0][0]
    assert [m.cell for m in raw.matched] == [m.cell for m in token.matched]
    for row in raw.swaps.itertuples():
        counts = cells.counts[[row.prototype, row.counterfactual], row.gene].toarray().ravel()
        assert counts[0] != counts[1]
    assert not np.allclose(raw.scores["relative"], token.scores["relative"], atol=1e-3)


def test_removal_and_mask_are_switches_that_touch_only_what_the_prototype_expresses(toy):
    encoder, concepts, cells = toy
    made = {
        by: attribute(encoder, concepts, cells, [0], AttributionSettings(n=3, by=by))[0][0]
        for by in ("swap", "removal", "mask")
    }
    assert len({tuple(m.cell for m in one.matched) for one in made.values()}) == 1
    for by in ("removal", "mask"):
        swaps = made[by].swaps
        expressed = [cells.counts[row.prototype, row.gene] > 0 for row in swaps.itertuples()]
        assert all(expressed) and set(swaps["kind"]) == {1 if by == "removal" else 0}
    both = made["swap"].swaps.merge(made["removal"].swaps, on=["prototype", "gene"])
    gone = both["kind_x"] == 1  # a gene that the counterfactual lacks is removed either way
    assert gone.sum() > 5 and np.allclose(both["absolute_x"][gone], both["absolute_y"][gone], atol=1e-5)
    assert not np.allclose(both["absolute_x"][~gone], both["absolute_y"][~gone], atol=1e-3)
    with pytest.raises(ConfigError, match="no token that masks"):
        attribute(ENCODER, FIRST, tissue(), [0], AttributionSettings(by="mask"))
    with pytest.raises(ConfigError, match="only swaps have counts"):
        AttributionSettings(by="mask", level="raw")


def test_the_same_call_gives_the_same_numbers_and_other_concepts_beside_change_none(toy):
    encoder, concepts, cells = toy
    one, again = (attribute(encoder, concepts, cells, [2], AttributionSettings(n=3))[0][2] for _ in range(2))
    pd.testing.assert_frame_equal(one.swaps, again.swaps)
    with_others = attribute(encoder, concepts, cells, range(8), AttributionSettings(n=3))[0][2]
    pd.testing.assert_frame_equal(one.swaps, with_others.swaps, atol=1e-4)


def test_a_concept_that_no_cell_activates_has_no_swaps():
    cells = tissue()
    one = attribute(ENCODER, HandMade(np.eye(2), threshold=1e6), cells, [0])[0][0]
    assert not len(one.pairs) and not len(one.swaps) and np.isnan(one.overtaken)
    assert one.scores["status"].eq("not tested").all()


# on disk


def test_tables_on_disk_belong_to_their_key(tmp_path):
    cells, settings = tissue(), AttributionSettings(n=8)
    found, _ = attribute(ENCODER, FIRST, cells, [0, 1], settings)
    key = attribution_key(ENCODER, "sha of the concepts", cells, settings)
    write_attributions(tmp_path, found, key)
    for name in ("scores", "swaps", "pairs"):
        table = read_attribution(tmp_path, 1, name, key)
        pd.testing.assert_frame_equal(table, getattr(found[1], name), check_dtype=False, atol=1e-6)
        assert not len(table.select_dtypes("float64").columns)
    with pytest.raises(InputError, match="settings differ"):
        read_attribution(
            tmp_path,
            1,
            "scores",
            attribution_key(ENCODER, "sha of the concepts", cells, AttributionSettings(k=5)),
        )
    other = LinearEncoder(2 * ENCODER.matrix.numpy())
    with pytest.raises(InputError, match="encoder differ"):
        write_attributions(tmp_path, found, attribution_key(other, "sha of the concepts", cells, settings))
    with pytest.raises(InputError, match="no scores of concept 7"):
        read_attribution(tmp_path, 7, "scores", key)
