"""The masked model equals the reference on real tokens, and what stands at padded positions reaches nothing."""

import copy

import pytest
import torch
import torch.nn.functional as F
from scgpt_reference import A, arrays, check_close, inputs
from torch import nn

from perturbook.errors import ConfigError, InputError, ShapeError
from perturbook.models.scgpt import Hooks, ScGPT, Sizes, load, random_backbone
from perturbook.models.scgpt.losses import elastic_cell_similarity, masked_mse, masked_relative_error

WHOLE_HUMAN = Sizes(n_tokens=60_697, embsize=512, nheads=8, d_hid=512, nlayers=12, pad_id=60_694)
SMALL = Sizes(n_tokens=23, embsize=16, nheads=2, d_hid=24, nlayers=2, pad_id=20, dropout=0.0)


@pytest.fixture(scope="module")
def model():
    return load(A, "best_model.pt")


@pytest.fixture(scope="module")
def flash():
    return load(A, "best_model_flash_keys.pt")


def small(seed=0, **options):
    return random_backbone(Sizes(**SMALL.as_dict() | options), seed)


def cells(n=5, length=9, seed=1):
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 20, (n, length), generator=draw)
    ids[:, 0] = 21
    padding = torch.arange(length) >= torch.randint(1, length + 1, (n, 1), generator=draw)
    padding[0] = False
    return ids, torch.randint(0, 51, (n, length), generator=draw).float(), padding


# the reference


@pytest.mark.parametrize("gradients", [True, False], ids=["with gradients", "without"])
@pytest.mark.parametrize("name", ["forward", "forward_nopad"])
@pytest.mark.parametrize("which", ["model", "flash"])
def test_a_forward_pass_equals_the_reference_on_real_tokens(request, which, name, gradients):
    model = request.getfixturevalue(which)
    given, z = inputs(name)
    with torch.set_grad_enabled(gradients):
        made, layers = model(*given), model.encode(*given, layers=True)
        genes = model.encoder(given[0])
        values = model.value_encoder(given[1])
    real = ~given[2]
    for one, expected in (
        (made.tokens, "transformer_output"),
        (made.expression, "mlm_output"),
        (made.mvc, "mvc_output"),
        (genes, "gene_token_embs"),
        (values, "value_embs"),
    ):
        check_close(one[real], z[expected][real])
    check_close(layers[:, real], z["layer_outputs"][:, real])
    check_close(made.cell, z["cell_emb"])
    check_close(elastic_cell_similarity(made.cell), z["loss_ecs"])


def test_the_similarity_loss_has_the_stated_values(model):
    for name, value in (("forward", 0.676699), ("forward_nopad", 0.700931)):
        loss = elastic_cell_similarity(model(*inputs(name)[0]).cell)
        assert loss.item() == pytest.approx(value, abs=2e-6)


def test_both_key_layouts_give_the_same_numbers_bit_for_bit(model, flash):
    given, _ = inputs()
    for one, other in zip(model(*given), flash(*given), strict=True):
        assert torch.equal(one, other)


def test_the_classifier_equals_the_reference_and_is_refused_where_there_is_none(model, flash):
    given, z = inputs()
    check_close(model.classify(model(*given).cell), z["cls_output"])
    with pytest.raises(ConfigError, match="no cls_decoder"):
        flash.classify(z["cell_emb"])


def test_values_above_512_enter_as_512(model):
    at = model.value_encoder(torch.tensor([[512.0, 513.0, 700.0, 1e30]]))
    assert torch.equal(at[0, 1:], at[0, :1].expand(3, -1))
    assert not torch.equal(at[0, 0], model.value_encoder(torch.tensor([[511.0]]))[0, 0])


def test_losses_and_gradients_of_the_masked_objective_equal_the_reference(model):
    given, z = inputs()
    model = copy.deepcopy(model)
    made, masked, target = model(*given), given[1] == -1, z["target_values"]
    mlm, mvc = masked_mse(made.expression, target, masked), masked_mse(made.mvc, target, masked)
    relative = masked_relative_error(made.expression, target, masked)
    check_close(mlm.double(), torch.tensor(727.25916, dtype=torch.float64))
    check_close(mvc.double(), torch.tensor(891.89465, dtype=torch.float64))
    check_close(relative.double(), torch.tensor(11215.233, dtype=torch.float64))
    (mlm + mvc).backward()
    norms = {key: one.grad.norm().double() for key, one in model.named_parameters() if one.grad is not None}
    assert set(norms) == set(z["grad_names"]) and len(norms) == 54
    for name, norm in zip(z["grad_names"], z["grad_norms"], strict=True):
        check_close(norms[name], norm, rtol=1e-4, atol=1e-6)


def test_generation_from_a_cell_equals_the_reference(model):
    z = arrays("generate")
    check_close(model.generate(z["cell_emb"], z["src"]), z["output"])
    replaced = z["src"].clone()
    replaced[:, 0] = 5  # the cell takes the place of whatever stands first
    assert torch.equal(model.generate(z["cell_emb"], replaced), model.generate(z["cell_emb"], z["src"]))


def test_the_layers_equal_torchs_own_encoder_with_the_same_weights():
    ours = small(nlayers=3)
    layer = nn.TransformerEncoderLayer(16, 2, 24, 0.0, batch_first=True)
    theirs = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).eval()
    theirs.load_state_dict(ours.transformer_encoder.state_dict())
    ids, values, padding = cells()
    tokens = ours.embed_tokens(ours.encoder(ids), values, padding)
    expected = theirs(tokens, src_key_padding_mask=padding)
    check_close(ours.encode(ids, values, padding)[~padding], expected[~padding])


# padding, batches, ways of computing


@pytest.mark.parametrize("gradients", [True, False], ids=["with gradients", "without"])
@pytest.mark.parametrize("value", [0.0, -3e38, 3e38])
def test_nothing_at_padded_positions_reaches_a_real_token_or_a_head(gradients, value):
    model, (ids, values, padding) = small(), cells()
    with torch.set_grad_enabled(gradients):
        before = model(ids, values, padding)
        after = model(ids.masked_fill(padding, 3), values.masked_fill(padding, value), padding)
    assert torch.equal(before.cell, after.cell)
    for one, other in (
        (before.tokens, after.tokens),
        (before.expression, after.expression),
        (before.mvc, after.mvc),
    ):
        assert torch.equal(one[~padding], other[~padding])
        assert bool(torch.isfinite(other).all())


@pytest.mark.parametrize("style", ["cls", "avg-pool", "w-pool"])
def test_a_cell_is_the_same_alone_unpadded_and_in_a_batch_of_any_size(style, monkeypatch):
    model, (ids, values, padding) = small(cell_emb_style=style), cells(7)
    whole = model(ids, values, padding)
    monkeypatch.setattr("perturbook.models.scgpt.layers.BLOCK_TOKENS", 20)  # blocks of two cells
    with torch.inference_mode():
        blocks = model(ids, values, padding)
        layers = model.encode(ids, values, padding, layers=True)
    check_close(blocks.cell, whole.cell, atol=1e-6)
    check_close(blocks.tokens[~padding], whole.tokens[~padding], atol=1e-6)
    assert torch.equal(layers[-1], blocks.tokens)
    for i in range(len(ids)):
        real = ~padding[i]
        alone = model(ids[i : i + 1, real], values[i : i + 1, real])
        check_close(alone.cell[0], whole.cell[i], atol=1e-6)
        check_close(alone.expression[0], whole.expression[i, real], atol=1e-6)


def test_a_mask_that_marks_nothing_is_the_same_as_none():
    model, (ids, values, padding) = small(), cells()
    assert torch.equal(model(ids, values, torch.zeros_like(padding)).tokens, model(ids, values).tokens)


def test_padding_in_the_middle_is_left_out_like_padding_at_the_end():
    model, (ids, values, _) = small(), cells()
    hole = torch.zeros_like(ids, dtype=torch.bool)
    hole[:, 4] = True
    kept = [i for i in range(ids.shape[1]) if i != 4]
    with torch.no_grad():
        check_close(model(ids, values, hole).tokens[:, kept], model(ids[:, kept], values[:, kept]).tokens)


@pytest.mark.parametrize("gradients", [True, False], ids=["with gradients", "without"])
def test_the_first_row_alone_equals_the_cell_of_the_full_pass(model, gradients):
    given, z = inputs()
    with torch.set_grad_enabled(gradients):
        assert model.encode(*given, last_row_only=True).shape == (4, 1, 32)
        check_close(model.encode_cell(*given), z["cell_emb"], rtol=1e-6, atol=1e-6)


def test_the_order_of_genes_does_not_matter_behind_the_first_token():
    model, (ids, values, _) = small(), cells()
    order = torch.tensor([0, 8, 3, 1, 5, 2, 7, 4, 6])
    check_close(model(ids[:, order], values[:, order]).cell, model(ids, values).cell)


def test_no_cells_give_no_rows():
    with torch.no_grad():
        made = small()(torch.zeros(0, 4, dtype=torch.int64), torch.zeros(0, 4))
    assert made.tokens.shape == (0, 4, 16) and made.cell.shape == (0, 16) and made.mvc.shape == (0, 4)


def test_bfloat16_autocast_on_a_cpu_works_and_stays_near():
    model, (ids, values, padding) = small(), cells()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        made = model(ids, values, padding).tokens.float()
    check_close(made[~padding], model(ids, values, padding).tokens[~padding], rtol=0.05, atol=0.1)


def test_training_drops_out_and_evaluation_does_not():
    model, (ids, values, padding) = small(dropout=0.5), cells()
    assert torch.equal(model(ids, values, padding).cell, model(ids, values, padding).cell)
    model.train()
    assert not torch.equal(model(ids, values, padding).cell, model(ids, values, padding).cell)


# pooling, styles of input, explicit zeros


def test_pooling_uses_real_tokens_only_with_the_stated_weights():
    tokens = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [float("nan"), 100.0]]])
    values, padding = torch.tensor([[1.0, 3.0, 7.0]]), torch.tensor([[False, False, True]])
    mean = small(cell_emb_style="avg-pool").pool(tokens, values, padding)
    assert mean.tolist() == [[2.0, 4.0]]
    weighted = small(cell_emb_style="w-pool").pool(tokens, values, padding)
    check_close(weighted, torch.tensor([[10.0, 20.0]]) / 500**0.5)
    assert small().pool(tokens, values, padding).tolist() == [[1.0, 2.0]]


def test_scaling_multiplies_gene_vectors_by_values():
    model, (ids, values, _) = small(input_emb_style="scaling"), cells()
    tokens = model.encoder(ids) * values.unsqueeze(-1)
    check_close(model.encode(ids, values), model.transformer_encoder(tokens))
    assert not [name for name, _ in model.named_parameters() if name.startswith("value_encoder")]


def test_categories_look_bins_up_in_a_table_and_refuse_other_values():
    model, (ids, values, _) = small(input_emb_style="category"), cells()
    encoder = model.value_encoder
    rows = F.layer_norm(encoder.embedding.weight, (16,))[values.long()]  # its norm is fresh: weight 1, bias 0
    check_close(model.encode(ids, values), model.transformer_encoder(model.encoder(ids) + rows))
    assert encoder.embedding.weight.shape == (53, 16)  # 51 bins, padding, mask
    for wrong in (-1.0, 0.5, 53.0):
        with pytest.raises(InputError, match="categories 0 to 52"):
            model(ids, values.index_fill(1, torch.tensor([2]), wrong))


def test_explicit_zeros_give_the_expected_value_and_never_sample():
    model, (ids, values, padding) = small(explicit_zeros=True), cells()
    made = model(ids, values, padding)
    plain = model.decoder(made.tokens)
    assert bool(((plain.nonzero > 0) & (plain.nonzero < 1)).all())
    check_close(made.expression, plain.nonzero * model.decoder.fc(made.tokens).squeeze(-1))
    assert torch.equal(model(ids, values, padding).expression, made.expression)
    head = model.mvc_decoder(made.cell, model.encoder(ids))
    query = torch.sigmoid(model.mvc_decoder.gene2query(model.encoder(ids)))
    for weights, part in ((model.mvc_decoder.W, head.value), (model.mvc_decoder.W_zero_logit, None)):
        product = (weights(query) * made.cell.unsqueeze(1)).sum(-1)
        check_close(
            torch.sigmoid(product) if part is None else product, head.nonzero if part is None else part
        )
    check_close(made.mvc, head.value * head.nonzero)


def test_a_model_without_the_cell_decoder_gives_none():
    assert small(mvc=False)(*cells()).mvc is None


# adapters


@pytest.mark.parametrize("gradients", [True, False], ids=["with gradients", "without"])
def test_adapters_stand_behind_both_sublayers_and_leave_frozen_modules_alone(model, gradients):
    given, _ = inputs()
    seen = []
    before = {key: one.clone() for key, one in model.state_dict().items()}

    def watch(place):
        def hook(x):
            seen.append((place, tuple(x.shape)))
            return x

        return hook

    adapters = {0: Hooks(attention=watch("a0"), feed_forward=watch("f0")), 2: Hooks(feed_forward=watch("f2"))}
    with torch.set_grad_enabled(gradients):
        watched = model(*given, adapters=adapters)
        check_close(watched.tokens[~given[2]], model(*given).tokens[~given[2]])
    assert seen == [(place, (4, 24, 32)) for place in ("a0", "f0", "f2")]
    assert all(torch.equal(one, before[key]) for key, one in model.state_dict().items())


def test_an_adapter_changes_its_sublayer_by_what_it_returns():
    model, (ids, values, _) = small(nlayers=1), cells()
    layer = model.transformer_encoder.layers[0]
    made = model.encode(ids, values, adapters={0: Hooks(lambda x: 2 * x, lambda x: x + 1)})
    x = model.embed_tokens(model.encoder(ids), values, None)
    x = layer.norm1(x + 2 * layer.self_attn(x))
    x = layer.norm2(x + layer.linear2(F.relu(layer.linear1(x))) + 1)
    check_close(made, x)


def test_gradients_reach_an_adapter_through_a_frozen_model():
    model, (ids, values, padding) = small(), cells()
    model.requires_grad_(False)
    shift = torch.zeros(16, requires_grad=True)
    model(ids, values, padding, adapters={0: Hooks(attention=lambda x: x + shift)}).cell[
        :, 0
    ].sum().backward()
    assert float(shift.grad.abs().sum()) > 0
    assert all(one.grad is None for one in model.parameters())


def test_wrong_adapters_are_refused():
    model, given = small(), cells()
    with pytest.raises(ConfigError, match="name layer 2; there are 0 to 1"):
        model(*given, adapters={2: Hooks()})
    with pytest.raises(ShapeError, match="it must keep the shape"):
        model(*given, adapters={0: Hooks(attention=lambda x: x[..., :3])})
    with pytest.raises(ConfigError, match="exclude each other"):
        model.encode(*given, layers=True, last_row_only=True)


# bad input


def bad_inputs():
    ids, values, padding = cells()
    first = padding.clone()
    first[2, 0] = True
    return {
        "three dimensions": (ids[None], values, padding, ShapeError, r"gene_ids has shape \(1, 5, 9\)"),
        "no token": (ids[:, :0], values[:, :0], None, ShapeError, "L at least 1"),
        "float ids": (ids.float(), values, padding, ShapeError, "gene_ids has dtype torch.float32"),
        "a list": (ids.tolist(), values, padding, ShapeError, "gene_ids is a list"),
        "id too high": (ids.masked_fill(ids == 21, 23), values, padding, InputError, "holds 23; .* 0 to 22"),
        "id below zero": (ids - 30, values, padding, InputError, r"holds -\d+"),
        "values too short": (ids, values[:, 1:], padding, ShapeError, r"values has shape \(5, 8\)"),
        "whole-number values": (ids, values.long(), padding, ShapeError, "values has dtype torch.int64"),
        "NaN": (ids, values.masked_fill(values > 20, torch.nan), padding, InputError, "NaN or infinite"),
        "infinite at padding": (ids, values.masked_fill(padding, torch.inf), padding, InputError, "infinite"),
        "padding of numbers": (ids, values, padding.float(), ShapeError, "padding has dtype torch.float32"),
        "padding turned": (ids, values, padding.T, ShapeError, r"padding has shape \(9, 5\)"),
        "first token padded": (ids, values, first, InputError, "position 0 of cell 2 is padding"),
    }


@pytest.mark.parametrize("case", bad_inputs())
def test_input_that_does_not_fit_is_refused_before_any_computing(case, monkeypatch):
    *given, error, message = bad_inputs()[case]
    model = small()
    monkeypatch.setattr(model, "encoder", None)  # computing would fail otherwise
    for call in (model, model.encode, model.encode_cell):
        with pytest.raises(error, match=message):
            call(*given)


def test_a_cell_embedding_of_another_width_is_refused():
    ids, *_ = cells()
    with pytest.raises(ShapeError, match=r"expected floats \(cells, D\) = \(5, 16\)"):
        small().generate(torch.zeros(5, 15), ids)


# sizes


def test_whole_human_sizes_have_the_stated_parameters():
    model = ScGPT(WHOLE_HUMAN)
    counts = {
        key: 0
        for key in (
            "encoder",
            "value_encoder",
            "transformer_encoder",
            "decoder",
            "flag_encoder",
            "mvc_decoder",
        )
    }
    for name, parameter in model.named_parameters():
        assert parameter.is_meta
        counts[name.split(".")[0]] += parameter.numel()
    assert counts == {
        "encoder": 31_077_888,
        "value_encoder": 264_704,
        "transformer_encoder": 18_935_808,
        "decoder": 525_825,
        "flag_encoder": 1_024,
        "mvc_decoder": 524_800,
    }
    assert sum(counts.values()) == WHOLE_HUMAN.n_parameters == 51_330_049


def test_whole_human_keys_and_shapes_are_those_of_the_released_layout():
    shapes = {key: tuple(one.shape) for key, one in ScGPT(WHOLE_HUMAN).state_dict().items()}
    assert len(shapes) == 163
    assert shapes["encoder.embedding.weight"] == (60_697, 512)
    assert shapes["flag_encoder.weight"] == (2, 512)
    assert shapes["value_encoder.linear1.weight"] == (512, 1)
    for i in range(12):
        layer = f"transformer_encoder.layers.{i}."
        assert shapes[layer + "self_attn.in_proj_weight"] == (1536, 512)
        assert shapes[layer + "self_attn.in_proj_bias"] == (1536,)
        assert shapes[layer + "self_attn.out_proj.weight"] == shapes[layer + "linear2.weight"] == (512, 512)
        assert shapes[layer + "norm2.bias"] == (512,)
    assert shapes["decoder.fc.4.weight"] == (1, 512)
    assert shapes["mvc_decoder.W.weight"] == (512, 512) and "mvc_decoder.W.bias" not in shapes


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"input_emb_style": "category"},
        {"input_emb_style": "scaling"},
        {"explicit_zeros": True},
        {"mvc": False},
    ],
)
def test_the_number_of_parameters_is_known_before_anything_is_allocated(options):
    sizes = Sizes(**SMALL.as_dict() | options)
    assert sum(one.numel() for one in ScGPT(sizes).parameters()) == sizes.n_parameters


def test_a_model_that_nothing_has_filled_cannot_be_used_by_mistake():
    with pytest.raises((RuntimeError, NotImplementedError)):
        ScGPT(SMALL)(*cells()).cell.sum().item()


def test_a_random_backbone_is_set_by_its_seed_alone_and_says_that_it_is_random():
    torch.manual_seed(1)
    one = small(seed=3)
    torch.manual_seed(2)
    assert one.identity == small(seed=3).identity != small(seed=4).identity
    assert "learned nothing" in one.report.origin and not one.training
    assert not one.encoder.embedding.weight[20].any() and one.encoder.embedding.weight.abs().max() <= 0.1
    first, second = one.transformer_encoder.layers
    for (name, a), b in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b) == (name.startswith("norm") or name.endswith("in_proj_bias"))
    assert all(bool(torch.isfinite(p).all()) for p in one.parameters())


def test_the_identity_changes_with_any_weight_and_with_the_vocabulary():
    model = small()
    before = model.identity
    with torch.no_grad():
        model.decoder.fc[4].bias += 1e-3
    assert model.identity != before
