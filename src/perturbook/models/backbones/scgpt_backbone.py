"""scGPT as a backbone: cells to tokens, tokens through the frozen model, position 0 as a vector of length 1.

Source: `scgpt.md` sections 6.1, 6.2 and 8. Cells of like length go through the model together, so that little of a batch
is padding; which cells they are changes a vector by rounding alone.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from anndata import AnnData

from perturbook.errors import ConfigError
from perturbook.models.scgpt import ScGPT
from perturbook.models.scgpt.binning import check_ties
from perturbook.models.scgpt.draws import uniforms
from perturbook.models.scgpt.tokens import MAX_LENGTH, pad, tokenise

TOKENS_PER_BATCH = {"cpu": 8192, "cuda": 131_072}
"""Bounds what a pass holds: on a CPU, at width 512, 17 MB per tensor of the tokens, of which fewer than ten live at once."""
PRECISIONS = ("float32", "bfloat16")


class ScGPTBackbone:
    """A frozen scGPT model, the rule for its random numbers, and the size of its batches."""

    key = "X_scGPT"

    def __init__(
        self,
        model: ScGPT,
        *,
        seed: int = 0,
        ties: str = "seeded",
        max_length: int = MAX_LENGTH,
        precision: str = "float32",
        device: str | None = None,
        batch_size: int | None = None,
        tokens_per_batch: int | None = None,
    ):
        """Wrap a model; its weights are not changed.

        Args:
            model: from `load` or `random_backbone`, with a vocabulary.
            seed: decides ties and which genes of a long cell are kept, see `scgpt.tokens`.
            ties: "seeded", or "one", which draws nothing.
            max_length: most tokens of a cell, `<cls>` among them; 1,200 as upstream.
            precision: "float32"; or "bfloat16", faster and good to about 1e-2, for a model on a GPU above all.
            device: where the model is moved to, such as "cuda"; it stays where it is if None.
            batch_size: most cells that go through the model together; None leaves it to `tokens_per_batch`.
            tokens_per_batch: most tokens of a batch, padding included, though a single cell may have more; None takes
                8,192 on a CPU and 131,072 on a GPU.

        Raises:
            ConfigError: an option is impossible, or the model has no vocabulary.
        """
        check_ties(ties)
        uniforms(seed, "ties", np.zeros(0, np.uint64), np.zeros(0, int))  # raises for an impossible seed
        for name, least, value in (
            ("max_length", 2, max_length),
            ("batch_size", 1, batch_size),
            ("tokens_per_batch", 1, tokens_per_batch),
        ):
            if value is not None and value < least:
                raise ConfigError(f"{name} is {value}; it must be at least {least}.")
        if model.vocabulary is None:
            raise ConfigError(
                "The model has no vocabulary, so no gene can be found in it; load a whole checkpoint folder."
            )
        if precision not in PRECISIONS:
            raise ConfigError(f"precision is {precision!r}; expected one of {', '.join(PRECISIONS)}.")
        self.model, self.name = _moved(model, device), model.name
        self.title = f"scGPT ({model.name})"
        self.batch_size = batch_size
        self.tokens_per_batch = tokens_per_batch or TOKENS_PER_BATCH.get(
            self.device.type, TOKENS_PER_BATCH["cpu"]
        )
        self.precision = precision
        self._tokens = {"seed": int(seed), "ties": ties, "max_length": int(max_length)}

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def width(self) -> int:
        """D, numbers per cell."""
        return self.model.width

    @property
    def genes(self) -> tuple[str, ...]:
        """All tokens of the vocabulary, special ones among them."""
        return self.model.vocabulary.tokens

    @property
    def settings(self) -> dict:
        """What decides an embedding beside weights and cells, and whether the file of the weights is a known one."""
        report = self.model.report
        of_file = {"weights_sha256": report.sha256, "weights": report.verified} if report.sha256 else {}
        return self._tokens | {"precision": self.precision} | of_file

    @cached_property
    def identity(self) -> str:
        """sha256 over weights, sizes, vocabulary, seed, rule for ties, maximum length and precision."""
        said = f"{self.model.identity} {sorted(self._tokens.items())} {self.precision}"
        return hashlib.sha256(said.encode()).hexdigest()

    def seeded(self, seed: int) -> "ScGPTBackbone":
        """The same backbone under another seed."""
        made = ScGPTBackbone(
            self.model,
            **self._tokens | {"seed": seed},
            precision=self.precision,
            batch_size=self.batch_size,
            tokens_per_batch=self.tokens_per_batch,
        )
        made.name, made.title, made.key = self.name, self.title, self.key
        return made

    def match(self, symbols: Sequence[str]) -> np.ndarray:
        """Which symbols are in the vocabulary, `(genes,)` bool; raises InputError where fewer than half are."""
        return self.model.vocabulary.ids_of_data(symbols) >= 0

    def encode(self, cells: AnnData) -> np.ndarray:
        """Vectors of length 1, `(cells, width)` float32.

        Holds the tokens of the block, 12 bytes each, and one batch. Raises InputError for a cell without a known gene.
        """
        vocabulary, sizes = self.model.vocabulary, self.model.sizes
        of = tokenise(
            cells.X,
            vocabulary.ids_of(cells.var_names),
            cells.obs_names,
            vocabulary,
            n_bins=sizes.n_bins,
            cls_value=sizes.pad_value,
            **self._tokens,
        )
        found = np.empty((cells.n_obs, self.width), dtype=np.float32)
        was_training = self.model.training
        self.model.eval()
        try:
            for rows in self._batches(np.array([len(ids) for ids, _ in of])):
                found[rows] = self._encode_batch([of[row] for row in rows], sizes.pad_id, sizes.pad_value)
        finally:
            self.model.train(was_training)
        return found

    def _batches(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        """Rows of cells of like length, at most so many cells and tokens at once."""
        order = np.argsort(lengths, kind="stable")
        most, start = self.batch_size or len(order), 0
        while start < len(order):
            stop = start + 1
            while (
                stop < len(order)
                and stop - start < most
                and (stop - start + 1) * lengths[order[stop]] <= self.tokens_per_batch
            ):
                stop += 1
            yield order[start:stop]
            start = stop

    @torch.inference_mode()
    def _encode_batch(self, cells: list, pad_id: int, pad_value: float) -> np.ndarray:
        tokens = (one.to(self.device) for one in pad(cells, pad_id, pad_value))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            vectors = self.model.encode_cell(*tokens)
        return F.normalize(vectors.float(), dim=1).cpu().numpy()


def _moved(model: ScGPT, device: str | None) -> ScGPT:
    """The model on `device`; raises ConfigError where there is no such device."""
    if device is None:
        return model
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"The model cannot be moved to device {device!r}: {str(error).splitlines()[0]}"
        ) from error
