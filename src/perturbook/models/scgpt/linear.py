"""One linear map, by torch's fused oneDNN kernel where no gradient is needed on a CPU in float32, else by its plain one.

The fused kernel adds the bias while it multiplies, where the plain one first copies it into the whole result; it is the
one that compiled models call. Source: our choice, measured by
`benchmarks/scgpt_forward.py`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

FUSED = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`x @ weight.T + bias`, `(..., inputs)` to `(..., outputs)`."""
    plain = torch.is_grad_enabled() or x.device.type != "cpu" or torch.is_autocast_enabled("cpu")
    if plain or not FUSED or not x.numel() or {x.dtype, weight.dtype} != {torch.float32}:
        return F.linear(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
