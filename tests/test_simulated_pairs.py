"""`simulated-pairs` is a measuring instrument: these are the acceptance checks of `simulators.md` section 3."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from perturbook.data import load, pseudobulk
from perturbook.data.schema import condition_keys
from perturbook.data.simulated_expectation import CELLS
from perturbook.data.simulated_pairs import REPEATS, prepare
from perturbook.data.simulated_pairs_interaction import (
    BOUND,
    INTERACTIONS,
    cosine,
    interaction,
    interaction_class,
    strength,
)
from perturbook.errors import ConfigError

NAME = "simulated-pairs"
FROZEN = "88c5b8b9adc24a7bfb7965d1a39710da1e736afa0e3b3b6183a85c222f9e9a3b"
PLANTED = ("buffering", "dominance", "saturation", "synergy")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERTURBOOK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def small():
    return load(NAME, size="small")


@pytest.fixture(scope="module")
def default():
    return load(NAME, expectation=False)


@pytest.fixture(scope="module")
def screen(default):
    return Screen(default)


@pytest.fixture(scope="module")
def with_oracle(default):
    return Screen(default, load(NAME).uns["truth"]["expected_lognorm"])


class Screen:
    """Measured effects of all doubles `(doubles, genes)`, of their two singles, and what predicts them."""

    def __init__(self, adata, expected=None, seed=0):
        truth = adata.uns["truth"]
        table, rng = truth["doubles"], np.random.default_rng(seed)
        profiles = pseudobulk(adata)
        mean = pd.DataFrame(profiles.mean, index=profiles.obs.index)
        control = table["context"] + "|control|0"
        self.mu0 = mean.loc[control].to_numpy()
        singles = [table["context"] + "|" + table[which] for which in ("first", "second")]
        self.truth = mean.loc[table.index].to_numpy() - self.mu0
        self.a, self.b = (mean.loc[keys].to_numpy() - self.mu0 for keys in singles)
        self.classes, self.world = table["interaction_class"].to_numpy(str), table["context"].to_numpy(str)
        self.planted = truth["interaction"]
        noise = pd.DataFrame(
            profiles.variance / profiles.obs["n_cells"].to_numpy()[:, None], index=profiles.obs.index
        )
        self.noise = sum(noise.loc[keys].to_numpy() for keys in (table.index, *singles, control))
        if expected is not None:
            mean = pd.DataFrame(expected, index=truth["conditions"])
            self.expected = mean.loc[table.index].to_numpy() - self.mu0
        groups = pd.Series(np.arange(len(table))).groupby([self.world, self.classes]).groups.values()
        self.test = np.zeros(len(table), dtype=bool)  # half of the doubles of every world and class
        for rows in groups:
            self.test[rng.permutation(rows)[: len(rows) // 2]] = True
        self.duplicate = duplicate(adata, table.index, rng)

    def error(self, prediction, of=None):
        """RMSE over genes of the test doubles, of all or of the classes `of`, `(doubles,)`."""
        rows = self.test & np.isin(self.classes, of or list(INTERACTIONS))
        return np.sqrt(((prediction - self.truth)[rows] ** 2).mean(axis=1))


def duplicate(adata, conditions, rng):
    """RMSE between two halves of a condition's cells, projected to duplicates of full size, `(conditions,)`."""
    keys = condition_keys(adata.obs)
    rows = pd.Series(np.arange(len(keys))).groupby(keys).groups
    found = []
    for key in conditions:
        cells = rng.permutation(rows[key])
        one, other = (adata.layers["lognorm"][half].mean(axis=0) for half in np.array_split(cells, 2))
        found.append(np.sqrt(np.square(one - other).mean() / 2))
    return np.array(found)


def interval(values):
    """95 % bootstrap interval of the mean over doubles."""
    draws = np.random.default_rng(0).integers(0, len(values), (2000, len(values)))
    return np.quantile(values[draws].mean(axis=1), [0.025, 0.975])


# --- floors, in their shortest form


def ridge_on_coefficients(screen, features, penalty=0.1):
    """c1 a + c2 b, a the stronger: both coefficients linear in `features` `(doubles, n)`, fitted on training doubles."""
    swap = (np.linalg.norm(screen.b, axis=1) > np.linalg.norm(screen.a, axis=1))[:, None]
    ordered = np.where(swap, screen.b, screen.a), np.where(swap, screen.a, screen.b)
    design = np.stack([f[:, None] * one for f in features.T for one in ordered], axis=-1)
    return fitted(design, screen.truth, ~screen.test, penalty)


def fitted(design, target, train, penalty):
    """Ridge without intercept over all genes of the training doubles; `design` is `(doubles, genes, n)`."""
    x, y = design[train].reshape(-1, design.shape[-1]), target[train].ravel()
    return design @ np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)


def of_pairs(screen):
    """Cosine and norm ratio of the two singles' measured effects, `(doubles,)` each, and the smaller norm."""
    norms = np.sort([np.linalg.norm(screen.a, axis=1), np.linalg.norm(screen.b, axis=1)], axis=0)
    return (screen.a * screen.b).sum(axis=1) / norms.prod(axis=0), norms[0] / norms[1], norms[0]


def best_additive_floor(screen):
    """The lower of additive and ridge coefficients, by the mean error on interacting test doubles."""
    overlap, ratio, _ = of_pairs(screen)
    plain = np.stack([np.ones_like(ratio), overlap, ratio], axis=1)
    curved = np.column_stack([plain, overlap**2, overlap * ratio, ratio**2])
    floors = [
        screen.a + screen.b,
        ridge_on_coefficients(screen, plain),
        ridge_on_coefficients(screen, curved),
    ]
    return min(floors, key=lambda floor: screen.error(floor, PLANTED).mean())


# --- the acceptance checks


def test_on_additive_doubles_the_additive_floor_reaches_the_split_half_ceiling(screen):
    rows = screen.test & (screen.classes == "additive")
    low, high = interval(screen.error(screen.a + screen.b, ["additive"]) - screen.duplicate[rows])
    assert rows.sum() == 5 * 23 and low < 0 and high < 0.1 * screen.duplicate[rows].mean(), (low, high)


def test_on_additive_doubles_the_additive_floor_errs_by_sampling_noise_and_nothing_else(screen):
    rows = screen.classes == "additive"
    error = ((screen.a + screen.b - screen.truth)[rows] ** 2).mean()
    assert error == pytest.approx(screen.noise[rows].mean(), rel=0.05)


@pytest.mark.parametrize("name", PLANTED)
def test_on_the_others_it_falls_short_by_the_planted_interaction(name, screen):
    rows = screen.classes == name
    excess = ((screen.a + screen.b - screen.truth) ** 2 - screen.noise)[rows].mean(axis=1)
    planted = (screen.planted[rows] ** 2).mean()
    assert interval(excess)[0] > 0.5 * planted
    assert excess.mean() == pytest.approx(planted, rel=0.25)


@pytest.mark.parametrize("name", PLANTED)
def test_adding_the_known_interaction_closes_the_gap(name, screen):
    """The rest of the gap is that an interaction of log means is not quite one of `lognorm` means."""
    additive, known = screen.a + screen.b, screen.a + screen.b + screen.planted
    level = screen.error(additive, ["additive"]).mean()
    gap = screen.error(additive, [name]).mean() - level
    assert gap > 0.15 * level and screen.error(known, [name]).mean() - level < 0.35 * gap


@pytest.mark.slow
def test_the_oracle_is_best_and_as_good_on_interacting_doubles_as_on_additive_ones(with_oracle):
    oracle = with_oracle.error(with_oracle.expected, PLANTED)
    assert oracle.mean() < 1.05 * with_oracle.error(with_oracle.expected, ["additive"]).mean()
    assert oracle.mean() < 0.75 * with_oracle.error(best_additive_floor(with_oracle), PLANTED).mean()


@pytest.mark.slow
def test_additivity_of_log_means_is_nearly_additivity_of_lognorm_means(with_oracle):
    """The remainder on additive doubles, freed from the noise of 800 cells, is a small part of what is planted."""
    truth = load(NAME).uns["truth"]
    mean = pd.DataFrame(truth["expected_lognorm"].astype(float), index=truth["conditions"])
    table = truth["doubles"][truth["doubles"]["interaction_class"] == "additive"]
    keys = [table.index, table["context"] + "|control|0"]
    keys += [table["context"] + "|" + table[which] for which in ("first", "second")]
    double, control, first, second = (mean.loc[key].to_numpy() for key in keys)
    variance = with_oracle.noise[with_oracle.classes == "additive"].mean() / (1 / 50 + 2 / 150 + 1 / 500)
    remainder = ((double - first - second + control) ** 2).mean() - 4 * variance / (CELLS * REPEATS)
    planted = (with_oracle.planted[with_oracle.classes != "additive"] ** 2).mean()
    assert remainder < 0.04 * planted, (remainder, planted)


def test_the_interaction_can_be_learned_from_training_doubles(screen):
    """Gene by gene from both singles, their overlap and the pair's cosine and strengths; never from who the genes are."""
    overlap, _, weaker = of_pairs(screen)
    a, b = screen.a, screen.b
    alike, least = a * b > 0, np.minimum(np.abs(a), np.abs(b))
    smaller = np.where(np.abs(a) < np.abs(b), a, b)
    genes = np.stack(
        [a + b, np.sign(a) * alike * least, ~alike * smaller, np.sign(a) * np.sqrt(np.maximum(a * b, 0))], -1
    )
    strong = weaker > np.median(weaker)
    pairs = [np.ones_like(overlap), overlap < -0.1, overlap > 0.1, overlap > 0.45, (overlap > 0.1) & strong]
    design = np.concatenate([np.asarray(pair, float)[:, None, None] * genes for pair in pairs], axis=-1)
    learned = a + b + fitted(design, screen.truth - a - b, ~screen.test, penalty=5.0)
    gain = screen.error(best_additive_floor(screen), PLANTED) - screen.error(learned, PLANTED)
    assert interval(gain)[0] > 0.003, interval(gain)
    assert screen.error(learned, ["additive"]).mean() < 1.02 * screen.error(a + b, ["additive"]).mean()


def test_floors_stand_below_the_additive_one_as_biology_would_order_them(screen):
    mean = np.array(
        [screen.truth[~screen.test & (screen.world == world)].mean(axis=0) for world in screen.world]
    )
    floors = [np.zeros_like(mean), mean, (screen.a + screen.b) / 2, screen.a + screen.b]
    errors = [screen.error(floor).mean() for floor in floors]
    assert errors == sorted(errors, reverse=True) and errors[0] > 2 * errors[-1]


def test_the_default_output_is_frozen(default):
    # sha256 of cell names and counts; a coefficient changed later means a new name, simulated-pairs-2, never a new hash here.
    digest = hashlib.sha256("\n".join(default.obs_names).encode())
    for array in (default.X.data, default.X.indices.astype(np.int32), default.X.indptr.astype(np.int64)):
        digest.update(array.tobytes())
    assert digest.hexdigest() == FROZEN


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_generating_the_default_takes_below_15_seconds_and_1_gb():
    code = """
import re, time
from pathlib import Path
from perturbook.data.simulated_pairs import prepare
start = time.process_time()
prepare(expectation=False)
print(time.process_time() - start, *re.findall(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text()))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, kilobytes = map(float, run.stdout.split())
    assert seconds < 15 and kilobytes < 1e6


# --- its parts


def test_the_same_seed_gives_identical_cells_and_another_seed_differs(small):
    again, other = prepare(size="small"), prepare(size="small", seed=1)
    assert (again.X != small.X).nnz == 0 and again.obs.equals(small.obs)
    np.testing.assert_array_equal(
        again.uns["truth"]["expected_lognorm"], small.uns["truth"]["expected_lognorm"]
    )
    assert (other.X != small.X).nnz > 0.3 * small.X.nnz
    assert not np.allclose(other.uns["truth"]["programs"], small.uns["truth"]["programs"])


def test_fewer_worlds_are_the_first_ones_unchanged(small):
    one = prepare(size="small", worlds=1)
    first = small[(small.obs["context"] == "world-1").to_numpy()]
    assert (one.X != first.X).nnz == 0 and one.obs_names.equals(first.obs_names)
    truth, both = one.uns["truth"], small.uns["truth"]
    for name in ("programs", "interaction", "log_mean", "expected_lognorm", "conditions"):
        np.testing.assert_array_equal(truth[name], both[name][: len(truth[name])])


def test_counts_are_whole_numbers_of_the_declared_shape(default, small):
    assert default.shape == (5 * (500 + 24 * 150 + 138 * 50), 300)
    assert small.shape == (2 * (150 + 12 * 50 + 33 * 25), 120)
    for adata in (default, small):
        assert adata.X.dtype == np.float32 and adata.X.format == "csr" and adata.uns["value_kind"] == "counts"
        assert (adata.X.data == np.round(adata.X.data)).all() and adata.X.data.min() > 0
        assert set(adata.obs["kind"]) == {"CRISPRa"}
        np.testing.assert_array_equal(adata.obs["dose_um"].isna(), ~adata.obs["is_control"])


def test_labels_are_sorted_name_no_human_gene_and_stand_in_one_world_only(default):
    worlds = default.obs.groupby("perturbation", observed=True)["context"].nunique()
    assert set(worlds.drop("control")) == {1} and worlds["control"] == 5
    assert {"act-101", "act-524"} <= set(worlds.index) and default.var_names[299] == "sim-300"
    assert default.obs_names[0] == "world-1|control|0|000"
    for context, labels in default.obs.groupby("context", observed=True)["perturbation"]:
        genes = {gene for label in labels.unique() for gene in label.split("+")} - {"control"}
        assert {gene[:5] for gene in genes} == {f"act-{context[-1]}"} and len(genes) == 24


def test_every_world_has_all_singles_half_of_all_doubles_and_a_third_of_those_additive(default, small):
    for adata, perturbed, additive in ((default, 24, 46), (small, 12, 11)):
        for context in adata.obs["context"].cat.categories:
            labels = adata.obs.loc[adata.obs["context"] == context, "perturbation"].unique().tolist()
            doubles = [label for label in labels if "+" in label]
            assert len(doubles) == perturbed * (perturbed - 1) // 4
            assert len(labels) == 1 + perturbed + len(doubles)
            table = adata.uns["truth"]["doubles"].query("context == @context")
            counts = table["interaction_class"].value_counts()
            assert counts["additive"] == additive == len(doubles) // 3
            assert counts[list(PLANTED)].max() - counts[list(PLANTED)].min() <= 1


def test_the_truth_has_the_shapes_its_docstring_names(small):
    truth, conditions = small.uns["truth"], 2 * (1 + 12 + 33)
    assert truth["basal"].shape == (2, 120) and truth["contexts"].tolist() == ["world-1", "world-2"]
    assert truth["programs"].shape == (24, 120) and truth["perturbed"][12] == "act-201"
    assert truth["interaction"].shape == (66, 120) and len(truth["doubles"]) == 66
    assert truth["log_mean"].shape == truth["expected_lognorm"].shape == (conditions, 120)
    assert (
        set(truth["conditions"]) == set(condition_keys(small.obs)) and len(truth["conditions"]) == conditions
    )


def test_log_means_add_exactly_but_for_the_planted_interaction(default):
    truth = default.uns["truth"]
    table = truth["doubles"]
    mean = pd.DataFrame(truth["log_mean"], index=truth["conditions"])
    control = mean.loc[table["context"] + "|control|0"].to_numpy()
    a, b = (
        mean.loc[table["context"] + "|" + table[which]].to_numpy() - control for which in ("first", "second")
    )
    rest = mean.loc[table.index].to_numpy() - control - a - b
    np.testing.assert_allclose(rest, truth["interaction"], atol=1e-12)
    additive = (table["interaction_class"] == "additive").to_numpy()
    assert not truth["interaction"][additive].any() and truth["interaction"][~additive].any(axis=1).all()


def test_class_and_interaction_follow_from_the_two_programs_alone(default):
    truth = default.uns["truth"]
    programs = dict(zip(truth["perturbed"], truth["programs"], strict=True))
    for row, planted in zip(truth["doubles"].itertuples(), truth["interaction"], strict=True):
        a, b = programs[row.first], programs[row.second]
        assert interaction_class(a, b) == interaction_class(b, a) == row.interaction_class
        np.testing.assert_array_equal(interaction(a, b), planted)
        np.testing.assert_array_equal(interaction(b, a), planted)
        assert not planted[(a == 0) | (b == 0)].any()


def test_programs_are_sparse_signed_bounded_and_of_two_strengths(default):
    programs = default.uns["truth"]["programs"]
    assert ((programs != 0).sum(axis=1) < 0.2 * 300).all() and np.abs(programs).max() < BOUND
    assert (programs > 0).any(axis=1).all() and (programs < 0).any(axis=1).all()
    found = np.array([strength(program) for program in programs])
    assert (found > 0.56).sum() == 5 * 15 and not ((found > 0.545) & (found < 0.575)).any()


def test_singles_stand_clear_of_noise(default):
    profiles = pseudobulk(default)
    single = profiles.obs["perturbation"].isin(default.uns["truth"]["perturbed"]).to_numpy()
    control = profiles.obs["is_control"].to_numpy()
    mu0 = dict(zip(profiles.obs["context"][control], profiles.mean[control], strict=True))
    delta = profiles.mean[single] - np.array([mu0[context] for context in profiles.obs["context"][single]])
    ratio = (delta**2).mean(axis=1) / (profiles.variance[single] / 150).mean(axis=1)
    assert ratio.min() > 4 and np.median(ratio) < 50, (ratio.min(), np.median(ratio))


# --- the interaction by hand: a pair falls under a class by its other genes, and two of them are looked at


def test_programs_that_share_nothing_or_cancel_equally_are_additive():
    apart = np.array([1.0, 0, 0, 0]), np.array([0, 1.0, 0, 0])
    cancelling = np.array([1.0, 0.5, 0]), np.array([-1.0, 0, 0.5])
    for a, b in (apart, cancelling):
        assert interaction_class(a, b) == "additive" and not interaction(a, b).any()
    assert cosine(*cancelling) == pytest.approx(-0.8)


def test_programs_of_one_pathway_buffer():
    a, b = np.array([0.5, 1.0, -0.4]), np.array([1.0, 1.0, 0.2])
    assert interaction_class(a, b) == "buffering"
    np.testing.assert_allclose(interaction(a, b), [-0.4, -0.8, 0.0])


def test_weak_programs_that_agree_in_part_are_synergistic():
    a, b = np.array([0.5, -0.4, 0.6, 0]), np.array([0.5, 0.1, 0, 0.6])
    assert interaction_class(a, b) == "synergy"
    np.testing.assert_allclose(interaction(a, b), [0.35, 0, 0, 0])


def test_strong_programs_that_agree_in_part_saturate_below_the_bound():
    a, b = np.array([1.0, 1.0, 0]), np.array([1.0, 0, 1.2])
    assert interaction_class(a, b) == "saturation"
    np.testing.assert_allclose(a + b + interaction(a, b), [2 / (1 + 1 / 1.69), 1.0, 1.2])
    assert (a + b + interaction(a, b)).max() < BOUND


def test_of_opposed_programs_the_stronger_dominates_where_both_act():
    strong, weak = np.array([1.0, 0.2, 1.0, 0]), np.array([-0.5, -0.5, 0, 0.5])
    assert interaction_class(strong, weak) == "dominance"
    np.testing.assert_allclose(strong + weak + interaction(strong, weak), [1.0, -0.1, 1.0, 0.5])


def test_the_expectation_is_the_mean_that_observed_cells_scatter_about(small):
    truth, profiles = small.uns["truth"], pseudobulk(small)
    order = np.argsort(truth["conditions"].astype(str))
    error = profiles.mean - truth["expected_lognorm"][order]
    cells = profiles.obs["n_cells"].to_numpy()[:, None]
    noise = profiles.variance * (1 / cells + 1 / (CELLS * REPEATS))
    assert CELLS * REPEATS >= 200 and abs(error.mean()) < 0.01
    assert (error**2).mean() == pytest.approx(noise.mean(), rel=0.05)


def test_a_screen_can_be_written_and_read_as_a_readers_own_file(small, tmp_path):
    small.write_h5ad(tmp_path / "screen.h5ad")
    again = load(tmp_path / "screen.h5ad")
    assert (again.X != small.X).nnz == 0
    pd.testing.assert_frame_equal(
        again.uns["truth"]["doubles"].astype(str), small.uns["truth"]["doubles"].astype(str)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "huge"}, "no size 'huge'. Allowed: default, small"),
        ({"seed": -1}, "seed is -1; give a whole number from 0"),
        ({"worlds": 0}, "worlds is 0; give a whole number from 1 to 9"),
        ({"worlds": 10}, "worlds is 10"),
        ({"worlds": 1.5}, "worlds is 1.5"),
        ({"colour": "red"}, "no option colour. Allowed: seed, worlds, size, expectation"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        load(NAME, **options)
