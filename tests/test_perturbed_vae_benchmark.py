"""The stored figures of training PerturbedVAE are those of the benchmark as it stands; running it again takes minutes."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def figures():
    return json.loads((FOLDER / "perturbed_vae.json").read_text())


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("perturbed_vae_benchmark", FOLDER / "perturbed_vae.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_training_reaches_a_quarter_of_its_matrix_products_alone_within_a_gigabyte(figures):
    assert figures["epoch"]["ratio"] >= 0.25
    assert figures["memory_mb"]["above"] <= 1000


def test_the_figures_are_of_the_size_and_requirement_that_the_benchmark_states(figures, benchmark):
    assert figures["size"].startswith("20000 cells x 5000 genes, batch 64, width 256, float32, 2 threads")
    sizes = (benchmark.CELLS, benchmark.GENES, benchmark.BATCH, benchmark.THREADS)
    assert sizes == (20_000, 5_000, 64, 2) and (benchmark.LEAST, benchmark.MOST_MB) == (0.25, 1000)


def test_the_products_are_those_of_every_linear_layer_and_of_both_cells_of_a_pair(benchmark, monkeypatch):
    import torch

    from perturbook.models.perturbed_vae import PerturbedVAE

    model, counted = PerturbedVAE(50, 3), []
    multiply = torch.Tensor.__matmul__
    monkeypatch.setattr(
        torch.Tensor, "__matmul__", lambda a, b: counted.append((a.shape, b.shape)) or multiply(a, b)
    )
    benchmark.products(model)()
    flops = sum(2 * a[0] * a[1] * b[1] for a, b in counted)
    layers = [one for one in model.modules() if isinstance(one, torch.nn.Linear)]
    shared = {id(one) for part in (model.enc, model.g_iota) for one in part.modules()}
    rows = np.array([benchmark.BATCH * (1 + (id(one) in shared)) for one in layers])
    size = np.array([one.in_features * one.out_features for one in layers])
    assert flops == 2 * (3 * rows @ size - rows[0] * size[0])
