"""`simulated-latent` is fixed by its recipe: the reference values of `perturbedvae.md` 8.1 and check 13 of section 18."""

import hashlib

import numpy as np
import pytest

from perturbook.data import DATASETS, load
from perturbook.data.simulated_latent import prepare
from perturbook.data.simulated_latent_world import Mixing
from perturbook.errors import ConfigError

NAME = "simulated-latent"
FROZEN = "e09d1c2347aa36c8faaa508fcc80d99589b8d66cdcfcb057fb401e5020e00152"


@pytest.fixture(scope="module")
def world():
    return load(NAME)


def sufficiency(truth):
    """eta(u_k) - eta(u_0) as columns, `(2 responsive, environments)`; eta = (mu / v, -1 / (2 v))."""
    eta = np.hstack([truth["mu"] / truth["v"], -0.5 / truth["v"]])
    return (eta[1:] - eta[0]).T


# --- reference values


def test_parameters_are_those_of_the_recipe(world):
    truth = world.uns["truth"]
    expected = {
        "Lnn_0": [0.432064, 0.319667, 0.273534, 0.220735, 0.463089, 0.407867],
        "mu_1": [-1.262967, -1.509757, -1.117357, -0.945574],
        "v_1": [8.987898, 7.270883, 7.560366, 2.353696],
    }
    found = {"Lnn_0": truth["Lnn"][0][np.tril_indices(4, -1)], "mu_1": truth["mu"][1], "v_1": truth["v"][1]}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5)


def test_training_features_are_those_of_the_recipe(world):
    train = world[(world.obs["split"] == "train").to_numpy()].X.astype(float)
    assert train.mean() == pytest.approx(0.001265, abs=1e-5)
    assert train.var() == pytest.approx(0.829626, abs=1e-5)
    np.testing.assert_allclose(train[0, :4], [0.628884, -0.304170, 1.109497, 0.078197], atol=1e-5)


def test_the_world_of_seed_0_fulfils_environment_sufficiency_as_stated(world):
    values = np.linalg.svd(sufficiency(world.uns["truth"]), compute_uv=False)
    np.testing.assert_allclose(values[[-1, 0]], [0.5302, 13.1011], atol=1e-4)


@pytest.mark.parametrize(("seed", "smallest"), [(1, 0.6868), (2, 1.4305), (3, 1.0278), (4, 0.4783)])
def test_rank_is_full_in_the_other_worlds_too(seed, smallest):
    matrix = sufficiency(prepare(seed=seed).uns["truth"])
    assert matrix.shape == (8, 12) and np.linalg.matrix_rank(matrix) == 8
    assert np.linalg.svd(matrix, compute_uv=False)[-1] == pytest.approx(smallest, abs=1e-4)


def test_the_default_output_is_frozen(world):
    # sha256 of features and twins in steps of 1e-4, which no rounding of a matrix product reaches; never a new hash here.
    digest = hashlib.sha256("\n".join(world.obs_names).encode())
    for array in (world.X, world.layers["x_twin"], world.obsm["zn"], world.obsm["zi"]):
        digest.update(np.round(array.astype(float) * 1e4).astype(np.int32).tobytes())
    assert digest.hexdigest() == FROZEN


# --- what the recipe promises


def test_sizes_are_those_of_table_1(world):
    assert world.shape == (4000, 500) and world.obs["split"].value_counts().to_dict() == {
        "train": 3000,
        "test": 1000,
    }
    counts = world.obs.groupby(["split", "env"], observed=True).size().unstack()
    assert counts.loc["train"].tolist() == [600] + [200] * 12
    assert counts.loc["test"].tolist() == [160] + [70] * 12
    assert world.obsm["zn"].shape == (4000, 4) and world.obsm["zi"].shape == (4000, 7)


def test_codes_are_one_hot_and_zero_for_control(world):
    env, u = world.obs["env"].to_numpy(), world.obsm["u"]
    assert not u[env == 0].any() and (u[env > 0].sum(axis=1) == 1).all()
    np.testing.assert_array_equal(u[env > 0].argmax(axis=1) + 1, env[env > 0])
    assert ((world.obs["perturbation"] == "control").to_numpy() == (env == 0)).all()


def mixed(world, zn):
    """Features of these responsive and the cells' own invariant latents, by the stored parameters."""
    names = ("W1", "W2", "b1", "zm", "zs", "xm", "xs")
    mixing = Mixing(**{name: world.uns["truth"][name] for name in names})
    return mixing(np.hstack([zn, world.obsm["zi"]]))


def test_a_twin_has_the_cells_own_invariant_latents_and_the_responses_of_control(world):
    np.testing.assert_allclose(mixed(world, world.obsm["zn"]), world.X, atol=1e-5)
    np.testing.assert_allclose(mixed(world, world.obsm["zn_twin"]), world.layers["x_twin"], atol=1e-5)
    truth = world.uns["truth"]
    noise = world.obsm["zn_twin"] @ (np.eye(4) - truth["Lnn"][0]).T - world.obsm["zi"] @ truth["Lni"][0].T
    assert np.abs(noise.mean(axis=0)).max() < 0.06 and np.abs(noise.var(axis=0) - 1).max() < 0.1


def test_latents_follow_the_structural_equations(world):
    truth, env = world.uns["truth"], world.obs["env"].to_numpy()
    zi, zn = world.obsm["zi"], world.obsm["zn"]
    n_i = zi @ (np.eye(7) - truth["Lii"]).T
    np.testing.assert_allclose(n_i.mean(axis=0), truth["mu_i"], atol=0.1)
    np.testing.assert_allclose(n_i.var(axis=0), truth["v_i"], rtol=0.1)
    k = 3
    n_n = zn[env == k] @ (np.eye(4) - truth["Lnn"][k]).T - zi[env == k] @ truth["Lni"][k].T
    error = np.abs(n_n.mean(axis=0) - truth["mu"][k]) / np.sqrt(truth["v"][k] / len(n_n))
    assert error.max() < 4 and np.abs(n_n.var(axis=0) / truth["v"][k] - 1).max() < 0.35


def test_every_responsive_latent_has_an_environment_without_edges_into_it(world):
    truth = world.uns["truth"]
    for k in range(4):
        assert not truth["Lnn"][k + 1][k].any() and not truth["Lni"][k + 1][k].any()
        assert truth["Lnn"][5][3].any()


def test_edges_are_strictly_lower_triangular(world):
    truth = world.uns["truth"]
    for edges in (truth["Lii"], *truth["Lnn"]):
        assert not np.triu(edges).any()


def test_the_mixing_loses_no_latent(world):
    truth = world.uns["truth"]
    assert np.linalg.matrix_rank(truth["W1"]) == 11 and np.linalg.matrix_rank(truth["W2"]) == 64


def test_the_same_seed_gives_the_same_world_and_noise_changes_nothing_but_features(world):
    again, noisy = prepare(), prepare(obs_noise=0.5)
    np.testing.assert_array_equal(again.X, world.X)
    assert not np.allclose(prepare(seed=1).X, world.X)
    np.testing.assert_array_equal(noisy.obsm["zn"], world.obsm["zn"])
    for one, other in ((noisy.X, world.X), (noisy.layers["x_twin"], world.layers["x_twin"])):
        assert (one - other).std() == pytest.approx(0.5, rel=0.01)


def test_it_is_entered_as_simulated_and_as_no_canonical_cells():
    entry = DATASETS[NAME]
    assert entry.synthetic and not entry.cells and not entry.files


def test_it_can_be_written_and_read(world, tmp_path):
    from anndata import read_h5ad

    world.write_h5ad(tmp_path / "latent.h5ad")
    again = read_h5ad(tmp_path / "latent.h5ad")
    np.testing.assert_array_equal(again.uns["truth"]["Lni"], world.uns["truth"]["Lni"])
    np.testing.assert_array_equal(again.layers["x_twin"], world.layers["x_twin"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed is -1; give a whole number from 0"),
        ({"seed": True}, "seed is True"),
        ({"obs_noise": -0.1}, "obs_noise is -0.1; give a number from 0"),
        ({"obs_noise": float("nan")}, "obs_noise is nan"),
        ({"obs_noise": "much"}, "obs_noise is 'much'"),
        ({"size": "small"}, "no option size. Allowed: seed, obs_noise"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        load(NAME, **options)
