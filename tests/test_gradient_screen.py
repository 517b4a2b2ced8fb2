"""Screening by a derivative and what it may miss. `concepts.md` section 5.3, point 6."""

import numpy as np
import pandas as pd
import pytest
import torch
from hand_made_concepts import HandMade, cells_of, toy_concepts, toy_counts, toy_model
from test_token_swap import pair_of

from perturbook.concepts.attribution import attribute
from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.concept_pairs import PairReader
from perturbook.concepts.gradient_screen import Screen, audit, enough, first_order, recall
from perturbook.concepts.linear_encoder import LinearEncoder
from perturbook.concepts.token_gates import gated_cell
from perturbook.errors import ConfigError


@pytest.fixture(scope="module")
def toy():
    return toy_concepts(threshold=0.0)


def test_screening_equals_the_exact_value_of_a_linear_encoder():
    """Check 12, second half."""
    rng = np.random.default_rng(0)
    encoder = LinearEncoder(rng.standard_normal((6, 40)))
    cells, concepts = (
        cells_of(encoder, toy_counts(30, 40)),
        HandMade(rng.standard_normal((5, 6)), threshold=0.0),
    )
    found, _ = attribute(encoder, concepts, cells, range(5), AttributionSettings(n=4), Screen(q=100))
    for one in found.values():
        swaps = one.swaps[
            one.swaps["exact"] & ~one.swaps["relative"].eq(1)
        ]  # a code of 0 hides how far it fell
        assert len(swaps) > 20
        assert np.abs(swaps["relative"] - swaps["first_order"]).max() < 1e-5


def slope_of_gate(model, tokens, gates, at):
    """Derivative of the first number of the cell by one gate, by finite differences of a plain softmax in double precision."""
    model = model.double()

    def cell(all_gates):
        x = tokens.double()[None]
        for layer in model.transformer_encoder.layers:
            query, key, value = layer.self_attn.project(x)
            weights = all_gates * (query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5).exp()
            context = (weights / weights.sum(-1, keepdim=True)) @ value
            x = layer.feed_forward(
                layer.norm1(x + layer.self_attn.out_proj(context.transpose(1, 2).flatten(2)))
            )
        return x[0, 0]

    with torch.no_grad():
        step = torch.zeros(len(gates), dtype=torch.float64)
        step[at] = 1e-6
        made = (cell(gates.double() + step) - cell(gates.double() - step)) / 2e-6
    model.float()
    return made


def test_the_derivative_by_a_gate_is_that_of_finite_differences():
    model = toy_model(layers=3)
    tokens = torch.randn(9, 16, generator=torch.Generator().manual_seed(0))
    asked = torch.ones(9, requires_grad=True)
    gates = torch.tensor([1.0] * 6 + [0.0] * 3)
    made = gated_cell(model, tokens[:6], tokens[6:], asked)
    with torch.no_grad():
        assert (made[0] - model.transformer_encoder(tokens[None, :6])[0, 0]).abs().max() < 1e-5
    for number in (0, 5):
        (slopes,) = torch.autograd.grad(made[0, number], asked, retain_graph=True)
        for at in (2, 5, 6, 8):
            assert abs(float(slopes[at]) - float(slope_of_gate(model, tokens, gates, at)[number])) < 1e-5


def test_the_screen_follows_the_exact_change_of_all_three_kinds_of_swap(toy):
    encoder, concepts, _ = toy
    pair = pair_of(encoder, toy_counts(2))
    made = encoder.first_order(pair.genes, pair.base, pair.other, concepts.pre_activations)
    exact = concepts.pre_activations(encoder.swapped(pair.genes, pair.base, pair.at, pair.new))
    exact = (exact - concepts.pre_activations(encoder.embed(pair.genes, pair.base[None]))).numpy().T
    assert (made[:, pair.base == pair.other] == 0).all()
    for kind in range(3):
        of = pair.kinds(pair.at) == kind
        assert (
            min(np.corrcoef(a, b)[0, 1] for a, b in zip(made[:, pair.at][:, of], exact[:, of], strict=True))
            > 0.98
        )


def test_a_screened_attribution_is_the_exact_one_where_it_was_verified_and_nothing_elsewhere(toy):
    encoder, concepts, cells = toy
    settings, screen = AttributionSettings(n=6), Screen(q=8, others=4, lead=5)
    exact, every = attribute(encoder, concepts, cells, [0, 1], settings)
    found, passes = attribute(encoder, concepts, cells, [0, 1], settings, screen)
    assert passes.run < every.run
    for concept, one in found.items():
        both = one.swaps.merge(
            exact[concept].swaps, on=["prototype", "counterfactual", "gene"], suffixes=("", "_all")
        )
        assert len(both) == len(exact[concept].swaps)
        verified = both["exact"]
        per_pair = verified.groupby(both["prototype"]).sum()
        assert (per_pair >= 12).all() and (~verified).any()
        assert np.allclose(both["relative"][verified], both["relative_all"][verified], atol=1e-4)
        assert both.loc[~verified, ["relative", "absolute", "pre"]].isna().all(axis=None)
        assert both["first_order"].notna().all() and not both.loc[~verified, "overtaken"].any()
        scores = one.scores
        assert {"exact", "screened"} <= set(scores["status"])
        assert scores.loc[scores["status"] == "screened", "relative"].isna().all()
        assert set(one.ranking.index) == set(scores.index[scores["status"] == "exact"])
        same = scores["status"] == "exact"
        assert np.allclose(scores["relative"][same], exact[concept].scores["relative"][same], atol=1e-4)


def test_the_leading_genes_of_a_concept_are_verified_in_every_pair(toy):
    encoder, concepts, cells = toy
    one = attribute(encoder, concepts, cells, [0], AttributionSettings(n=6), Screen(q=1, others=0, lead=5))[
        0
    ][0]
    by_gene = one.swaps["first_order"].abs().groupby(one.swaps["gene"])
    ranked = by_gene.sum()[by_gene.size() >= 5]
    leading = ranked.nlargest(
        4
    ).index  # the sums are of changes of the pre-activation; codes of prototypes weigh alike
    assert one.swaps.loc[one.swaps["gene"].isin(leading), "exact"].mean() > 0.9
    assert one.scores["status"].eq("exact").sum() >= 5 and one.swaps["exact"].mean() < 0.5


def test_recall_by_hand():
    exact, screened = np.array([5.0, -4, 3, 0, 1]), np.array([0.1, 9, -8, 7, 0])
    made = recall(exact, screened, q=2, tops=(1, 2, 3))
    assert made == {"recall@1": 0, "recall@2": 0.5, "recall@3": 2 / 3, "missed": 6 / 13}
    assert recall(exact, exact, q=5) == {"recall@20": 1, "recall@50": 1, "missed": 0}
    assert np.isnan(list(recall(np.zeros(0), np.zeros(0)).values())).all()


def test_the_audit_says_how_long_a_shortlist_must_be():
    rng = np.random.default_rng(0)
    swaps = [(one, one + rng.normal(0, 0.4, 300)) for one in rng.standard_normal((10, 300))]
    made = audit(swaps, qs=(20, 50, 100))
    assert made["recall@20"].is_monotonic_increasing and made["missed"].is_monotonic_decreasing
    assert (made["worst recall@50"] <= made["recall@50"]).all() and (made["pairs"] == 10).all()
    q = enough(made)
    assert made.loc[q, "recall@20"] >= 0.9 and (made.loc[: q - 1, "recall@20"] < 0.9).all()
    noise = [(one, rng.standard_normal(300)) for one, _ in swaps]
    with pytest.raises(ConfigError, match="No shortlist up to 100"):
        enough(audit(noise, qs=(20, 100)))


def test_a_screen_of_the_toy_transformer_recalls_what_is_largest(toy):
    encoder, concepts, cells = toy
    found, _ = attribute(encoder, concepts, cells, range(8), AttributionSettings(n=2), Screen(q=100))
    swaps = pd.concat(one.swaps.assign(concept=number) for number, one in found.items())
    each = [
        (part["absolute"].to_numpy(), part["first_order"].to_numpy())
        for _, part in swaps.groupby(["concept", "prototype"])
    ]
    made = audit(each, qs=(25,))
    assert len(each) >= 10 and made.loc[25, "recall@20"] >= 0.9


def test_derivatives_of_several_concepts_come_from_one_pass(toy):
    encoder, concepts, cells = toy
    read = PairReader(encoder, concepts, cells)(0, 1)
    both = first_order(encoder, concepts, read, [3, 5])
    assert both.shape == (2, len(read.pair.at))
    assert np.allclose(both[1], first_order(encoder, concepts, read, [5])[0], atol=1e-6)


def test_impossible_screens_are_refused(toy):
    encoder, concepts, cells = toy
    with pytest.raises(ConfigError, match="q is 0"):
        Screen(q=0)
    with pytest.raises(ConfigError, match="no derivative"):
        attribute(encoder, concepts, cells, [0], AttributionSettings(level="raw"), Screen())
