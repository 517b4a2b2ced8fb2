"""The stored figures of enrichment are those of the benchmark as it stands; running it again takes minutes."""

import importlib.util
import json
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "benchmarks"
FIGURES = json.loads((FOLDER / "enrichment.json").read_text())


def test_the_batched_form_is_twenty_times_as_fast_as_gseapy_with_its_es_and_nearly_its_nes():
    assert FIGURES["faster"]["one"]["median"] >= 20 and FIGURES["faster"]["matched_null"]["median"] >= 500
    assert FIGURES["largest_difference_ES"] < 1e-12
    assert FIGURES["difference_NES"]["95_percent"] <= 0.05


def test_the_figures_are_of_the_size_and_the_requirement_that_the_benchmark_states():
    spec = importlib.util.spec_from_file_location("enrichment_benchmark", FOLDER / "enrichment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (module.GENES, module.FASTER, module.NES_WITHIN, module.PERMUTATIONS) == (1200, 20, 0.05, 1000)
    assert FIGURES["size"].startswith("1200 genes, geneset-go-bp, 1000 permutations, 1 thread")
