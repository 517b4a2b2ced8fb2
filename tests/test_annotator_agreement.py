"""Agreement of annotators: by hand, against scikit-learn, at the edges, and its intervals by property."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from perturbook.errors import InputError, ShapeError
from perturbook.evaluation.annotator_agreement import agreement, between, shared_terms

ANSWERS = ["yes", "no", "unsure"]


def rated(counts):
    """Two ratings, 0, 1, …, with these counts of first against second."""
    pairs = [(i, j) for i, row in enumerate(counts) for j, n in enumerate(row) for _ in range(n)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def of(counts, **options):
    return agreement(*rated(counts), range(len(counts)), **options)


def values(found):
    return [found.share.value, found.kappa.value, found.pabak.value]


def test_four_one_one_four_gives_agreement_0_8_kappa_0_6_and_pabak_0_6():
    found = of([[4, 1], [1, 4]])
    assert found.items == 10 and found.counts.tolist() == [[4, 1], [1, 4]]
    assert values(found) == pytest.approx([0.8, 0.6, 0.6])


def test_skewed_prevalence_lowers_kappa_and_leaves_pabak():
    """Chance agreement 0.81 + 0.01 = 0.82, so kappa is (0.8 - 0.82) / 0.18 = -1/9 at the agreement of the table above."""
    assert values(of([[8, 1], [1, 0]])) == pytest.approx([0.8, -1 / 9, 0.6])


def test_pabak_counts_categories_that_could_be_chosen():
    """(3 * 0.8 - 1) / 2 = 0.7 with three, also where one of them was never chosen."""
    found = of([[4, 1, 0], [1, 4, 0], [0, 0, 0]])
    assert values(found) == pytest.approx([0.8, 0.6, 0.7])


def test_kappa_is_undefined_where_both_used_one_category_alone_and_the_rest_is_not():
    found = of([[12, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert np.isnan([found.kappa.value, found.kappa.low, found.kappa.high]).all()
    assert values(found)[::2] == [1, 1] and (found.share.low, found.pabak.low) == (1, 1)


def test_kappa_is_zero_and_defined_where_one_of_them_alone_used_one_category():
    assert of([[8, 4], [0, 0]]).kappa.value == 0


def test_all_is_undefined_without_items():
    found = agreement([], [], ANSWERS)
    assert found.items == 0 and np.isnan(values(found)).all()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weighted", [False, True])
def test_kappa_is_that_of_scikit_learn(seed, weighted):
    counts = np.random.default_rng(seed).integers(0, 6, (5, 5))
    theirs = cohen_kappa_score(*rated(counts), weights="quadratic" if weighted else None)
    assert of(counts, weighted=weighted, n=10).kappa.value == pytest.approx(theirs, abs=1e-12)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scikit_learn_leaves_kappa_undefined_in_the_same_case():
    assert np.isnan(cohen_kappa_score([1, 1], [1, 1]))


def test_weighted_kappa_by_hand():
    """Ratings 1, 2, 3 against 1, 2, 2: observed squared distance 1/3; expected (0 + 1 + 1 + 1 + 0 + 0 + 4 + 1 + 1) / 9 = 1."""
    assert agreement([1, 2, 3], [1, 2, 2], [1, 2, 3], weighted=True).kappa.value == pytest.approx(2 / 3)


def test_a_near_miss_costs_less_than_a_far_one_only_where_weighted():
    near, far = [[5, 1, 0], [0, 5, 0], [0, 0, 5]], [[5, 0, 1], [0, 5, 0], [0, 0, 5]]
    assert of(near, weighted=True).kappa.value > of(far, weighted=True).kappa.value
    assert of(near).kappa.value == pytest.approx(of(far).kappa.value)


def test_who_is_first_and_the_order_of_items_do_not_matter():
    first, second = rated([[9, 2], [3, 6]])
    forth, back = agreement(first, second, [0, 1]), agreement(second[::-1], first[::-1], [0, 1])
    assert values(forth) == values(back)
    mixed = np.random.default_rng(1).permutation(len(first))
    again = agreement([first[i] for i in mixed], [second[i] for i in mixed], [0, 1])
    assert (again.kappa, again.share, again.pabak) == (forth.kappa, forth.share, forth.pabak)


def test_an_interval_holds_its_value_narrows_with_items_and_is_decided_by_its_seed():
    few, many = of([[8, 2], [2, 8]]), of([[80, 20], [20, 80]])
    for found in (few, many):
        for one in (found.share, found.kappa, found.pabak):
            assert one.low < one.value < one.high
    assert many.kappa.high - many.kappa.low < 0.5 * (few.kappa.high - few.kappa.low)
    first, again, other = (of([[80, 20], [20, 80]], n=50, seed=seed).kappa for seed in (0, 0, 1))
    assert first == again != other


def test_the_interval_of_the_share_is_that_of_the_binomial():
    """80 of 100 agree: standard error 0.04, so 0.8 ± 0.078."""
    found = of([[40, 10], [10, 40]]).share
    assert [found.low, found.high] == pytest.approx([0.722, 0.878], abs=0.012)


def test_below_ten_items_there_is_no_interval():
    found = of([[4, 1], [1, 3]])
    assert np.isfinite(values(found)).all()
    assert np.isnan([found.kappa.low, found.share.high, found.pabak.low]).all()


def test_an_interval_of_kappa_that_is_often_undefined_is_not_given():
    found = of([[11, 0], [0, 1]])  # a third of the resamples miss the one item
    assert found.kappa.value == 1 and np.isnan(found.kappa.low) and found.share.low == 1


def test_ratings_that_cannot_be_compared_are_refused():
    with pytest.raises(ShapeError, match="2 and 1 ratings"):
        agreement(["yes", "no"], ["yes"], ANSWERS)
    with pytest.raises(InputError, match="'maybe' is none of the categories yes, no, unsure"):
        agreement(["maybe"], ["yes"], ANSWERS)
    with pytest.raises(InputError, match="two categories"):
        agreement(["yes"], ["yes"], ["yes"])


# several annotators


def test_each_pair_is_compared_on_the_items_that_both_rated():
    ratings = {"c": {"x": "yes"}, "a": {"x": "yes", "y": "no"}, "b": {"y": "no", "x": "no", "z": "yes"}}
    found = between(ratings, ANSWERS)
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [one.items for one in found.values()] == [2, 1, 1]
    assert [one.share.value for one in found.values()] == [0.5, 1, 0]


@pytest.mark.parametrize("ratings", [{}, {"a": {"x": "yes"}}])
def test_with_fewer_than_two_annotators_agreement_cannot_be_computed(ratings):
    with pytest.raises(InputError, match=f"cannot be computed with {len(ratings)} of them"):
        between(ratings, ANSWERS)


# terms


def test_terms_agree_where_one_is_shared_and_items_without_are_left_out():
    first = [["GO:1", "GO:2"], ["GO:3"], [], ["GO:1"]]
    second = [["GO:2"], ["GO:4"], ["GO:1"], []]
    found = shared_terms(first, second)
    assert (found.share.mean, found.share.n_defined) == (0.5, 2)


def test_chance_is_the_share_over_pairs_of_different_items():
    """Of the six ordered pairs of different items only the first two share a term: 2 of 6."""
    found = shared_terms([["a"], ["a"], ["b"]], [["a"], ["a"], ["b"]])
    assert found.share.mean == 1 and found.chance == pytest.approx(1 / 3)


def test_without_an_item_to_which_both_gave_a_term_it_is_undefined():
    assert np.isnan([shared_terms([[]], [["a"]]).share.mean, shared_terms([["a"]], [["a"]]).chance]).all()
    with pytest.raises(ShapeError, match="1 and 0 lists"):
        shared_terms([["a"]], [])
