"""Names of parameters in checkpoint files: three layouts of attention, one set of names, nothing dropped in silence.

Source: `scgpt.md` sections 2, 2.1 and 2.2.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from perturbook.errors import InputError

SHOWN = 4
"""Keys of each kind that a message lists."""
UNSUPPORTED = {
    "dsbn.": "it normalises its input per batch of cells (dsbn), so that a cell cannot be embedded by itself",
    "bn.": "it normalises its input by batch norm over cells (bn)",
    "batch_encoder.": "its decoders ask for batch labels (batch_encoder)",
}
"""Groups of fine-tuned files without which the model would compute something else; a file with one is refused."""
UNUSED = {
    "grad_reverse_discriminator.": "the adversary of fine-tuning, of no use after it",
    "discriminator.": "the adversary of fine-tuning, of no use after it",
}
"""Groups of fine-tuned files that no output depends on; reported, not loaded."""


def normalise(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Tensors under the plain torch names, and in words what was renamed.

    Raises:
        InputError: attention is named in two ways, or two keys become one.
    """
    found = {name: 0 for name in ("plain torch", "flash-attn 1", "wrapper of 0.2.5")}
    made: dict[str, Tensor] = {}
    prefix = False
    for key, tensor in tensors.items():
        name = key.removeprefix("module.")
        prefix |= name != key
        if ".self_attn." in name:
            if "._impl." in name:
                found["wrapper of 0.2.5"] += 1
            elif ".Wqkv." in name:
                found["flash-attn 1"] += 1
            elif ".in_proj_" in name:
                found["plain torch"] += 1
            name = name.replace("._impl.", ".").replace(".Wqkv.", ".in_proj_")
        if name in made:
            raise InputError(f"{key} and another key both mean {name}; the file mixes two models.")
        made[name] = tensor
    used = [name for name, number in found.items() if number]
    if len(used) > 1:
        raise InputError(
            f"attention is named in two ways, {' and '.join(used)}; the file mixes two layouts, convert it again."
        )
    words = f"attention keys of {used[0]}" if used else "no attention keys"
    return made, words + (", prefix module. removed" if prefix else "")


def set_aside(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors that a model may use, and the keys that none does with the reason.

    Raises:
        InputError: the file is of a variant that is not supported; the message names the group and the reason.
    """
    for group, why in UNSUPPORTED.items():
        if keys := [key for key in tensors if key.startswith(group)]:
            raise InputError(
                f"the file is of a fine-tuned variant that is not supported: {why}; it holds {keys[0]}. "
                f"Use the checkpoint it was fine-tuned from."
            )
    unused = {key: why for key in tensors for group, why in UNUSED.items() if key.startswith(group)}
    return {key: tensor for key, tensor in tensors.items() if key not in unused}, unused


def compare(expected: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Raise InputError unless the keys and shapes are exactly those of the module; the message lists the first few."""
    shapes = {key: tuple(tensor.shape) for key, tensor in expected.state_dict().items()}
    missing = [f"{key} {shape}" for key, shape in shapes.items() if key not in tensors]
    extra = [f"{key} {tuple(tensor.shape)}" for key, tensor in tensors.items() if key not in shapes]
    wrong = [
        f"{key} is {tuple(tensor.shape)}, expected {shapes[key]}"
        + (" (transposed)" if tuple(tensor.shape)[::-1] == shapes[key] else "")
        for key, tensor in tensors.items()
        if key in shapes and tuple(tensor.shape) != shapes[key]
    ]
    parts = [
        f"{len(listed)} {kind}: {', '.join(listed[:SHOWN])}{', ...' if len(listed) > SHOWN else ''}"
        for kind, listed in (("missing", missing), ("unexpected", extra), ("of another shape", wrong))
        if listed
    ]
    if parts:
        raise InputError(
            f"the keys do not fit the sizes of args.json; {'; '.join(parts)}. Nothing was loaded; check that "
            f"args.json, vocab.json and the weights belong together."
        )
