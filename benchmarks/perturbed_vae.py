"""Training throughput of PerturbedVAE beside a loop of its matrix products alone.

    python benchmarks/perturbed_vae.py [--turns N] [--write FILE]

One epoch over 20,000 cells x 5,000 genes, sparse, batch 64, width 256, the sizes of the paper; float32, two threads. The other
side makes the same number of steps of nothing but the matrix products that forward and backward passes of the same layers
need, on fixed arrays. Both are timed in turn within one process; what is told is the median over turns of the ratio of their
cells per second. Peak resident memory is that of a fresh process, above what it held once the data were made.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch

from perturbook.models.perturbed_vae import PerturbedVAE
from perturbook.models.perturbed_vae.batches import Cells
from perturbook.models.perturbed_vae.training import train

THREADS, CELLS, GENES, PERTS, BATCH, SHARE = 2, 20_000, 5_000, 112, 64, 0.1
LEAST = 0.25
"""Required: throughput of training over that of the matrix products alone."""
MOST_MB = 1000
"""Required: memory above the data."""


def cells() -> Cells:
    """Cells of which a tenth of the entries is not zero, a tenth control, the others in 112 environments."""
    rng = np.random.default_rng(0)
    per = int(SHARE * GENES)
    columns = np.concatenate([rng.choice(GENES, per, replace=False) for _ in range(CELLS)]).astype(np.int32)
    values = rng.gamma(2.0, 0.5, len(columns)).astype(np.float32)
    x = sp.csr_matrix((values, columns, np.arange(0, len(columns) + 1, per)), (CELLS, GENES))
    environment = np.where(np.arange(CELLS) % 10 == 0, 0, rng.integers(1, PERTS + 1, CELLS))
    return Cells(x, np.eye(PERTS + 1, dtype=np.float32)[:, 1:], environment, np.zeros(CELLS, int))


def products(model: PerturbedVAE):
    """One step of the matrix products alone: per linear layer the output, and the gradients of weight and input."""
    twice = {id(one) for part in (model.enc, model.g_iota) for one in part.modules()}  # of cell and partner
    layers = [one for one in model.modules() if isinstance(one, torch.nn.Linear)]
    arrays = []
    for one in layers:
        rows = BATCH * (1 + (id(one) in twice))
        arrays.append(
            (torch.randn(rows, one.in_features), torch.randn(rows, one.out_features), one.weight.detach())
        )

    def step() -> None:
        for number, (x, gradient, weight) in enumerate(arrays):
            x @ weight.T
            gradient.T @ x
            if number:  # nothing is asked of the cells themselves
                gradient @ weight

    return step


def timed(turns: int) -> dict:
    """Median cells per second of both sides, and of their ratio, after one turn that is not counted."""
    data, per_epoch = cells(), -(-CELLS // BATCH)
    model = PerturbedVAE(GENES, PERTS)
    step, speeds = products(model), {"training": [], "products": []}
    for turn in range(turns + 1):
        started = time.perf_counter()
        train(model, data, epochs=1, batch_size=BATCH)
        middle = time.perf_counter()
        for _ in range(per_epoch):
            step()
        ended = time.perf_counter()
        if turn:
            speeds["training"].append(CELLS / (middle - started))
            speeds["products"].append(CELLS / (ended - middle))
    ratios = [a / b for a, b in zip(*speeds.values(), strict=True)]
    row = {f"{side}_cells_per_second": round(statistics.median(values)) for side, values in speeds.items()}
    row["ratio"] = round(statistics.median(ratios), 3)
    return row | {"ratio_range": [round(min(ratios), 3), round(max(ratios), 3)]}


def memory_mb() -> dict:
    """Peak resident memory of a fresh process that trains for an epoch, above what it held before, MB."""
    done = subprocess.run([sys.executable, __file__, "--peak"], capture_output=True, text=True, check=True)
    before, peak = map(float, done.stdout.split())
    return {"with_data": round(before), "above": round(peak - before)}


def resident(key: str) -> float:
    """Resident memory of this process, MB: `VmRSS` now, `VmHWM` at its peak."""
    return int(re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--write", type=Path, help="also store the figures here, as JSON")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(THREADS)
    if given.peak:
        data = cells()
        before = resident("VmRSS")
        train(PerturbedVAE(GENES, PERTS), data, epochs=1, batch_size=BATCH)
        print(before, resident("VmHWM"))
        return
    figures = {
        "size": f"{CELLS} cells x {GENES} genes, batch {BATCH}, width 256, float32, {THREADS} threads, {given.turns} turns",
        "memory_mb": memory_mb(),
        "epoch": timed(given.turns),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    print(json.dumps(figures, indent=1))
    holds = figures["epoch"]["ratio"] >= LEAST and figures["memory_mb"]["above"] <= MOST_MB
    print("holds" if holds else "DOES NOT HOLD")
    if given.write:
        given.write.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
