"""The expected `lognorm` mean of every simulated condition: the oracle's prediction, made once and kept."""

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from perturbook.data.schema import DEPTH
from perturbook.data.simulated_counts import CellModel, draw_counts

CELLS = 400  # fresh cells per condition
BLOCK = 8  # conditions drawn at a time; each block has its own stream, so threads do not change the numbers
THREADS = 2


def expected_lognorm(
    seed: np.random.SeedSequence, model: CellModel, log_mean: np.ndarray, library: np.ndarray
) -> np.ndarray:
    """Average `lognorm` over 400 fresh cells per condition, `(conditions, genes)` float32.

    A mean of counts or of log rates would be biased on the scored scale, which is bent between the two.

    Args:
        seed: source of every draw; not the one of the cells that are scored.
        model: loadings and dispersions.
        log_mean: mean log expression per condition, `(conditions, genes)`.
        library: factor on the library size per condition, `(conditions,)`.

    Source: `simulators.md` section 1.
    """
    starts = range(0, len(log_mean), BLOCK)

    def block(start: int, child: np.random.SeedSequence) -> np.ndarray:
        rows = slice(start, start + BLOCK)
        n = len(log_mean[rows])
        counts = draw_counts(
            np.random.default_rng(child), model, log_mean[rows], library[rows], np.full(n, CELLS)
        )
        counts *= np.float32(DEPTH) / counts.sum(axis=1, keepdims=True)
        counts += 1
        np.log(counts, out=counts)
        return counts.reshape(n, CELLS, -1).mean(axis=1)

    with ThreadPoolExecutor(THREADS) as pool:
        return np.concatenate(list(pool.map(block, starts, seed.spawn(len(starts)))))


def kept(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the array kept at `path` (.npz), or make it and keep it; an interrupted write leaves no file there."""
    if path.is_file():
        with np.load(path) as stored:
            return stored["expected_lognorm"]
    array = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        partial = Path(folder) / path.name
        np.savez(partial, expected_lognorm=array)
        partial.replace(path)
    return array
