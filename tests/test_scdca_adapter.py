"""The adapter: its arithmetic by hand, its start, its gradients, and what it may not touch."""

import copy
import itertools

import pytest
import torch

from perturbook.errors import ConfigError, ShapeError
from perturbook.models.scdca import Adapted, Config
from perturbook.models.scdca.adapter import Adapter
from perturbook.models.scgpt import random_backbone
from perturbook.models.scgpt.sizes import Sizes

M, L = 5, 9
SIZES = Sizes(n_tokens=20, embsize=16, nheads=4, d_hid=24, nlayers=3, pad_id=17)
PLACES = list(itertools.product(["ffn", "attention", "both"], ["sublayer", "block"]))


@pytest.fixture(scope="module")
def backbone():
    return random_backbone(SIZES, seed=3)


@pytest.fixture
def inputs():
    draw = torch.Generator().manual_seed(0)
    ids = torch.stack([torch.cat([torch.tensor([18]), torch.randperm(17, generator=draw)[: L - 1]])] * 4)
    values = torch.rand(4, L, generator=draw)
    e = torch.randn(4, M, generator=draw)
    return ids, values, e, values[:, 1:]


def by_hand(f, residual=True):
    made = Adapter(Config(bottleneck=1, residual=residual), width=2, m=1)
    with torch.no_grad():
        made.down.weight.copy_(torch.tensor([[1.0, 0.0]]))
        made.generator.last.weight.zero_()
        made.generator.last.bias.fill_(f)
        made.up.weight.copy_(torch.tensor([[2.0], [0.0]]))
        made.up.bias.copy_(torch.tensor([0.0, 1.0]))
        return made(torch.tensor([[[-1.0, 5.0]]]), torch.ones(1, 1)).flatten().tolist()


def trained(backbone, config, inputs, steps=3, seed=0):
    """A model after a few steps towards twice the control profile."""
    model = Adapted(backbone, config, M, seed)
    optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.mean((model(*inputs) - 2 * inputs[3] - inputs[2][:, :1]) ** 2).backward()
        optimizer.step()
    return model


def test_the_worked_example_of_the_specification():
    assert by_hand(3.0) == [3.0, 6.0]
    assert by_hand(3.0, residual=False) == [4.0, 1.0]
    assert by_hand(0.0) == [-1.0, 6.0]


def test_scale_shift_scales_before_it_shifts_and_up_shifts_after_the_bottleneck():
    scaled = Adapter(Config(bottleneck=1, conditioning="scale_shift", activation="identity"), width=1, m=1)
    up = Adapter(Config(bottleneck=1, bias_location="up", activation="identity"), width=1, m=1)
    with torch.no_grad():
        for made in (scaled, up):
            made.down.weight.fill_(1.0)
            made.up.weight.fill_(1.0)
        scaled.generator.last.weight.copy_(torch.tensor([[3.0], [2.0]]))  # f(e) = 3 e, g(e) = 2 e
        scaled.generator.last.bias.zero_()
        up.down.bias.fill_(1.0)
        up.generator.last.weight.fill_(7.0)
        h, e = torch.tensor([[[5.0]]]), torch.ones(1, 1)
        assert scaled(h, e).item() == 5 + (1 + 2) * 5 + 3
        assert up(h, e).item() == 5 + (5 + 1) + 7


@pytest.mark.parametrize(("position", "placement"), PLACES)
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"conditioning": "scale_shift"},
        {"conditioning": "static"},
        {"bias_location": "up", "generator": "factorised"},
        {"generator": "shared", "activation": "gelu"},
        {"generator": "mlp"},
    ],
    ids=str,
)
def test_a_new_adapter_changes_no_bit_of_any_token_for_ten_conditions(
    backbone, inputs, position, placement, more
):
    ids, values, *_ = inputs
    model = Adapted(backbone, Config(position=position, placement=placement, **more), M)
    plain = backbone.encode(ids, values)
    for number in range(10):
        e = torch.randn(4, M, generator=torch.Generator().manual_seed(number))
        assert torch.equal(model.tokens(ids, values, e), plain)


def test_without_the_residual_path_a_new_adapter_changes_the_tokens_and_the_configuration_says_so(
    backbone, inputs
):
    config = Config(residual=False)
    assert not config.starts_at_backbone and Config().starts_at_backbone
    ids, values, e, _ = inputs
    assert not torch.equal(Adapted(backbone, config, M).tokens(ids, values, e), backbone.encode(ids, values))


def test_the_delta_head_predicts_the_control_profile_at_step_0(backbone, inputs):
    model = Adapted(backbone, Config(head="delta_linear"), M)
    assert torch.equal(model(*inputs), inputs[3])


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_comparator_starts_at_the_backbone_too_and_leaves_the_given_one_alone(backbone, inputs, method):
    ids, values, e, _ = inputs
    before = backbone.identity
    model = trained(backbone, Config(method=method), inputs, steps=0)
    assert torch.allclose(model.tokens(ids, values, e), backbone.encode(ids, values), atol=0, rtol=0)
    after = trained(backbone, Config(method=method), inputs)
    assert backbone.identity == before
    assert not torch.equal(after.tokens(ids, values, e), backbone.encode(ids, values))


def test_the_first_step_moves_u_alone_and_the_next_moves_w_and_f(backbone, inputs):
    model = Adapted(backbone, Config(), M)
    optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        torch.mean((model(*inputs) - inputs[3]) ** 2).backward()
        for layer in model.adapters.layers:
            adapter = layer["ffn"]
            assert adapter.up.weight.grad.abs().sum() > 0
            for moved in (adapter.down.weight, adapter.generator.last.weight):
                assert (moved.grad.abs().sum() > 0) == (step > 0)
        optimizer.step()


@pytest.mark.parametrize("method", ["adapter", "head_only"])
def test_nothing_of_the_backbone_is_trained_or_changed(backbone, inputs, method):
    before, frozen = backbone.identity, Adapted(backbone, Config(method=method), M).frozen_sha256
    model = trained(backbone, Config(method=method), inputs)
    assert all(one.grad is None and not one.requires_grad for one in backbone.parameters())
    assert backbone.identity == before
    assert model.frozen_sha256 == frozen
    assert not any(name.startswith("backbone") for name in model.trained())


def test_the_backbone_stays_in_eval_mode_while_the_module_trains(backbone):
    model = Adapted(backbone, Config(), M).train()
    assert model.adapters.training and not model.backbone.training


@pytest.mark.parametrize("conditioning", ["shift", "scale_shift", "static"])
def test_the_condition_is_used_unless_the_adapter_is_static(backbone, inputs, conditioning):
    ids, values, e, before = inputs
    model = trained(backbone, Config(conditioning=conditioning), inputs)
    e = e.clone().requires_grad_()
    made = model(ids, values, e, before)
    other = model(ids, values, e + 1, before)
    if conditioning == "static":
        assert torch.equal(made, other) and torch.autograd.grad(made.sum(), e, allow_unused=True) == (None,)
    else:
        assert not torch.allclose(made, other, atol=1e-4)
        assert torch.autograd.grad(made.sum(), e)[0].abs().sum() > 0


def test_a_row_depends_on_its_own_condition_alone(backbone, inputs):
    model = trained(backbone, Config(), inputs)
    whole = model(*inputs)
    turned = model(*(one[[2, 0, 3, 1]] for one in inputs))
    assert torch.allclose(turned, whole[[2, 0, 3, 1]], atol=1e-6)
    other = [one.clone() for one in inputs]
    other[2][1:] = 9.0
    assert torch.allclose(model(*other)[0], whole[0], atol=1e-6)


def test_two_models_of_one_seed_are_equal_and_another_seed_differs_whatever_torch_has_drawn(backbone):
    one = Adapted(backbone, Config(), M, seed=1).trained()
    torch.rand(7)
    same, other = (Adapted(backbone, Config(), M, seed=seed).trained() for seed in (1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_making_a_model_leaves_torch_s_own_generator_alone(backbone):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Adapted(backbone, Config(), M)
    assert torch.equal(torch.rand(3), expected)


def test_the_pretrained_head_is_a_copy_that_is_not_trained(backbone, inputs):
    model = Adapted(backbone, Config(head="pretrained_frozen"), M)
    assert not any(name.startswith("head") for name in model.trained())
    assert torch.equal(model(*inputs), backbone.decoder(backbone.encode(*inputs[:2]))[0][:, 1:])
    assert any(name.startswith("head") for name in Adapted(backbone, Config(head="decoder"), M).trained())


def test_a_missing_or_misshapen_condition_is_refused_before_computing(backbone, inputs):
    model = Adapted(copy.deepcopy(backbone), Config(), M)
    with pytest.raises(ShapeError, match=r"e is none, expected \(4, 5\)"):
        model(inputs[0], inputs[1], None, inputs[3])
    with pytest.raises(ShapeError, match=r"e is \(4, 4\), expected \(4, 5\)"):
        model(inputs[0], inputs[1], inputs[2][:, :4], inputs[3])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"conditioning": "film"}, "conditioning is 'film'; expected one of shift, scale_shift, static"),
        ({"bottleneck": 0}, "bottleneck is 0; give a whole number from 1"),
        ({"bottleneck": True}, "bottleneck is True"),
        ({"residual": 1}, "residual is 1; expected true or false"),
        ({"conditioning": "scale_shift", "bias_location": "up"}, "needs bias_location='bottleneck'"),
    ],
)
def test_an_impossible_configuration_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        Config(**given)
