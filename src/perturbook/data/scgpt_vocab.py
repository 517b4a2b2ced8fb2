"""The gene vocabulary of scGPT: which symbols its pretrained models know, and by which number.

Source: `datasets.md` section 3.7; `scgpt.md` section 1.2 for the special tokens.
"""

import json
from pathlib import Path

from perturbook.data.dataset import PublicFile, dataset
from perturbook.errors import InputError

NAME = "scgpt-vocab"
SPECIAL = ("<pad>", "<cls>", "<eoc>")
"""Tokens that are no genes; the file has none of them, the models number them last, in this order."""

FILE = PublicFile(
    name="default_census_vocab.json",
    url="https://raw.githubusercontent.com/bowang-lab/scGPT/cebd6fae655b9c585a4807daa3ac31bb764f06b4/scgpt/tokenizer/default_census_vocab.json",
    sha256="9fe73cf29929b5c66a5fffcfb2bcbdd3e38a3a086848cd12f8f918bcf458d75f",
    size=1_317_585,
    licence="MIT (bowang-lab/scGPT)",
)


@dataset(
    NAME,
    title="Gene vocabulary of the scGPT whole-human model (60,694 symbols)",
    files=(FILE,),
    cite="cui2024",
    cells=False,
)
def prepare(path: Path) -> dict[str, int]:
    """Gene symbol to id, in the order of the ids, which are 0 to 60,693; without the special tokens.

    Raises:
        InputError: the file is no JSON object, or its ids are not 0, 1, 2 and so on.
    """
    try:
        ids = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of the decoder of text, or of JSON
        raise InputError(f"{path} is not JSON: {error}. Move it away and fetch it again.") from error
    if not isinstance(ids, dict) or sorted(ids.values()) != list(range(len(ids))):
        raise InputError(
            f"{path} is no vocabulary: expected an object from symbols to the ids 0, 1, 2 and so on."
        )
    return dict(sorted(ids.items(), key=lambda item: item[1]))


def with_special_tokens(vocabulary: dict[str, int]) -> dict[str, int]:
    """The vocabulary with the special tokens it lacks appended: `<pad>` 60694, `<cls>` 60695, `<eoc>` 60696."""
    lacking = [token for token in SPECIAL if token not in vocabulary]
    return vocabulary | {token: len(vocabulary) + i for i, token in enumerate(lacking)}
