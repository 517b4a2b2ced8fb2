"""The stored figures of the training step are those of the benchmark as it stands; running it again takes minutes."""

import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def figures():
    return json.loads((FOLDER / "scdca_step.json").read_text())


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("scdca_step", FOLDER / "scdca_step.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_step_of_the_adapter_takes_at_most_nine_tenths_of_full_fine_tuning(figures):
    assert figures["step"]["ratio"] <= 0.9
    assert figures["peak_mb"]["adapter"] < figures["peak_mb"]["full"]


def test_the_figures_are_of_the_size_and_requirement_that_the_benchmark_states(figures, benchmark):
    assert figures["size"].startswith("whole-human, batch 16, 256 tokens, float32, 2 threads")
    assert (benchmark.MOST, benchmark.BATCH, benchmark.LENGTH, benchmark.THREADS) == (0.9, 16, 256, 2)
    assert set(benchmark.SIDES) == {"adapter", "full"} == set(figures["peak_mb"])


def test_both_sides_take_the_same_batches(benchmark):
    one, again, other = benchmark.batch(1), benchmark.batch(1), benchmark.batch(2)
    assert all(bool((a == b).all()) for a, b in zip(one, again, strict=True))
    assert one[0].shape == (16, 256) and not bool((one[1] == other[1]).all())
