"""What the adapter is trained on: panel, examples, bootstraps of controls, and batches that are a function of seed and epoch."""

import numpy as np
import pytest

from perturbook import data, splits
from perturbook.errors import InputError, NotApplicable
from perturbook.models import Training
from perturbook.models.backbones import BACKBONES
from perturbook.models.scdca import Config
from perturbook.models.scdca.batches import Bootstrapped, Reader
from perturbook.models.scdca.profiles import Controls, examples, panel
from perturbook.models.scgpt.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def train():
    cells = data.load("simulated-drugs", size="small", expectation=False)
    split = splits.split(cells, "unseen_combination", 0)
    return Training(cells[split.visible].copy(), frozenset(split.valid))


@pytest.fixture(scope="module")
def backbone():
    return BACKBONES["random"].make(None).model


@pytest.fixture(scope="module")
def genes(train, backbone):
    return panel(train, backbone.vocabulary)


@pytest.fixture(scope="module")
def batches(train, backbone, genes):
    made, _ = examples(train, genes, 3, controls=False)
    reader = Reader.of(backbone, Config(), backbone.vocabulary.ids_of(train.cells.var_names[genes]))
    e = np.arange(len(made), dtype=np.float32)[:, None]
    return Bootstrapped(made, Controls.of(train.cells, genes), e, reader, size=7)


def test_the_panel_holds_the_known_genes_that_vary_most_over_training_profiles(train):
    names = train.cells.var_names
    known = Vocabulary.of(names[::-1][: len(names) * 3 // 4])
    spread = train.profiles.mean.var(axis=0)
    chosen = panel(train, known, most=10)
    allowed = np.isin(names, known.tokens)
    assert list(chosen) == sorted(chosen) and len(chosen) == 10 and allowed[chosen].all()
    assert spread[chosen].min() >= np.delete(np.where(allowed, spread, 0), chosen).max()


def test_a_vocabulary_of_other_genes_is_refused(train):
    with pytest.raises(InputError):
        panel(train, Vocabulary.of(["A1BG", "A2M"]))


def test_examples_are_the_treated_training_conditions_with_their_mean_profiles(train, genes):
    made, valid = examples(train, genes, 3, controls=False)
    obs = train.cells.obs
    learned = ~train.cells.obs_names.isin(train.valid) & ~obs["is_control"].to_numpy(bool)
    assert len(made) == obs[learned].groupby(["context", "perturbation", "dose_um"], observed=True).ngroups
    row = made.conditions.iloc[4]
    same = learned & (
        obs[["context", "perturbation", "dose_um"]].astype({"context": str, "perturbation": str}) == row
    ).all(axis=1)
    mean = train.cells.layers["lognorm"][same.to_numpy()].toarray()[:, genes].mean(axis=0)
    assert made.target[4] == pytest.approx(mean, abs=1e-5)
    of_valid = obs[train.cells.obs_names.isin(train.valid)]
    assert set(valid.conditions["perturbation"]) == set(of_valid["perturbation"].astype(str))
    keys = [tuple(one) for part in (made, valid) for one in part.conditions.to_numpy()]
    assert len(keys) == len(set(keys))


def test_controls_are_examples_of_the_vehicle_only_where_asked_for(train, genes):
    without, _ = examples(train, genes, 3, controls=False)
    with_controls, valid = examples(train, genes, 3, controls=True)
    assert len(with_controls) - len(without) == train.cells.obs["context"].nunique()
    assert "control" not in set(valid.conditions["perturbation"])


def test_conditions_with_too_few_cells_are_left_out_and_none_left_is_said(train, genes):
    with pytest.raises(NotApplicable, match="no training condition has 1000 cells"):
        examples(train, genes, 1000, controls=True)


def test_a_bootstrap_is_a_mean_of_as_many_cells_drawn_with_replacement(train, genes):
    controls = Controls.of(train.cells, genes)
    context, cells = next(iter(controls.cells.items()))
    drawn = np.stack([controls.bootstrap(context, np.random.default_rng(i)) for i in range(400)])
    assert drawn.mean(axis=0) == pytest.approx(controls.mean(context), abs=0.1)
    spread = cells.std(axis=0) / np.sqrt(len(cells))
    assert drawn.std(axis=0).mean() == pytest.approx(spread.mean(), rel=0.1)


def test_controls_do_not_depend_on_the_order_of_the_cells(train, genes):
    turned = Controls.of(train.cells[::-1].copy(), genes)
    for context, cells in Controls.of(train.cells, genes).cells.items():
        assert np.array_equal(cells, turned.cells[context])


def test_an_epoch_shows_every_example_once_in_an_order_of_its_own(batches):
    shown = [batch.e.ravel().tolist() for batch in batches(0, 0)]
    assert sorted(sum(shown, [])) == list(range(len(batches.examples)))
    assert shown != [batch.e.ravel().tolist() for batch in batches(0, 1)]


def test_a_batch_is_the_same_whenever_it_is_asked_for_and_its_controls_are_fresh_in_every_epoch(batches):
    one, again = batches(3, 2)[1], batches(3, 2)[1]
    assert all(bool((a == b).all()) for a, b in zip(one, again, strict=True))
    rows = one.e.ravel().int().tolist()
    assert np.array_equal(one.target.numpy(), batches.examples.target[rows])
    later = {
        int(e): before for batch in batches(3, 5) for e, before in zip(batch.e, batch.before, strict=True)
    }
    assert not any(np.array_equal(before, later[int(e)]) for e, before in zip(one.e, one.before, strict=True))


def test_expression_enters_as_it_is_behind_a_cls_token(batches, backbone):
    batch = batches(0, 0)[0]
    assert (batch.gene_ids[:, 0] == backbone.vocabulary.cls).all() and (batch.values[:, 0] == 0).all()
    assert bool((batch.values[:, 1:] == batch.before).all())
    assert len(set(batch.gene_ids[0].tolist())) == batch.gene_ids.shape[1]


def test_bins_are_taken_over_the_whole_panel_whatever_genes_are_shown(backbone, train, genes):
    reader = Reader.of(
        backbone, Config(values="bins"), backbone.vocabulary.ids_of(train.cells.var_names[genes])
    )
    before, e = np.abs(np.random.default_rng(0).normal(size=(2, len(genes)))), np.zeros((2, 1))
    whole, some = reader.read(before, e, before), reader.read(before, e, before, np.array([3, 11]))
    assert bool((some.values[:, 1:] == whole.values[:, [4, 12]]).all())
    assert (whole.values[:, 0] == backbone.sizes.pad_value).all() and whole.values[:, 1:].max() == 50


def test_a_subset_of_genes_is_drawn_anew_at_every_step_with_its_targets(batches):
    few = Bootstrapped(batches.examples, batches.controls, batches.e, batches.reader, 7, genes=12)
    one, two = few(0, 0)[0], few(0, 0)[1]
    assert one.values.shape == (7, 13) and one.target.shape == (7, 12)
    assert set(one.gene_ids[0].tolist()) != set(two.gene_ids[0].tolist())
    places = [batches.reader.ids.tolist().index(token) for token in one.gene_ids[0, 1:].tolist()]
    rows = one.e.ravel().int().tolist()
    assert np.array_equal(one.target.numpy(), batches.examples.target[rows][:, places])
