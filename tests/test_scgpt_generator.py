"""The perturbation variant equals the reference, samples nothing and starts from a backbone."""

import pytest
import torch
from scgpt_reference import A, C, arrays, check_close, settings

from perturbook.errors import ConfigError, InputError, ShapeError
from perturbook.models.scgpt import Hooks, Sizes, load
from perturbook.models.scgpt.losses import elastic_cell_similarity, masked_mse, zero_log_likelihood
from perturbook.models.scgpt.perturbation_generator import TransformerGenerator, from_backbone, load_generator

NAMES = ("generator", "generator_mvc_zeroprob")


def sizes(name, **options):
    said = settings(name)
    return Sizes(
        n_tokens=said["ntoken"],
        embsize=said["embsize"],
        nheads=said["nheads"],
        d_hid=said["d_hid"],
        nlayers=said["nlayers"],
        n_layers_cls=said["nlayers_cls"],
        n_cls=said["n_cls"],
        dropout=said["dropout"],
        pad_value=float(said["pad_value"]),
        pad_id=200,
        explicit_zeros=said.get("explicit_zero_prob", False),
        mvc=said.get("do_mvc", False),
        flags=False,
    )


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    z = arrays(request.param)
    model = load_generator(A / f"{request.param}.pt", sizes(request.param))
    return model, z, (z["src"], z["values"], z["pert_flags"])


def everywhere(z):
    return torch.ones_like(z["target"], dtype=torch.bool)


@pytest.mark.parametrize("gradients", [True, False], ids=["with gradients", "without"])
def test_predictions_equal_the_reference(case, gradients):
    model, z, given = case
    with torch.set_grad_enabled(gradients):
        made = model(*given)
    check_close(made.tokens, z["transformer_output"])
    check_close(made.value, z["pred"])
    loss = masked_mse(made.value, z["target"], everywhere(z))
    check_close(loss.double(), z["loss_mse_all_positions"])
    check_close(model.cls_decoder(made.cell), z["out_cls_output"])
    check_close(elastic_cell_similarity(made.cell), z["out_loss_ecs"])


def test_losses_have_the_stated_values():
    for name, value in zip(NAMES, (0.657081, 2.958373), strict=True):
        z = arrays(name)
        model = load_generator(A / f"{name}.pt", sizes(name))
        made = model(z["src"], z["values"], z["pert_flags"])
        assert masked_mse(made.value, z["target"], everywhere(z)).item() == pytest.approx(value, rel=1e-5)
    assert zero_log_likelihood(made.nonzero, z["target"], everywhere(z)).item() == pytest.approx(
        0.622522, rel=1e-5
    )


def test_explicit_zeros_give_probabilities_of_the_reference_and_the_expected_value_not_a_sample():
    z = arrays("generator_mvc_zeroprob")
    model = load_generator(A / "generator_mvc_zeroprob.pt", sizes("generator_mvc_zeroprob"))
    given = (z["src"], z["values"], z["pert_flags"])
    made = model(*given)
    check_close(made.nonzero, z["zero_probs"])
    check_close(made.mvc_nonzero, z["out_mvc_zero_probs"])
    assert torch.equal(made.expression, made.value * made.nonzero)
    drawn = z["out_mvc_output"] != 0  # the reference multiplied by a draw of 0 or 1
    check_close((made.mvc / made.mvc_nonzero)[drawn], z["out_mvc_output"][drawn])
    torch.manual_seed(3)
    assert torch.equal(model(*given).expression, made.expression)


def test_without_explicit_zeros_the_expression_is_the_value():
    z = arrays("generator")
    made = load_generator(A / "generator.pt", sizes("generator"))(z["src"], z["values"], z["pert_flags"])
    assert torch.equal(made.expression, made.value)
    assert made.nonzero is None and made.mvc is None and made.mvc_nonzero is None


def test_the_decoder_is_affine_in_the_input_values():
    z = arrays("generator")
    decoder = load_generator(A / "generator.pt", sizes("generator")).decoder
    tokens, zero = z["transformer_output"], torch.zeros(4, 20)
    at = [decoder(tokens, zero + value).value for value in (0.0, 1.0, 3.0)]
    check_close(at[2] - at[0], 3 * (at[1] - at[0]))


def test_the_vector_of_flag_0_is_zero_and_learns_nothing(case):
    model, z, (src, values, flags) = case
    assert not model.pert_encoder.weight[0].any()
    flags = torch.zeros_like(flags)
    flags[:, 3] = 1
    model(src, values, flags).value.sum().backward()
    moved = model.pert_encoder.weight.grad.abs().sum(dim=1) > 0
    model.zero_grad()
    assert moved.tolist() == [False, True, False]


def test_padding_reaches_nothing(case):
    model, z, (src, values, flags) = case
    padding = torch.zeros_like(src, dtype=torch.bool)
    padding[:, 15:] = True
    cut = model(src[:, :15], values[:, :15], flags[:, :15])
    padded = model(src, values.masked_fill(padding, 1e30), flags, padding)
    check_close(padded.value[:, :15], cut.value)
    check_close(padded.cell, cut.cell)


def test_adaptive_bias_multiplies_b_by_the_mean_of_the_non_zero_values_and_refuses_a_cell_without_any():
    z = arrays("generator")
    given = [z["src"], z["values"], z["pert_flags"]]
    plain = load_generator(A / "generator.pt", sizes("generator"))
    adaptive = load_generator(A / "generator.pt", sizes("generator"), adaptive_bias=True)
    tokens = plain(*given).tokens
    a, b = (part.fc(tokens).squeeze(-1) for part in (plain.decoder.coeff_decoder, plain.decoder.bias_decoder))
    mean = torch.stack([row[row != 0].mean() for row in given[1]]).unsqueeze(1)
    check_close(adaptive(*given).value, a * given[1] + b * mean)
    given[1] = given[1].clone()
    given[1][2] = 0
    with pytest.raises(InputError, match="cell 2 has no non-zero value"):
        adaptive(*given)


def test_an_activation_acts_on_both_parts():
    z = arrays("generator")
    model = load_generator(A / "generator.pt", sizes("generator"), activation="Softplus")
    made = model(z["src"], z["values"], z["pert_flags"])
    parts = [
        part.fc(made.tokens).squeeze(-1) for part in (model.decoder.coeff_decoder, model.decoder.bias_decoder)
    ]
    a, b = (torch.nn.functional.softplus(part) for part in parts)
    check_close(made.value, a * z["values"] + b)


def test_a_generator_takes_the_trunk_of_a_backbone_and_draws_the_rest_from_its_seed():
    backbone = load(C)
    one, same, other = (from_backbone(backbone, seed) for seed in (1, 1, 2))
    for key, tensor in one.state_dict().items():
        shared = key.startswith(("encoder.", "value_encoder.", "transformer_encoder."))
        assert torch.equal(tensor, same.state_dict()[key])
        if shared:
            assert torch.equal(tensor, backbone.state_dict()[key])
            assert tensor.data_ptr() != backbone.state_dict()[key].data_ptr()
        else:
            assert not torch.equal(tensor, other.state_dict()[key])
    assert one.sizes.dropout == 0 and not one.training


def test_adapters_and_wrong_arguments(case):
    model, z, (src, values, flags) = case
    changed = model(src, values, flags, adapters={0: Hooks(attention=lambda x: x * 0)})
    assert not torch.allclose(changed.value, z["pred"])
    with pytest.raises(InputError, match="flags holds other numbers"):
        model(src, values, flags + 2)
    with pytest.raises(ShapeError, match="flags has dtype torch.float32"):
        model(src, values, flags.float())
    with pytest.raises(ShapeError, match="flags has shape"):
        model(src, values, flags[:, 1:])
    with pytest.raises(ConfigError, match="pert_pad_id is 3"):
        TransformerGenerator(model.sizes, pert_pad_id=3)
    with pytest.raises(ConfigError, match="activation is 'softmax'"):
        TransformerGenerator(model.sizes, activation="softmax")


def test_a_file_of_another_variant_is_refused_by_its_keys():
    with pytest.raises(InputError, match="zero_logit"):
        load_generator(A / "generator_mvc_zeroprob.pt", sizes("generator"))
    with pytest.raises(InputError, match=r"missing: pert_encoder\.weight"):
        load_generator(A / "best_model.pt", sizes("generator"))
