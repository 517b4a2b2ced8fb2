"""Every known mistake of an implementation, injected: the reference catches each one."""

import pytest
import torch
import torch.nn.functional as F
from scgpt_reference import CLOSE, A, inputs
from torch import nn

from perturbook.models.scgpt import load
from perturbook.models.scgpt.layers import Layer


def agrees(model, names=("forward", "forward_nopad")):
    """Whether the model equals the reference on real tokens, in every output."""
    for name in names:
        given, z = inputs(name)
        made, real = model(*given), ~given[2]
        pairs = [(made.cell, z["cell_emb"])]
        for one, key in zip(
            (made.tokens, *made[2:]), ("transformer_output", "mlm_output", "mvc_output"), strict=True
        ):
            pairs.append((one[real], z[key][real]))
        if not all(torch.allclose(one, expected, **CLOSE) for one, expected in pairs):
            return False
    return True


def pre_norm(model, monkeypatch):
    def forward(self, x, take=None, hooks=None, first=False):
        x = x + self.self_attn(self.norm1(x), take)
        return x + self.linear2(F.relu(self.linear1(self.norm2(x))))

    monkeypatch.setattr(Layer, "forward", forward)


def gelu(model, monkeypatch):
    def feed_forward(self, x, hook=None):
        return self.norm2(x + self.linear2(F.gelu(self.linear1(x))))

    monkeypatch.setattr(Layer, "feed_forward", feed_forward)


def no_norm_of_genes(model, monkeypatch):
    model.encoder.enc_norm = nn.Identity()


def no_key_mask(model, monkeypatch):
    monkeypatch.setattr(model, "check", lambda *given: None)


def no_clamp(model, monkeypatch):
    monkeypatch.setattr("perturbook.models.scgpt.encoders.HIGHEST", float("inf"))


def interleaved_heads(model, monkeypatch):
    for layer in model.transformer_encoder.layers:
        attention = layer.self_attn
        for parameter in (attention.in_proj_weight, attention.in_proj_bias):
            rows = parameter.data.unflatten(0, (3, 8, 4)).transpose(1, 2).flatten(0, 2)
            parameter.data.copy_(rows)


def heads_before_parts(model, monkeypatch):
    for layer in model.transformer_encoder.layers:
        attention = layer.self_attn
        for parameter in (attention.in_proj_weight, attention.in_proj_bias):
            parameter.data.copy_(parameter.data.unflatten(0, (4, 3, 8)).transpose(0, 1).flatten(0, 2))


def cls_at_position_1(model, monkeypatch):
    monkeypatch.setattr(model, "pool", lambda tokens, values, padding: tokens[:, 1])


def mean_pooling(model, monkeypatch):
    monkeypatch.setattr(model, "pool", lambda tokens, values, padding: tokens.mean(dim=1))


def no_sigmoid(model, monkeypatch):
    monkeypatch.setattr("perturbook.models.scgpt.heads.torch.sigmoid", lambda x: x)


def no_value_norm(model, monkeypatch):
    model.value_encoder.norm = nn.Identity()


def scale_by_width(model, monkeypatch):
    for layer in model.transformer_encoder.layers:
        layer.self_attn.in_proj_weight.data[:32] /= 2
        layer.self_attn.in_proj_bias.data[:32] /= 2


def relu_in_the_decoder(model, monkeypatch):
    model.decoder.fc[1] = model.decoder.fc[3] = nn.ReLU()


def norm_behind_the_last_layer(model, monkeypatch):
    whole = model.transformer_encoder.forward
    monkeypatch.setattr(model.transformer_encoder, "forward", lambda *a: F.layer_norm(whole(*a), (32,)))


MUTANTS = (
    pre_norm,
    gelu,
    no_norm_of_genes,
    no_key_mask,
    no_clamp,
    interleaved_heads,
    heads_before_parts,
    cls_at_position_1,
    mean_pooling,
    no_sigmoid,
    no_value_norm,
    scale_by_width,
    relu_in_the_decoder,
    norm_behind_the_last_layer,
)


@pytest.fixture
def model():
    return load(A, "best_model.pt").requires_grad_(False)


def test_without_a_mistake_the_reference_agrees(model):
    assert agrees(model)


@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda one: one.__name__)
def test_the_reference_catches(mutate, model, monkeypatch):
    mutate(model, monkeypatch)
    assert not agrees(model)


def test_the_missing_mask_shows_with_padding_only_and_the_missing_clamp_without_only(model, monkeypatch):
    with monkeypatch.context() as patch:
        no_key_mask(model, patch)
        assert (agrees(model, ["forward"]), agrees(model, ["forward_nopad"])) == (False, True)
    no_clamp(model, monkeypatch)
    assert (agrees(model, ["forward"]), agrees(model, ["forward_nopad"])) == (True, False)
