"""The stored figures are those of the benchmark as it stands; running it again takes minutes and is not a test."""

import importlib.util
import json
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "benchmarks"
FIGURES = json.loads((FOLDER / "evaluation.json").read_text())


def test_a_full_evaluation_is_eight_times_faster_than_cell_eval_in_less_than_a_gigabyte():
    assert FIGURES["faster"]["first"] >= 8
    assert FIGURES["perturbook"]["peak_mb"] < 1_000
    assert FIGURES["perturbook"]["metrics"] > FIGURES["cell-eval"]["metrics"] >= 28


def test_the_figures_are_of_the_size_and_the_requirement_that_the_benchmark_states():
    spec = importlib.util.spec_from_file_location("evaluation", FOLDER / "evaluation.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (module.FASTER, module.MEMORY_MB, module.RESAMPLES) == (8, 1_000, 1_000)
    assert (module.CONDITIONS, module.CELLS, module.GENES, module.CONTROLS) == (100, 100, 2_000, 1_000)
    assert FIGURES["size"].startswith("100 conditions x 100 cells x 2000 genes, 1000 controls")
