"""Load and save a model: a folder with args.json, vocab.json and one file of weights.

Source: `scgpt.md` sections 1, 2.2 and 9. Loading is strict: every parameter comes from the file, and every key of the
file is used or named in the report with a reason.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from perturbook.data.scgpt_human import FILES as RELEASED
from perturbook.data.trust import file_sha256
from perturbook.errors import ConfigError, InputError
from perturbook.models.scgpt.file_sizes import check_sizes, with_parts
from perturbook.models.scgpt.loading_report import Report
from perturbook.models.scgpt.model import ScGPT
from perturbook.models.scgpt.sizes import Sizes
from perturbook.models.scgpt.state_keys import compare, normalise, set_aside
from perturbook.models.scgpt.vocabulary import Vocabulary
from perturbook.models.scgpt.weights_file import check_file, read_tensors
from perturbook.whole import whole_folder

ARGS, VOCABULARY, CARD, OWN = "args.json", "vocab.json", "card.json", "model.safetensors"
WEIGHTS = (OWN, "best_model.pt")
"""Names under which weights are looked for."""
LARGEST_JSON = 1_000_000
WITHOUT = {
    "flag_encoder": "perceive_and_generate, the pre-training pass, is not possible",
    "cls_decoder": "classify is not possible; the released files never have it",
    "mvc_decoder": "forward gives no mvc",
}
"""Optional parts of a file, and what is not possible without each."""


def load(folder: Path | str, weights: str | None = None, *, sha256: str | None = None) -> ScGPT:
    """The model of a checkpoint folder, in eval mode, float32, on the CPU.

    Args:
        folder: holds args.json, vocab.json and the weights; card.json is read where there is one.
        weights: name of the file of weights in `folder`; by default model.safetensors or best_model.pt.
        sha256: checksum that the file of weights must have.

    Returns:
        The model; `model.report` says which file it was, what of it is used, and whether its checksum is known.
        A folder whose checksum is not known is loaded because it was named, and reported as "unverified".

    Raises:
        InputError: a file is missing, damaged, unsafe or contradicts another; nothing is loaded then.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder} is no folder; a checkpoint is a folder with {ARGS}, {VOCABULARY} and weights. "
            f"`perturbook data fetch scgpt-human` says how to get the released one."
        )
    args = _read_json(folder / ARGS)
    vocabulary = Vocabulary.read(folder / VOCABULARY)
    sizes = _sizes(folder / ARGS, args, vocabulary)
    path = _weights(folder, weights)
    check_file(path)
    digest = file_sha256(path)
    if sha256 is not None and digest != sha256.lower():
        raise InputError(
            f"{path} has sha256 {digest}, expected {sha256}; it is another file, fetch it again."
        )
    stored = read_tensors(path)
    try:
        tensors, layout = normalise(stored)
        tensors, unused = set_aside(tensors)
        sizes = with_parts(sizes, args, tensors)
        model = ScGPT(sizes, vocabulary)
        check_sizes(sizes, tensors)
        compare(model, tensors)
    except (InputError, ConfigError) as error:
        raise InputError(f"{path}: {error}") from None
    del stored
    precisions = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})
    for key in tensors:
        tensors[key] = tensors[key].float().contiguous()
    model.load_state_dict(tensors, strict=True, assign=True)
    model.requires_grad_(True)
    model.card = _read_json(folder / CARD) if (folder / CARD).is_file() else {}
    model.name = str(model.card.get("name", folder.resolve().name))
    model.report = Report(
        origin=str(path),
        sha256=digest,
        verified=_verified(folder, path, digest, sha256),
        layout=layout,
        dtype=", ".join(precisions),
        loaded=tuple(tensors),
        unused=unused,
        absent={part: what for part, what in WITHOUT.items() if getattr(model, part) is None},
        appended=vocabulary.appended,
    )
    return model.eval()


def save(
    model: ScGPT, folder: Path | str, dtype: torch.dtype = torch.float32, card: dict[str, Any] | None = None
) -> Path:
    """Write model.safetensors, args.json, vocab.json and, where given, card.json: the whole folder or nothing.

    Args:
        folder: a new folder, or one that holds nothing but an earlier save.
        dtype: precision of the stored numbers, torch.float32, float16 or bfloat16; loading makes them float32.

    Raises:
        ConfigError: the model has no vocabulary, or `dtype` is another.
        InputError: the folder holds other files, or a weight does not fit into `dtype`.
    """
    folder = Path(folder)
    if model.vocabulary is None:
        raise ConfigError("the model has no vocabulary; without one its gene table cannot be read again.")
    if dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise ConfigError(f"dtype is {dtype}, expected torch.float32, float16 or bfloat16.")
    known = {ARGS, VOCABULARY, CARD, OWN}
    if folder.exists() and (
        others := sorted(path.name for path in folder.iterdir() if path.name not in known)
    ):
        raise InputError(f"{folder} holds {others[0]}, which a save would remove; save to a new folder.")
    tensors = {
        key: tensor.detach().cpu().to(dtype).contiguous() for key, tensor in model.state_dict().items()
    }
    if wrong := [key for key, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]:
        raise InputError(
            f"{wrong[0]} holds numbers that {dtype} cannot; save as torch.float32, or look at training."
        )
    with whole_folder(folder) as making:
        save_file(tensors, making / OWN)
        _write_json(making / ARGS, model.sizes.to_args())
        _write_json(making / VOCABULARY, model.vocabulary.to_ids())
        if card or model.card:
            _write_json(making / CARD, model.card if card is None else card)
    return folder


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(
            f"{path} is missing; a checkpoint folder holds {ARGS}, {VOCABULARY} and the weights."
        )
    if path.stat().st_size > LARGEST_JSON:
        raise InputError(f"{path} has {path.stat().st_size:,} bytes, too many for a file of settings.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # of the decoder of text, or of JSON
        raise InputError(f"{path} is no JSON ({error}); fetch or copy it again.") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} holds a {type(found).__name__}, expected an object of names and values.")
    return found


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _sizes(path: Path, args: dict[str, Any], vocabulary: Vocabulary) -> Sizes:
    try:
        return Sizes.from_args(args, len(vocabulary), vocabulary.pad)
    except ConfigError as error:
        raise InputError(f"{path}: {error}") from None


def _weights(folder: Path, name: str | None) -> Path:
    if name is not None:
        if Path(name).name != name:
            raise InputError(f"weights is {name!r}, expected the name of a file in {folder}, without a path.")
        return folder / name
    found = [folder / one for one in WEIGHTS if (folder / one).is_file()]
    if len(found) > 1:
        raise InputError(f"{folder} holds {' and '.join(WEIGHTS)}; say which with weights=.")
    if not found:
        raise InputError(
            f"{folder} holds no weights, neither {' nor '.join(WEIGHTS)}; name another file with weights=."
        )
    return found[0]


def _verified(folder: Path, path: Path, digest: str, given: str | None) -> str:
    listed = {file.name: file.sha256 or file.listed.removeprefix("sha256:") for file in RELEASED}
    if digest == listed["best_model.pt"]:
        same = all(file_sha256(folder / name) == listed[name] for name in (ARGS, VOCABULARY))
        return (
            "the released whole-human checkpoint" if same else "the released weights beside other JSON files"
        )
    return "equal to the given sha256" if given else "unverified"
