"""What is kept of a prediction: generated cells as moments, coordinates and gene sets; what a model is told of batches."""

import hand_made
import numpy as np
import pytest

from perturbook.data.schema import condition_keys
from perturbook.evaluation import METRICS, build_truth
from perturbook.evaluation.ranksum import Ranked
from perturbook.evaluation.summary import different
from perturbook.evaluation.view import view
from perturbook.models import MODELS, Prediction
from perturbook.pages.predict import predict
from perturbook.splits import split


@pytest.fixture
def asked():
    """Context a held out of three: drugs d0 and d1 of 12 cells beside 30 controls; d0 raises the first five genes."""
    rows = hand_made.grid(["a", "b", "c"], ["d0", "d1"], doses=(1.0,), n=12, controls=30)
    values = np.random.default_rng(0).uniform(0, 3, size=(len(rows), 25))
    values[[row[1] == "d0" for row in rows], :5] += 2
    cells = hand_made.cells(rows, values)
    held = split(cells, "zero_shot_context", held_out="a")
    return cells, held, build_truth(cells, [held], seed=0, facts={"seed": 0})


@pytest.fixture
def generator(monkeypatch):
    """`generator(make)`: register a model "generator" whose cells for the i-th condition are `make(i)`."""

    def enter(make):
        class Generator:
            name, title, role = "generator", "Generator", "model"

            def fit(self, train):
                return self

            def predict(self, query):
                return Prediction.from_cells([make(i) for i in range(len(query.conditions))])

        monkeypatch.setitem(MODELS, "generator", Generator)

    return enter


def controls(cells):
    return (
        cells[((cells.obs["context"] == "a") & cells.obs["is_control"]).to_numpy()]
        .layers["lognorm"]
        .toarray()
    )


def test_gene_sets_of_generated_cells_come_from_as_many_cells_as_were_measured(asked, generator):
    cells, held, truth = asked
    measured = cells[held.test].layers["lognorm"].toarray().astype(float)
    generator(lambda i: np.repeat(measured[12 * i : 12 * i + 12], 4, axis=0))
    (made,) = predict(["generator"], cells, {"B": [held]}, truth)
    assert made.n_cells.tolist() == [48, 48] and made.significant.dtype == np.int8
    all_48 = different(np.repeat(measured[:12], 4, axis=0), Ranked.of(controls(cells).astype(float)))
    assert made.significant[0, :5].all() and made.significant[0].sum() <= all_48.sum()
    recall = METRICS["de_sig_recall"].compute(view(truth, made))
    assert recall[0] >= 0.8 and truth.significant["all"][0, :5].all()


def test_fewer_generated_than_measured_cells_are_not_tested(asked, generator):
    cells, held, truth = asked
    generator(lambda i: np.ones((11 + i, 25)))
    (made,) = predict(["generator"], cells, {"B": [held]}, truth)
    assert (made.significant[0] == -1).all() and (made.significant[1] >= 0).all()
    assert np.isnan(METRICS["de_sig_recall"].compute(view(truth, made))[0])


def test_the_draw_of_generated_cells_is_the_same_each_time(asked, generator):
    cells, held, truth = asked
    pool = np.random.default_rng(1).uniform(0, 3.4, size=(60, 25))
    generator(lambda i: pool)
    once, again = (predict(["generator"], cells, {"B": [held]}, truth)[0] for _ in range(2))
    np.testing.assert_array_equal(once.significant, again.significant)


def test_a_condition_that_a_model_leaves_out_stays_missing_in_every_array(asked, monkeypatch):
    cells, held, truth = asked

    class Partial:
        name, title, role = "partial", "Partial", "model"

        def fit(self, train):
            return self

        def predict(self, query):
            mean = query.mu0.copy()
            mean[1] = np.nan
            return Prediction(mean)

    monkeypatch.setitem(MODELS, "partial", Partial)
    (made,) = predict(["partial"], cells, {"B": [held]}, truth)
    for values in (made.mean, made.mean_split):
        assert np.isfinite(values[0]).all() and np.isnan(values[1]).all()


@pytest.mark.parametrize("plates", [True, False])
def test_a_model_is_told_on_which_batches_the_profiles_of_a_condition_lie(asked, monkeypatch, plates):
    cells, held, truth = asked
    seen = []

    class Curious:
        name, title, role = "curious", "Curious", "model"

        def fit(self, train):
            return self

        def predict(self, query):
            seen.append(query)
            return Prediction(query.mu0)

    monkeypatch.setitem(MODELS, "curious", Curious)
    if plates:
        cells.obs["replicate"] = np.where(np.arange(cells.n_obs) % 3 == 0, "p1", "p2")
    predict(["curious"], cells, {"B": [held]}, truth)
    for query in seen:
        if not plates:
            assert query.batches is None
            continue
        assert list(query.batches.index) == list(held.conditions.index) and list(query.batches) == [
            "p1",
            "p2",
        ]
        for key, shares in query.batches.iterrows():
            mine = cells.obs.loc[held.test][condition_keys(cells.obs.loc[held.test]) == key]
            assert shares["p1"] == (mine["replicate"] == "p1").mean() and shares.sum() == pytest.approx(1)
