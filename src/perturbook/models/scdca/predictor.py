"""`ScDCA`: the predictor. Fit on training conditions, then predict any condition from control cells and the perturbation.

Source: `scdca.md` sections 2 to 4. The backbone is frozen, the encoder of the perturbation too; what is trained is the
adapter and a head of one number per token.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache

import numpy as np
import pandas as pd
import torch

from perturbook.data.findings import three
from perturbook.data.schema import CONTROL
from perturbook.errors import InputError, NotApplicable
from perturbook.models.backbones import BACKBONES
from perturbook.models.molecules import ENCODERS, Encoder
from perturbook.models.protocol import Prediction, Query, Training
from perturbook.models.scdca.adapted import Adapted
from perturbook.models.scdca.batches import Bootstrapped, Reader
from perturbook.models.scdca.config import Config
from perturbook.models.scdca.profiles import MOST_GENES, Controls, Examples, examples, panel
from perturbook.models.scgpt.model import ScGPT
from perturbook.models.shifted_controls import moved_controls
from perturbook.models.training import History, Settings, fit
from perturbook.models.training.recalled import digest, once

ROWS = 16
"""Conditions that go through the model together at prediction."""


@lru_cache(maxsize=4)
def backbone_of(name: str) -> ScGPT:
    """The scGPT model of a backbone of the registry, such as `small` or `random`; raises ConfigError for an unknown one."""
    return BACKBONES[name].make(None).model


@dataclass
class ScDCA:
    """Drug-conditional adapter with all that is fixed before training."""

    config: Config = field(default_factory=Config)
    backbone: str | ScGPT = "small"
    """Name in the registry of backbones, or a model."""
    encoder: str | Callable[[], Encoder] = "morgan"
    """What a perturbation looks like: a name in the registry of encoders, or what makes one."""
    epochs: int = 20
    least_steps: int = 1
    """Fewest optimiser steps: a screen of few conditions is passed more often."""
    batch_size: int = 16
    learning_rate: float = 1e-4
    warmup_steps: int = 0
    """Steps over which the learning rate rises to its value."""
    final_share: float = 1.0
    """Share of the learning rate that is left at the last step, behind half a cosine; 1 keeps it constant."""
    patience: int | None = 3
    """Epochs without a better validation after which training stops; None never stops early."""
    hold_validation: bool = True
    """Whether validation conditions only choose when to stop. Off, they are training examples like the others, as they are
    for every floor, and training makes all of its steps; for settings that were chosen before (our choice)."""
    least_cells: int = 3
    """Fewest cells of a training condition."""
    control_pairs: bool = False
    """Whether controls are an example too, with the vehicle's embedding, which is zero; both are our choice. Without them
    nothing that is trained sees the controls of a held-out context, so that zero-shot modes A and B differ by the panel
    alone."""
    genes: int = MOST_GENES
    """Most genes of the panel."""
    genes_per_step: int = 0
    """Genes shown per training step, drawn anew; 0 shows the panel."""
    tokens_per_step: int = 0
    """Conditions times genes of a training step: a screen of fewer conditions than a batch shows more genes than
    `genes_per_step`."""
    seed: int = 0
    cells: bool = False
    """Whether `predict` also gives cells: the context's control cells, each moved by the predicted change of the mean, so
    that their spread is that of the controls (our choice; the model learned from means alone)."""

    def fit(self, train: Training) -> "ScDCA":
        """Choose the panel, fit the encoder and train; raises NotApplicable where there is nothing to train on."""
        model = backbone_of(self.backbone) if isinstance(self.backbone, str) else self.backbone
        self.backbone_sha256 = model.identity
        positions = panel(train, model.vocabulary, self.genes)
        self.genes_of_panel = train.cells.var_names[positions].tolist()
        self.reader = Reader.of(model, self.config, model.vocabulary.ids_of(self.genes_of_panel))
        shown = train if self.hold_validation else replace(train, valid=frozenset())
        training, valid = examples(shown, positions, self.least_cells, self.control_pairs)
        self.table = train.perturbations
        made = ENCODERS[self.encoder] if isinstance(self.encoder, str) else self.encoder
        seen = sorted(set(training.conditions["perturbation"]) - {CONTROL})
        self.encoding = made().fit(self.table, seen)
        self.model = Adapted(model, self.config, self.encoding.width, self.seed)
        controls = Controls.of(train.cells, positions).of_contexts(training, valid)
        key = digest(self._facts(training, valid), self._arrays(training, valid, controls))
        self.history = once(self.model, key, lambda: self._train(training, valid, controls), __file__)
        return self

    def _facts(self, *examples: Examples) -> str:
        """Everything but numbers that decides what training gives."""
        fixed = (f.name for f in fields(self) if f.name not in ("config", "backbone", "encoder", "cells"))
        said = {name: getattr(self, name) for name in fixed} | {"config": self.config.as_dict()}
        said |= {"backbone": self.backbone_sha256, "panel": self.genes_of_panel}
        return json.dumps([said, *(one.conditions.to_csv() for one in examples)])

    def _arrays(self, training: Examples, valid: Examples, controls: Controls) -> Iterator[np.ndarray]:
        """The numbers that training reads."""
        for one in (training, valid):
            yield one.target
            if len(one):
                yield self._embed(one.conditions, self.table)
        for context, cells in sorted(controls.cells.items()):
            yield np.array(context)
            yield cells

    def _train(self, training: Examples, valid: Examples, controls: Controls) -> History:
        batches = Bootstrapped(
            training,
            controls,
            self._embed(training.conditions, self.table),
            self.reader,
            self.batch_size,
            max(self.genes_per_step, self.tokens_per_step // min(self.batch_size, len(training))),
        )
        per_epoch = -(-len(training) // self.batch_size)
        settings = Settings(
            steps=max(self.epochs * per_epoch, self.least_steps),
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
            final_share=self.final_share,
            seed=self.seed,
            validate_every=per_epoch,
            patience=self.patience if len(valid) else None,
            log_every=per_epoch,
        )
        validate = None
        if len(valid):
            before = np.stack([controls.mean(context) for context in valid.conditions["context"]])
            e = self._embed(valid.conditions, self.table)

            def validate(module: Adapted) -> float:
                made = self._run(module, before, e)
                return float(np.mean((made - valid.target) ** 2, dtype=np.float64))

        return fit(self.model, _loss, batches, settings, validate=validate)

    def predict(self, query: Query) -> Prediction:
        """Mean profile of each condition, `(conditions, genes)`; genes outside the panel keep the control mean.

        The model is shown the mean of the given control cells of the context, and the perturbation.
        """
        positions = query.controls.var_names.get_indexer(self.genes_of_panel)
        if (positions < 0).any():
            missing = np.array(self.genes_of_panel)[positions < 0]
            raise InputError(f"The control cells lack {len(missing)} genes of the panel: {three(missing)}.")
        asked = query.conditions[["context", "perturbation", "dose_um"]].reset_index(drop=True)
        asked = asked.astype({"context": str, "perturbation": str})
        if self.config.dose != "append":
            asked["dose_um"] = np.nan
        groups = asked.groupby(list(asked), dropna=False, sort=False)  # equal questions are asked once
        number, first = groups.ngroup().to_numpy(), groups.head(1).index
        before = query.mu0[first][:, positions].astype(np.float32)
        table = query.controls.uns.get("perturbations", self.table)
        made = self._run(self.model, before, self._embed(asked.loc[first], table))
        mean = query.mu0.copy()
        mean[:, positions] = made[number]
        if not self.cells:
            return Prediction(mean)
        cells = moved_controls(query, mean - query.mu0)
        return replace(Prediction.from_cells(cells), mean=mean)

    def _run(self, module: Adapted, before: np.ndarray, e: np.ndarray) -> np.ndarray:
        """Predicted profiles `(rows, genes)` of control profiles `(rows, genes)` and embeddings `(rows, m)`."""
        parts, empty = [], np.zeros((len(before), 0), np.float32)
        with torch.inference_mode():
            for at in range(0, len(before), ROWS):
                rows = slice(at, at + ROWS)
                batch = self.reader.read(before[rows], e[rows], empty[rows])
                parts.append(module(batch.gene_ids, batch.values, batch.e, batch.before).numpy())
        return np.concatenate(parts)

    def _embed(self, conditions: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
        """Embeddings `(conditions, m)`: zero for the vehicle; log10 of the dose in uM behind it where doses are appended."""
        names = conditions["perturbation"].astype(str).to_numpy()
        treated = sorted(set(names) - {CONTROL})
        rows = dict(zip(treated, self.encoding.encode(table, treated), strict=True)) if treated else {}
        zero = np.zeros(self.encoding.width, np.float32)
        e = np.stack([rows.get(name, zero) for name in names]).astype(np.float32)
        if self.config.dose != "append":
            return e
        dose = np.where(
            names == CONTROL, 1.0, conditions["dose_um"].to_numpy(float)
        )  # the vehicle's entry is 0 too
        if np.isnan(dose).any():
            raise NotApplicable("dose is appended, and a condition has none")
        return np.hstack([e, np.log10(dose)[:, None].astype(np.float32)])


def _loss(module: Adapted, batch, step: int) -> torch.Tensor:
    """Mean squared error over conditions and genes. Source: equation (12), as `scdca.md` reports it."""
    return torch.mean((module(batch.gene_ids, batch.values, batch.e, batch.before) - batch.target) ** 2)
