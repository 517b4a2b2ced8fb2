"""Labels are told by a concept chosen on validation cells and reported on test cells; what they keep is read by one probe."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, balanced_accuracy_score, f1_score

from perturbook.concepts.concept_labels import Labelled, adjusted_information, label_ami, label_f1
from perturbook.concepts.power_kept import Power, difference, power_kept
from perturbook.errors import InputError, ShapeError

RNG = np.random.default_rng(0)


def world(n, seed, rng=RNG):
    """Concept 3 is on for A at a high code and for some others at a low one; concept 5 is on where C is not."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(["A", "B", "C"], n, p=[0.3, 0.5, 0.2])
    codes = rng.exponential(1, (n, 60)) * (rng.random((n, 60)) < 0.2)
    codes[:, 3] = np.where(labels == "A", 10.0, np.where(rng.random(n) < 0.5, 1.0, 0.0))
    codes[:, 5] = np.where(labels == "C", 0.0, 1.0)
    return codes, labels


CELLS = Labelled(*world(600, 1), *world(500, 2))


def test_concept_threshold_and_sign_are_found_and_their_f1_is_that_of_scikit_learn():
    found = label_f1(CELLS).set_index("label")
    assert found.loc["A", ["concept", "sign", "f1_test"]].tolist() == [3, 1, 1.0]
    assert found.loc["A", "threshold"] == pytest.approx(0.1)  # the lowest that leaves the others out
    assert found.loc["C", ["concept", "threshold", "sign", "f1_test"]].tolist() == [5, 0, -1, 1.0]
    b = found.loc["B"]
    active = CELLS.active(b["threshold"])[1][:, int(b["concept"])]
    said = active if b["sign"] == 1 else ~active
    assert b["f1_test"] == pytest.approx(f1_score(CELLS.test_labels == "B", said))
    assert (
        b["f1_valid"] >= 2 / 3 * 0.9
    )  # of all cells that are half B, at least what calling everything B gives
    assert b["n_test"] == (CELLS.test_labels == "B").sum()


def test_with_test_labels_shuffled_f1_on_test_falls_to_the_base_rate_and_on_validation_is_unchanged():
    true, rng = label_f1(CELLS), np.random.default_rng(0)
    runs = []
    for _ in range(40):
        shuffled = rng.permutation(CELLS.test_labels)
        runs.append(label_f1(Labelled(CELLS.valid, CELLS.valid_labels, CELLS.test, shuffled)))
    assert all(run["f1_valid"].equals(true["f1_valid"]) for run in runs)
    for i in range(3):
        assert np.mean([run["f1_test"][i] for run in runs]) == pytest.approx(true["base"][i], abs=0.015)
    assert (true["f1_test"] - true["base"]).iloc[[0, 2]].min() > 0.4
    ami = [
        label_ami(Labelled(CELLS.valid, CELLS.valid_labels, CELLS.test, rng.permutation(CELLS.test_labels)))
        for _ in range(20)
    ]
    assert np.mean([one["ami_test"] for one in ami]) == pytest.approx(0, abs=0.005)
    assert {one["ami_valid"] for one in ami} == {label_ami(CELLS)["ami_valid"]}


def test_the_threshold_is_a_share_of_the_largest_code_in_the_validation_cells():
    cells = Labelled(
        np.array([[10.0, 0], [1, 0], [0, 0]]), ["A", "B", "B"], np.array([[2.0, 5], [0.5, 5]]), ["A", "B"]
    )
    valid, test = cells.active(0.1)
    assert valid[:, 0].tolist() == [True, False, False]  # 1 is not above a tenth of 10
    assert test[:, 0].tolist() == [True, False]
    assert not test[:, 1].any()  # no validation cell activates it
    found = label_f1(cells).set_index("label").loc["A"]
    assert found["threshold"] == pytest.approx(0.1) and found["f1_test"] == 1
    # chosen at random, one of two cells, of which one is an A: half of it is right
    assert found["base"] == pytest.approx(0.5)


def test_information_is_that_of_scikit_learn_for_every_concept_at_once():
    active = RNG.random((200, 8)) < RNG.random(8)
    active[:, 0], active[:, 1] = False, True
    labels = RNG.choice(["x", "y", "z", "w"], 200, p=[0.4, 0.3, 0.2, 0.1])
    active[:, 2] = labels == "x"
    wanted = [adjusted_mutual_info_score(labels, active[:, j]) for j in range(2, 8)]
    found = adjusted_information(active, labels)
    assert found[2:] == pytest.approx(wanted, abs=1e-9) and found[:2].tolist() == [0, 0]
    assert adjusted_information(active, np.full(200, "x")).tolist() == [0] * 8


def test_the_best_information_is_chosen_on_validation():
    found = label_ami(CELLS)
    assert found["concept"] == 3 and found["threshold"] == pytest.approx(0.1)
    assert found["ami_test"] == pytest.approx(
        adjusted_mutual_info_score(CELLS.test_labels, CELLS.test_labels == "A")
    )


def test_labels_that_do_not_fit_their_cells_are_refused():
    with pytest.raises(ShapeError, match="one label per cell"):
        Labelled(np.ones((3, 2)), ["A", "B"], np.ones((3, 2)), ["A", "B", "B"])
    with pytest.raises(ShapeError, match="2 concepts for validation, 3 for test"):
        Labelled(np.ones((2, 2)), ["A", "B"], np.ones((2, 3)), ["A", "B"])
    with pytest.raises(InputError, match="not finite"):
        Labelled(np.array([[np.nan], [1]]), ["A", "B"], np.ones((2, 1)), ["A", "B"])


# power kept


def parts(n):
    """Masks of three parts of n cells, one behind the other."""
    return tuple(np.arange(n) % 3 == part for part in range(3))


def test_scores_are_those_of_scikit_learn():
    truth, said = RNG.integers(0, 4, 300), RNG.integers(0, 4, 300)
    found = Power(said, truth, 1.0)
    assert found.macro_f1 == pytest.approx(f1_score(truth, said, average="macro"))
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, said))
    low, high = found.interval("macro_f1", 200)
    assert low < found.macro_f1 < high


def test_what_is_there_is_read_and_what_is_not_is_not():
    labels = RNG.choice(["A", "B", "C"], 600, p=[0.6, 0.3, 0.1])
    points = np.eye(3)[np.unique(labels, return_inverse=True)[1]] + RNG.normal(0, 0.2, (600, 3))
    known, noise = (power_kept(x, labels, *parts(600)) for x in (points, RNG.standard_normal((600, 3))))
    assert known.macro_f1 > 0.95 and known.balanced_accuracy > 0.95
    assert abs(noise.balanced_accuracy - 1 / 3) < 0.12
    value, low, high = difference(known, noise, "balanced_accuracy", 200)
    assert 0 < low < value < high
    assert difference(known, known, "macro_f1", 50) == (0, 0, 0)


def test_the_penalty_is_chosen_on_validation_cells_and_test_labels_decide_nothing():
    labels = RNG.choice(["A", "B"], 300)
    points = RNG.standard_normal((300, 40))
    points[:, 0] += labels == "A"
    train, valid, test = parts(300)
    other = labels.copy()
    other[test] = RNG.permutation(other[test])
    first, second = (power_kept(points, given, train, valid, test) for given in (labels, other))
    assert first.strength == second.strength and np.array_equal(first.said, second.said)


def test_probes_without_cells_or_labels_are_refused():
    x, labels = RNG.standard_normal((9, 2)), np.array(list("ABC") * 3)
    train, valid, test = np.arange(9) < 3, np.arange(9) == 4, np.arange(9) > 6
    with pytest.raises(InputError, match="no cell in two of them"):
        power_kept(x, labels, train, train, test)
    with pytest.raises(InputError, match="one label only"):
        power_kept(x, np.full(9, "A"), train, valid, test)
    with pytest.raises(ShapeError, match="one label and one mask"):
        power_kept(x, labels[:5], train, valid, test)
    with pytest.raises(InputError, match="same test cells"):
        difference(Power(labels, labels, 1.0), Power(labels[:3], labels[:3], 1.0), "macro_f1")
