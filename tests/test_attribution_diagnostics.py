"""What an attribution is shown with, and the positive control on planted genes. `concepts.md` sections 5.2 and 13."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hand_made_concepts import HandMade, cells_of

from perturbook.concepts import confound_audit
from perturbook.concepts.attribution import attribute
from perturbook.concepts.attribution_diagnostics import (
    above_cutoffs,
    completeness,
    nearest,
    null_cutoff,
    off_manifold,
    quartiles,
    rank_agreement,
)
from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.deletion_curve import area, deletion_curve, halves, orders
from perturbook.concepts.linear_encoder import LinearEncoder
from perturbook.concepts.negative_controls import RandomDirections, negative_controls
from perturbook.errors import ConfigError, InputError

GENES, PLANTED = 200, 30


def stimulated(seed):
    """Simulated cells of three types, half of them stimulated, which raises 30 planted genes, most so in the first type; and a random
    linear encoder, in which every gene is part of every direction.

    Returns the encoder, cells, whether each is stimulated, and which third each belongs to: train, validation, test.
    """
    rng = np.random.default_rng(seed)
    n = 360
    kind, on = rng.integers(3, size=n), rng.random(n) < 0.5
    values = np.tile(rng.gamma(2.0, 0.5, GENES), (n, 1))
    for number in range(3):
        values[kind == number, PLANTED + 20 * number : PLANTED + 20 * number + 20] += 9
    values[on, :PLANTED] += np.where(kind[on, None] == 0, 2.5, 1.5)
    values = np.abs(values + rng.normal(0, 0.5, values.shape))
    encoder = LinearEncoder(rng.standard_normal((24, GENES)) / np.sqrt(GENES))
    obs = pd.DataFrame({"type": [f"t{one}" for one in kind]}, index=[f"cell{i}" for i in range(n)])
    return encoder, cells_of(encoder, values, obs), on, rng.integers(3, size=n)


def split_components(z, n=10, k=8):
    """Positive and negative parts of the leading principal components of the training embeddings, the `k` largest kept."""
    centre = z.mean(0)
    axes = np.linalg.svd(z - centre, full_matrices=False)[2][:n]

    class Parts(HandMade):
        def pre_activations(self, x):
            return (torch.as_tensor(x, dtype=self.w.dtype) - torch.from_numpy(centre)) @ self.w.T

    return Parts(np.concatenate([axes, -axes]), k=k)


def auroc(scores, labels):
    ranks = pd.Series(scores).rank().to_numpy()
    n, m = labels.sum(), (~labels).sum()
    return (ranks[labels].sum() - n * (n + 1) / 2) / (n * m)


@pytest.fixture(scope="module")
def world():
    encoder, cells, on, third = stimulated(0)
    concepts = split_components(cells.embeddings[third == 0])
    codes = cells.codes(concepts, range(20))
    best = int(np.argmax([auroc(of[third == 1], on[third == 1]) for of in codes.T]))
    return encoder, cells, concepts, best


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_concept_of_a_simulated_stimulation_is_attributed_to_its_planted_genes(seed):
    """Check 18: chosen on validation cells, scored on test cells; counterfactuals that are shuffled among cells find fewer."""
    encoder, cells, on, third = stimulated(seed)
    concepts = split_components(cells.embeddings[third == 0])
    codes = cells.codes(concepts, range(20))
    best = int(np.argmax([auroc(of[third == 1], on[third == 1]) for of in codes.T]))
    assert auroc(codes[third == 2, best], on[third == 2]) >= 0.95
    train = replace(
        cells,
        counts=cells.counts[third == 0],
        embeddings=cells.embeddings[third == 0],
        obs=cells.obs[third == 0],
    )

    def planted(against, match_on=()):
        settings = AttributionSettings(against=against, match_on=match_on)
        one = attribute(encoder, concepts, train, [best], settings)[0][best]
        return np.array([int(gene[4:]) < PLANTED for gene in one.ranking.index])

    found, shuffled = planted("inactive", ("type",)), planted("random")
    assert found[:10].sum() >= 8
    assert found[:PLANTED].sum() > shuffled[:PLANTED].sum()


def test_deletion_curves_fall_and_the_order_by_attribution_falls_below_others(world):
    encoder, cells, concepts, best = world
    one = attribute(encoder, concepts, cells, [best], AttributionSettings(match_on=("type",)))[0][best]
    first, second = halves(one)
    assert {m.cell for m in first.matched}.isdisjoint(m.cell for m in second.matched)
    scores = orders(encoder, concepts, cells, first, {"DE": np.arange(GENES)[::-1] < PLANTED})
    assert sum(name.startswith("random") for name in scores) == 20
    curve = deletion_curve(encoder, concepts, second, scores)
    areas = area(curve)
    assert curve.loc["attribution", 1] > curve.loc["attribution", 20]
    random = areas.filter(like="random")
    assert areas["attribution"] < random.min() and areas["attribution"] < areas["expression level"]
    assert np.isclose(areas["gradient"], areas["attribution"], atol=0.05)  # of a linear encoder
    everything = deletion_curve(encoder, concepts, second, {"any": np.zeros(GENES)}, sizes=(GENES,))
    assert abs(float(everything.iloc[0, 0])) < 1e-9  # all genes swapped is the counterfactual


def test_random_orders_keep_the_scores_within_bins_of_expression(world):
    encoder, cells, concepts, best = world
    first, _ = halves(attribute(encoder, concepts, cells, [best], AttributionSettings(n=6))[0][best])
    scores = orders(encoder, concepts, cells, first)
    order = np.argsort(scores["expression level"], kind="stable").reshape(10, 20)
    for part in order:
        assert np.allclose(np.sort(scores["random 3"][part]), np.sort(scores["attribution"][part]))
    assert not np.allclose(scores["random 3"], scores["random 4"])


def test_the_area_of_a_constant_curve_is_its_height_and_sizes_count_by_their_logarithm():
    curve = pd.DataFrame([[0.4, 0.4, 0.4], [1.0, 1.0, 0.0]], columns=[1, 10, 100])
    assert np.allclose(area(curve), [0.4, 0.75])


def test_one_prototype_is_too_few_for_a_curve(world):
    encoder, cells, concepts, best = world
    with pytest.raises(InputError, match="1 prototypes with a counterfactual"):
        halves(attribute(encoder, concepts, cells, [best], AttributionSettings(n=1))[0][best])


def test_cutoffs_are_counted_and_the_null_gives_one_of_its_own(world):
    encoder, cells, concepts, best = world
    assert above_cutoffs(pd.Series([0.005, 0.01, 0.03, 0.2, np.nan])).to_dict() == {
        0.01: 2,
        0.02: 2,
        0.05: 1,
        0.1: 1,
    }
    controls = negative_controls(encoder, concepts, cells, [best], untrained=HandMade(np.eye(24), k=3))
    assert set(controls) == {"active", "random", "direction", "untrained"}
    one = attribute(encoder, concepts, cells, [best], AttributionSettings(match_on=("type",)))[0][best]
    cutoff = null_cutoff([controls["direction"][best]])
    pooled = controls["direction"][best].scores.query("status == 'exact'")["relative"].abs()
    assert cutoff == np.percentile(pooled, 99) and (pooled <= cutoff).mean() >= 0.98
    assert np.isnan(null_cutoff([]))
    active = controls["active"][best]
    assert all(read.codes[1, best] > 0 for matched in active.matched for read in matched.read)
    assert active.scores["relative"].abs().max() < one.scores["relative"].max()


def test_a_random_direction_fires_in_as_many_cells_as_it_should():
    z = np.random.default_rng(0).standard_normal((200, 5))
    made = RandomDirections(z, [0.05, 0.5], seed=1)
    assert ((made.encode(torch.from_numpy(z)) > 0).sum(0) == torch.tensor([10, 100])).all()
    assert np.allclose(made.directions.norm(dim=1), 1)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        RandomDirections(z, [1.0])


def test_completeness_tells_additive_genes_from_redundant_ones():
    class Saturating(LinearEncoder):
        """Two genes that stand in for each other: their larger value counts."""

        def embed(self, genes, values):
            dense = np.zeros((len(values), 2))
            dense[:, genes] = values
            return torch.from_numpy(dense.max(axis=1, keepdims=True))

        def swapped(self, genes, base, at, new):
            values = np.repeat(base[None], len(at), axis=0)
            values[np.arange(len(at)), at] = new
            return self.embed(genes, values)

    encoder = Saturating(np.ones((1, 2)))
    concept = HandMade(np.ones((1, 1)), threshold=1.0)
    cells = cells_of(encoder, [[5, 5], [1, 1], [5, 4]])
    one = attribute(encoder, concept, cells, [0])[0][0]
    by_pair = completeness(one).set_index(completeness(one).index.get_level_values("prototype"))
    assert by_pair.loc[0, "relative"] == 0 and np.isclose(by_pair.loc[2, "relative"], 0.2)
    assert quartiles(by_pair["relative"]).loc["n"] == 2


def test_swapped_cells_are_measured_against_the_distance_of_real_neighbours(world):
    encoder, cells, concepts, best = world
    z = torch.tensor([[0.0, 0], [3, 4], [0, 1]])
    assert nearest(z[:1], z).tolist() == [0]
    assert np.allclose(nearest(z[:2], z, torch.tensor([0, 1])), [1, np.sqrt(18)])
    one = attribute(encoder, concepts, cells, [best], AttributionSettings(n=4))[0][best]
    made = off_manifold(encoder, cells, one, n=50)
    assert made.shape == (50,) and (made >= 0).all() and np.median(made) < 1


def test_agreement_of_two_attributions_is_over_genes_tested_in_both(world):
    encoder, cells, concepts, best = world
    free, other = (
        attribute(encoder, concepts, cells, [best], AttributionSettings(against=against))[0][best]
        for against in ("inactive", "random")
    )
    assert np.isclose(rank_agreement(free, free), 1) and 0.3 < rank_agreement(free, other) < 1
    few = replace(free, swaps=free.swaps[free.swaps["gene"] < 2])
    assert np.isnan(rank_agreement(free, few))


def test_the_confound_audit_counts_labels_distances_and_technical_genes(world):
    encoder, cells, concepts, best = world
    names = ["RPL3", "MT-CO1", "XIST", "FOS", "RPS6KA1", *cells.genes[5:]]
    cells = replace(cells, genes=names)
    one = attribute(encoder, concepts, cells, [best], AttributionSettings(match_on=("type",)))[0][best]
    agree = confound_audit.labels_agree(one, cells, ["type"])
    assert agree.loc["type", "pairs"] == 1 and 0.3 < agree.loc["type", "any two cells"] < 0.37
    ratio = confound_audit.distance_ratio(one, cells)
    assert len(ratio) == 30 and (ratio < 1).all() and (ratio > 0).all()
    classes = confound_audit.gene_classes(one, top=30)
    tested = len(one.ranking)
    assert np.allclose(classes["tested"], 1 / tested)  # RPS6KA1 is a kinase
    assert (classes["top 30"] * 30 <= 1).all()


def test_an_order_needs_no_cell_of_the_other_half(world):
    """The order is the same whatever stands in the half that is scored."""
    encoder, cells, concepts, best = world
    first, second = halves(attribute(encoder, concepts, cells, [best], AttributionSettings(n=8))[0][best])
    alone = attribute(encoder, concepts, cells, [best], AttributionSettings(n=8))[0][best]
    spoilt = replace(
        alone,
        swaps=alone.swaps.assign(
            relative=lambda t: t["relative"].where(t["prototype"].isin([m.cell for m in first.matched]), 9.0)
        ),
    )
    assert np.allclose(halves(spoilt)[0].scores["relative"], first.scores["relative"], equal_nan=True)
    assert not np.allclose(halves(spoilt)[1].scores["relative"], second.scores["relative"], equal_nan=True)
