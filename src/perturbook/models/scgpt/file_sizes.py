"""What a file of weights shows about a model beside args.json: its optional parts, and sizes that must agree.

Source: `scgpt.md` sections 2 and 2.2.
"""

from typing import Any

from torch import Tensor

from perturbook.errors import InputError
from perturbook.models.scgpt.sizes import Sizes


def with_parts(sizes: Sizes, args: dict[str, Any], tensors: dict[str, Tensor]) -> Sizes:
    """Sizes with the optional parts that the file has; raises InputError where args.json promises one that it lacks."""

    def has(part: str) -> bool:
        return any(key.startswith(part + ".") for key in tensors)

    if args.get("MVC") is True and not has("mvc_decoder"):
        raise InputError(
            "args.json says MVC true, and the file has no key mvc_decoder.*; they do not belong together."
        )
    classes = tensors.get("cls_decoder.out_layer.weight")
    n_cls = len(classes) if classes is not None and classes.ndim else int(has("cls_decoder"))
    return Sizes(
        **sizes.as_dict()
        | {
            "flags": has("flag_encoder"),
            "mvc": has("mvc_decoder"),
            "n_cls": n_cls,
            "explicit_zeros": args.get("explicit_zero_prob", has("decoder.zero_logit")),
        }
    )


def check_sizes(sizes: Sizes, tensors: dict[str, Tensor]) -> None:
    """Raise InputError where the tensors show other sizes than the JSON files say; the message names both."""
    numbers = {key.split(".")[2] for key in tensors if key.startswith("transformer_encoder.layers.")}
    shown = {"nlayers": len(numbers)} if numbers else {}
    if (table := tensors.get("encoder.embedding.weight")) is not None and table.ndim == 2:
        if len(table) != sizes.n_tokens:
            raise InputError(
                f"vocab.json has {sizes.n_tokens:,} tokens, the gene table {len(table):,} rows; the vocabulary is of "
                f"another model."
            )
        shown["embsize"] = table.shape[1]
    inner = tensors.get("transformer_encoder.layers.0.linear1.bias")
    if inner is not None and inner.ndim == 1:
        shown["d_hid"] = len(inner)
    for name, size in shown.items():
        if size != getattr(sizes, name):
            raise InputError(f"args.json says {name} {getattr(sizes, name)}, the weights show {size}.")
