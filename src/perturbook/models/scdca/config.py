"""`Config`: every switch of the adapter, refused at once where values cannot go together.

Source: `scdca.md` section 2. The paper leaves most of them open; the first value of each is the default.
"""

from dataclasses import asdict, dataclass
from typing import Any

from perturbook.errors import ConfigError

SWITCHES = {
    "method": ("adapter", "head_only", "lora", "full"),
    "conditioning": ("shift", "scale_shift", "static"),
    "bias_location": ("bottleneck", "up"),
    "position": ("ffn", "attention", "both"),
    "placement": ("sublayer", "block"),
    "activation": ("relu", "gelu", "identity"),
    "generator": ("linear", "mlp", "shared", "factorised"),
    "head": ("linear", "delta_linear", "pretrained_frozen", "decoder"),
    "values": ("lognorm", "bins"),
    "dose": ("none", "append"),
}
"""Values of each switch, the default first."""
WIDTHS = ("bottleneck", "shared_width", "factor_width", "rank")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Shape of what is trained; raises ConfigError for an impossible value or combination."""

    method: str = "adapter"
    """`adapter`; or a comparator: `head_only` (frozen backbone and trained head, not told the condition), `lora`, or `full`
    fine-tuning, which are told it by a factorised map of e that is added to every embedded token (our choice)."""
    conditioning: str = "shift"
    """`shift`: z = act(W h + f(e)), the paper's; `scale_shift`: z = act((1 + g(e)) (W h) + f(e)); `static`: z = act(W h + b)."""
    bias_location: str = "bottleneck"
    """`bottleneck`: as above; `up`: z = act(W h + b), and f(e) is added after U. Equation (11) is ambiguous."""
    residual: bool = True
    """s = 1; off is the literal reading of equation (11), s = 0."""
    position: str = "ffn"
    """Behind which sublayers adapters stand."""
    placement: str = "sublayer"
    """`sublayer`: before the residual sum and norm; `block`: behind them."""
    bottleneck: int = 16
    """r."""
    activation: str = "relu"
    generator: str = "linear"
    """f and g: one linear map per adapter; `mlp`: m -> r -> r; `shared`: one map m -> `shared_width` for all adapters, then
    a linear one; `factorised`: m -> `factor_width` -> out without an activation, the second factor zero at the start."""
    shared_width: int = 64
    factor_width: int = 16
    head: str = "linear"
    """`linear`: D -> 1 per token; `delta_linear`: the input value plus it, zero at the start; `pretrained_frozen`: the
    decoder of the checkpoint, in bins, a diagnostic; `decoder`: that decoder, trained."""
    values: str = "lognorm"
    """What enters: log-normalised expression as it is, or its bins."""
    dose: str = "none"
    """`append`: log10 of the dose in uM is one more number of e."""
    rank: int = 13
    """Rank of LoRA on the packed and the output projection of attention."""

    def __post_init__(self):
        """Refuse impossible values and combinations."""
        for name, known in SWITCHES.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}.")
        if not isinstance(self.residual, bool):
            raise ConfigError(f"residual is {self.residual!r}; expected true or false.")
        for name in WIDTHS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} is {value!r}; give a whole number from 1.")
        if self.conditioning == "scale_shift" and self.bias_location == "up":
            raise ConfigError("scale_shift scales the bottleneck; it needs bias_location='bottleneck'.")

    @property
    def positions(self) -> tuple[str, ...]:
        """Sublayers that get an adapter."""
        return ("attention", "ffn") if self.position == "both" else (self.position,)

    @property
    def conditioned(self) -> bool:
        """Whether the condition reaches the model."""
        return self.method != "head_only" and self.conditioning != "static"

    @property
    def starts_at_backbone(self) -> bool:
        """Whether step 0 equals the frozen backbone: not where the residual path is off."""
        return self.method != "adapter" or self.residual

    def as_dict(self) -> dict[str, Any]:
        """Fields by name, for JSON."""
        return asdict(self)
