"""The vocabulary: which tokens a model knows, and the row of the gene table that stands for each.

Source: `scgpt.md` section 1.2; the share of genes that must match is our choice.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from perturbook.errors import InputError

SPECIAL = ("<pad>", "<cls>", "<eoc>")
"""Tokens that are no genes, in the order in which missing ones are appended."""
LEAST_SHARE = 0.5
"""Share of the genes of a data set that must be known; below it the names are most likely of another kind."""
LARGEST_FILE = 100_000_000
"""Bytes of a vocabulary file; the whole-human one has 1.3 million."""


class Vocabulary:
    """Tokens in the order of their ids, which are 0, 1, 2 and so on; look ids up by name, never assume them."""

    def __init__(self, tokens: Sequence[str], appended: Sequence[str] = ()):
        """Args: `tokens` by id; `appended`, those of them that the file lacked. Raises InputError for a repeated token."""
        self.tokens = tuple(tokens)
        self.appended = tuple(appended)
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        if len(self._ids) < len(self.tokens):
            seen: set[str] = set()
            twice = next(token for token in self.tokens if token in seen or seen.add(token))
            raise InputError(f"the token {twice!r} stands twice in the vocabulary; each needs one id.")
        for token in SPECIAL:
            if token not in self._ids:
                raise InputError(
                    f"the vocabulary has no {token}; make it with Vocabulary.of, which appends it."
                )

    @classmethod
    def of(cls, genes: Iterable[str]) -> "Vocabulary":
        """Vocabulary of `genes` in their order, missing special tokens appended as `<pad>`, `<cls>`, `<eoc>`."""
        tokens = [str(gene) for gene in genes]
        appended = [token for token in SPECIAL if token not in set(tokens)]
        return cls(tokens + appended, appended)

    @classmethod
    def from_ids(cls, ids: Mapping[str, int]) -> "Vocabulary":
        """Vocabulary from token -> id in any order; missing special tokens are appended.

        Raises:
            InputError: no token at all, an id that is no whole number, an id used twice, or a gap.
        """
        if not ids:
            raise InputError("the vocabulary is empty; expected an object of token: id.")
        by_id: dict[int, str] = {}
        for token, number in ids.items():
            if not isinstance(number, int) or isinstance(number, bool):
                raise InputError(f"the id of {token!r} is {number!r}; expected a whole number.")
            if number in by_id:
                raise InputError(f"the id {number} is used twice, by {by_id[number]!r} and {token!r}.")
            by_id[number] = token
        if gap := [i for i in range(len(by_id)) if i not in by_id][:1]:
            raise InputError(
                f"the ids have a gap: {len(by_id)} tokens need the ids 0 to {len(by_id) - 1}, and {gap[0]} is missing."
            )
        return cls.of(by_id[i] for i in range(len(by_id)))

    @classmethod
    def read(cls, path: Path) -> "Vocabulary":
        """Vocabulary of a JSON file, an object of token: id that need not be sorted.

        Raises:
            InputError: the file is missing, no JSON object, or its ids are wrong; the message names the file.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(
                f"{path} is missing; a checkpoint folder holds args.json, vocab.json and the weights."
            )
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path} has {path.stat().st_size:,} bytes, too many for a vocabulary.")
        try:
            ids = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (ValueError, RecursionError) as error:  # of the decoder of text, or of JSON
            raise InputError(f"{path} is no JSON ({error}); fetch or copy it again.") from None
        if not isinstance(ids, dict):
            raise InputError(f"{path} holds a {type(ids).__name__}; expected an object of token: id.")
        try:
            return cls.from_ids(ids)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    def to_ids(self) -> dict[str, int]:
        """Token -> id, in the order of the ids; the content of a vocab.json."""
        return dict(self._ids)

    @property
    def pad(self) -> int:
        """Id of `<pad>`."""
        return self._ids["<pad>"]

    @property
    def cls(self) -> int:
        """Id of `<cls>`, which stands first in every cell."""
        return self._ids["<cls>"]

    @property
    def eoc(self) -> int:
        """Id of `<eoc>`, unused by the released models."""
        return self._ids["<eoc>"]

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __getitem__(self, token: str) -> int:
        return self._ids[token]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.tokens == other.tokens

    def __hash__(self) -> int:
        return hash(self.tokens)

    def ids_of(self, symbols: Iterable[str]) -> np.ndarray:
        """Ids of gene symbols, `(genes,)` int64; -1 where a symbol is unknown or a special token."""
        known = self._ids
        return np.array([-1 if s in SPECIAL else known.get(s, -1) for s in map(str, symbols)], np.int64)

    def matched_share(self, symbols: Iterable[str]) -> float:
        """Share of `symbols` that are known genes, NaN for none at all."""
        ids = self.ids_of(symbols)
        return float((ids >= 0).mean()) if len(ids) else float("nan")

    def ids_of_data(self, symbols: Sequence[str], least: float = LEAST_SHARE) -> np.ndarray:
        """Like `ids_of`, for the genes of a data set.

        Raises:
            InputError: fewer than the share `least` are known; the message says the share and the likely cause.
        """
        symbols = [str(symbol) for symbol in symbols]
        ids = self.ids_of(symbols)
        if not len(ids) or (ids >= 0).mean() < least:
            raise InputError(
                f"{int((ids >= 0).sum()):,} of {len(ids):,} gene names are in the vocabulary of {len(self):,} tokens, "
                f"less than {least:.0%}. {likely_cause(symbols)}"
            )
        return ids


def likely_cause(symbols: Sequence[str]) -> str:
    """Why gene names do not match human symbols, and what to do. Source: our choice."""
    first = next(iter(symbols), "")
    if not len(symbols):
        return "There are no genes at all; check var_names."
    if sum(s.startswith("ENSMUSG") for s in symbols) > len(symbols) / 2:
        return f"Names such as {first} are Ensembl ids of mouse; map them to human symbols by orthology."
    if sum(s.startswith("ENS") for s in symbols) > len(symbols) / 2:
        return f"Names such as {first} are Ensembl ids; name the var column that holds gene symbols."
    if sum(s[:1].isupper() and s[1:].islower() for s in symbols) > len(symbols) / 2:
        return (
            f"Names such as {first} look like mouse or rat symbols; map them to human symbols by orthology."
        )
    if sum(s.isdigit() for s in symbols) > len(symbols) / 2:
        return f"Names such as {first} are numbers; name the var column that holds gene symbols."
    return (
        f"Names such as {first} are no symbols of this vocabulary; check the species and the kind of names."
    )


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise InputError(f"the token {twice!r} stands twice; each needs one id.")
    return made
