"""Training of sparse autoencoders: the planted dictionary is found, the traps are real, and nothing decides but the seeds."""

from functools import cache

import numpy as np
import pytest
import torch
import zarr

from perturbook.concepts import (
    SAESettings,
    TopKSAE,
    planted_dictionary,
    quality,
    shuffled_batches,
    train,
    train_many,
)
from perturbook.concepts.atom_matching import matched_cosines
from perturbook.concepts.embedding_rows import EmbeddingRows, moments
from perturbook.concepts.sae_run import SAERun
from perturbook.concepts.shuffled_batches import ShuffledBatches
from perturbook.errors import ConfigError, InputError, ShapeError

D, ATOMS, ACTIVE, CELLS, NOISE, GAMMA = 32, 48, 3, 20_000, 0.02, 3


@cache
def planted(seed):
    """Simulated cells: 3 of 48 unit atoms with weights U(0.5, 1.5), noise, and an offset with gamma = 3."""
    made = planted_dictionary.planted(seed, CELLS, d=D, atoms=ATOMS, active=ACTIVE, noise=NOISE, gamma=GAMMA)
    return made.atoms, made.points


def trained(seed, passes, bias=None, **settings):
    """Train m = 64, K = 3 on planted cells, with the biases of half of the latents started at `bias`."""
    sae = TopKSAE(D, 64, 3, seed=seed)
    if bias is not None:
        with torch.no_grad():
            sae.encoder_bias[::2] = bias
    given = SAESettings(passes=passes, batch=512, learning_rate=3e-3, **settings)
    return train(sae, planted(seed)[1], given)


@cache
def centred(seed):
    """8 passes; the acceptance check allows 40."""
    return trained(seed, 8)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_planted_dictionary_is_found(seed):
    sae = centred(seed).sae
    cosines, found = matched_cosines(planted(seed)[0], sae.atoms), quality(sae, planted(seed)[1])
    assert found.ev >= 0.92
    assert cosines.mean() >= 0.93
    assert (cosines > 0.9).mean() >= 0.85
    assert found.dead_eval <= 0.30  # 16 of 64 latents have nothing to say


@pytest.mark.slow
def test_without_centring_less_is_explained_even_after_twice_the_passes():
    cells = planted(1)[1]
    assert centred(1).gamma == pytest.approx(GAMMA, rel=1e-4)
    plain = trained(1, 16, centre=False, aux_weight=0)
    assert quality(centred(1).sae, cells).ev - quality(plain.sae, cells).ev >= 0.15
    assert plain.log["auxk_steps"].eq(0).all()


@pytest.mark.slow
def test_the_auxiliary_term_revives_latents_within_one_pass_and_a_window_of_ten_million_never_does():
    # a bias of -0.6 leaves two thirds of these latents active in some cell of norm 1; at -1.1 none is
    cells = planted(0)[1]
    alive, trap = trained(0, 15, bias=-1.1), trained(0, 15, bias=-1.1, dead_window=10**7)
    assert alive.log["auxk_steps"].max() > 0
    assert alive.log["dead_train"][3] <= 0.30
    assert quality(alive.sae, cells).ev >= 0.87
    assert trap.log["auxk_steps"].eq(0).all()
    assert (trap.history.table().query("term == 'auxiliary error'")["value"] == 0).all()
    assert quality(trap.sae, cells).dead_eval >= 0.45
    assert quality(trap.sae, cells).ev <= 0.80


@pytest.mark.slow
def test_latents_that_no_cell_can_activate_are_revived_only_by_drawing_them_anew():
    none, anew = trained(0, 4, bias=-10.0), trained(0, 4, bias=-10.0, revive="resample")
    assert none.log["auxk_steps"][4] == 1 and none.log["dead_train"][4] == 0.5
    assert anew.log["revived"].tolist() == [32, 0, 0, 0]
    assert anew.log["dead_train"][4] == 0
    assert quality(anew.sae, planted(0)[1]).ev > quality(none.sae, planted(0)[1]).ev + 0.1


# small runs


SMALL = np.random.default_rng(0).standard_normal((3000, 8)).astype(np.float32) ** 3
FEW = SAESettings(passes=3, batch=256, learning_rate=3e-3)


def state(sae):
    return torch.cat([one.double().flatten() for one in sae.state_dict().values()])


def test_atoms_have_norm_one_after_every_step_along_their_own_axis(monkeypatch):
    norms, step = [], SAERun.advance

    def watched(run):
        step(run)
        norms.append(run.module.atoms.detach().norm(dim=1))

    monkeypatch.setattr(SAERun, "advance", watched)
    done = train(TopKSAE(8, 20, 3), SMALL, FEW)
    assert len(norms) == 33 and torch.stack(norms).shape[1] == 20
    assert (torch.stack(norms) - 1).abs().max() < 1e-5
    assert (done.sae.atoms.norm(dim=0) - 1).abs().max() > 0.1  # not along the other axis
    assert done.log["atom_norm_error"].max() < 1e-5


def test_many_trained_together_are_bit_for_bit_what_each_is_alone():
    def made():
        return [
            TopKSAE(8, 20, 3, seed=1),
            TopKSAE(8, 32, 2, seed=1),
            TopKSAE(8, 20, 3, seed=2),
            TopKSAE(8, 24, 3, batch_topk=True),
        ]

    settings = SAESettings(passes=3, batch=256, revive="resample", dead_window=500)
    where = {"cells": np.arange(2500), "held_out": np.arange(2500, 3000)}
    together = train_many(made(), SMALL, settings, **where)
    for done, alone in zip(together, made(), strict=True):
        single = train(alone, SMALL, settings, **where)
        assert torch.equal(state(done.sae).nan_to_num(-1), state(single.sae).nan_to_num(-1))
        assert done.log.equals(single.log)
        assert done.history.rows == single.history.rows
    assert not torch.equal(together[0].sae.atoms, together[2].sae.atoms)
    assert torch.isfinite(together[3].sae.threshold)


@pytest.mark.parametrize("stored", ["zarr", "sharded zarr", "memory map", "float64", "rows of a larger one"])
def test_how_the_matrix_is_stored_changes_no_bit(stored, tmp_path, monkeypatch):
    monkeypatch.setattr(shuffled_batches, "BLOCK", 100)
    monkeypatch.setattr(shuffled_batches, "GROUP", 4)
    where = {}
    if stored == "memory map":
        np.save(tmp_path / "z.npy", SMALL)
        matrix = np.load(tmp_path / "z.npy", mmap_mode="r")
    elif stored == "float64":
        matrix = SMALL.astype(float)
    elif stored == "rows of a larger one":
        matrix = zarr.open_array(tmp_path / "z", mode="w", shape=(6000, 8), chunks=(170, 8), dtype="f4")
        matrix[:] = np.repeat(SMALL, 2, axis=0)
        where = {"cells": np.arange(6000) % 2 == 1}
    else:
        more = {"shards": (1400, 8)} if stored == "sharded zarr" else {}
        matrix = zarr.create_array(tmp_path / "z", shape=SMALL.shape, chunks=(70, 8), dtype="f4", **more)
        matrix[:] = SMALL
    in_memory = train(TopKSAE(8, 20, 3), SMALL, FEW)
    streamed = train(TopKSAE(8, 20, 3), matrix, FEW, **where)
    assert torch.equal(state(in_memory.sae).nan_to_num(-1), state(streamed.sae).nan_to_num(-1))
    assert in_memory.log.equals(streamed.log)


def test_every_cell_comes_once_in_a_pass_in_batches_of_almost_equal_size(monkeypatch):
    monkeypatch.setattr(shuffled_batches, "BLOCK", 10)
    monkeypatch.setattr(shuffled_batches, "GROUP", 3)
    numbers = np.arange(107, dtype=np.float32)[:, None]
    batches = ShuffledBatches(EmbeddingRows(numbers), 20)
    first, second = (torch.cat(list(batches(0, epoch)))[:, 0] for epoch in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(107))
    assert first.tolist() != second.tolist()
    assert {len(one) for one in batches(0, 0)} <= {21, 22}
    assert torch.equal(torch.cat(list(batches(0, 0)))[:, 0], first)
    assert not torch.equal(torch.cat(list(batches(1, 0)))[:, 0], first)


def test_seeds_decide_and_threads_only_round():
    first, again = (train(TopKSAE(8, 20, 3), SMALL, FEW) for _ in range(2))
    assert torch.equal(state(first.sae).nan_to_num(-1), state(again.sae).nan_to_num(-1))
    assert first.log.equals(again.log)
    other = train(
        TopKSAE(8, 20, 3), SMALL, SAESettings(passes=3, batch=256, learning_rate=3e-3, order_seed=1)
    )
    assert not torch.equal(first.sae.atoms, other.sae.atoms)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(threads, 2))
        apart = train(TopKSAE(8, 20, 3), SMALL, FEW)
    finally:
        torch.set_num_threads(threads)
    assert torch.allclose(first.sae.atoms, apart.sae.atoms, atol=1e-4)


def test_the_callers_random_stream_is_left_alone():
    before = torch.get_rng_state()
    train(TopKSAE(8, 20, 3), SMALL, SAESettings(passes=1, batch=1000))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_log_says_what_the_passes_did():
    where = {"cells": np.arange(2400), "held_out": np.arange(2400, 3000)}
    done = train(TopKSAE(8, 20, 3), SMALL, FEW, **where)
    log, sae = done.log, done.sae
    assert log.index.tolist() == [1, 2, 3] and not log.isna().any().any()
    assert log["ev"][3] == pytest.approx(quality(sae, SMALL, where["held_out"]).ev)
    assert log["ev"][3] > log["ev"][1]
    assert (log["l0"] <= 3).all() and (log["l0"] > 2).all()
    cosines = (sae.atoms @ sae.atoms.T).detach().fill_diagonal_(-1)
    assert log["largest_cosine"][3] == pytest.approx(cosines.max().item(), abs=1e-5)
    assert sae.firing_counts.sum() / 2400 == pytest.approx(log["l0"][3])
    assert not sae.encode(SMALL[:5]).requires_grad
    assert np.array_equal(done.cells, where["cells"]) and done.cells_per_second > 0
    z = SMALL[:2400].astype(float)
    assert log["gamma"][1] == pytest.approx(np.linalg.norm(z.mean(0)) / np.linalg.norm(z.std(0)))
    assert np.allclose(sae.mu.numpy(), z.mean(0), atol=1e-6)
    assert sae.s.item() == pytest.approx(np.sqrt(((z - z.mean(0)) ** 2).sum(1).mean()))
    assert train(TopKSAE(8, 20, 3), SMALL, FEW).log["ev"].isna().all()  # undefined without held-out cells


def test_a_latent_is_dead_after_a_window_without_activity_this_batch_included():
    silent = TopKSAE(8, 20, 3)
    with torch.no_grad():
        silent.encoder_bias[0] = -100.0
    done = train(silent, SMALL, SAESettings(passes=2, batch=1000, dead_window=2000))
    assert silent.since_active[0] == 6000
    rows = done.history.table().query("term == 'auxiliary error'")["value"]
    assert (rows > 0).tolist() == [False, True, True, True, True, True]
    assert done.log["auxk_steps"].tolist() == [pytest.approx(2 / 3), 1]


def test_the_learning_rate_follows_the_rule_of_the_width_and_rises_and_falls():
    done = train(TopKSAE(8, 64, 3), SMALL, SAESettings(passes=100, batch=3000))
    rate = done.history.wide()["training: learning rate"]
    highest = 2e-4 / (64 / 2**14) ** 0.5
    assert rate.max() == pytest.approx(highest)
    assert rate[0] == pytest.approx(highest / 6) and rate[4] < highest == pytest.approx(rate[5])
    assert rate[80] == pytest.approx(highest) and rate[90] == pytest.approx(highest / 2)
    assert rate[99] == pytest.approx(highest / 20)


def test_moments_are_exact_although_read_in_blocks():
    cells = np.random.default_rng(1).normal(1000, 1, (2500, 3)).astype(np.float32)
    found = moments(EmbeddingRows(cells))
    assert np.allclose(found.mean, cells.astype(float).mean(0), rtol=1e-12)
    assert np.allclose(found.variance, cells.astype(float).var(0), rtol=1e-9)


# what is refused


def changed(row, value):
    cells = SMALL.copy()
    cells[row, 0] = value
    return cells


@pytest.mark.parametrize(
    ("matrix", "where", "error", "message"),
    [
        (SMALL[:, :5], {}, ShapeError, "5 numbers each, an autoencoder takes 8"),
        (SMALL[0], {}, ShapeError, r"shape \(8,\); expected \(cells, d\)"),
        (SMALL[:100], {}, ConfigError, "100 training cells for batches of 256; take a smaller batch"),
        (changed(2077, np.nan), {}, InputError, "Row 2077 of the embeddings"),
        (changed(5, np.inf), {}, InputError, "Row 5 of the embeddings"),
        (np.full((3000, 8), 0.1), {}, InputError, "All 3,000 cells have the same embedding"),
        (SMALL[:0], {}, InputError, "nothing to read"),
        (SMALL.astype(str), {}, InputError, "give an array of numbers"),
        ("z.npy", {}, InputError, "The embeddings are a str; give an array"),
        (SMALL, {"cells": [0, 3000]}, ConfigError, "row numbers from 0 to 2,999"),
        (SMALL, {"cells": [1, 1, 2]}, ConfigError, "1 of the 3 row numbers in cells stand twice"),
        (SMALL, {"cells": np.ones(7, bool)}, ShapeError, "a mask of the shape"),
        (SMALL, {"held_out": [17]}, ConfigError, "1 of the held-out cells are trained on, such as row 17"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_with_a_reason(matrix, where, error, message):
    with pytest.raises(error, match=message):
        train(TopKSAE(8, 20, 3), matrix, FEW, **where)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"passes": 0}, "passes is 0"),
        ({"batch": 1.5}, "batch is 1.5"),
        ({"dead_window": 0}, "dead_window is 0"),
        ({"revive": "always"}, "Allowed: none, resample"),
        ({"aux_weight": -1}, "aux_weight is -1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"final_share": 2.0}, "final_share is 2.0"),
    ],
)
def test_impossible_settings_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        SAESettings(**given)


def test_the_same_autoencoder_is_not_trained_beside_itself():
    sae = TopKSAE(8, 20, 3)
    for given in ([], [sae, sae]):
        with pytest.raises(ConfigError, match="at least one autoencoder, and none twice"):
            train_many(given, SMALL, FEW)
