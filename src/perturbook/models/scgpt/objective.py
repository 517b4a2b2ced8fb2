"""The pre-training objective: hide part of a cell's expression and predict it, in the generative and the masked form.

Generative: genes are split at random into perceived ones, with values, and generated ones, named only; the loss is
MSE(predictions, bins) + MSE(mvc, bins) over generated genes and, after `replay_after` steps, the same first term in a second
pass whose position 0 is the detached cell embedding of the first. Masked: hidden genes keep their place with value -1;
MSE of expression and mvc over them. Unit weights; padding never counts. Source: `scgpt.md` section 7.

The code that trained the released weights leaves the output projection of attention out for generated tokens. Ours applies it
(`project_generated`): a generated gene then passes through the same layer as every other token, so that one set of weights
serves both forms and any adapter behind attention. Source: our choice.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from perturbook.errors import ConfigError
from perturbook.models.scgpt.losses import masked_mse
from perturbook.models.scgpt.masking import mask_values
from perturbook.models.scgpt.model import ScGPT
from perturbook.models.scgpt.tokens import Tokens

RATIOS = (0.25, 0.5, 0.75)
"""Shares of genes to hide, one of them drawn per batch."""
FORMS = ("generative", "masked", "both")


class Split(NamedTuple):
    """Cells split into perceived and generated genes."""

    perceived: Tokens
    """`<cls>` and perceived genes with their bins, `(cells, P)`."""
    generated: Tokens
    """Generated genes; `values` holds the bins to predict, `(cells, G)`."""


class Masked(NamedTuple):
    """Cells with hidden values."""

    tokens: Tokens
    """All genes, -1 where hidden, `(cells, L)`."""
    bins: Tensor
    """The bins, `(cells, L)`."""
    hidden: Tensor
    """True where hidden, `(cells, L)`."""


class Batch(NamedTuple):
    """What one step is shown; None for a form that takes no part."""

    generative: Split | None
    masked: Masked | None


def split(tokens: Tokens, names: list[str], ratio: float, seed: int) -> Split:
    """Split each cell: int(n * ratio) of its n genes are generated, the others perceived, `<cls>` always."""
    _, hidden = mask_values(tokens, names, ratio, seed)
    return Split(_compact(tokens, ~hidden & ~tokens.padding), _compact(tokens, hidden))


def mask(tokens: Tokens, names: list[str], ratio: float, seed: int) -> Masked:
    """Hide the values of int(n * ratio) of the n genes of each cell."""
    shown, hidden = mask_values(tokens, names, ratio, seed)
    return Masked(shown, tokens.values, hidden)


def make_batch(tokens: Tokens, names: list[str], ratio: float, seed: int, form: str) -> Batch:
    """A batch of the given form; under "both" the cells at even places are split, the others masked."""
    if form not in FORMS:
        raise ConfigError(f"objective is {form!r}; expected one of {', '.join(FORMS)}.")
    if form == "generative":
        return Batch(split(tokens, names, ratio, seed), None)
    if form == "masked":
        return Batch(None, mask(tokens, names, ratio, seed))
    even, odd = (Tokens(*(part[first::2] for part in tokens)) for first in (0, 1))
    masked = mask(_trim(odd), names[1::2], ratio, seed) if len(names) > 1 else None
    return Batch(split(_trim(even), names[::2], ratio, seed), masked)


@dataclass(frozen=True)
class Objective:
    """The loss for `perturbook.models.training.fit`: terms by name, `loss` their sum."""

    replay_after: int = 1000
    """Steps before the second pass begins."""
    project_generated: bool = True
    """Apply the output projection of attention to generated tokens too; False is the released models' way."""

    def __call__(self, model: ScGPT, batch: Batch, step: int) -> dict[str, Tensor]:
        """Loss terms of one batch, each a mean over hidden genes, in squared bins."""
        terms: dict[str, Tensor] = {}
        if batch.generative is not None:
            terms |= self.generative(model, batch.generative, replay=step >= self.replay_after)
        if batch.masked is not None:
            terms |= self.masked(model, batch.masked)
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def generative(self, model: ScGPT, batch: Split, replay: bool) -> dict[str, Tensor]:
        """`generated`, `generated mvc` and, with `replay`, `generated from cell`."""
        known, asked = batch.perceived, batch.generated
        inputs = (*known, asked.gene_ids, asked.padding)
        options = {"project_generated": self.project_generated}
        made = model.perceive_and_generate(*inputs, **options)
        real = ~asked.padding
        terms = {"generated": masked_mse(made.gen_preds, asked.values, real)}
        if made.mvc is not None:
            terms["generated mvc"] = masked_mse(made.mvc[:, known.gene_ids.shape[1] :], asked.values, real)
        if replay:
            again = model.perceive_and_generate(*inputs, cell=made.cell.detach(), **options)
            terms["generated from cell"] = masked_mse(again.gen_preds, asked.values, real)
        return terms

    def masked(self, model: ScGPT, batch: Masked) -> dict[str, Tensor]:
        """`masked` and `masked mvc`."""
        made = model(*batch.tokens)
        terms = {"masked": masked_mse(made.expression, batch.bins, batch.hidden)}
        if made.mvc is not None:
            terms["masked mvc"] = masked_mse(made.mvc, batch.bins, batch.hidden)
        return terms


def _compact(tokens: Tokens, keep: Tensor) -> Tokens:
    """Only the kept tokens of each cell, in their order, padded to the longest."""
    order = (~keep).to(torch.int8).argsort(dim=1, stable=True)[:, : max(1, int(keep.sum(dim=1).max()))]
    padding = ~keep.gather(1, order)
    ids = tokens.gene_ids.gather(1, order)
    values = tokens.values.gather(1, order)
    return Tokens(ids, values, padding)


def _trim(tokens: Tokens) -> Tokens:
    """Without the columns that are padding throughout."""
    length = int((~tokens.padding).sum(dim=1).max())
    return Tokens(*(part[:, :length] for part in tokens))
