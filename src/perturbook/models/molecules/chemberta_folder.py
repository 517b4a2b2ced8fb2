"""A ChemBERTa model on disk: which files its folder holds, and how they are read without a network and without code.

Source: `scdca.md` section 3 and acceptance check 13. transformers is an optional dependency, imported where it is used.
"""

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from perturbook.data.findings import three
from perturbook.errors import ConfigError, InputError

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Either holds the weights; the first is taken where both are there. The second is read as tensors alone."""
TOKENIZER = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""Either set of files holds the tokenizer."""
EXPECTED = f"{CONFIG}, {' or '.join(WEIGHTS)}, and {' or '.join(' with '.join(one) for one in TOKENIZER)}"
KIND = "roberta"
"""`model_type` of every ChemBERTa."""
DAMAGED = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, EOFError)
DAMAGED += (SafetensorError, pickle.UnpicklingError)
"""What the readers of weights and tokenizers raise for files that are not what they should be."""


def files_of(folder: Path) -> list[Path]:
    """Files of the folder that decide its vectors: configuration, weights, tokenizer.

    Raises:
        ConfigError: the folder, or any of them, is missing; the message lists what is expected.
    """
    missing = [] if (folder / CONFIG).is_file() else [CONFIG]
    weights = next((name for name in WEIGHTS if (folder / name).is_file()), None)
    tokenizer = [name for names in TOKENIZER for name in names if (folder / name).is_file()]
    if weights is None:
        missing.append(" or ".join(WEIGHTS))
    if not any(set(names) <= set(tokenizer) for names in TOKENIZER):
        missing.append(" or ".join(" with ".join(names) for names in TOKENIZER))
    if missing:
        what = f"lacks {', '.join(missing)}" if folder.is_dir() else "is no folder"
        raise ConfigError(
            f"{folder} {what}; a ChemBERTa model is a local folder with {EXPECTED}. Nothing is downloaded: fetch it by "
            "other means and name its folder."
        )
    return [folder / name for name in (CONFIG, weights, *tokenizer)]


def sizes_of(folder: Path) -> tuple[int, int]:
    """Width m and the most tokens of a molecule, start and end included, as the configuration says.

    Raises:
        InputError: it is no JSON, of another kind of model, or lacks a number.
    """
    path = folder / CONFIG
    about = _json(path)
    if not isinstance(about, dict) or about.get("model_type") != KIND:
        kind = about.get("model_type") if isinstance(about, dict) else about
        raise InputError(
            f"{path} is of model_type {kind!r}, ChemBERTa is {KIND!r}; bring the vectors of other models by the "
            "encoder `table`."
        )
    width, positions, pad = (
        about.get(name) for name in ("hidden_size", "max_position_embeddings", "pad_token_id")
    )
    pad = 1 if pad is None else pad
    if not all(type(one) is int for one in (width, positions, pad)) or width < 1 or positions - pad < 2:
        raise InputError(
            f"{path} has hidden_size {width!r}, max_position_embeddings {positions!r} and pad_token_id {pad!r}; expected "
            "whole numbers that leave room for a molecule."
        )
    return width, positions - pad - 1  # positions are numbered from behind the padding


def load(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and model, float32, in eval mode; nothing is fetched and no code of the folder is run.

    Raises:
        ConfigError: transformers is not installed.
        InputError: a file is damaged, holds code, or lacks weights of the model.
    """
    try:
        import torch
        from huggingface_hub.errors import StrictDataclassError
        from transformers import RobertaModel, RobertaTokenizer
    except ImportError as error:
        raise ConfigError(
            f"The encoder `chemberta` needs transformers ({error}); install it with: pip install 'perturbook[chemberta]'"
        ) from None
    check_tokenizer(folder)
    with _quiet(), torch.random.fork_rng(devices=[]):
        try:
            tokenizer = RobertaTokenizer.from_pretrained(folder, local_files_only=True)
            model, report = RobertaModel.from_pretrained(
                folder,
                local_files_only=True,
                weights_only=True,
                dtype=torch.float32,
                add_pooling_layer=False,  # trained for another purpose, and often missing
                attn_implementation="eager",
                output_loading_info=True,
            )
        except (*DAMAGED, StrictDataclassError) as error:
            first = next(iter(str(error).splitlines()), type(error).__name__)
            raise InputError(f"{folder} cannot be read as a ChemBERTa model: {first}") from None
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            f"The weights in {folder} lack {len(missing)} tensors of the model, such as {three(missing)}; copy it again."
        )
    return tokenizer, model.eval()


def check_tokenizer(folder: Path) -> None:
    """Raise InputError for a tokenizer that cannot be read; the library's own error has no type that could be caught."""
    if (path := folder / TOKENIZER[0][0]).is_file():
        if not isinstance(about := _json(path), dict) or "model" not in about:
            raise InputError(f"{path} describes no tokenizer; copy the folder again.")
        return
    vocabulary, merges = (folder / name for name in TOKENIZER[1])
    tokens = _json(vocabulary)
    if not isinstance(tokens, dict) or not tokens or not all(type(one) is int for one in tokens.values()):
        raise InputError(f"{vocabulary} is no object of token: id; copy the folder again.")
    for line in _text(merges).splitlines():
        pair = line.split(" ")
        if line.startswith("#version") or not line.strip():
            continue
        if len(pair) != 2 or not {*pair, "".join(pair)} <= tokens.keys():
            raise InputError(
                f"{merges} has the line {line!r}, no pair of {vocabulary.name}; copy the folder again."
            )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except ValueError as error:
        raise InputError(f"{path} is no text ({error}); copy the folder again.") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({error}); copy the folder again.") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers without its bars and reports, which speak of parts that are not used here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
