"""One training step of the Top-K sparse autoencoder beside a plain dense one, and beside what no step can fall below.

    python benchmarks/topk_sae.py [--turns N] [--write FILE]

d = 512, 4,096 latents, K = 32, batches of 4,096 generated embeddings, Adam at 1e-3, float32, two threads. All sides take
the same batches in turn within one process, and what is told is the median over turns of the ratio, so that other load on
the machine meets all. `ours` is a whole step of the training loop, from reading to record; `dense` is the same
mathematics with dense codes and autograd, as libraries have it; `dictionary_learning` is the trainer of that name where it
is installed; the `limit` is the product with the encoder and the choice of the K largest alone. After the last turn
explained variance and dead latents of what was trained are measured on held-out embeddings.
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perturbook.concepts import SAESettings, TopKSAE, quality
from perturbook.concepts.embedding_rows import EmbeddingRows
from perturbook.concepts.sae_run import SAERun
from perturbook.concepts.shuffled_batches import ShuffledBatches
from perturbook.models.training.fabric import make_fabric, quiet

THREADS, D, M, K, BATCH, RATE, HELD_OUT = 2, 512, 4096, 32, 4096, 1e-3, 8192
FASTER, OF_LIMIT = 2.5, 0.5
"""Required: speed over the dense version, and as a share of the limit's."""


def embeddings(n: int, seed: int = 0) -> np.ndarray:
    """Sums of 24 of 3,000 random atoms with noise, mean squared norm 1, `(n, 512)` float32."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((3000, D)).astype(np.float32) / np.sqrt(D)
    weights = rng.uniform(0.5, 1.5, (n, 24, 1)).astype(np.float32)
    found = np.zeros((n, D), np.float32)
    for at in range(24):
        found += weights[:, at] * atoms[rng.integers(3000, size=n)]
    found += rng.normal(0, 0.04, (n, D)).astype(np.float32)
    found -= found.mean(0)
    return found / np.sqrt((found**2).sum(1).mean())


class Dense(nn.Module):
    """The same autoencoder with dense codes."""

    def __init__(self, like: TopKSAE):
        super().__init__()
        self.encoder = nn.Linear(D, M)
        self.decoder = nn.Linear(M, D, bias=False)
        self.bias = nn.Parameter(torch.zeros(D))
        with torch.no_grad():
            self.encoder.weight.copy_(like.encoder)
            self.encoder.bias.zero_()
            self.decoder.weight.copy_(like.atoms.T)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction and codes."""
        before = torch.relu(self.encoder(x - self.bias))
        kept = before.topk(K, dim=1, sorted=False)
        codes = torch.zeros_like(before).scatter(1, kept.indices, kept.values)
        return self.decoder(codes) + self.bias, codes


def dense_steps(model: Dense, rate_at: Callable[[int], float]) -> Callable[[int, Tensor], None]:
    """One step of the dense version: project, clip, Adam, renormalise."""
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)

    def step(number: int, x: Tensor) -> None:
        optimizer.param_groups[0]["lr"] = rate_at(number)
        told, _ = model(x)
        ((x - told) ** 2).sum(1).mean().backward()
        atoms = model.decoder.weight
        with torch.no_grad():
            atoms.grad -= (atoms.grad * atoms).sum(0, keepdim=True) * atoms
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            atoms /= atoms.norm(dim=0, keepdim=True)

    return step


def peer(like: TopKSAE, turns: int) -> tuple[nn.Module, Callable[[int, Tensor], None]]:
    """The Top-K trainer of dictionary-learning, from the same atoms."""
    from dictionary_learning.trainers.top_k import TopKTrainer

    trainer = TopKTrainer(turns + 1, D, M, K, 0, "none", lr=RATE, warmup_steps=1, seed=0, device="cpu")
    with torch.no_grad():
        trainer.ae.encoder.weight.copy_(like.encoder)
        trainer.ae.decoder.weight.copy_(like.atoms.T)
    return trainer.ae, lambda number, x: trainer.update(number, x)


def judged(model: nn.Module, held: Tensor) -> dict[str, float]:
    """Held-out explained variance and share of latents that no held-out embedding activates, of a dense model."""
    with torch.no_grad():
        told, codes = model(held) if isinstance(model, Dense) else model(held, output_features=True)
    sst = float(((held - held.mean(0)) ** 2).sum())
    return {
        "ev": 1 - float(((held - told) ** 2).sum()) / sst,
        "dead": float((codes <= 0).all(0).float().mean()),
    }


def measured(turns: int) -> dict:
    """Seconds, ratios and quality of all sides, after one turn that is not counted."""
    cells = embeddings(BATCH * (turns + 1) + HELD_OUT)
    train, held = cells[:-HELD_OUT], torch.from_numpy(cells[-HELD_OUT:])
    sae = TopKSAE(D, M, K, seed=1)
    settings = SAESettings(passes=1, batch=BATCH, learning_rate=RATE, final_share=1.0)
    batches = ShuffledBatches(EmbeddingRows(train), BATCH)
    schedule = settings.schedule(M, batches.per_pass)
    same, dense = batches(0, 0), Dense(sae)
    models = {"dense": dense}
    steps = {"dense": dense_steps(dense, lambda n: schedule.learning_rate_at(n, schedule.steps))}
    if importlib.util.find_spec("dictionary_learning"):
        models["dictionary_learning"], steps["dictionary_learning"] = peer(sae, turns)
    run = SAERun(sae, None, batches, schedule, None, None, False, Path())
    with quiet():
        run.begin(make_fabric(schedule), settings, len(train), None)
        steps["ours"] = lambda number, x: run.advance()
        weight = sae.encoder.detach().clone()
        steps["limit"] = lambda number, x: F.linear(x, weight).topk(K, dim=1, sorted=False)
        seconds = {side: [] for side in steps}
        for number in range(turns + 1):
            for side, step in steps.items():
                batch = same[number].clone()
                started = time.perf_counter()
                step(number, batch)
                if number:
                    seconds[side].append(time.perf_counter() - started)
    found = quality(sae, held)
    return {
        "samples_per_second": {side: round(BATCH / statistics.median(s)) for side, s in seconds.items()},
        "ours_over": {
            side: ratio(seconds[side], seconds["ours"]) for side in seconds if side not in ("ours", "limit")
        },
        "ours_of_limit": ratio(seconds["limit"], seconds["ours"]),
        "held_out": {"ours": {"ev": found.ev, "dead": found.dead_eval}}
        | {side: judged(model, held) for side, model in models.items()},
    }


def ratio(theirs: list[float], ours: list[float]) -> dict[str, float]:
    """Median and quartiles over turns of how many times as fast ours is."""
    found = [a / b for a, b in zip(theirs, ours, strict=True)]
    low, median, high = np.percentile(found, [25, 50, 75])
    return {"median": round(median, 2), "quartiles": [round(low, 2), round(high, 2)]}


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=39)
    parser.add_argument("--write", type=Path, help="also store the figures here, as JSON")
    given = parser.parse_args()
    torch.set_num_threads(THREADS)
    size = f"d {D}, {M} latents, K {K}, batch {BATCH}, float32, {THREADS} threads, {given.turns} turns"
    figures = {"size": size} | measured(given.turns)
    figures |= {"machine": platform.machine(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    figures |= {"python": platform.python_version(), "torch": torch.__version__}
    print(json.dumps(figures, indent=1))
    slowest = min(one["median"] for one in figures["ours_over"].values())
    judged_by = figures["held_out"]
    worse = any(
        judged_by["ours"]["ev"] < other["ev"] - 0.005 or judged_by["ours"]["dead"] > other["dead"] + 0.005
        for other in judged_by.values()
    )
    holds = slowest >= FASTER and figures["ours_of_limit"]["median"] >= OF_LIMIT and not worse
    print("holds" if holds else "DOES NOT HOLD")
    if given.write:
        given.write.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
