"""Simple opponents for gene pairs: regressions on codes, sums between principal components, boosted trees on anchors."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hand_made import cells
from small_world import small_world

from perturbook.errors import NotApplicable
from perturbook.models import MODELS, Query, Training
from perturbook.models.elastic_net import ElasticNet
from perturbook.models.perturbed_vae.beyond_additive import FEWEST

ON_CODES = ("elastic_net", "random_forest", "knn_codes")
ALL = (*ON_CODES, "pca_additive", "boosted_anchors")
GENES = list("ABCDEFG")
CONTROL = np.full(12, 20.0)


def training(rows, repeats=1, noise=0.0):
    """Cells of (context, perturbation) -> profile, each `repeats` times with normal noise."""
    keys = [(*key, np.nan) for key in rows for _ in range(repeats)]
    values = np.repeat(np.array(list(rows.values()), float), repeats, axis=0)
    return Training(cells(keys, values + noise * np.random.default_rng(0).normal(size=values.shape)))


def query(asked, context="K562", control=CONTROL):
    shown = cells([(context, "control", np.nan)], [control])
    conditions = pd.DataFrame([(context, name, np.nan) for name in asked])
    conditions.columns = ["context", "perturbation", "dose_um"]
    return Query(shown, conditions)


def shifts(model, train, asked):
    return model.fit(train).predict(query(asked)).mean - CONTROL


def named(name, **fields):
    return type(name, (MODELS[name],), fields)()


def screen(doubles=True, beyond=lambda a, b: 0.0, scale=8):
    """Profiles 20 + d_a + d_b + what is beyond, in multiples of 1/8, exact in the float32 of the cells."""
    rng = np.random.default_rng(0)
    effect = {gene: rng.integers(-40, 40, 12) / scale for gene in GENES}
    rows = {("K562", "control"): CONTROL} | {("K562", gene): 20 + effect[gene] for gene in GENES}
    for a, b in combinations(GENES, 2) if doubles else ():
        rows["K562", f"{a}+{b}"] = 20 + effect[a] + effect[b] + beyond(effect[a], effect[b])
    return rows, effect


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(MODELS["random_forest"], "trees", 20)


SINGLES, EFFECT = screen(doubles=False)
DOUBLES, _ = screen()


# Elastic net


def test_without_a_penalty_the_elastic_net_on_singles_is_the_cell_means_and_their_sum():
    made = shifts(ElasticNet(0.0), training(SINGLES), ["A", "A+B"])
    np.testing.assert_allclose(made, [EFFECT["A"], EFFECT["A"] + EFFECT["B"]], atol=1e-9)


def test_a_penalty_shrinks_the_effect_of_a_gene_on_all_genes_or_takes_it_away_by_hand():
    # Two singles, norms 5 and .5: the least penalty without any effect is 5 / (2 * .5) = 5, half of it is 2.5, and
    # |w| (1/2 + 2.5/2) = |y| / 2 - 2.5/2 leaves 1.25 / 1.75 of norm 5, and nothing of norm .5.
    rows = {("K562", "control"): (0, 0), ("K562", "A"): (3, 4), ("K562", "B"): (0.3, 0.4)}
    fitted = ElasticNet(0.5).fit(training(rows))
    made = fitted.predict(query(["A", "B", "A+B"], control=(0, 0))).mean
    whole = np.array([3, 4]) / 5 * 1.25 / 1.75
    np.testing.assert_allclose(made, [whole, (0, 0), whole], atol=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 0.01, None])
def test_all_the_elastic_net_can_do_on_a_pair_is_add_whatever_pairs_it_has_seen(penalty):
    rows, _ = screen(beyond=lambda a, b: 0.5 * np.abs(a))
    a, b, both = shifts(ElasticNet(penalty), training(rows), ["A", "B", "A+B"])
    np.testing.assert_allclose(both, a + b, atol=1e-9)


def test_cells_that_were_not_fitted_choose_the_penalty():
    clear = ElasticNet().fit(training(SINGLES, repeats=4, noise=0.01))
    noise = {key: CONTROL for key in SINGLES}
    blurred = ElasticNet().fit(training(noise, repeats=4, noise=1.0))
    assert clear.share < 0.01 and blurred.share > 0.1
    assert ElasticNet().fit(training(SINGLES)).share == 0  # one cell each: none is left to choose by


# Random forest


def test_a_forest_of_singles_averages_two_effects_and_cannot_add_them():
    made = shifts(MODELS["random_forest"](), training(SINGLES), ["A+B", "A"])
    every = np.array(list(EFFECT.values()))
    assert (made >= every.min(axis=0) - 1e-9).all() and (made <= every.max(axis=0) + 1e-9).all()
    both = EFFECT["A"] + EFFECT["B"]
    assert np.linalg.norm(made[0] - both / 2) < np.linalg.norm(made[0] - both)


# Nearest codes


def test_the_nearest_code_of_a_seen_condition_is_its_own():
    made = shifts(named("knn_codes", k=1), training(DOUBLES), ["A", "A+B"])
    np.testing.assert_allclose(made, [EFFECT["A"], EFFECT["A"] + EFFECT["B"]], atol=1e-9)


@pytest.mark.parametrize(
    ("k", "own", "others"),
    [(1, 1 / 2, 0), (2, 1 / 2, 0), (5, 1 / 5, 3 / 5 / 5), (7, 1 / 7, 1 / 7), (99, 1 / 7, 1 / 7)],
)
def test_the_singles_of_a_pair_are_nearest_and_all_others_share_what_is_left_of_k(k, own, others):
    made = shifts(named("knn_codes", k=k), training(SINGLES), ["A+B"])[0]
    rest = sum(EFFECT[gene] for gene in "CDEFG")
    np.testing.assert_allclose(made, own * (EFFECT["A"] + EFFECT["B"]) + others * rest, atol=1e-9)


# PCA + additive


def test_with_all_components_pca_additive_is_the_additive_floor():
    train, asked = training(SINGLES, repeats=3, noise=0.1), ["A+B", "C+D", "E"]
    floor = shifts(MODELS["additive_pairs"](), train, asked)
    np.testing.assert_allclose(shifts(MODELS["pca_additive"](), train, asked), floor, atol=1e-6)
    assert np.abs(shifts(named("pca_additive", components=2), train, asked) - floor).max() > 0.1


def test_pca_additive_is_what_encoding_adding_and_decoding_cells_gives():
    from sklearn.decomposition import PCA

    train = training(SINGLES, repeats=3, noise=0.1)
    x, labels = train.cells.layers["lognorm"].toarray().astype(float), train.cells.obs["perturbation"]
    pca = PCA(3, svd_solver="full").fit(x)
    mean = pd.DataFrame(pca.transform(x)).groupby(labels.to_numpy(str)).mean()
    shown = Query(train.cells[labels == "control"].copy(), query(["A+B"]).conditions)
    made = named("pca_additive", components=3).fit(train).predict(shown).mean[0]
    expected = pca.inverse_transform([mean.loc["A"] + mean.loc["B"] - mean.loc["control"]])[0]
    np.testing.assert_allclose(made, expected, atol=1e-6)


# Boosted trees on anchors


def test_where_doubles_are_exactly_additive_no_residual_is_learned():
    asked = ["A+B", "C+D"]
    rows = {key: profile for key, profile in DOUBLES.items() if key[1] not in asked}
    made = shifts(MODELS["boosted_anchors"](), training(rows), asked)
    np.testing.assert_array_equal(made, shifts(MODELS["additive_shrunken"](), training(rows), asked))


def test_trees_learn_what_pairs_do_beyond_their_sum_from_other_pairs():
    world = small_world()
    made, floor = (
        MODELS[name]().fit(world.training).predict(world.query).mean
        for name in ("boosted_anchors", "additive_shrunken")
    )
    planted = world.classes != "additive"
    error = [np.sqrt(((one - world.true)[planted] ** 2).mean()) for one in (made, floor)]
    assert error[0] < 0.85 * error[1]


def test_trees_need_as_many_doubles_as_the_networks_do():
    doubles = [key for key in DOUBLES if "+" in key[1]]
    few = {key: DOUBLES[key] for key in DOUBLES if key not in doubles[FEWEST - 1 :]}
    with pytest.raises(NotApplicable, match="holds 7 doubles of two seen singles; 8 are needed"):
        MODELS["boosted_anchors"]().fit(training(few))
    enough = {key: DOUBLES[key] for key in DOUBLES if key not in doubles[FEWEST:]}
    assert MODELS["boosted_anchors"]().fit(training(enough)).inner.kappa == 1.0


# What holds for all


def order_free(name, train, asked):
    """Predictions from cells in two orders, of conditions asked together and one by one."""
    turned = train.cells[np.random.default_rng(1).permutation(train.cells.n_obs)].copy()
    made = shifts(MODELS[name](), train, asked)
    again = MODELS[name]().fit(Training(turned))
    alone = [again.predict(query([one])).mean[0] - CONTROL for one in reversed(asked)]
    return made, np.array(alone[::-1])


@pytest.mark.parametrize("name", ALL)
def test_neither_order_of_cells_nor_of_questions_changes_a_prediction(name):
    rows, _ = screen(beyond=lambda a, b: 0.25 * np.minimum(np.abs(a), np.abs(b)))
    together, alone = order_free(name, training(rows, repeats=2, noise=0.25), ["A+B", "F+G", "C"])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_a_gene_that_was_never_perturbed_leaves_its_rows_undefined(name):
    train = training(DOUBLES, repeats=2, noise=0.25)
    made = shifts(MODELS[name](), train, ["A+B", "A+X", "X"])
    assert np.isfinite(made[0]).all() and np.isnan(made[1:]).all()
    with pytest.raises(NotApplicable):
        MODELS[name]().fit(train).predict(query(["A+X", "X+Y"]))


@pytest.mark.parametrize("name", ALL)
def test_what_another_context_does_has_no_say(name):
    other = {("RPE1", key): 3 * profile[::-1] for (_, key), profile in DOUBLES.items() if "+" not in key}
    alone, beside = (
        named(name, components=99) if name == "pca_additive" else MODELS[name]() for _ in range(2)
    )
    train, both = training(DOUBLES), training(DOUBLES | other)
    made = shifts(alone, train, ["A+B", "F+G"])
    np.testing.assert_allclose(shifts(beside, both, ["A+B", "F+G"]), made, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ON_CODES)
def test_codes_cannot_name_a_dose_and_no_pair_is_no_question(name):
    train = training(SINGLES)
    with pytest.raises(NotApplicable, match="no double perturbation is known or asked about"):
        MODELS[name]().fit(train).predict(query(["A"]))
    dosed = train.cells.copy()
    dosed.obs["dose_um"] = np.arange(dosed.n_obs, dtype=float)
    with pytest.raises(NotApplicable, match="a code names what was perturbed, and not the dose"):
        MODELS[name]().fit(Training(dosed))
