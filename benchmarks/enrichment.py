"""Preranked enrichment of many rankings: gseapy beside the batched form of this book.

    python benchmarks/enrichment.py [--turns N] [--write FILE]

1,200 genes, Gene Ontology biological processes after the usual filters, 1,000 permutations, one thread. Both sides rank
the same scores in turn within one process; told is the median over turns of the ratio of processor time, so that other load
on the machine counts little. `one` is a ranking alone; `matched_null` is a concept with its 100 random rankings, whose time
in gseapy is 101 times that of one.
"""

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import gseapy
import numpy as np
import pandas as pd

from perturbook.concepts.enrichment import enrich
from perturbook.concepts.fast_prerank import FastPrerank
from perturbook.concepts.gene_sets import GeneSets, Library
from perturbook.concepts.matched_null import RANKINGS, annotated
from perturbook.concepts.running_sum import PERMUTATIONS

GENES, LIBRARY, FASTER, NES_WITHIN = 1200, "geneset-go-bp", 20, 0.05
"""Required: speed over gseapy for one ranking, and how close NES must be for nineteen sets in twenty."""


def measured(turns: int) -> dict:
    """Seconds, ratios and differences over turns."""
    library = Library.load(LIBRARY)
    every = pd.Series([gene for of in library.sets.values() for gene in of]).value_counts(sort=False)
    genes = sorted(every[every >= 10].index)[:GENES]
    seconds, apart = {"gseapy": [], "one": [], "matched_null": []}, {"ES": [], "NES": []}
    for turn in range(turns + 1):
        rng = np.random.default_rng(turn)
        scores, detected = (pd.Series(one, genes) for one in (rng.standard_normal(GENES), rng.random(GENES)))
        started = time.process_time()
        theirs = enrich(scores, library, seed=turn).table
        between = time.process_time()
        fast = FastPrerank.of(scores, GeneSets.of(library, genes), seed=turn)
        ours = fast.table().loc[theirs.index]
        ended = time.process_time()
        annotated(fast, detected)
        spans = between - started, ended - between, time.process_time() - between
        if turn:  # the first imports gseapy
            for side, span in zip(seconds, spans, strict=True):
                seconds[side].append(span)
            for name, values in apart.items():
                values.append((theirs[name] - ours[name]).abs().to_numpy())
    ratios = {
        "one": [a / b for a, b in zip(seconds["gseapy"], seconds["one"], strict=True)],
        "matched_null": [
            a * (RANKINGS + 1) / b for a, b in zip(seconds["gseapy"], seconds["matched_null"], strict=True)
        ],
    }
    return {
        "sets": len(theirs),
        "seconds": {side: round(statistics.median(s), 3) for side, s in seconds.items()},
        "faster": {
            side: {
                "median": round(statistics.median(r), 1),
                "range": [round(min(r), 1), round(max(r), 1)],
            }
            for side, r in ratios.items()
        },
        "largest_difference_ES": float(np.nanmax(apart["ES"])),
        "difference_NES": {
            "95_percent": round(float(np.nanpercentile(apart["NES"], 95)), 4),
            "largest": round(float(np.nanmax(apart["NES"])), 4),
        },
    }


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--write", type=Path, help="also store the figures here, as JSON")
    given = parser.parse_args()
    size = f"{GENES} genes, {LIBRARY}, {PERMUTATIONS} permutations, 1 thread, {given.turns} turns"
    figures = {"size": size} | measured(given.turns)
    figures |= {"machine": platform.machine(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    figures |= {"python": platform.python_version(), "gseapy": gseapy.__version__}
    print(json.dumps(figures, indent=1))
    holds = figures["faster"]["one"]["median"] >= FASTER and figures["largest_difference_ES"] < 1e-12
    holds &= figures["difference_NES"]["95_percent"] <= NES_WITHIN
    print("holds" if holds else "DOES NOT HOLD")
    if given.write:
        given.write.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
