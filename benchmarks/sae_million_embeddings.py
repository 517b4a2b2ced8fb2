"""A million generated embeddings from zarr shards through the training of a sparse autoencoder, in bounded memory.

    python benchmarks/sae_million_embeddings.py [--latents M] [--write FILE]

Embeddings of 512 numbers are written shard by shard into a temporary folder; a fresh process trains on the first 10,000,
100,000 and 1,000,000 of them and tells its speed and its peak memory. 10,000 cells are taken ten times, so that enough
steps are timed. Float32, batches of 4,096, one pass over 100,000 and more, two threads. Cells per second of processor time
stand beside those of the clock, because sizes are timed one after the other and other load on the machine may change.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr

D, K, BATCH, SIZES = 512, 32, 4096, (10_000, 100_000, 1_000_000)
LIMIT_MB, FLAT = 2000, 0.8
"""Required: peak memory; cells per second of processor time of the slowest size as a share of the fastest."""


def generate(path: Path, n: int, seed: int = 0) -> None:
    """Write `(n, 512)` float32 in shards of 65,536 rows and chunks of 1,024."""
    rng = np.random.default_rng(seed)
    made = zarr.create_array(
        path, shape=(n, D), shards=(65_536, D), chunks=(1024, D), dtype="f4", compressors=None
    )
    atoms = rng.standard_normal((2000, D), dtype=np.float32)
    for at in range(0, n, 65_536):
        rows = min(65_536, n - at)
        block = rng.standard_normal((rows, D), dtype=np.float32) * np.float32(0.5)
        for _ in range(4):
            block += atoms[rng.integers(2000, size=rows)]
        made[at : at + rows] = block


def train_on(path: Path, n: int, latents: int) -> dict:
    """Train in this process; speed, seconds and peak memory."""
    import torch

    from perturbook.concepts import SAESettings, TopKSAE, train

    torch.set_num_threads(2)
    passes = max(1, 100_000 // n)
    began, processor = time.monotonic(), time.process_time()
    done = train(
        TopKSAE(D, latents, K),
        zarr.open_array(path, mode="r"),
        SAESettings(passes=passes, batch=BATCH),
        cells=np.arange(n),
    )
    return {
        "cells": n,
        "passes": passes,
        "training_cells_per_second": round(done.cells_per_second),
        "with_moments_cells_per_second": round(n * passes / (time.monotonic() - began)),
        "cells_per_processor_second": round(n * passes / (time.process_time() - processor)),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--latents", type=int, default=512)
    parser.add_argument("--write", type=Path, help="also store the figures here, as JSON")
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cells", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.path:
        print(json.dumps(train_on(given.path, given.cells, given.latents)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "embeddings.zarr"
        generate(path, max(SIZES))
        for n in SIZES:
            command = [sys.executable, __file__, "--path", path, "--cells", n, "--latents", given.latents]
            done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=True)
            rows.append(json.loads(done.stdout))
            print(rows[-1], flush=True)
    speeds = [row["cells_per_processor_second"] for row in rows]
    figures = {
        "size": f"d {D}, {given.latents} latents, K {K}, batch {BATCH}, float32, 2 threads",
        "runs": rows,
    }
    figures |= {
        "slowest_of_fastest": round(min(speeds) / max(speeds), 2),
        "load": round(os.getloadavg()[0], 1),
    }
    figures |= {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "zarr": zarr.__version__,
    }
    holds = max(row["peak_mb"] for row in rows) < LIMIT_MB and figures["slowest_of_fastest"] >= FLAT
    print(json.dumps(figures, indent=1))
    print("holds" if holds else "DOES NOT HOLD")
    if given.write:
        given.write.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
