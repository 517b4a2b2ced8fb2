"""Neurons, PCA, ICA, NMF and random directions behind the interface of the autoencoder; matching and its chance level."""

import numpy as np
import pytest
import torch

from perturbook.concepts import DICTIONARIES, TopKSAE, fit_dictionary, quality
from perturbook.concepts.atom_matching import beyond_chance, chance_cosine, matched_cosines
from perturbook.concepts.fidelity import fidelity_table, largest_cosine
from perturbook.errors import ConfigError, InputError, ShapeError

RNG = np.random.default_rng(0)
SOURCES = RNG.exponential(1, (2000, 4)) - 1
MIXING = RNG.standard_normal((4, 4))
CELLS = (SOURCES @ MIXING + [5, 0, -3, 1]).astype(np.float32)
LINEAR = ["neurons", "pca", "ica", "random"]


@pytest.mark.parametrize("name", sorted(DICTIONARIES))
def test_every_dictionary_has_the_interface_of_the_autoencoder(name):
    made = fit_dictionary(name, CELLS, k=2)
    coded = made(CELLS[:50])
    codes = made.encode(CELLS[:50])
    assert codes.shape == coded.pre_activations.shape == (50, made.n_latents)
    assert (codes >= 0).all() and ((codes > 0).sum(1) <= 2).all()
    assert torch.equal(coded.codes, codes)
    assert coded.reconstruction.shape == (50, 4) and made.atoms.shape == (made.n_latents, 4)
    assert torch.allclose(made.decode(codes), coded.reconstruction, atol=1e-4)
    assert torch.allclose(made.atoms.norm(dim=1), torch.ones(made.n_latents), atol=1e-5)
    alone = torch.cat([made.encode(CELLS[i : i + 1]) for i in range(50)])
    assert torch.allclose(alone, codes, atol=1e-4)  # a cell's code is its own


@pytest.mark.parametrize("name", LINEAR)
def test_with_every_concept_kept_a_rotation_gives_back_what_it_was_given(name):
    made = fit_dictionary(name, CELLS)
    assert made.n_latents == 8 and quality(made, CELLS).ev == pytest.approx(1, abs=1e-5)
    codes = made.encode(CELLS)
    assert (codes[:, :4] * codes[:, 4:]).abs().max() == 0  # one sign at a time
    assert torch.allclose(codes[:, :4] - codes[:, 4:], made.pre_activations(CELLS)[:, :4], atol=1e-5)


def test_neurons_are_the_dimensions_in_two_signs():
    made = fit_dictionary("neurons", CELLS)
    scaled = (CELLS - CELLS.mean(0)) / np.sqrt(((CELLS - CELLS.mean(0)) ** 2).sum(1).mean())
    assert np.allclose(made.encode(CELLS)[:, :4], np.maximum(scaled, 0), atol=1e-5)
    assert np.allclose(made.encode(CELLS)[:, 4:], np.maximum(-scaled, 0), atol=1e-5)
    widest = np.sort(np.argsort(-CELLS.var(0))[:2])
    fewer = fit_dictionary("neurons", CELLS, n_latents=5)
    assert fewer.atoms[:2].argmax(1).tolist() == widest.tolist() and fewer.n_latents == 4


def test_principal_components_explain_most_and_independent_ones_are_the_sources():
    by_name = {name: fit_dictionary(name, CELLS, n_latents=2) for name in LINEAR}
    found = {name: quality(made, CELLS).ev for name, made in by_name.items()}
    variances = np.linalg.eigvalsh(np.cov(CELLS.T.astype(float)))
    assert found["pca"] == pytest.approx(variances[-1] / variances.sum(), rel=1e-4)
    assert found["pca"] > max(found["neurons"], found["random"])
    ica = fit_dictionary("ica", CELLS)
    assert ica.facts["converged"]
    assert matched_cosines(MIXING, ica.atoms).min() > 0.99
    assert matched_cosines(MIXING, by_name["pca"].atoms).max() < 0.99


def test_parts_of_nmf_are_not_negative_and_codes_solve_least_squares():
    from scipy.optimize import nnls

    made = fit_dictionary("nmf", CELLS, n_latents=6)
    assert made.n_latents == 6 and (made.parts >= 0).all()
    scaled = ((CELLS[:20] - made.mu.numpy()) / made.s.numpy()).astype(float)
    halves = np.hstack([np.maximum(scaled, 0), np.maximum(-scaled, 0)])
    exact = np.array([nnls(made.parts.double().numpy().T, one)[0] for one in halves])
    assert np.allclose(made.encode(CELLS[:20]), exact, atol=2e-3)
    assert quality(made, CELLS).ev > 0.9


def test_the_seed_decides_what_is_random():
    first, again, other = (fit_dictionary("random", CELLS, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.atoms, again.atoms) and not torch.equal(first.atoms, other.atoms)
    untrained = fit_dictionary("untrained_sae", CELLS, n_latents=12, k=3, seed=4)
    assert torch.equal(untrained.atoms, TopKSAE(4, 12, 3, seed=4).atoms)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ConfigError, match="Unknown dictionary 'svd'. Known: ica, neurons, nmf"):
        fit_dictionary("svd", CELLS)
    with pytest.raises(ConfigError, match="n_latents is 1"):
        fit_dictionary("pca", CELLS, n_latents=1)
    with pytest.raises(ConfigError, match="k is 9, of 8 latents"):
        fit_dictionary("pca", CELLS, k=9)
    with pytest.raises(ConfigError, match="k is None"):
        fit_dictionary("untrained_sae", CELLS)
    with pytest.raises(InputError, match="same embedding"):
        fit_dictionary("pca", np.ones((10, 4)))


# quality


def test_quality_is_as_computed_by_hand():
    sae = TopKSAE(2, 3, 1)
    with torch.no_grad():
        rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
        sae.atoms.copy_(rows)
        sae.encoder.copy_(rows)
    cells = np.array([[3.0, 1.0], [0.0, 2.0], [0.0, 0.0]])
    found = quality(sae, cells)
    # errors 1, 0, 0; about the mean (1, 1): 4 + 0, 1 + 1, 1 + 1
    assert found.ev == pytest.approx(1 - 1 / 8)
    assert found.cosine == pytest.approx((3 / np.sqrt(10) + 1) / 2)  # the empty cell has none
    assert found.counts.tolist() == [1, 1, 0] and found.l0 == pytest.approx(2 / 3) and found.n_cells == 3
    assert found.dead_eval == pytest.approx(1 / 3) and found.rare_eval == pytest.approx(2 / 3)
    assert np.isnan(quality(sae, cells[:1]).ev)
    with pytest.raises(ShapeError, match="3 numbers each, the dictionary takes 2"):
        quality(sae, np.ones((4, 3)))


def test_a_dictionary_can_keep_fewer_concepts_of_the_same_tensors():
    dense = fit_dictionary("pca", CELLS)
    two = dense.keeping(2)
    assert dense.k is None and two.k == 2 and two.atoms is dense.atoms
    assert torch.equal(two.encode(CELLS[:9]), fit_dictionary("pca", CELLS, k=2).encode(CELLS[:9]))
    assert torch.equal(two.keeping(None).encode(CELLS[:9]), dense.encode(CELLS[:9]))
    with pytest.raises(ConfigError, match="k is 9, of 8 latents"):
        dense.keeping(9)


def test_explained_variance_is_shown_against_the_number_of_active_concepts():
    pca, ica = (fit_dictionary(name, CELLS[:1000]) for name in ("pca", "ica"))
    table = fidelity_table({"PCA": pca, "ICA": ica}, CELLS, np.arange(1000, 2000), ks=(1, 2, 4, None, 99))
    of_pca = table[table["dictionary"] == "PCA"]
    assert of_pca["k"].tolist() == [1, 2, 4, 0] and of_pca["l0"].tolist()[:3] == pytest.approx([1, 2, 4])
    assert of_pca["ev"].is_monotonic_increasing and of_pca["ev"].iloc[-1] == pytest.approx(1, abs=1e-5)
    assert (table["n_cells"] == 1000).all()
    alone = quality(ica.keeping(2), CELLS, np.arange(1000, 2000))
    row = table[(table["dictionary"] == "ICA") & (table["k"] == 2)].iloc[0]
    assert row["ev"] == pytest.approx(alone.ev) and row["dead_eval"] == alone.dead_eval
    assert alone.firing_rates.sum() == pytest.approx(alone.l0)
    assert alone.usual.mean() == pytest.approx(1 - alone.dead_eval - alone.rare_eval)


def test_the_largest_cosine_is_between_two_different_atoms():
    atoms = torch.randn(70, 5, generator=torch.Generator().manual_seed(0))
    atoms /= atoms.norm(dim=1, keepdim=True)
    wanted = (atoms @ atoms.T).fill_diagonal_(-1).max().item()
    assert largest_cosine(atoms, rows=16) == pytest.approx(wanted) == largest_cosine(atoms)
    assert np.isnan(largest_cosine(atoms[:1]))


# matching


def test_matched_cosines_undo_order_length_and_nothing_else():
    atoms = RNG.standard_normal((30, 6))
    shuffled = atoms[RNG.permutation(30)] * RNG.uniform(0.5, 2, (30, 1))
    assert np.allclose(matched_cosines(atoms, shuffled), 1)
    assert len(matched_cosines(atoms[:7], atoms)) == 7
    assert matched_cosines(atoms, -atoms).mean() < 0.9
    # the best pair is (a1, b1), but both are best served by (a1, b2) and (a2, b1)
    a, b = np.array([[1.0, 0.0], [0.8, 0.6]]), np.array([[1.0, 0.05], [0.6, -0.8]])
    assert matched_cosines(a, b).sum() == pytest.approx((0.8 + 0.03) / np.hypot(1, 0.05) + 0.6, abs=1e-6)


@pytest.mark.parametrize(("d", "m", "level", "near"), [(64, 256, 0.33, 0.02), (10, 160, 0.71, 0.03)])
def test_random_atoms_match_as_well_as_the_reference_says(d, m, level, near):
    assert chance_cosine(d, m) == pytest.approx(level, abs=near)


def test_a_share_beyond_chance_is_zero_at_chance_and_one_at_identity():
    assert beyond_chance(0.71, 0.71) == 0 and beyond_chance(1.0, 0.71) == pytest.approx(1)
    assert np.isnan(beyond_chance(1.0, 1.0))


def test_atoms_that_cannot_be_matched_are_refused():
    with pytest.raises(ShapeError, match="different spaces"):
        matched_cosines(np.ones((3, 4)), np.ones((3, 5)))
    with pytest.raises(InputError, match="1 atoms have no direction"):
        matched_cosines(np.eye(3) * [1, 1, 0], np.eye(3))
    with pytest.raises(ConfigError, match="n_latents 0"):
        chance_cosine(4, 0)
