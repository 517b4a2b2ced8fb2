"""A trained autoencoder on disk: weights as safetensors, everything that says what they stand on as JSON; no code.

`sae.safetensors` holds the tensors, `sae.json` sizes, encoder, gene panel, settings and checksums, `training_cells.txt` the
names of the cells, one a line. Nothing outside the folder is read. Source: `concepts.md` section 2.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from perturbook import __version__
from perturbook.concepts.sae_settings import SAESettings
from perturbook.concepts.topk_sae import TopKSAE
from perturbook.data.trust import file_sha256
from perturbook.errors import ConfigError, InputError, ShapeError
from perturbook.source import source_hash
from perturbook.whole import whole_folder

TENSORS, CARD, CELLS, FORMAT = "sae.safetensors", "sae.json", "training_cells.txt", 1
LARGEST = 2**30
"""Numbers that one tensor of a card may ask for, 4 GB; sizes are checked before anything of that size is made."""


@dataclass(frozen=True)
class SavedSAE:
    """An autoencoder as it was saved."""

    sae: TopKSAE
    card: dict
    """What `sae.json` says."""
    cells: tuple[str, ...]
    """Names of the training cells."""
    identity: str
    """sha256 of the weights; the key of everything that is computed with them."""


def save_sae(
    sae: TopKSAE,
    folder: Path | str,
    *,
    encoder: str,
    encoder_sha256: str,
    genes: Sequence[str],
    cells: Sequence[str],
    settings: SAESettings | None = None,
) -> Path:
    """Write an autoencoder: the whole folder or nothing.

    Args:
        sae: trained.
        folder: new, or one that `save_sae` wrote, which is replaced.
        encoder: name of what made the embeddings, such as "small".
        encoder_sha256: its identity.
        genes: the gene panel, in the order in which the encoder was given it.
        cells: names of the training cells.
        settings: of the training.

    Raises:
        ConfigError: the folder holds something else, or names of cells are not unique single lines.
    """
    folder, cells, genes = Path(folder), [str(one) for one in cells], [str(one) for one in genes]
    if folder.exists() and not (folder / CARD).is_file():
        raise ConfigError(f"{folder} is there already and is no saved autoencoder; give another folder.")
    if len(set(cells)) < len(cells) or any(len(one.splitlines()) != 1 for one in cells):
        raise ConfigError("Names of training cells must be unique, not empty, and of one line each.")
    with whole_folder(folder) as making:
        save_file({name: one.contiguous() for name, one in _state(sae).items()}, making / TENSORS)
        (making / CELLS).write_text("".join(f"{one}\n" for one in cells), encoding="utf-8")
        card = {
            "format": FORMAT,
            "d_model": sae.d_model,
            "n_latents": sae.n_latents,
            "k": sae.k,
            "batch_topk": sae.batch_topk,
            "seed": sae.seed,
            "encoder": encoder,
            "encoder_sha256": encoder_sha256,
            "n_genes": len(genes),
            "gene_panel_sha256": panel_sha256(genes),
            "n_cells": len(cells),
            "settings": settings.as_dict() if settings else None,
            "code": {"version": __version__, "sha256": source_hash(Path(__file__).with_name("train_sae.py"))},
            "sha256": {name: file_sha256(making / name) for name in (TENSORS, CELLS)},
        }
        (making / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def load_sae(folder: Path | str, encoder_sha256: str | None = None) -> SavedSAE:
    """Read an autoencoder, ready to encode.

    Args:
        folder: from `save_sae`.
        encoder_sha256: identity of the encoder whose embeddings are to be read; not compared where None.

    Raises:
        InputError: a file is missing, damaged, a link that leads elsewhere, or no such file; or the autoencoder was trained
            on embeddings of another encoder.
    """
    folder = Path(folder)
    for name in (CARD, TENSORS, CELLS):
        path = folder / name
        if not path.is_file() or path.resolve().parent != folder.resolve():
            raise InputError(
                f"{folder} has no file {name} of its own; a saved autoencoder has {CARD}, {TENSORS}, {CELLS}."
            )
    card = _read_card(folder / CARD)
    for name in (TENSORS, CELLS):
        if (now := file_sha256(folder / name)) != card["sha256"].get(name):
            raise InputError(f"{folder / name} has the sha256 {now}, not the one in {CARD}; copy it again.")
    if encoder_sha256 is not None and card["encoder_sha256"] != encoder_sha256:
        raise InputError(
            f"{folder} was trained on embeddings of {card['encoder']} ({card['encoder_sha256']}), not of "
            f"{encoder_sha256}; embed the cells with the encoder it was trained on."
        )
    sizes = (card["d_model"], card["n_latents"], card["k"])
    try:
        sae = TopKSAE(*sizes, seed=card["seed"], batch_topk=card["batch_topk"])
    except (ConfigError, ShapeError) as error:
        raise InputError(f"{folder / CARD} describes no autoencoder: {error}") from error
    _fill(sae, folder / TENSORS)
    cells = tuple((folder / CELLS).read_text(encoding="utf-8").splitlines())
    return SavedSAE(sae.eval().requires_grad_(False), card, cells, card["sha256"][TENSORS])


def panel_sha256(genes: Sequence[str]) -> str:
    """sha256 over gene names in their order."""
    return hashlib.sha256("".join(f"{one}\n" for one in genes).encode()).hexdigest()


def _state(sae: TopKSAE) -> dict[str, torch.Tensor]:
    return {name: one.detach() for name, one in sae.state_dict().items()}


def _fill(sae: TopKSAE, path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            stored = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise InputError(f"{path} is no whole safetensors file ({error}); copy it again.") from error
    own = _state(sae)
    wrong = sorted(own.keys() ^ stored.keys()) or [
        name for name in own if (own[name].shape, own[name].dtype) != (stored[name].shape, stored[name].dtype)
    ]
    wrong += [name for name in own if name not in (*wrong, "threshold") and not stored[name].isfinite().all()]
    if wrong:
        raise InputError(
            f"{path} is not what {CARD} describes: {', '.join(wrong[:3])} differ; save it again."
        )
    sae.load_state_dict(stored)


def _read_card(path: Path) -> dict:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}); copy it again.") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise InputError(f"{path} is not the card of a saved autoencoder of format {FORMAT}; train it again.")
    kinds = {"d_model": int, "n_latents": int, "k": int, "seed": int, "batch_topk": bool, "encoder": str}
    kinds |= {"encoder_sha256": str, "gene_panel_sha256": str, "sha256": dict}
    if wrong := [name for name, kind in kinds.items() if type(card.get(name)) is not kind]:
        raise InputError(f"{path} lacks {wrong[0]}, or has it of another type; save the autoencoder again.")
    if card["d_model"] * card["n_latents"] > LARGEST:
        raise InputError(
            f"{path} describes {card['n_latents']:,} atoms of {card['d_model']:,} numbers; too many to be one."
        )
    return card
