"""Pre-training: the run that makes the small checkpoint of this package, and its small sister for tests.

PERTURBOOK_MIRROR=... python -c "from perturbook.models.scgpt.pretrain import pretrain; pretrain('small', 'made')"
"""

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from perturbook.data.fingerprint import fingerprints
from perturbook.errors import ConfigError
from perturbook.models.scgpt.checkpoint import load, save
from perturbook.models.scgpt.gene_mean import GeneMeans
from perturbook.models.scgpt.model import ScGPT
from perturbook.models.scgpt.objective import Objective
from perturbook.models.scgpt.pretraining_batches import PretrainingBatches
from perturbook.models.scgpt.pretraining_card import curve, make_card
from perturbook.models.scgpt.pretraining_cells import Cells, load_cells
from perturbook.models.scgpt.pretraining_validation import HeldOut
from perturbook.models.scgpt.random_init import random_backbone
from perturbook.models.scgpt.sizes import Sizes
from perturbook.models.shipped import CELLS
from perturbook.models.training import Settings, fit

VALID_SHARE = 0.05


@dataclass(frozen=True)
class Recipe:
    """A model and its training. Source: our choice; sizes so that the file stays below 10 MB and the run below an hour on two
    CPU cores."""

    embsize: int
    nheads: int
    d_hid: int
    nlayers: int
    max_length: int
    """Most tokens of a cell in training."""
    batch: int
    """Cells per step."""
    objective: Objective
    settings: Settings
    form: str = "both"


RECIPES = {
    "small": Recipe(
        embsize=128,
        nheads=4,
        d_hid=256,
        nlayers=4,
        max_length=128,
        batch=32,
        objective=Objective(replay_after=3000),
        settings=Settings(
            steps=4000,
            learning_rate=1.5e-3,
            warmup_steps=100,
            final_share=0.05,
            validate_every=250,
            checkpoint_every=125,
            log_every=20,
        ),
    ),
    "smoke": Recipe(
        embsize=32,
        nheads=2,
        d_hid=32,
        nlayers=2,
        max_length=64,
        batch=32,
        objective=Objective(replay_after=200),
        settings=Settings(
            steps=250,
            learning_rate=1e-2,
            warmup_steps=20,
            final_share=0.05,
            validate_every=125,
            checkpoint_every=125,
            log_every=10,
        ),
    ),
}
"""What can be pre-trained, by name."""


def pretrain(
    size: str = "small",
    folder: Path | str = "pretrained",
    seed: int = 0,
    *,
    progress: bool = False,
    accelerator: str = "cpu",
    precision: str = "32-true",
) -> ScGPT:
    """Pre-train a model and write it to `folder`: args.json, vocab.json, model.safetensors (float16), card.json, curve.csv,
    and training_cells.npy, the fingerprints of all cells seen, validation cells included, in the order of the card.

    A run that was interrupted goes on where it stood: its state is kept beside `folder` until the model is written.

    Args:
        size: `small`, the model that this package ships, or `smoke`, which takes seconds.
        folder: a new folder, or one that holds an earlier model, which is replaced.
        seed: decides every random draw.
        progress: say on stderr where the run stands.
        accelerator, precision: given to Lightning Fabric.

    Returns:
        The model as read back from `folder`.

    Raises:
        ConfigError: unknown size.
        DataUnavailable: cells to train on are not to be had.
    """
    if size not in RECIPES:
        raise ConfigError(f"size is {size!r}; expected one of {', '.join(RECIPES)}.")
    began, folder, recipe = time.monotonic(), Path(folder), RECIPES[size]
    cells = load_cells(size, seed)
    train, valid = cells.held_out(VALID_SHARE, seed)
    held_out = HeldOut(cells, valid, recipe.max_length, seed, recipe.objective.project_generated)
    means = GeneMeans(cells, train, seed)
    model = begin(recipe, cells, means.overall, seed)
    settings = replace(recipe.settings, seed=seed, accelerator=accelerator, precision=precision)
    batches = PretrainingBatches(cells, train, recipe.batch, recipe.max_length, recipe.form)
    state = folder.with_name(f".{folder.name}.run")
    history = fit(
        model, recipe.objective, batches, settings, validate=held_out, folder=state, progress=progress
    )
    save(model, state / "model", torch.float16)
    stored = load(state / "model")  # scored as it is stored, in float16
    card = make_card(size, recipe, cells, train, valid, means, held_out, history, stored, settings)
    card["seconds"] = {"training": round(history.seconds), "whole last call": round(time.monotonic() - began)}
    save(stored, state / "model", torch.float16, card)
    (state / "model" / "model.safetensors").chmod(0o644)  # readable for everyone, wherever it is installed
    curve(history).to_csv(state / "model" / "curve.csv", index=False)
    np.save(state / "model" / CELLS, fingerprints(cells.matrix, cells.vocabulary.tokens))
    shutil.rmtree(folder, ignore_errors=True)
    (state / "model").replace(folder)
    shutil.rmtree(state)
    return load(folder)


def begin(recipe: Recipe, cells: Cells, mean: float, seed: int) -> ScGPT:
    """A random model of the recipe's size over the vocabulary of `cells`, made ready for bins. Source: our choice.

    Its expression decoder begins at the mean bin. The kinks of its value encoder are spread over all bins: left near zero,
    as random weights have them, the norm behind them gives nearly one vector to every bin, and training stands still for
    hundreds of steps.
    """
    sizes = Sizes(
        n_tokens=len(cells.vocabulary),
        embsize=recipe.embsize,
        nheads=recipe.nheads,
        d_hid=recipe.d_hid,
        nlayers=recipe.nlayers,
        pad_id=cells.vocabulary.pad,
        dropout=0.0,
    )
    model = random_backbone(sizes, seed, cells.vocabulary)
    first = model.value_encoder.linear1
    kinks = torch.rand(first.bias.shape, generator=torch.Generator().manual_seed(seed)) * sizes.n_bins
    with torch.no_grad():
        model.decoder.fc[-1].bias.fill_(mean)
        first.bias.copy_(-first.weight[:, 0] * kinks)
    return model
