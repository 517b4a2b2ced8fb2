"""A million generated cells on disk: opened, checked, split, audited and pseudobulked in bounded memory.

    python benchmarks/million_cells.py [--cells N] [--genes N] [--write FILE]

The cells are written block by block into a temporary folder and read by a fresh process, whose peak memory is told
after each step. Nothing is kept but the table, which `--write` stores as JSON.
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
import pandas as pd
import scipy.sparse as sp
import zarr
from anndata.io import sparse_dataset, write_elem

from perturbook import data, splits
from perturbook.data.blocks import ROWS
from perturbook.data.schema import CATEGORIES, CONTROL, LOGNORM, normalise

CONTEXTS, DRUGS, DOSES = 3, 180, (0.01, 0.1, 1.0, 10.0)  # the size of a sci-Plex screen
CONTROLS = 0.02
"""Share of control cells."""
DEPTHS = (150, 400)
"""Lowest and highest counts per cell, about a tenth of the genes."""
LIMIT_MB = 2000


def labels(n_cells: int, rng: np.random.Generator) -> pd.DataFrame:
    """Canonical obs of a screen in random order, without `n_counts`."""
    control = rng.random(n_cells) < CONTROLS
    drug, dose = rng.integers(DRUGS, size=n_cells), rng.choice(DOSES, size=n_cells)
    obs = pd.DataFrame(
        {
            "dataset": "generated",
            "context": np.char.add("line", rng.integers(CONTEXTS, size=n_cells).astype(str)),
            "perturbation": np.where(control, CONTROL, np.char.add("drug", drug.astype(str))),
            "kind": "drug",
            "dose_um": np.where(control, 0.0, dose),
            "is_control": control,
        },
        index=[f"cell{i:07d}" for i in rng.permutation(n_cells)],
    )
    return obs.astype(dict.fromkeys(CATEGORIES, "category"))


def counts(n_cells: int, n_genes: int, rng: np.random.Generator) -> sp.csr_matrix:
    """Counts (cells, genes), CSR float32: every cell draws its molecules from one distribution over genes."""
    share = 1 / np.arange(1, n_genes + 1) ** 0.5
    depth = rng.integers(*DEPTHS, size=n_cells)
    gene = np.searchsorted(np.cumsum(share / share.sum()), rng.random(depth.sum())).clip(max=n_genes - 1)
    drawn = sp.csr_matrix(
        (np.ones(len(gene), np.float32), gene, np.concatenate([[0], np.cumsum(depth)])), (n_cells, n_genes)
    )
    drawn.sum_duplicates()
    return drawn


def generate(path: Path, n_cells: int, n_genes: int, rows: int = ROWS, seed: int = 0) -> None:
    """Write a canonical .zarr of generated cells in blocks of `rows`."""
    rng = np.random.default_rng(seed)
    group, obs = zarr.open_group(path, mode="w", zarr_format=2), labels(n_cells, rng)
    write_elem(group, "layers", {})
    totals = []
    for start in range(0, n_cells, rows):
        block = counts(min(rows, n_cells - start), n_genes, rng)
        totals.append(np.asarray(block.sum(axis=1, dtype=float)).ravel())
        for key, values in (("X", block), (f"layers/{LOGNORM}", normalise(block, totals[-1]))):
            if start == 0:
                values.indptr = values.indptr.astype(np.int64)
                write_elem(group, key, values)
            else:
                sparse_dataset(group[key]).append(values)
    write_elem(group, "obs", obs.assign(n_counts=np.concatenate(totals)))
    write_elem(group, "var", pd.DataFrame(index=[f"GENE{i}" for i in range(n_genes)]))
    write_elem(group, "uns", {"value_kind": "counts"})
    group.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})


def measure(path: Path) -> list[dict]:
    """Run the steps one after the other in this process; seconds of each and peak memory so far."""
    rows = []

    def step(name, work):
        started = time.perf_counter()
        result = work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append(
            {"step": name, "seconds": round(time.perf_counter() - started, 1), "peak_mb": round(peak)}
        )
        return result

    cells = step("open and check", lambda: data.open_backed(path))
    for setting in ("unseen_drug", "zero_shot_context"):
        part = step(f"split: {setting}", lambda setting=setting: splits.split(cells, setting))
        step(f"audit: {setting}", lambda part=part: splits.audit(cells, part))
    step("pseudobulk", lambda: data.pseudobulk(cells))
    return rows


def main() -> None:
    """Generate, measure in a fresh process, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--write", type=Path, help="also store the table here, as JSON")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path, started = Path(folder) / "cells.zarr", time.perf_counter()
        generate(path, given.cells, given.genes)
        made = round(time.perf_counter() - started, 1)
        disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e9
        child = subprocess.run(
            [sys.executable, __file__, "--measure", str(path)], capture_output=True, text=True, check=True
        )
    rows = json.loads(child.stdout)
    print(f"{given.cells:,} cells x {given.genes:,} genes, {disk:.2f} GB on disk, generated in {made} s")
    print(pd.DataFrame(rows).to_string(index=False))
    peak = max(row["peak_mb"] for row in rows)
    print(
        f"peak memory {peak:,} MB, limit {LIMIT_MB:,} MB: {'holds' if peak < LIMIT_MB else 'DOES NOT HOLD'}"
    )
    if given.write:
        about = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
        report = {
            "cells": given.cells,
            "genes": given.genes,
            "disk_gb": round(disk, 2),
            "steps": rows,
            **about,
        }
        given.write.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(peak >= LIMIT_MB)


if __name__ == "__main__":
    main()
