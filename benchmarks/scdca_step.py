"""One training step of the adapter beside one of full fine-tuning, at whole-human size.

    python benchmarks/scdca_step.py [--turns N] [--write FILE]

Both sides take the same batches of 256 tokens through a backbone of the released sizes with random weights, and make a whole
step: forward, backward, clipping, optimiser; float32, two threads. They are timed in turn within one process, and what is
told is the median over turns of the ratio, so that other load on the machine meets both. Peak resident memory,
activations and optimiser state included, is that of a fresh process for each side.
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
from collections.abc import Callable
from pathlib import Path

import torch

from perturbook.models.scdca import Adapted, Config
from perturbook.models.scdca.budget import WHOLE_HUMAN
from perturbook.models.scgpt import ScGPT, random_backbone
from perturbook.models.training import Settings
from perturbook.models.training.optimizer import make_optimizer

THREADS, BATCH, LENGTH, M = 2, 16, 256, 1024
SIDES = {"adapter": Config(), "full": Config(method="full")}
MOST = 0.9
"""Required: time of the adapter's step over that of full fine-tuning."""


def batch(number: int) -> tuple[torch.Tensor, ...]:
    """Ids, values, condition, control profile and target of batch `number`."""
    draw = torch.Generator().manual_seed(number)
    genes = torch.randperm(WHOLE_HUMAN.pad_id, generator=draw)[: LENGTH - 1]
    ids = torch.cat([torch.tensor([WHOLE_HUMAN.pad_id + 1]), genes]).expand(BATCH, -1).contiguous()
    values, target = (torch.rand(BATCH, n, generator=draw) for n in (LENGTH, LENGTH - 1))
    return ids, values, torch.randn(BATCH, M, generator=draw), values[:, 1:], target


def steps(backbone: ScGPT, side: str) -> Callable[[int], None]:
    """One training step on batch `number`, for this side."""
    model, settings = Adapted(backbone, SIDES[side], M).train(), Settings(steps=1, learning_rate=1e-4)
    optimizer = make_optimizer(model, settings)
    trained = [one for one in model.parameters() if one.requires_grad]

    def step(number: int) -> None:
        *inputs, target = batch(number)
        optimizer.zero_grad()
        torch.mean((model(*inputs) - target) ** 2).backward()
        torch.nn.utils.clip_grad_norm_(trained, settings.clip)
        optimizer.step()

    return step


def timed(turns: int) -> dict:
    """Median seconds of a step of both sides and of their ratio, after one turn that is not counted."""
    backbone = random_backbone(WHOLE_HUMAN, seed=1)
    works, seconds = {side: steps(backbone, side) for side in SIDES}, {side: [] for side in SIDES}
    for turn in range(turns + 1):
        for side, work in works.items():
            started = time.perf_counter()
            work(turn)
            if turn:
                seconds[side].append(time.perf_counter() - started)
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    row = {f"{side}_seconds": round(statistics.median(times), 3) for side, times in seconds.items()}
    row["ratio"] = round(statistics.median(ratios), 3)
    return row | {"ratio_range": [round(min(ratios), 3), round(max(ratios), 3)]}


def peak_mb(side: str) -> float:
    """Peak resident memory of a fresh process that makes two steps of one side, MB."""
    done = subprocess.run(
        [sys.executable, __file__, "--peak", side], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--write", type=Path, help="also store the figures here, as JSON")
    parser.add_argument("--peak", choices=list(SIDES), help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(THREADS)
    if given.peak:
        step = steps(random_backbone(WHOLE_HUMAN, seed=1), given.peak)
        for number in range(2):
            step(number)
        print(int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
        return
    figures = {
        "size": f"whole-human, batch {BATCH}, {LENGTH} tokens, float32, {THREADS} threads, {given.turns} turns",
        "peak_mb": {side: round(peak_mb(side)) for side in SIDES},
        "step": timed(given.turns),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    print(json.dumps(figures, indent=1))
    holds = figures["step"]["ratio"] <= MOST
    print("holds" if holds else "DOES NOT HOLD")
    if given.write:
        given.write.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
