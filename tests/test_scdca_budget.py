"""The budget of `scdca.md` section 2.1: every number, by formula and from a model without memory."""

import pytest

from perturbook.errors import ConfigError
from perturbook.models.scdca import (
    WHOLE_HUMAN,
    Config,
    adapter_size,
    largest_bottleneck,
    over_budget,
    trainable_parameters,
    trainable_share,
)

HEAD = 513
WHOLE = 51_330_049
ROWS = [  # m, position, r, trained, percent
    (768, "ffn", 8, 178_272, 0.347),
    (768, "ffn", 16, 350_400, 0.683),
    (768, "ffn", 23, 501_012, 0.976),
    (768, "both", 8, 356_544, 0.695),
    (768, "both", 16, 700_800, 1.365),
    (768, "both", 11, 485_640, 0.946),
    (1024, "ffn", 8, 202_848, 0.395),
    (1024, "ffn", 16, 399_552, 0.778),
    (1024, "ffn", 20, 497_904, 0.970),
    (1024, "both", 8, 405_696, 0.790),
    (1024, "both", 16, 799_104, 1.557),
    (1024, "both", 10, 504_048, 0.982),
    (2048, "ffn", 8, 301_152, 0.587),
    (2048, "ffn", 16, 596_160, 1.161),
    (2048, "ffn", 13, 485_532, 0.946),
    (217, "ffn", 8, 125_376, 0.244),
    (217, "ffn", 16, 244_608, 0.477),
    (217, "ffn", 34, 512_880, 0.999),
    (384, "ffn", 8, 141_408, 0.275),
    (384, "ffn", 16, 276_672, 0.539),
    (384, "ffn", 29, 496_476, 0.967),
]
OTHERS = [
    ({"conditioning": "scale_shift"}, 498_048, 0.970),
    ({"conditioning": "static"}, 202_944, 0.395),
    ({"bias_location": "up"}, 4_921_536, 9.59),
    ({"bias_location": "up", "generator": "factorised"}, 448_896, 0.875),
    ({"generator": "shared"}, 264_448, 0.515),
    ({"method": "lora", "conditioning": "static"}, 479_232, 0.934),
]


def adapters(m, **given):
    return trainable_parameters(Config(**given), m) - HEAD


@pytest.mark.parametrize(("m", "position", "r", "trained", "percent"), ROWS)
def test_the_table_comes_out_by_formula_and_from_the_model(m, position, r, trained, percent):
    number = 24 if position == "both" else 12
    by_formula = number * adapter_size(Config(bottleneck=r), m)
    assert adapters(m, position=position, bottleneck=r) == trained == by_formula
    assert 100 * trained / WHOLE == pytest.approx(percent, abs=5e-4)


@pytest.mark.parametrize(("given", "trained", "percent"), OTHERS)
def test_the_other_forms_come_out_for_768_numbers(given, trained, percent):
    assert adapters(768, **given) == trained
    assert 100 * trained / WHOLE == pytest.approx(percent, abs=5e-3)


@pytest.mark.parametrize(
    ("m", "position", "largest"),
    [
        (768, "ffn", 23),
        (768, "both", 11),
        (1024, "ffn", 20),
        (1024, "both", 10),
        (2048, "ffn", 13),
        (217, "ffn", 34),
        (384, "ffn", 29),
    ],
)
def test_the_largest_bottleneck_within_one_percent(m, position, largest):
    assert largest_bottleneck(Config(position=position), m) == largest


def test_the_share_counts_the_head_over_the_whole_checkpoint():
    assert WHOLE_HUMAN.n_parameters == WHOLE
    assert trainable_share() == (399_552 + HEAD) / WHOLE < 0.01


def test_a_dose_that_is_appended_is_one_more_number_of_the_condition():
    assert trainable_parameters(Config(dose="append"), 1024) == trainable_parameters(Config(), 1025)


@pytest.mark.parametrize(
    ("given", "m", "over"),
    [
        ({}, 1024, False),
        ({}, 2048, True),
        ({"head": "decoder"}, 1024, True),
        ({"position": "both"}, 768, True),
        ({"method": "lora"}, 768, False),
        ({"method": "full"}, 768, True),
        ({"method": "head_only"}, 768, False),
    ],
)
def test_what_is_over_budget_is_said_to_be(given, m, over):
    assert over_budget(Config(**given), m) is over


def test_the_decoder_alone_breaks_the_claim_and_the_linear_head_costs_513():
    decoder = trainable_parameters(Config(method="head_only", head="decoder"))
    assert (decoder, trainable_parameters(Config(method="head_only"))) == (525_825, HEAD)
    assert decoder / WHOLE == pytest.approx(0.01024, abs=5e-6)


@pytest.mark.parametrize("conditioning", ["shift", "scale_shift", "static"])
def test_the_formula_counts_what_the_model_has_and_refuses_other_forms(conditioning):
    config = Config(conditioning=conditioning, bottleneck=5)
    assert adapters(40, conditioning=conditioning, bottleneck=5) == 12 * adapter_size(config, 40)
    for other in ({"generator": "mlp"}, {"bias_location": "up"}):
        with pytest.raises(ConfigError, match="count a model instead"):
            adapter_size(Config(**other), 40)
