"""The forward pass of pre-training: perceived genes have values, generated genes are named only.

Perceived tokens attend to perceived tokens; a generated token attends to the perceived ones and to itself. All share
the projections. Source: `scgpt.md` section 7.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from perturbook.errors import ConfigError, ShapeError
from perturbook.models.scgpt.inputs import check_cell, check_ids, check_padding
from perturbook.models.scgpt.layers import Hooks, Layer
from perturbook.models.scgpt.trunk import Trunk


class Generated(NamedTuple):
    """What the pre-training pass gives; numbers at padded positions mean nothing."""

    perceived: Tensor
    """Tokens of perceived genes `(cells, P, D)`; they do not depend on the generated ones."""
    generated: Tensor
    """Tokens of generated genes `(cells, G, D)`."""
    pcpt_preds: Tensor
    """Expression of perceived genes `(cells, P)`, in bins."""
    gen_preds: Tensor
    """Expression of generated genes `(cells, G)`, in bins."""
    cell: Tensor
    """Cell embeddings `(cells, D)`."""
    mvc: Tensor | None
    """Expression read off the cell embedding, perceived then generated genes, `(cells, P + G)`."""


class Generative(Trunk):
    """The part of the model that pre-training uses."""

    def perceive_and_generate(
        self,
        pcpt_gene: Tensor,
        pcpt_values: Tensor,
        pcpt_padding: Tensor | None,
        gen_gene: Tensor,
        gen_padding: Tensor | None,
        *,
        cell: Tensor | None = None,
        project_generated: bool = False,
        adapters: Mapping[int, Hooks] | None = None,
    ) -> Generated:
        """Predict the expression of `gen_gene` from the perceived genes and their values.

        Args:
            pcpt_gene, pcpt_values, pcpt_padding: as in `forward`, `(cells, P)`, `<cls>` first.
            gen_gene, gen_padding: genes to predict and their padding, `(cells, G)`.
            cell: cell embeddings `(cells, D)` that take the place of position 0, for the second pass.
            project_generated: apply the output projection of attention to generated tokens too. The code that
                trained the released weights does not, so the default is False.
            adapters: hooks by layer number, applied to perceived and generated tokens alike.

        Raises:
            ConfigError: the model has no flag encoder.
            ShapeError, InputError: as `forward`; before any computing.
        """
        if self.flag_encoder is None:
            raise ConfigError(
                "this model has no flag_encoder, which marks genes to be generated; use forward."
            )
        pcpt_padding = self.check(pcpt_gene, pcpt_values, pcpt_padding)
        check_ids("gen_gene", gen_gene, self.sizes.n_tokens)
        if len(gen_gene) != len(pcpt_gene):
            raise ShapeError(
                f"gen_gene has {len(gen_gene)} cells, pcpt_gene {len(pcpt_gene)}; they must agree."
            )
        gen_padding = check_padding("gen_padding", gen_padding, gen_gene)
        genes = self.encoder(torch.cat([pcpt_gene, gen_gene], dim=1))
        n_perceived = pcpt_gene.shape[1]
        perceived = self.embed_tokens(genes[:, :n_perceived], pcpt_values, pcpt_padding)
        if cell is not None:
            check_cell("cell", cell, len(pcpt_gene), self.sizes.embsize)
            perceived = torch.cat([cell.to(perceived.dtype).unsqueeze(1), perceived[:, 1:]], dim=1)
        generated = genes[:, n_perceived:] + self.flag_encoder.weight[1]
        self.transformer_encoder.check_adapters(adapters or {})
        take = None if pcpt_padding is None else ~pcpt_padding[:, None, None, :]
        own = _own_keys(pcpt_padding, perceived, generated)
        for i, layer in enumerate(self.transformer_encoder.layers):
            hooks = (adapters or {}).get(i, Hooks())
            perceived, generated = _layer(layer, perceived, generated, take, own, hooks, project_generated)
        cell_made = self.pool(perceived, pcpt_values, pcpt_padding)
        mvc = None if self.mvc_decoder is None else self.mvc_decoder(cell_made, genes).expected
        preds = (self.decoder(tokens).expected for tokens in (perceived, generated))
        return Generated(perceived, generated, *preds, cell_made, mvc)


def _own_keys(pcpt_padding: Tensor | None, perceived: Tensor, generated: Tensor) -> Tensor:
    """Which keys a generated query uses, `(cells or 1, 1, G, P + G)`: real perceived ones, and of the generated itself."""
    (cells, n_perceived, _), n_generated = perceived.shape, generated.shape[1]
    itself = torch.eye(n_generated, dtype=torch.bool, device=perceived.device)
    if pcpt_padding is None:
        real = itself.new_ones(1, n_generated, n_perceived)
    else:
        real = (~pcpt_padding).unsqueeze(1).expand(cells, n_generated, n_perceived)
    return torch.cat([real, itself.expand(len(real), -1, -1)], dim=2).unsqueeze(1)


def _layer(
    layer: Layer,
    perceived: Tensor,
    generated: Tensor,
    take: Tensor | None,
    own: Tensor,
    hooks: Hooks,
    project_generated: bool,
) -> tuple[Tensor, Tensor]:
    attention = layer.self_attn
    query, key, value = attention.project(perceived)
    query_gen, key_gen, value_gen = attention.project(generated)
    context = attention.out_proj(attention.attend(query, key, value, take))
    keys, values = torch.cat([key, key_gen], dim=2), torch.cat([value, value_gen], dim=2)
    context_gen = attention.attend(query_gen, keys, values, own)
    if project_generated:
        context_gen = attention.out_proj(context_gen)
    tokens = torch.cat([perceived, generated], dim=1)
    change = torch.cat([context, context_gen], dim=1)
    tokens = layer.add(tokens, change, layer.norm1, hooks.attention, hooks.after_attention)
    tokens = layer.feed_forward(tokens, hooks)
    return tokens[:, : perceived.shape[1]], tokens[:, perceived.shape[1] :]
