"""The adapter and its budget: what is trained, what it costs at the size of the released model, and how training starts."""

import numpy as np
import pandas as pd
import torch
from IPython.display import HTML

from perturbook import data
from perturbook.data.molecules import morgan
from perturbook.evaluation.manifest import manifest
from perturbook.models.backbones import BACKBONES
from perturbook.models.protocol import Training
from perturbook.models.scdca import (
    LIMIT,
    WHOLE_HUMAN,
    Adapted,
    Config,
    ScDCA,
    adapter_size,
    largest_bottleneck,
    trainable_parameters,
)
from perturbook.models.scdca.batches import Batch, Reader
from perturbook.models.scdca.profiles import Controls, examples, panel
from perturbook.models.scdca_arms import FORM, TRAINING
from perturbook.pages import frame
from perturbook.pages.html_table import table
from perturbook.pages.table import ROOT

ENCODERS = {
    "ChemBERTa": 768,
    "small ChemBERTa": 384,
    "Morgan, 1,024 bits": 1024,
    "Morgan, 2,048 bits": 2048,
    "RDKit descriptors": 217,
}
"""Molecule encoders and the numbers m that each gives."""
WIDEST = 40
SCREEN = "simulated-drugs"
FORMS = {
    "shift, behind every feed-forward block": Config(),
    "shift, behind both sublayers": Config(position="both"),
    "scale and shift": Config(conditioning="scale_shift"),
    "static: no drug": Config(conditioning="static"),
    "shift behind U, one linear map": Config(bias_location="up"),
    "shift behind U, factorised": Config(bias_location="up", generator="factorised"),
    "one shared map of the molecule": Config(generator="shared"),
    "shift, with a trained decoder as head": Config(head="decoder"),
    "LoRA of rank 13": Config(method="lora"),
    "head alone": Config(method="head_only"),
    "full fine-tuning": Config(method="full"),
}
PARTS = {"up": "U", "down": "W", "generator": "f", "head": "head"}


def shares() -> pd.DataFrame:
    """Share of the whole-human checkpoint that adapters train, by bottleneck; linear head included.

    Returns:
        Columns encoder, m, adapters, r, trained, percent.
    """
    head, rows = WHOLE_HUMAN.embsize + 1, []
    for encoder, m in ENCODERS.items():
        for adapters in (WHOLE_HUMAN.nlayers, 2 * WHOLE_HUMAN.nlayers):
            for r in range(1, WIDEST + 1):
                trained = adapters * adapter_size(Config(bottleneck=r), m) + head
                rows.append((encoder, m, str(adapters), r, trained, 100 * trained / WHOLE_HUMAN.n_parameters))
    return pd.DataFrame(rows, columns=["encoder", "m", "adapters", "r", "trained", "percent"])


def width_table() -> HTML:
    """Per encoder the share at r = 16 and the largest r within one percent, adapters without head."""
    rows = []
    for encoder, m in ENCODERS.items():
        for position, number in (("ffn", WHOLE_HUMAN.nlayers), ("both", 2 * WHOLE_HUMAN.nlayers)):
            config = Config(position=position)
            trained = number * adapter_size(config, m)
            rows.append(
                {
                    "Molecule encoder": encoder,
                    "m": m,
                    "Adapters": number,
                    "Trained at r = 16": f"{trained:,}",
                    "Share": _percent(trained),
                    "Largest r within 1 %": largest_bottleneck(config, m),
                }
            )
    return HTML(
        table(rows, "Adapters of the paper's form at whole-human size, without the head", ("Adapters",))
    )


def forms_table(m: int = 768) -> HTML:
    """Per form what it trains, head included, and whether that is within the claim."""
    rows = []
    for words, config in FORMS.items():
        trained = trainable_parameters(config, m)
        over = trained > LIMIT * WHOLE_HUMAN.n_parameters
        rows.append(
            {
                "What is trained": words,
                "Parameters": f"{trained:,}",
                "Share": _percent(trained),
                "Budget of 1 %": "over" if over else "within",
            }
        )
    return HTML(table(rows, f"Forms and comparators at whole-human size, m = {m}, r = 16, head included"))


def used_table() -> HTML:
    """The form and the training that every page with an adapter uses, from the code that trains it."""
    form, training = Config(**FORM, dose="append"), ScDCA(**TRAINING)
    trained = trainable_parameters(form, 1024)
    rows = {
        "Width r of the bottleneck": form.bottleneck,
        "Shape of f": f"{form.generator}: one map of the molecule to {form.shared_width} numbers, then a linear map per layer",
        "Head": "the control profile plus one linear map per token, which starts at zero",
        "Trained at whole-human size": f"{trained:,} of {WHOLE_HUMAN.n_parameters:,}, {_percent(trained)}",
        "Genes of the panel, at most": f"{training.genes:,}",
        "Learning rate": f"{training.learning_rate:g}, risen to over {training.warmup_steps} steps, then down half a cosine",
        "Conditions per step": training.batch_size,
        "Passes over the conditions": f"{training.epochs}, and at least {training.least_steps:,} steps",
        "Genes shown per step": f"{training.genes_per_step}, or as many as make {training.tokens_per_step:,} tokens",
        "Validation conditions": "trained on like the others; nothing is chosen by them",
    }
    return HTML(table([{"Part": k, "Value": v} for k, v in rows.items()], "The adapter that the pages show"))


def _percent(trained: int) -> str:
    return f"{100 * trained / WHOLE_HUMAN.n_parameters:.3g} %"


def screen(n: int = 16) -> tuple[Batch, Batch]:
    """Control profiles of a small simulated screen with `n` conditions at its highest dose, and the same with other drugs."""
    cells = data.load(SCREEN, size="small", expectation=False)
    train, backbone = Training(cells), BACKBONES["small"].make(None).model
    positions = panel(train, backbone.vocabulary)
    reader = Reader.of(backbone, Config(), backbone.vocabulary.ids_of(cells.var_names[positions]))
    made, _ = examples(train, positions, least=3, controls=False)
    rows = np.flatnonzero(made.conditions["dose_um"] == made.conditions["dose_um"].max())[:n]
    of, controls = made.conditions.iloc[rows], Controls.of(cells, positions)
    before = np.stack([controls.mean(context) for context in of["context"]])
    e = morgan(train.perturbations.loc[of["perturbation"], "smiles"], 1024)
    return tuple(reader.read(before, one, made.target[rows]) for one in (e, np.roll(e, 1, axis=0)))


def start(batch: Batch, other: Batch) -> HTML:
    """What a new adapter does to the tokens, and how far its gradients reach in the first steps."""
    backbone, rows = BACKBONES["small"].make(None).model, []
    with torch.no_grad():
        plain = backbone.encode(*batch[:2])
    model = Adapted(backbone, Config(), batch.e.shape[1])
    optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=1e-3)
    for step in range(4):
        with torch.no_grad():
            moved = (model.tokens(*batch[:3]) - plain).abs().max().item()
            drug = (model(*other[:4]) - model(*batch[:4])).abs().max().item()
        optimizer.zero_grad()
        loss = torch.mean((model(*batch[:4]) - batch.target) ** 2)
        loss.backward()
        norms = {name: 0.0 for name in PARTS.values()}
        for name, one in model.named_parameters():
            part = next((words for key, words in PARTS.items() if f".{key}." in f".{name}"), None)
            if part and one.grad is not None:
                norms[part] += float(one.grad.square().sum())
        optimizer.step()
        rows.append(
            {
                "Step": step,
                "Loss": f"{loss.item():.5f}",
                **{f"Gradient of {part}": f"{norm**0.5:.2g}" for part, norm in norms.items()},
                "Largest change of a token": f"{moved:.2g}",
                "Largest change by another drug": f"{drug:.2g}",
            }
        )
    return HTML(table(rows, "The first steps of training on simulated cells"))


def banner() -> HTML:
    """Say first that the cells of the worked example are simulated; the chart shows none."""
    text = "The worked example of this page runs on simulated cells; budget and formulas need no cells."
    return HTML(frame.admonition("warning simulated", "Simulated cells", text))


def provenance(page: str, **given: int) -> HTML:
    """What the page was made of, and the command that repeats it."""
    used = {SCREEN: data.checksum(SCREEN)}
    return frame.footer(manifest(ROOT, page=page, tier="smoke", parameters=given, data=used))
