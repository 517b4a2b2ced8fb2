"""The stored figures of attribution are those of the benchmark as it stands; running it again takes minutes."""

import importlib.util
import json
from pathlib import Path

import pytest
from hand_made_concepts import toy_counts, toy_model
from test_token_swap import pair_of

from perturbook.concepts.scgpt_swaps import ScGPTSwaps

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def figures():
    return json.loads((FOLDER / "attribution.json").read_text())


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("attribution_benchmark", FOLDER / "attribution.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_exact_attribution_is_faster_than_plain_passes_with_equal_numbers(figures):
    assert figures["faster"]["exact"]["median"] >= 1.2
    assert figures["largest_difference"] <= 1e-5


def test_screened_attribution_is_five_times_as_fast_and_finds_what_is_largest(figures):
    assert figures["faster"]["screened"]["median"] >= 5
    assert figures["recall"]["200"]["recall@50"] >= 0.9 and figures["recall"]["200"]["recall@20"] >= 0.9
    assert figures["recall"]["200"]["pairs"] == 10


def test_the_figures_are_of_the_size_and_requirements_that_the_benchmark_states(figures, benchmark):
    assert figures["size"].startswith("d 128, 4 layers, 480 to 544 tokens, float32, 2 threads")
    assert (benchmark.FASTER, benchmark.SAME, benchmark.SCREENED, benchmark.RECALL) == (1.2, 1e-5, 5, 0.9)
    assert figures["verified"] == benchmark.SCREEN.q + benchmark.SCREEN.others == 250
    assert figures["swaps"]["range"][0] > 250


def test_the_sides_of_the_benchmark_have_equal_outputs(benchmark):
    model = toy_model()
    encoder = ScGPTSwaps(model, model.vocabulary.tokens[:60])
    pair = pair_of(encoder, toy_counts(2))
    at = pair.at[::2]
    whole = benchmark.plain(encoder, pair, at)
    for other in (benchmark.plain(encoder, pair, at, embed=True), benchmark.exact(encoder, pair, at)):
        assert (whole - other).abs().max() < 1e-5
