"""A probe finds what a representation holds, says chance where it holds nothing, and undefined where there is nothing to find."""

import numpy as np
import pytest

from perturbook.errors import InputError, ShapeError
from perturbook.evaluation.probes import probe_labels, probe_numbers

LABELS = np.repeat(["a", "b", "c", "d"], 60)
HELD = np.arange(240) % 3 == 0
COPY = (LABELS[:, None] == np.unique(LABELS)).astype(float)


def noise(width=5, seed=0):
    return np.random.default_rng(seed).normal(size=(240, width))


def test_a_copy_of_the_label_is_read_without_error_and_lies_beyond_the_null():
    probe = probe_labels(COPY, LABELS, HELD)
    assert probe.score == 1 and probe.bounds[1] < 0.4
    interval = probe.interval()
    assert (interval.mean, interval.low, interval.high, interval.n_total) == (1, 1, 1, 80)


def test_noise_is_at_chance_and_within_the_null():
    probe = probe_labels(noise(), LABELS, HELD)
    low, high = probe.bounds
    assert low < probe.score < high and np.mean(probe.null) == pytest.approx(0.25, abs=0.01)


def test_the_score_of_a_label_weighs_every_label_the_same():
    said, labels = np.array([0.0, 0, 0, 0, 1, 0] * 2), np.array(["a"] * 4 + ["b"] * 2 + ["a"] * 4 + ["b"] * 2)
    held = np.arange(12) >= 6
    # of the held-out cells all four of a and one of two of b carry the mark of their label: (1 + 1/2) / 2
    assert probe_labels(said[:, None], labels, held, permutations=10).score == pytest.approx(0.75)


def test_a_copy_of_a_number_correlates_fully_and_order_or_scale_of_coordinates_do_not_matter():
    points = noise()
    number = points @ [1.0, -2, 0, 0, 3]
    probe = probe_numbers(points, number, HELD, LABELS)
    assert probe.score == pytest.approx(1, abs=1e-6) and probe.interval().low > 0.999
    assert np.abs(np.array(probe.bounds)).max() < 0.35
    other = probe_numbers(points[:, ::-1] * [1, 10, 0.1, -5, 2] + 7, number, HELD, LABELS)
    assert other.score == pytest.approx(probe.score)


def test_a_number_that_is_not_there_is_read_no_better_than_permuted():
    low, high = (probe := probe_numbers(noise(), noise(1, 1)[:, 0], HELD, LABELS)).bounds
    assert low < probe.score < high and low < 0 < high


def test_a_constant_representation_reads_nothing():
    constant = np.ones((240, 3))
    assert probe_labels(constant, LABELS, HELD).score == pytest.approx(0.25)
    probe = probe_numbers(constant, noise(1)[:, 0], HELD, LABELS)
    assert probe.score == 0 and probe.bounds == (0, 0)


@pytest.mark.parametrize("number", [np.ones(240), np.where(np.arange(240) == 7, np.nan, 1.0)])
def test_a_number_that_does_not_vary_or_is_not_known_is_undefined(number):
    probe = probe_numbers(noise(), number, HELD, LABELS)
    assert np.isnan(probe.score) and np.isnan(probe.bounds).all() and probe.interval().kind == "undefined"


def test_cells_are_not_scored_that_the_probe_was_fitted_on():
    # labels of fitting cells and of held-out cells have nothing to do with each other, and coordinates name the cell
    names = np.eye(240)
    dealt = np.random.default_rng(3).permutation(LABELS)
    assert probe_labels(names, dealt, HELD).score < 0.45


def test_what_cannot_be_probed_is_refused():
    with pytest.raises(ShapeError, match=r"held is \(3,\)"):
        probe_labels(noise(), LABELS, np.array([True, False, True]))
    with pytest.raises(ShapeError, match=r"shape \(4,\); give one value for each of the 240 cells"):
        probe_labels(noise(), LABELS[:4], HELD)
    with pytest.raises(InputError, match="cells to be scored"):
        probe_numbers(noise(), noise(1)[:, 0], np.zeros(240, bool), LABELS)
    with pytest.raises(InputError, match="No cell of d is left"):
        probe_labels(noise(), LABELS, HELD | (LABELS == "d"))
