"""The drug-conditional adapter: a bottleneck whose bias is made from the condition's embedding.

With h a sublayer's output `(cells, L, D)`, e the condition's embedding `(cells, m)` and r the bottleneck:

    shift         z = act(W h + f(e))
    scale_shift   z = act((1 + g(e)) * (W h) + f(e))
    static        z = act(W h + b)
    up            z = act(W h + b), and f(e) is added after U
    adapter       A(h, e) = s h + U z + c

U and c start at zero, so that with s = 1 a new adapter changes nothing, bit for bit. Source: `scdca.md` section 2, a
reconstruction of appendix A.2 of arXiv 2412.13478, equations (6) to (12).
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perturbook.models.scdca.config import Config
from perturbook.models.scgpt.layers import Hooks

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "identity": lambda x: x}


class Generator(nn.Module):
    """f and g of one adapter: the condition's embedding `(cells, m)`, or its shared projection, to `(cells, out)`.

    The last `zeros` outputs, those of g, are zero at the start, and so is all of a factorised f.
    """

    def __init__(self, config: Config, m: int, out: int, zeros: int = 0):
        super().__init__()
        kind, k = config.generator, config.factor_width
        if kind == "mlp":
            self.first, self.last = nn.Linear(m, config.bottleneck), nn.Linear(config.bottleneck, out)
        elif kind == "factorised":
            self.first, self.last = nn.Linear(m, k), nn.Linear(k, out, bias=config.bias_location != "up")
            zeros = out
        else:
            self.first = None
            width = config.shared_width if kind == "shared" else m
            self.last = nn.Linear(width, out, bias=config.bias_location != "up")  # there c is the bias
        self.act = ACTIVATIONS[config.activation] if kind == "mlp" else None
        if config.bias_location == "up":
            zeros = out
        for parameter in self.last.parameters():
            with torch.no_grad():
                parameter[len(parameter) - zeros :].zero_()

    def forward(self, e: Tensor) -> Tensor:
        """`(cells, m)` to `(cells, out)`."""
        if self.first is not None:
            e = self.first(e)
        return self.last(e if self.act is None else self.act(e))


class Adapter(nn.Module):
    """One adapter behind one sublayer."""

    def __init__(self, config: Config, width: int, m: int):
        """Sizes D and m; weights W and f as torch draws a linear map, U, c and g zero."""
        super().__init__()
        r, self.up_shift = config.bottleneck, config.bias_location == "up"
        self.residual, self.scaled = config.residual, config.conditioning == "scale_shift"
        self.act = ACTIVATIONS[config.activation]
        static = config.conditioning == "static"
        self.down = nn.Linear(width, r, bias=static or self.up_shift)
        self.up = nn.Linear(r, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        out = width if self.up_shift else 2 * r if self.scaled else r
        self.generator = None if static else Generator(config, m, out, zeros=r if self.scaled else 0)

    def forward(self, h: Tensor, e: Tensor | None) -> Tensor:
        """A(h, e), `(cells, L, D)`; `e` is what `Generator` takes."""
        z = self.down(h)
        made = None if self.generator is None else self.generator(e).unsqueeze(1)
        if made is not None and not self.up_shift:
            shift, *scale = made.chunk(2, dim=-1) if self.scaled else (made,)
            z = torch.addcmul(shift, 1 + scale[0], z) if scale else z + shift
        change = self.up(self.act(z))
        if made is not None and self.up_shift:
            change = change + made
        return h + change if self.residual else change


class Adapters(nn.Module):
    """The adapters of all layers; they differ by layer and sublayer, and the same e reaches every token of a cell."""

    def __init__(self, config: Config, n_layers: int, width: int, m: int):
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(
            nn.ModuleDict({one: Adapter(config, width, m) for one in config.positions})
            for _ in range(n_layers)
        )
        shared = config.generator == "shared" and config.conditioned
        self.shared = nn.Linear(m, config.shared_width) if shared else None

    def hooks(self, e: Tensor | None) -> dict[int, Hooks]:
        """What runs behind each sublayer for cells with condition embeddings `e` `(cells, m)`; None for `static`."""
        e = self.shared(e) if self.shared is not None else e
        behind = "after_" if self.config.placement == "block" else ""
        fields = {"attention": f"{behind}attention", "ffn": f"{behind}feed_forward"}
        return {
            number: Hooks(**{fields[one]: partial(adapter, e=e) for one, adapter in layer.items()})
            for number, layer in enumerate(self.layers)
        }
