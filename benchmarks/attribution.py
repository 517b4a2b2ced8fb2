"""Counterfactual attribution beside batched single passes through the plain encoder, and what a screen misses.

    python benchmarks/attribution.py [--turns N] [--write FILE]

The shipped checkpoint (d = 128, 4 layers) reads cells of pbmc3k of about 512 tokens; concepts are those of a Top-K
autoencoder trained on 800 cells, and each cell is asked about its most active one against the nearest cell that lacks it.
`plain` runs every unique (cell, gene, value) pass as a batch of equal length through all tokens of all layers, `cls` leaves
out what the last layer does for other tokens than <cls>, `exact` is what attribution does, `screened` makes one
derivative and verifies 200 genes and 50 others. The first three are timed on 256 swaps of each cell, drawn at random, and
count for all of them in proportion; the screen is timed whole. The work of each side is cut into parts that take turns,
so that other load on the machine meets all of them; what is told is the median over cells of the ratio. Recall is that
of the screen over ten cells whose every swap was computed. float32, two threads.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import perturbook.data as data
from perturbook.concepts.concept_pairs import PairReader, ReadPair
from perturbook.concepts.counterfactual_cells import candidates
from perturbook.concepts.embedded_cells import Cells
from perturbook.concepts.gradient_screen import Screen, audit, first_order, shortlists
from perturbook.concepts.sae_settings import SAESettings
from perturbook.concepts.scgpt_swaps import ScGPTSwaps
from perturbook.concepts.token_swap import Pair
from perturbook.concepts.topk_sae import TopKSAE
from perturbook.concepts.train_sae import train
from perturbook.models.backbones.small_checkpoint import SMALL
from perturbook.models.scgpt import load

THREADS, LENGTH, NEAR, CELLS, AUDITED, TIMED, PARTS = 2, 512, 32, 800, 10, 256, 8
SCREEN, SHORTER = Screen(q=200, others=50), (50, 100, 200)
FASTER, SAME, SCREENED, RECALL = 1.2, 1e-5, 5.0, 0.9
"""Required: exact over plain, largest difference of any number, screened over plain, recall@50 of 200 genes."""


def world() -> tuple[ScGPTSwaps, TopKSAE, list[tuple[ReadPair, int]]]:
    """Encoder, concepts, and ten pairs with the concept that is asked about."""
    adata = data.load("pbmc3k")
    encoder = ScGPTSwaps(load(SMALL), list(adata.var_names))
    counts = adata.X.tocsr()
    tokens = np.diff(encoder.read(counts).indptr) + 1
    order = np.argsort(np.abs(tokens - LENGTH) > NEAR, kind="stable")[:CELLS]
    counts, tokens = counts[order], tokens[order]
    every = np.arange(counts.shape[1])
    read = encoder.read(counts)
    parts = [read[start : start + 50].toarray() for start in range(0, CELLS, 50)]
    z = torch.cat([encoder.embed(every, part) for part in parts]).numpy()
    sae = TopKSAE(z.shape[1], 512, 16, seed=0)
    train(sae, z, SAESettings(batch=128, passes=40))
    cells = Cells(counts, z, list(adata.var_names), adata.obs.iloc[order])
    codes = cells.codes(sae, range(512))
    reader, found = PairReader(encoder, sae, cells), []
    for row in np.flatnonzero(np.abs(tokens - LENGTH) <= NEAR):
        concept = int(codes[row].argmax())
        others, _ = candidates(z, codes[:, concept], row)
        one = reader(row, int(others[0]))
        if one.codes[0, concept] > 0 and one.codes[1, concept] == 0:
            found.append((one, concept))
        if len(found) == AUDITED:
            return encoder, sae, found


@torch.inference_mode()
def plain(encoder: ScGPTSwaps, pair: Pair, at: np.ndarray, embed: bool = False) -> torch.Tensor:
    """One whole pass per swap, batches of equal length; `embed` leaves the last layer to <cls>."""
    values = np.repeat(pair.base[None], len(at), axis=0)
    values[np.arange(len(at)), at] = pair.other[at]
    if embed:
        return encoder.embed(pair.genes, values)
    lengths, cells = (values != 0).sum(1), torch.empty(len(at), encoder.width)
    for length in np.unique(lengths):
        for rows in np.array_split(np.flatnonzero(lengths == length), -(-(lengths == length).sum() // 16)):
            there = values[rows] != 0
            ids = np.broadcast_to(encoder.ids[pair.genes], there.shape)[there].reshape(len(rows), -1)
            heads = np.full((len(rows), 1), encoder.model.vocabulary.cls)
            clss = np.full((len(rows), 1), encoder.model.sizes.pad_value, np.float32)
            given = np.hstack([heads, ids]), np.hstack([clss, values[rows][there].reshape(ids.shape)])
            cells[rows] = encoder.model.encode(*map(torch.from_numpy, given))[:, 0]
    return F.normalize(cells, dim=1)


def exact(encoder: ScGPTSwaps, pair: Pair, at: np.ndarray) -> torch.Tensor:
    """The same as attribution does it."""
    return encoder.swapped(pair.genes, pair.base, at, pair.other[at])


def verified(encoder: ScGPTSwaps, sae: TopKSAE, read: ReadPair, concept: int) -> np.ndarray:
    """What the screen verifies."""
    change = first_order(encoder, sae, read, [concept])
    return shortlists([read], [change], [np.array([concept])], SCREEN)[0]


def timed(encoder: ScGPTSwaps, sae: TopKSAE, read: ReadPair, concept: int) -> tuple[dict[str, float], float]:
    """Seconds of each side for all swaps of one pair, and the largest difference of `exact` from `plain`."""
    pair, seconds, made = read.pair, {}, {"plain": [], "exact": []}

    def clock(name, work, *given, **options):
        started = time.perf_counter()
        result = work(*given, **options)
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
        return result

    listed = clock("screened", verified, encoder, sae, read, concept)
    drawn = np.random.default_rng(pair.cell).permutation(pair.at)[:TIMED]
    for part, few in zip(np.array_split(drawn, PARTS), np.array_split(listed, PARTS), strict=True):
        made["plain"].append(clock("plain", plain, encoder, pair, part))
        made["exact"].append(clock("exact", exact, encoder, pair, part))
        clock("screened", exact, encoder, pair, few)
        clock("cls", plain, encoder, pair, part, embed=True)
    for name in ("plain", "exact", "cls"):
        seconds[name] *= len(pair.at) / len(drawn)
    both = [torch.cat(one) for one in made.values()]
    return seconds, float((both[0] - both[1]).abs().max())


def recalls(encoder: ScGPTSwaps, sae: TopKSAE, pairs: list[tuple[ReadPair, int]]) -> dict:
    """Recall by length of the shortlist: means, and the worst cell."""
    each = []
    for read, concept in pairs:
        with torch.no_grad():
            codes = sae.encode(exact(encoder, read.pair, read.pair.at))[:, concept].numpy()
        each.append((read.codes[0, concept] - codes, first_order(encoder, sae, read, [concept])[0]))
    return {str(q): row for q, row in audit(each, SHORTER).round(3).to_dict("index").items()}


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=5, help=f"cells that are timed, at most {AUDITED}")
    parser.add_argument("--write", type=Path, help="also store the figures here, as JSON")
    given = parser.parse_args()
    torch.set_num_threads(THREADS)
    encoder, sae, pairs = world()
    exact(encoder, pairs[0][0].pair, pairs[0][0].pair.at[:64])  # not counted
    turns = [timed(encoder, sae, *one) for one in pairs[: given.turns]]
    swaps = [len(read.pair.at) for read, _ in pairs]
    faster = {}
    for name in ("cls", "exact", "screened"):
        ratios = [seconds["plain"] / seconds[name] for seconds, _ in turns]
        faster[name] = {
            "median": round(statistics.median(ratios), 2),
            "range": [round(min(ratios), 2), round(max(ratios), 2)],
        }
    figures = {
        "size": f"d 128, 4 layers, {LENGTH - NEAR} to {LENGTH + NEAR} tokens, float32, {THREADS} threads, {len(turns)} cells",
        "swaps": {"median": int(statistics.median(swaps)), "range": [min(swaps), max(swaps)]},
        "verified": SCREEN.q + SCREEN.others,
        "plain_ms_per_pass": round(
            statistics.median(1e3 * one["plain"] / n for (one, _), n in zip(turns, swaps, strict=False)), 2
        ),
        "faster": faster,
        "largest_difference": max(one for _, one in turns),
        "recall": recalls(encoder, sae, pairs),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    print(json.dumps(figures, indent=1))
    holds = faster["exact"]["median"] >= FASTER and figures["largest_difference"] <= SAME
    holds &= faster["screened"]["median"] >= SCREENED
    holds &= figures["recall"][str(SCREEN.q)]["recall@50"] >= RECALL
    print("holds" if holds else "DOES NOT HOLD")
    if given.write:
        given.write.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
