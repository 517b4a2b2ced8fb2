"""The machine-readable card of a pre-trained model, and its curve."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from perturbook.models.scgpt.gene_mean import GeneMeans
from perturbook.models.scgpt.model import ScGPT
from perturbook.models.scgpt.objective import RATIOS
from perturbook.models.scgpt.pretraining_cells import Cells
from perturbook.models.scgpt.pretraining_validation import ALL, HeldOut
from perturbook.models.training import History, Settings
from perturbook.source import source_hash

if TYPE_CHECKING:
    from perturbook.models.scgpt.pretrain import Recipe

LIMITS = (
    "A teaching model: a few thousand cells, one tissue, minutes of training. It is no substitute for scGPT.",
    "Real cells are unperturbed blood cells of one donor; it has seen no treated real cell and no other tissue.",
    "Genes without a training cell keep their random rows in the gene table; the card counts them.",
    "Simulator genes mean something else in every simulated world; what it knows of them belongs to the worlds listed.",
    "Values are bins of a cell's own expression; it predicts bins, not counts and not log expression.",
    "It was trained on at most the stated number of tokens per cell; longer inputs are longer than it has seen.",
)


def make_card(
    size: str,
    recipe: "Recipe",
    cells: Cells,
    train: np.ndarray,
    valid: np.ndarray,
    means: GeneMeans,
    held_out: HeldOut,
    history: History,
    model: ScGPT,
    settings: Settings,
) -> dict[str, Any]:
    """Everything that a reader, or the audit of a page, must know of a pre-trained model; plain JSON types."""
    scored = held_out(model)
    own = {ALL: scored["loss"]} | {
        name: value for name, value in scored.items() if name not in ("loss", "masked")
    }
    scores = {"model": own, **held_out.opponents(means)}
    genes = len(cells.vocabulary) - 3
    return {
        "name": size,
        "title": f"scGPT architecture, {recipe.nlayers} layers of width {recipe.embsize}, pre-trained by this project",
        "licence": "BSD-3-Clause",
        "trained_on": [dict(one) for one in cells.trained_on],
        "cells": {"training": len(train), "validation": len(valid)},
        "vocabulary": {
            "tokens": len(cells.vocabulary),
            "genes": genes,
            "genes_seen": int(means.seen.sum()),
            "genes_never_seen": genes - int(means.seen.sum()),
        },
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "objective": {
            "form": recipe.form,
            "ratios": list(RATIOS),
            "second_pass_after_steps": recipe.objective.replay_after,
            "project_generated": recipe.objective.project_generated,
            "max_length": recipe.max_length,
            "cells_per_step": recipe.batch,
        },
        "settings": settings.deciding(),
        "seed": settings.seed,
        "steps": history.steps,
        "best_step": history.best_step,
        "hardware": _hardware(settings),
        "validation": {
            "measure": "mean squared error in bins at generated genes of held-out cells; weights as stored",
            "scores": {who: {what: round(one, 3) for what, one in of.items()} for who, of in scores.items()},
            "masked form": round(scored["masked"], 3),
        },
        "limits": list(LIMITS),
        "source_sha256": source_hash(Path(__file__).with_name("pretrain.py")),
    }


def _hardware(settings: Settings) -> str:
    if settings.accelerator == "cpu" or not torch.cuda.is_available():
        threads = torch.get_num_threads()
        return f"{threads} thread{'s' if threads > 1 else ''} of a CPU with {os.cpu_count()} cores, {settings.precision}"
    return f"{torch.cuda.get_device_name()}, {settings.precision}"


def curve(history: History) -> pd.DataFrame:
    """The recorded numbers, tidy: step, part, term, value (six significant digits)."""
    table = history.table()
    return table.assign(value=[float(f"{value:.6g}") for value in table["value"]])
