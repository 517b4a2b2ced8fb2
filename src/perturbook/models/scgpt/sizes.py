"""What args.json says about a model: sizes and options, checked and bounded before anything is allocated.

Source: `scgpt.md` sections 1.1 and 9; the bounds are our choice.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from perturbook.errors import ConfigError

LARGEST = {
    "n_tokens": 2_000_000,
    "embsize": 8_192,
    "d_hid": 65_536,
    "nheads": 512,
    "nlayers": 512,
    "n_layers_cls": 64,
}
MOST_PARAMETERS = 2_000_000_000
"""A model of 8 GB in fp32; a file that asks for more is refused before anything is allocated."""
INPUT_STYLES = ("continuous", "category", "scaling")
CELL_STYLES = ("cls", "avg-pool", "w-pool")
REQUIRED = ("embsize", "nheads", "d_hid", "nlayers")
"""Keys of args.json without which no model can be built."""
KEYS = {
    "n_bins": "n_bins",
    "n_layers_cls": "n_layers_cls",
    "dropout": "dropout",
    "pad_value": "pad_value",
    "mask_value": "mask_value",
    "max_seq_len": "max_seq_len",
    "input_emb_style": "input_emb_style",
    "cell_emb_style": "cell_emb_style",
    "explicit_zero_prob": "explicit_zeros",
    "MVC": "mvc",
}
"""Optional keys of args.json and the field of `Sizes` that each fills."""


@dataclass(frozen=True)
class Sizes:
    """Sizes and options of one model; raises ConfigError where they are impossible or beyond the bounds."""

    n_tokens: int
    """Rows of the gene table: genes and special tokens."""
    embsize: int
    """D, width of a token."""
    nheads: int
    d_hid: int
    """F, width inside the feed-forward block."""
    nlayers: int
    pad_id: int
    """Row of the gene table that stands for padding."""
    n_layers_cls: int = 3
    dropout: float = 0.2
    n_bins: int = 51
    pad_value: float = -2.0
    mask_value: float = -1.0
    max_seq_len: int = 1200
    input_emb_style: str = "continuous"
    cell_emb_style: str = "cls"
    explicit_zeros: bool = False
    mvc: bool = True
    """Has the decoder that predicts expression from the cell embedding and a gene."""
    flags: bool = True
    """Has the flag encoder of pre-training, which marks genes to be generated."""
    n_cls: int = 0
    """Classes of the cell classifier; 0 means that there is none."""

    def __post_init__(self):
        for name, most in LARGEST.items():
            _whole(name, getattr(self, name), 1, most)
        _whole("pad_id", self.pad_id, 0, self.n_tokens - 1)
        _whole("n_bins", self.n_bins, 2, 100_000)
        _whole("max_seq_len", self.max_seq_len, 1, 10_000_000)
        _whole("n_cls", self.n_cls, 0, 1_000_000)
        for name, least, most in (
            ("dropout", 0.0, 0.99),
            ("pad_value", -1e6, 1e6),
            ("mask_value", -1e6, 1e6),
        ):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and math.isfinite(value) and least <= value <= most):
                raise ConfigError(f"{name} is {value!r}, expected a number from {least:g} to {most:g}.")
        for name, known in (("input_emb_style", INPUT_STYLES), ("cell_emb_style", CELL_STYLES)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(known)}.")
        for name in ("explicit_zeros", "mvc", "flags"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {getattr(self, name)!r}, expected true or false.")
        if self.embsize % self.nheads:
            raise ConfigError(
                f"embsize {self.embsize} cannot be divided among {self.nheads} heads (nheads); "
                f"one of the two is wrong."
            )
        if self.n_parameters > MOST_PARAMETERS:
            raise ConfigError(
                f"these sizes make {self.n_parameters:,} parameters, more than the {MOST_PARAMETERS:,} "
                f"that are loaded; check embsize, d_hid and nlayers."
            )

    @property
    def n_input_bins(self) -> int:
        """Rows of the value table of style "category": the bins, padding and mask."""
        return self.n_bins + 2

    @property
    def n_parameters(self) -> int:
        """Number of parameters of the trunk, flag encoder and decoders, classifier left out."""
        d, f, zeros = self.embsize, self.d_hid, 1 + self.explicit_zeros
        values = {
            "continuous": 2 * d + d * d + d + 2 * d,
            "category": self.n_input_bins * d + 2 * d,
            "scaling": 0,
        }
        layer = 4 * d * d + 4 * d + 2 * d * f + f + d + 4 * d
        decoder = zeros * (2 * (d * d + d) + d + 1)
        mvc = self.mvc * (zeros * (d * d) + d * d + d + self.explicit_zeros * d)
        table = self.n_tokens * d + 2 * d
        return (
            table + values[self.input_emb_style] + self.nlayers * layer + decoder + mvc + self.flags * 2 * d
        )

    @classmethod
    def from_args(cls, args: Mapping[str, Any], n_tokens: int, pad_id: int) -> "Sizes":
        """Sizes said by the content of an args.json; keys that say nothing about the model are ignored.

        Raises:
            ConfigError: a size key is missing, or a value is impossible.
        """
        if missing := [key for key in REQUIRED if key not in args]:
            raise ConfigError(f"{', '.join(missing)} is missing; the sizes of the model cannot be known.")
        for key, only in (
            ("pad_token", "<pad>"),
            ("pre_norm", False),
            ("mvc_decoder_style", "inner product"),
        ):
            if args.get(key, only) != only:
                raise ConfigError(f"{key} is {args[key]!r}; only {only!r} is supported.")
        given = {field: args[key] for key, field in KEYS.items() if key in args}
        return cls(n_tokens=n_tokens, pad_id=pad_id, **{key: args[key] for key in REQUIRED}, **given)

    def to_args(self) -> dict[str, Any]:
        """The content of an args.json that says these sizes, under the public names."""
        said = {key: getattr(self, key) for key in REQUIRED}
        said |= {key: getattr(self, field) for key, field in KEYS.items()}
        return said | {"pad_token": "<pad>", "USE_GENERATIVE_TRAINING": self.flags}

    def as_dict(self) -> dict[str, Any]:
        """Every field by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _whole(name: str, value: Any, least: int, most: int) -> None:
    if not (isinstance(value, int) and not isinstance(value, bool) and least <= value <= most):
        raise ConfigError(f"{name} is {value!r}, expected a whole number from {least} to {most}.")
