"""The space that distribution metrics look at: principal components of measured cells, the same for all methods."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.linalg import eigh

from perturbook.evaluation.rounding import stored, stored_loadings
from perturbook.evaluation.truth import MAX_CELLS, rng_of

N_COMPONENTS, MAX_PCA_CELLS = 50, 1_000


def sample_of(names: np.ndarray, seed: int, key: str) -> np.ndarray:
    """Positions of the cells of a condition that coordinates describe: up to 200, in rising order."""
    return np.sort(rng_of(seed, f"cells {key}").permutation(len(names))[:MAX_CELLS])


def principal_axes(
    read: Callable[[np.ndarray], np.ndarray],
    tested: Sequence[np.ndarray],
    keys: Sequence[str],
    controls: Sequence[np.ndarray],
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and loadings of a PCA of up to 1,000 measured cells, treated and control, `(genes,)` and `(genes, 50)`.

    Rounded before use, so that measured and predicted profiles meet in one and the same space.

    Args:
        read: gives the values `(cells, genes)` of named cells.
        tested: names of the cells of each tested condition.
        keys: condition keys, as `tested`.
        controls: names of the control cells of each context.
        seed: decides the cells.

    Source: metrics.md section 5 (50 components: choose); that 1,000 cells make the axes, as they make a distance, is our
    choice.
    """
    sampled = [names[sample_of(names, seed, key)] for names, key in zip(tested, keys, strict=True)]
    names = np.concatenate([*sampled, *controls])
    pick = np.sort(np.random.default_rng([seed, 2]).permutation(len(names))[:MAX_PCA_CELLS])
    mean, loadings = _principal_components(read(names[pick]), N_COMPONENTS)
    return stored(mean), stored_loadings(loadings)


def _principal_components(cells: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and orthonormal loadings `(genes, components)` of an exact PCA, widest first; none without variance.

    From the products of the cells or of the genes, whichever are fewer. The largest loading is positive.
    """
    mean = cells.mean(axis=0)
    centered = cells - mean
    tall = len(cells) > cells.shape[1]
    products = centered.T @ centered if tall else centered @ centered.T
    size = len(products)
    values, vectors = eigh(products, subset_by_index=[max(0, size - most), size - 1])
    some = values > 1e-9 * values[-1]
    vectors = vectors[:, some][:, ::-1]
    loadings = vectors if tall else centered.T @ vectors / np.sqrt(values[some][::-1])
    largest = np.take_along_axis(loadings, np.abs(loadings).argmax(axis=0)[None], axis=0)
    return mean, loadings * np.sign(largest)
