"""The pre-training pass: perceived genes see each other, a generated gene sees them and itself."""

import copy

import pytest
import torch
from scgpt_reference import A, C, arrays, check_close
from torch import nn

from perturbook.errors import ConfigError, InputError, ShapeError
from perturbook.models.scgpt import Hooks, load
from perturbook.models.scgpt.losses import masked_mse


@pytest.fixture(scope="module")
def model():
    return load(C)


@pytest.fixture(scope="module")
def z():
    return arrays("generative", C)


def given(z):
    return [z[key] for key in ("pcpt_gene", "pcpt_expr", "pcpt_padding", "gen_gene", "gen_padding")]


def real(z):
    return ~z["pcpt_padding"], ~z["gen_padding"]


@pytest.mark.parametrize("gradients", [True, False], ids=["with gradients", "without"])
def test_the_pass_equals_the_reference_on_real_tokens(model, z, gradients):
    with torch.set_grad_enabled(gradients):
        made = model.perceive_and_generate(*given(z))
        again = model.perceive_and_generate(*given(z), cell=made.cell.detach())
    perceived, generated = real(z)
    check_close(made.perceived[perceived], z["pcpt_output"][perceived])
    check_close(made.generated[generated], z["gen_output"][generated])
    check_close(made.pcpt_preds[perceived], z["pcpt_preds"][perceived])
    check_close(made.gen_preds[generated], z["gen_preds"][generated])
    check_close(made.cell, z["cell_emb"])
    both = torch.cat([perceived, generated], dim=1)
    check_close(made.mvc[both], z["mvc_output"][both])
    check_close(again.gen_preds[generated], z["gen_preds_with_cell_emb"][generated])


def test_losses_and_gradients_equal_the_reference(model, z):
    model = copy.deepcopy(model)
    made = model.perceive_and_generate(*given(z))
    again = model.perceive_and_generate(*given(z), cell=made.cell.detach())
    target, counted = z["gen_expr_target"], ~z["gen_padding"]
    mvc = made.mvc[:, z["pcpt_gene"].shape[1] :]
    losses = [masked_mse(one, target, counted) for one in (made.gen_preds, mvc, again.gen_preds)]
    for loss, value in zip(losses, (814.4595, 752.3168, 813.9001), strict=True):
        check_close(loss, torch.tensor(value))
    sum(losses).backward()
    norms = {key: one.grad.norm().double() for key, one in model.named_parameters() if one.grad is not None}
    names = [name.replace("Wqkv.", "in_proj_") for name in z["grad_names"]]
    assert set(norms) == set(names)
    for name, norm in zip(names, z["grad_norms"], strict=True):
        check_close(norms[name], norm, rtol=1e-4, atol=1e-6)


def test_the_perceived_part_does_not_depend_on_generated_genes(model, z):
    perceived, _ = real(z)
    other = z["gen_gene"].roll(1, dims=1)
    made = model.perceive_and_generate(*given(z)[:3], other, None).perceived
    check_close(made[perceived], z["pcpt_output_without_gen"][perceived])
    alone = model.encode(*given(z)[:3])
    check_close(alone[perceived], z["pcpt_output_without_gen"][perceived])


def test_a_generated_gene_sees_no_other_generated_gene(model, z):
    full = model.perceive_and_generate(*given(z)).gen_preds
    for i in range(z["gen_gene"].shape[1]):
        one = model.perceive_and_generate(*given(z)[:3], z["gen_gene"][:, i : i + 1], None).gen_preds
        counted = ~z["gen_padding"][:, i]
        check_close(one[counted, 0], full[counted, i])


def test_a_generated_gene_sees_itself(model, z):
    """With the key and value of a generated gene hidden from it, the result is another."""
    _, generated = real(z)
    made = model.perceive_and_generate(*given(z)).generated
    blind = copy.deepcopy(model)
    for layer in blind.transformer_encoder.layers:
        attend = layer.self_attn.attend

        def without_itself(query, key, value, take, attend=attend):
            if take is not None and take.shape[2] > 1:
                take = take & ~torch.eye(take.shape[3], dtype=torch.bool)[-take.shape[2] :]
            return attend(query, key, value, take)

        layer.self_attn.attend = without_itself
    assert (blind.perceive_and_generate(*given(z)).generated - made)[generated].abs().max() > 0.1


def test_with_the_projection_applied_to_generated_genes_the_outputs_differ_by_more_than_one(model, z):
    _, generated = real(z)
    made = model.perceive_and_generate(*given(z), project_generated=True)
    assert (made.generated - z["gen_output"])[generated].abs().max() > 1
    perceived, _ = real(z)
    check_close(made.perceived[perceived], z["pcpt_output"][perceived])


def test_what_stands_at_padded_positions_reaches_nothing(model, z):
    pcpt_gene, pcpt_values, pcpt_padding, gen_gene, gen_padding = given(z)
    perceived, generated = real(z)
    before = model.perceive_and_generate(*given(z))
    after = model.perceive_and_generate(
        pcpt_gene.masked_fill(pcpt_padding, 7),
        pcpt_values.masked_fill(pcpt_padding, 3e38),
        pcpt_padding,
        gen_gene.masked_fill(gen_padding, 9),
        gen_padding,
    )
    assert torch.equal(before.perceived[perceived], after.perceived[perceived])
    assert torch.equal(before.gen_preds[generated], after.gen_preds[generated])
    assert torch.equal(before.cell, after.cell)


def test_adapters_see_perceived_and_generated_tokens(model, z):
    seen = []

    def watch(x):
        seen.append(tuple(x.shape))
        return x

    model.perceive_and_generate(*given(z), adapters={1: Hooks(attention=watch, feed_forward=watch)})
    assert seen == [(4, 14 + 9, 32)] * 2
    with pytest.raises(ConfigError, match="name layer 3"):
        model.perceive_and_generate(*given(z), adapters={3: Hooks()})


def test_input_that_does_not_fit_is_refused(model, z):
    pcpt_gene, pcpt_values, pcpt_padding, gen_gene, gen_padding = given(z)
    with pytest.raises(ShapeError, match="gen_gene has 3 cells, pcpt_gene 4"):
        model.perceive_and_generate(pcpt_gene, pcpt_values, pcpt_padding, gen_gene[:3], None)
    with pytest.raises(InputError, match="gen_gene holds 123"):
        model.perceive_and_generate(pcpt_gene, pcpt_values, pcpt_padding, gen_gene.clamp(min=123), None)
    with pytest.raises(ShapeError, match="gen_padding has shape"):
        model.perceive_and_generate(pcpt_gene, pcpt_values, pcpt_padding, gen_gene, pcpt_padding)
    with pytest.raises(ShapeError, match="cell is"):
        model.perceive_and_generate(*given(z), cell=torch.zeros(4, 31))


def test_a_model_without_a_flag_encoder_says_so(z):
    with pytest.raises(ConfigError, match="no flag_encoder"):
        load(A, "best_model.pt").perceive_and_generate(*given(z))


def test_the_flag_of_a_generated_gene_is_row_one(model, z):
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.flag_encoder.weight[0] = 100.0
    _, generated = real(z)
    made = other.perceive_and_generate(*given(z))
    check_close(made.generated[generated], z["gen_output"][generated])
    assert isinstance(other.flag_encoder, nn.Embedding)
