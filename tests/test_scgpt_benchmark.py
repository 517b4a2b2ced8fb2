"""The stored figures are those of the benchmark as it stands; running it again takes minutes and is not a test."""

import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def figures():
    return json.loads((FOLDER / "scgpt_forward.json").read_text())


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("scgpt_forward", FOLDER / "scgpt_forward.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_forward_pass_is_faster_than_torchs_encoder_with_equal_numbers(figures):
    assert set(figures["forward"]) == {"d 512, 12 layers", "d 128, 4 layers"}
    for row in figures["forward"].values():
        assert row["encode_faster"] >= 1.3 and row["embed_faster"] >= 1.3
        assert row["largest_difference"] <= 1e-5


def test_a_whole_human_file_loads_within_the_stated_time_and_memory(figures):
    loading = figures["loading"]
    assert loading["file_mb"] > 190
    assert loading["seconds"] < 5 and loading["peak_times_file"] < 1.5


def test_the_figures_are_of_the_sizes_and_requirements_that_the_benchmark_states(figures, benchmark):
    assert figures["size"].startswith("batch 8, 512 tokens, float32, 2 threads")
    assert (benchmark.FASTER, benchmark.SAME, benchmark.SECONDS, benchmark.MEMORY) == (1.3, 1e-5, 5, 1.5)
    sizes = benchmark.CASES
    assert [(one.embsize, one.nlayers) for one, _ in sizes.values()] == [(512, 12), (128, 4)]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_the_two_sides_of_the_benchmark_have_equal_outputs(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "LENGTH", 24)
    small = benchmark.Sizes(n_tokens=40, embsize=16, nheads=2, d_hid=24, nlayers=2, pad_id=37)
    for shortest in (24, 6):
        row = benchmark.compare(small, turns=1, shortest=shortest)
        assert row["largest_difference"] <= 1e-5
