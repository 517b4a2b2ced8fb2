"""A trained scVI model on disk: weights as safetensors, genes and settings as JSON; nothing that could hold code.

scvi-tools itself stores a torch pickle and opens it with `weights_only=False`, which runs whatever the file says.
"""

import json
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from perturbook.errors import InputError

WEIGHTS, TABLE = "model.safetensors", "scvi.json"
MOST = 2**31
"""Weights a file may ask for, 8 GB of them; sizes are checked before anything of that size is made."""


def write(
    folder: Path,
    state: dict[str, torch.Tensor],
    settings: dict,
    genes: list[str],
    batches: list[str],
    card: dict,
) -> None:
    """Write the two files."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / WEIGHTS)
    table = {
        "scvi_tools": version("scvi-tools"),
        "settings": settings,
        "genes": genes,
        "batches": batches,
        "card": card,
    }
    (folder / TABLE).write_text(json.dumps(table, indent=1) + "\n")


def read(folder: Path) -> tuple[torch.nn.Module, list[str], list[str], dict]:
    """Build the network that the files describe: module, genes, batches, card.

    Raises:
        InputError: a file is missing, is no such file, or a tensor is missing, unexpected or of another shape.
    """
    for name in (WEIGHTS, TABLE):
        if not (folder / name).is_file():
            raise InputError(f"{folder} has no {name}; a saved scVI model is {WEIGHTS} and {TABLE}.")
    settings, genes, batches, card = _table(folder / TABLE)
    try:
        state = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise InputError(f"{folder / WEIGHTS} is not a safetensors file: {error}.") from error
    from scvi.module import VAE

    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, then replaced
        module = VAE(n_input=len(genes), n_batch=len(batches), n_labels=1, **settings)
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    wrong = [
        f"{name} {what}"
        for names, what in (
            (sorted(wanted.keys() - found.keys()), "is missing"),
            (sorted(found.keys() - wanted.keys()), "is not part of the model"),
        )
        for name in names
    ]
    wrong += [
        f"{name} is {found[name]}, expected {wanted[name]}"
        for name in sorted(wanted.keys() & found.keys())
        if wanted[name] != found[name]
    ]
    if wrong:
        raise InputError(f"{folder / WEIGHTS} does not fit {TABLE}: {'; '.join(wrong[:3])}.")
    module.load_state_dict(state)
    return module, genes, batches, card


def _table(path: Path) -> tuple[dict, list[str], list[str], dict]:
    """Settings, genes, batches and card of the JSON file, each of the type it must have."""
    try:
        table = json.loads(path.read_text())
        settings, genes, batches, card = (table[key] for key in ("settings", "genes", "batches", "card"))
        sizes = [settings[key] for key in ("n_hidden", "n_layers", "n_latent")]
        likelihood = settings["gene_likelihood"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not the table of a saved scVI model: {error!r}.") from error
    names = isinstance(genes, list) and isinstance(batches, list) and genes and batches
    if not names or not all(isinstance(one, str) for one in [*genes, *batches]) or not isinstance(card, dict):
        raise InputError(f"{path} needs lists of names under genes and batches, and a card.")
    whole = all(type(one) is int and one > 0 for one in sizes)
    if not whole or likelihood not in ("zinb", "nb", "poisson") or len(settings) != 4:
        raise InputError(
            f"{path} has settings {settings}; expected three positive sizes and a likelihood of counts."
        )
    n_hidden, n_layers, n_latent = sizes
    if 6 * n_hidden * (len(genes) + n_latent + len(batches) + n_layers * n_hidden) > MOST:
        raise InputError(f"{path} describes a network of more than {MOST:,} weights; that is no scVI model.")
    return settings, genes, batches, card
