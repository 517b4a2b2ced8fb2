"""`Adapted`: a frozen scGPT with what is trained on top of it, as one module.

Nothing of the backbone is trained, counted or saved, unless the method is `full`. The backbone stays in eval mode, so that
training sees the features that prediction sees. Source: `scdca.md` section 2.
"""

import copy

import torch
from torch import Tensor, nn

from perturbook.errors import ConfigError, ShapeError
from perturbook.models.scdca.adapter import Adapters
from perturbook.models.scdca.config import Config
from perturbook.models.scdca.lora import add_lora
from perturbook.models.scgpt.model import ScGPT
from perturbook.models.training.state import frozen_sha256


class Adapted(nn.Module):
    """Expression after a perturbation from a control profile and the embedding of the condition."""

    def __init__(self, backbone: ScGPT, config: Config, m: int, seed: int = 0):
        """Wrap a backbone; it is copied only where `config.method` changes its weights.

        Args:
            backbone: from `scgpt.load` or `random_backbone`.
            config: switches.
            m: length of a condition's embedding, the dose not counted.
            seed: of the first weights of what is trained.

        Raises:
            ConfigError: the head needs a decoder that the backbone lacks.
        """
        super().__init__()
        self.config, self.m = config, m + (config.dose == "append")
        changed = config.method in ("lora", "full")
        self.backbone = copy.deepcopy(backbone) if changed else backbone
        self.backbone.requires_grad_(config.method == "full")
        width, device = backbone.width, next(backbone.parameters()).device
        with torch.random.fork_rng(devices=[]), torch.device(device):
            torch.manual_seed(seed)
            if config.method == "lora":
                add_lora(self.backbone, config.rank)
            adapter = config.method == "adapter"
            self.adapters = Adapters(config, backbone.sizes.nlayers, width, self.m) if adapter else None
            self.shift = (
                InputShift(self.m, config.factor_width, width) if changed and config.conditioned else None
            )
            self.head = _head(backbone, config)
        self.train(False)

    def train(self, mode: bool = True) -> "Adapted":
        """Switch what is trained; a frozen backbone stays in eval mode, without dropout."""
        super().train(mode)
        self.backbone.train(False)
        return self

    def forward(
        self, gene_ids: Tensor, values: Tensor, e: Tensor | None, before: Tensor | None = None
    ) -> Tensor:
        """Predicted expression `(cells, genes)`, log1p of counts per 10k, of all tokens but `<cls>`.

        Args:
            gene_ids: ids `(cells, 1 + genes)`, `<cls>` first.
            values: what the model reads of the control profile, `(cells, 1 + genes)`.
            e: embedding of the condition `(cells, m)`, with the dose where it is appended; None where nothing reads it.
            before: the control profile itself, `(cells, genes)`, which `delta_linear` adds to.

        Raises:
            ShapeError: e has another shape.
        """
        made = self.head(self.tokens(gene_ids, values, e)[:, 1:])
        made = made.expected if hasattr(made, "expected") else made.squeeze(-1)
        return made + before if self.config.head == "delta_linear" else made

    def tokens(self, gene_ids: Tensor, values: Tensor, e: Tensor | None) -> Tensor:
        """Contextual tokens `(cells, 1 + genes, D)`; arguments as of `forward`."""
        trunk = self.backbone
        if not self.config.conditioned:
            e = None
        elif e is None or e.shape != (len(gene_ids), self.m):
            shape = "none" if e is None else tuple(e.shape)
            raise ShapeError(f"e is {shape}, expected ({len(gene_ids)}, {self.m}): one embedding per row.")
        padding = trunk.check(gene_ids, values, None)
        x = trunk.embed_tokens(trunk.encoder(gene_ids), values, padding)
        if self.shift is not None:
            x = x + self.shift(e).unsqueeze(1)
        hooks = self.adapters.hooks(e) if self.adapters is not None else None
        return trunk.transformer_encoder(x, padding, hooks)

    def trained(self) -> dict[str, Tensor]:
        """What training changes, by name, on the CPU: all that a saved adapter holds."""
        return {name: one.detach().cpu() for name, one in self.named_parameters() if one.requires_grad}

    @property
    def n_trained(self) -> int:
        """Numbers that are trained."""
        return sum(one.numel() for one in self.parameters() if one.requires_grad)

    @property
    def frozen_sha256(self) -> str:
        """sha256 over everything that is not trained."""
        return frozen_sha256(self)


class InputShift(nn.Module):
    """A factorised map of e, m -> k -> D, zero at the start: how LoRA and full fine-tuning are told the condition."""

    def __init__(self, m: int, k: int, width: int):
        super().__init__()
        self.first, self.last = nn.Linear(m, k), nn.Linear(k, width, bias=False)
        nn.init.zeros_(self.last.weight)

    def forward(self, e: Tensor) -> Tensor:
        """`(cells, m)` to `(cells, D)`."""
        return self.last(self.first(e))


def _head(backbone: ScGPT, config: Config) -> nn.Module:
    """Per token `(cells, genes, D)` to one number."""
    if config.head in ("linear", "delta_linear"):
        head = nn.Linear(backbone.width, 1)
        if config.head == "delta_linear":
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        return head
    if backbone.decoder is None:
        raise ConfigError(
            f"head={config.head!r} needs the decoder of a checkpoint, and this backbone has none."
        )
    return copy.deepcopy(backbone.decoder).requires_grad_(config.head == "decoder")
