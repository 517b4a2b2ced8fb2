"""Passes through the encoder: shared, asked once, exact. `concepts.md` section 5.3."""

import numpy as np
import pytest
import torch
from hand_made_concepts import HandMade, cells_of, toy_counts, toy_model
from test_token_swap import pair_of

from perturbook.concepts import one_token_change
from perturbook.concepts.attribution import attribute
from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.encoder_passes import Passes, answer
from perturbook.concepts.linear_encoder import LinearEncoder
from perturbook.concepts.scgpt_swaps import ScGPTSwaps


def naive(encoder, pair):
    """One plain pass per differing gene, each alone: every token of every layer."""
    made = []
    for at in pair.at:
        values = pair.together(np.array([at]))
        there = values != 0
        ids = np.r_[encoder.model.vocabulary.cls, encoder.ids[pair.genes[there]]]
        tokens = encoder.model.encode(
            torch.from_numpy(ids)[None], torch.from_numpy(np.r_[np.float32(-2), values[there]])[None]
        )
        made.append(torch.nn.functional.normalize(tokens[:, 0], dim=1))
    return torch.cat(made).detach()


@pytest.fixture(scope="module")
def toy():
    model = toy_model()
    return ScGPTSwaps(model, model.vocabulary.tokens[:60])


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_changes_removals_and_additions_equal_the_naive_loop(layers):
    model = toy_model(layers=layers)
    encoder = ScGPTSwaps(model, model.vocabulary.tokens[:60])
    pair = pair_of(encoder, toy_counts(2))
    assert (np.bincount(pair.kinds(pair.at), minlength=3) > 2).all()
    ((_, made),) = answer(encoder, [pair])
    assert (made - naive(encoder, pair)).abs().max() < 1e-5
    for kind in range(3):  # a batch of one, too
        at = pair.at[pair.kinds(pair.at) == kind][-1:]
        alone = encoder.swapped(pair.genes, pair.base, at, pair.other[at])
        assert (alone - made[pair.at == at]).abs().max() < 1e-5
    still = encoder.embed(pair.genes, pair.base[None])
    assert (made - still).norm(dim=1).median() > 1e-3  # swaps do something


def test_a_token_that_holds_nearly_all_attention_goes_through_the_whole_model(toy, monkeypatch):
    model = toy_model(seed=3)
    attention = model.transformer_encoder.layers[0].self_attn
    with torch.no_grad():
        attention.in_proj_weight[:32] *= 12  # scores 144 times as large: attention of one key only
    encoder = ScGPTSwaps(model, model.vocabulary.tokens[:60])
    pair, whole = pair_of(encoder, toy_counts(2)), []
    original = one_token_change.OneTokenChange._whole
    monkeypatch.setattr(
        one_token_change.OneTokenChange, "_whole", lambda *a: whole.append(made := original(*a)) or made
    )
    ((_, made),) = answer(encoder, [pair])
    expected = naive(encoder, pair)
    assert sum(map(len, whole)) > 3
    assert (made - expected).abs().max() < 1e-5
    monkeypatch.setattr(one_token_change, "LEAST", -np.inf)
    monkeypatch.setattr(one_token_change, "MOST", np.inf)
    ((_, unguarded),) = answer(encoder, [pair])
    assert not (unguarded - expected).abs().max() < 1e-5


def test_the_cls_row_of_a_layer_is_that_of_the_whole_layer(toy):
    layer = toy.model.transformer_encoder.layers[2]
    with torch.no_grad():
        layer.self_attn.in_proj_bias.normal_(generator=torch.Generator().manual_seed(0))
        tokens = torch.randn(3, 7, 16, generator=torch.Generator().manual_seed(1))
        whole = layer(tokens)[:, 0]
        assert (one_token_change.cls_row(layer, tokens) - whole).abs().max() < 1e-5
        layer.self_attn.in_proj_bias.zero_()


def test_one_question_is_asked_once_whatever_the_counterfactual():
    encoder = LinearEncoder(np.eye(4))
    counts = [[1, 2, 0, 0], [1, 5, 3, 0], [4, 5, 0, 0]]
    pairs, passes = [pair_of(encoder, counts, rows) for rows in ((0, 1), (0, 2), (1, 2))], Passes()
    made = dict(answer(encoder, pairs, passes=passes))
    # cell 0: gene 1 to 5 (twice), gene 2 to 3, gene 0 to 4; cell 1: gene 0 to 4, gene 2 to 0
    assert passes.run == 5
    assert made[0].tolist() == [[1, 5, 0, 0], [1, 2, 3, 0]]
    assert made[1].tolist() == [[4, 2, 0, 0], [1, 5, 0, 0]]
    assert made[2].tolist() == [[4, 5, 3, 0], [1, 5, 0, 0]]


def test_a_pair_without_a_difference_asks_nothing(toy):
    pair = pair_of(toy, np.repeat(toy_counts(1), 2, axis=0))
    ((number, made),) = answer(toy, [pair])
    assert number == 0 and made.shape == (0, 16)


def test_grouped_passes_give_the_attributions_of_the_naive_loop_with_fewer_passes():
    """Check 11."""
    model = toy_model()
    encoder = ScGPTSwaps(model, model.vocabulary.tokens[:60])
    cells = cells_of(encoder, toy_counts(8))
    directions = np.random.default_rng(0).standard_normal((8, 16)).astype(np.float32)
    mean = cells.embeddings.mean(0)
    concepts = HandMade(directions - directions @ mean[:, None] * mean / (mean @ mean), threshold=0.0)
    found, passes = attribute(encoder, concepts, cells, range(8), AttributionSettings(n=2, k=2))
    asked, loops = 0, {}
    for concept, one in found.items():
        for read in (read for matched in one.matched for read in matched.read):
            asked += len(read.pair.genes)
            key = read.pair.cell, read.pair.counterfactual
            z = loops[key] = loops[key] if key in loops else naive(encoder, read.pair)
            base = concepts.encode(encoder.embed(read.pair.genes, read.pair.base[None]))[0, concept]
            expected = ((base - concepts.encode(z)[:, concept]) / base).numpy()
            of = (one.swaps["prototype"] == read.pair.cell) & (
                one.swaps["counterfactual"] == read.pair.counterfactual
            )
            assert (
                np.abs(one.swaps["relative"][of].to_numpy() - expected).max() < 2e-4
            )  # codes are of the size 0.1
            assert np.abs(one.swaps["absolute"][of].to_numpy() - expected * float(base)).max() < 1e-5
    assert passes.asked == asked
    assert passes.run < passes.shared < passes.differing < passes.asked
    assert passes.saved == 1 - passes.run / asked and f"instead of {asked:,}" in passes.said


def test_the_noise_of_an_identity_swap_stays_below_1e_4_of_the_code(toy):
    counts = toy_counts(1)
    pair = pair_of(toy, np.repeat(counts, 2, axis=0))
    present = np.flatnonzero(pair.base)
    made = toy.swapped(pair.genes, pair.base, present, pair.base[present])
    batches = [
        toy.swapped(pair.genes, pair.base, present[part], pair.base[present[part]])
        for part in np.array_split(np.arange(len(present)), 4)
    ]
    still = toy.embed(pair.genes, pair.base[None])
    concepts = HandMade(still.numpy().copy(), k=1)
    code = concepts.encode(still)
    for one in (made, torch.cat(batches)):
        assert ((concepts.encode(one) - code) / code).abs().max() < 1e-4
