"""Gene sets that a list holds more of than chance: one-sided Fisher, on the tested genes as universe.

Source: `concepts.md` section 6.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, hypergeom

from perturbook.concepts.gene_sets import GeneSets
from perturbook.errors import InputError


def overrepresented(listed: Iterable[str], sets: GeneSets) -> pd.DataFrame:
    """Test every set for more genes of the list than a random list of its length holds.

    Args:
        listed: genes, such as those whose score lies above a cutoff; all in the universe.
        sets: on the tested genes.

    Returns:
        Index `term`, by rising p: `hits` (genes of the set in the list), `size`, `expected` hits, `p` (hypergeometric, of as
        many hits or more), `FDR` (Benjamini-Hochberg over all sets), `genes` (tuple of the hits). An empty list gives p = 1.

    Raises:
        InputError: a gene stands twice in the list, or was not tested.
    """
    listed = list(listed)
    if len(set(listed)) < len(listed):
        twice = next(one for one in listed if listed.count(one) > 1)
        raise InputError(f"Gene {twice!r} stands twice in the list; name each gene once.")
    if outside := sorted(set(listed) - set(sets.universe)):
        raise InputError(
            f"Gene {outside[0]!r} is in the list and not in the universe; only tested genes can be listed."
        )
    inside = np.isin(np.array(sets.universe), listed)
    hits, p = hits_and_p(inside[None], sets)
    genes = [tuple(one for one in sets.genes(name) if one in set(listed)) for name in sets.names]
    made = {
        "hits": hits[0],
        "size": sets.sizes,
        "expected": sets.sizes * inside.mean(),
        "p": p[0],
        "FDR": false_discovery_control(p[0]),
        "genes": genes,
    }
    return pd.DataFrame(made, index=pd.Index(sets.names, name="term")).sort_values("p", kind="stable")


def hits_and_p(inside: np.ndarray, sets: GeneSets) -> tuple[np.ndarray, np.ndarray]:
    """Hits of every set in many lists, and the hypergeometric p of as many or more.

    Args:
        inside: which genes of the universe each list holds, `(lists, genes)` bool.
        sets: on the universe.

    Returns:
        Hits `(lists, sets)` int, and p of the same shape.
    """
    hits = np.rint(inside.astype(float) @ sets.members.T.toarray()).astype(int)
    p = hypergeom.sf(hits - 1, inside.shape[1], sets.sizes[None], inside.sum(axis=1)[:, None])
    return hits, np.clip(p, 0, 1)  # rounding can pass 1
