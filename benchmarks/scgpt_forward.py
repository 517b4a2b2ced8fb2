"""The forward pass of scGPT beside torch's own nn.TransformerEncoder, and the loading of a whole-human file.

    python benchmarks/scgpt_forward.py [--turns N] [--write FILE]

Both sides have the same weights, take the same embedded tokens and run in eval mode without gradients, where torch takes
its fused path; float32, two threads. They are timed in turn within one process, and what is told is the median over turns
of the ratio of the two times, so that other load on the machine meets both. `encode` computes every token, `embed` what a
cell embedding needs. The whole-human file holds random numbers under the released names and is read by a fresh process.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from perturbook.models.scgpt import ScGPT, Sizes, Vocabulary, random_backbone

THREADS, BATCH, LENGTH = 2, 8, 512
WHOLE_HUMAN = Sizes(n_tokens=60_697, embsize=512, nheads=8, d_hid=512, nlayers=12, pad_id=60_694)
SHORT = "d 128, 4 layers"
CASES = {
    "d 512, 12 layers": (
        Sizes(n_tokens=3_000, embsize=512, nheads=8, d_hid=512, nlayers=12, pad_id=2_997),
        1,
    ),
    SHORT: (Sizes(n_tokens=3_000, embsize=128, nheads=8, d_hid=512, nlayers=4, pad_id=2_997), 8),
}
"""Sizes, and how many times as many turns: the small model is over in a moment, which other load may fill."""
FASTER, SAME = 1.3, 1e-5
"""Required: times as fast as torch's encoder, and the largest difference of any number."""
SECONDS, MEMORY = 5.0, 1.5
"""Required of loading: seconds, and peak memory as a multiple of the file."""
LOAD = """
import json, re, sys, time
from pathlib import Path
from perturbook.models import scgpt
import torch
# not getrusage: its peak outlives exec, so that a small process of a large parent shows the parent's
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before, started, cpu = peak(), time.perf_counter(), time.process_time()
scgpt.load(sys.argv[1])
print(json.dumps([time.perf_counter() - started, time.process_time() - cpu, peak() - before]))
"""


def torchs_encoder(model: ScGPT) -> nn.TransformerEncoder:
    """torch's encoder with the weights of `model`, in eval mode."""
    sizes = model.sizes
    layer = nn.TransformerEncoderLayer(
        sizes.embsize, sizes.nheads, sizes.d_hid, sizes.dropout, batch_first=True
    )
    made = nn.TransformerEncoder(layer, sizes.nlayers).eval()
    made.load_state_dict(model.transformer_encoder.state_dict())
    return made


def in_turn(works: dict[str, Callable], turns: int) -> dict[str, list[float]]:
    """Seconds of each work in each turn, after one turn that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


@torch.inference_mode()
def compare(sizes: Sizes, turns: int, shortest: int = LENGTH) -> dict:
    """Median times and ratios at one size; cells have `shortest` to LENGTH tokens."""
    model, draw = random_backbone(sizes, seed=1), torch.Generator().manual_seed(2)
    theirs = torchs_encoder(model)
    ids = torch.randint(0, sizes.n_tokens - 3, (BATCH, LENGTH), generator=draw)
    values = torch.randint(0, 51, (BATCH, LENGTH), generator=draw).float()
    lengths = torch.linspace(shortest, LENGTH, BATCH).long()
    padding = torch.arange(LENGTH) >= lengths.unsqueeze(1)
    mask = padding if shortest < LENGTH else None

    def torchs() -> torch.Tensor:
        tokens = model.embed_tokens(model.encoder(ids), values, mask)
        return theirs(tokens, src_key_padding_mask=mask)

    works = {
        "torch": torchs,
        "encode": lambda: model.encode(ids, values, mask),
        "embed": lambda: model.encode_cell(ids, values, mask),
    }
    expected, tokens, cell = (work() for work in works.values())
    seconds = in_turn(works, turns)
    row = {f"{name}_seconds": round(statistics.median(times), 3) for name, times in seconds.items()}
    for name in ("encode", "embed"):
        ratios = [a / b for a, b in zip(seconds["torch"], seconds[name], strict=True)]
        row[f"{name}_faster"] = round(statistics.median(ratios), 2)
        row[f"{name}_faster_range"] = [round(min(ratios), 2), round(max(ratios), 2)]
    differences = [(tokens - expected)[~padding].abs().max(), (cell - expected[:, 0]).abs().max()]
    return row | {"largest_difference": float(max(differences))}


def loading() -> dict:
    """Time and peak memory of loading a file of whole-human size."""
    with tempfile.TemporaryDirectory() as name:
        folder, draw = Path(name), torch.Generator().manual_seed(3)
        shapes = {key: one.shape for key, one in ScGPT(WHOLE_HUMAN).state_dict().items()}
        stored = {
            key.replace("in_proj_", "Wqkv."): torch.randn(shape, generator=draw) / 50
            for key, shape in shapes.items()
        }
        torch.save(stored, folder / "best_model.pt")
        (folder / "args.json").write_text(json.dumps(WHOLE_HUMAN.to_args()))
        genes = Vocabulary.of(f"GENE{i}" for i in range(WHOLE_HUMAN.n_tokens - 3))
        (folder / "vocab.json").write_text(json.dumps(genes.to_ids()))
        size = (folder / "best_model.pt").stat().st_size / 2**20
        done = subprocess.run([sys.executable, "-c", LOAD, name], capture_output=True, text=True, check=True)
    wall, cpu, peak = json.loads(done.stdout)
    return {
        "file_mb": round(size, 1),
        "seconds": round(wall, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_mb": round(peak, 1),
        "peak_times_file": round(peak / size, 2),
    }


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--write", type=Path, help="also store the figures here, as JSON")
    given = parser.parse_args()
    torch.set_num_threads(THREADS)
    figures = {
        "size": f"batch {BATCH}, {LENGTH} tokens, float32, {THREADS} threads, {given.turns} turns",
        "loading": loading(),
        "forward": {name: compare(sizes, given.turns * more) for name, (sizes, more) in CASES.items()},
        "padded": {SHORT: compare(CASES[SHORT][0], given.turns, shortest=LENGTH // 4)},
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    print(json.dumps(figures, indent=1))
    rows, load = figures["forward"].values(), figures["loading"]
    holds = load["seconds"] < SECONDS and 0.9 < load["peak_times_file"] < MEMORY
    holds &= all(row["encode_faster"] >= FASTER and row["largest_difference"] <= SAME for row in rows)
    print("holds" if holds else "DOES NOT HOLD")
    if given.write:
        given.write.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
