"""`simulated-drugs` is a measuring instrument: these are the acceptance checks of `simulators.md` section 1."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from perturbook.data import condition_key, load, pseudobulk, simulated_expectation
from perturbook.data.molecules import morgan
from perturbook.data.schema import condition_keys
from perturbook.data.simulated_counts import LIBRARY_SD, CellModel, draw_counts, saturate
from perturbook.data.simulated_drugs import prepare
from perturbook.errors import ConfigError

NAME = "simulated-drugs"
FROZEN = "aa7393420a1646207aebb54c5b8b177ae8ace48ebbb9725a8d4b659be815e72a"
SETTINGS = ("unseen_combination", "unseen_drug", "few_shot_context", "zero_shot_context")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERTURBOOK_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def small():
    return load(NAME, size="small")


@pytest.fixture(scope="module")
def default():
    return load(NAME, expectation=False)


@pytest.fixture(scope="module")
def effects(default):
    return Effects(default)


@pytest.fixture(scope="module")
def with_oracle(default):
    return Effects(default, load(NAME).uns["truth"]["expected_lognorm"])


class Effects:
    """Observed change from the control mean, `(lines, drugs, doses, genes)`, and what predicts it."""

    def __init__(self, adata, expected=None):
        truth = adata.uns["truth"]
        lines, drugs = truth["contexts"], truth["hill"].index
        doses = sorted(set(adata.obs["dose_um"]) - {0.0})
        profiles = pseudobulk(adata)
        row = {key: i for i, key in enumerate(profiles.obs.index)}
        keys = [[[condition_key(line, drug, dose) for dose in doses] for drug in drugs] for line in lines]
        self.control = profiles.mean[[row[condition_key(line, "control", 0.0)] for line in lines]]
        self.mean = profiles.mean[np.vectorize(row.get)(keys)]
        self.delta = self.mean - self.control[:, None, None]
        self.bits = morgan(adata.uns["perturbations"].loc[drugs, "smiles"]).astype(float)
        if expected is not None:
            row = {key: i for i, key in enumerate(truth["conditions"])}
            self.oracle = expected[np.vectorize(row.get)(keys)] - self.control[:, None, None]


# --- floors, in their shortest form; train is boolean (lines, drugs), predictions are (lines, drugs, doses, genes)


def mean_train(effects, train):
    return np.broadcast_to(effects.delta[train].mean(axis=0), effects.delta.shape)


def drug_mean(effects, train):
    """Mean over the training lines of each drug; of use only where every drug has one."""
    share = train / np.maximum(train.sum(axis=0), 1)
    return np.broadcast_to(np.einsum("ld,ldqg->dqg", share, effects.delta), effects.delta.shape)


def morgan_ridge(effects, train, penalties=(1.0, 3.0, 10.0, 30.0, 100.0, 300.0)):
    """Ridge per line on fingerprints, for drugs unseen in all lines; penalty by leave-one-out over training drugs."""
    seen = np.flatnonzero(train.all(axis=0))
    centred = effects.bits - effects.bits[seen].mean(axis=0)
    kernel = centred @ centred[seen].T
    mean = effects.delta[:, seen].mean(axis=1, keepdims=True)
    fits = []
    for penalty in penalties:
        hat = kernel @ np.linalg.inv(kernel[seen] + penalty * np.eye(seen.size))
        fit = mean + np.einsum("ij,ljqg->liqg", hat, effects.delta[:, seen] - mean)
        left_out = (effects.delta - fit)[:, seen] / (1 - np.diag(hat[seen]) - 1 / seen.size)[
            None, :, None, None
        ]
        fits.append(((left_out**2).mean(), penalty, fit))
    return min(fits, key=lambda fit: fit[0])[2]


def context_ridge(effects, held_out):
    """Drug mean m times (1 + w * b): b is the basal expression of responding genes in a line, centred on training."""
    lines = np.delete(np.arange(len(effects.delta)), held_out)
    m = effects.delta[lines].mean(axis=0)
    weight = np.abs(m) / np.abs(m).sum(axis=-1, keepdims=True)
    b = np.einsum("dqg,lg->ldq", weight, effects.control - effects.control[lines].mean(axis=0))[..., None]
    x, y = m * b[lines], effects.delta[lines] - m
    w = (x * y).sum(axis=(0, 1, 3)) / (x**2).sum(axis=(0, 1, 3))
    return m * (1 + w[:, None] * b[held_out])


def splits(setting, lines, drugs, seed=0):
    """Yield (train, test), both boolean (lines, drugs): folds over drugs, one draw of pairs, or each line in turn."""
    rng = np.random.default_rng(seed)
    if setting == "unseen_combination":
        test = rng.random((lines, drugs)) < 0.2
        test[:, test.all(axis=0)] = False
        yield ~test, test
    elif setting == "unseen_drug":
        order = rng.permutation(drugs)
        for fold in range(5):
            test = np.zeros((lines, drugs), dtype=bool)
            test[:, order[fold::5]] = True
            yield ~test, test
    else:
        for line in range(lines):
            test = np.zeros((lines, drugs), dtype=bool)
            test[line] = True
            if setting == "few_shot_context":
                test[line, rng.choice(drugs, drugs // 8, replace=False)] = False
            yield ~test, test


def rmse_by_dose(effects, setting, predict):
    """RMSE over genes of each test condition's mean, averaged over test conditions, `(doses,)`."""
    errors = []
    for train, test in splits(setting, *effects.delta.shape[:2]):
        error = predict(effects, train) - effects.delta
        errors.append(np.sqrt((error[test] ** 2).mean(axis=-1)))
    return np.concatenate(errors).mean(axis=0)


def zero_shot_gains(effects):
    """RMSE of the drug mean minus that of the context-aware ridge, `(lines, drugs, doses)`."""
    gains = []
    for line, (train, _) in enumerate(splits("zero_shot_context", *effects.delta.shape[:2])):
        floor = drug_mean(effects, train)[line] - effects.delta[line]
        ridge = context_ridge(effects, line) - effects.delta[line]
        gains.append(np.sqrt((floor**2).mean(axis=-1)) - np.sqrt((ridge**2).mean(axis=-1)))
    return np.array(gains)


# --- the acceptance checks


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_floors_are_ordered_as_biology_would_order_them(setting, with_oracle):
    no_change = rmse_by_dose(with_oracle, setting, lambda effects, train: np.zeros_like(effects.delta))[-2:]
    mean = rmse_by_dose(with_oracle, setting, mean_train)[-2:]
    oracle = rmse_by_dose(with_oracle, setting, lambda effects, train: effects.oracle)[-2:]
    assert (mean < 0.97 * no_change).all(), (mean, no_change)
    assert (oracle < 0.8 * mean).all(), (oracle, mean)


@pytest.mark.slow
def test_structure_tells_something_about_unseen_drugs_and_not_all(with_oracle):
    mean = rmse_by_dose(with_oracle, "unseen_drug", mean_train)[-2:]
    ridge = rmse_by_dose(with_oracle, "unseen_drug", morgan_ridge)[-2:]
    oracle = rmse_by_dose(with_oracle, "unseen_drug", lambda effects, train: effects.oracle)[-2:]
    assert (ridge < 0.95 * mean).all(), (ridge, mean)
    assert (oracle < 0.85 * ridge).all(), (oracle, ridge)


def test_controls_of_an_unseen_line_tell_how_it_will_respond(effects):
    gains = zero_shot_gains(effects)[..., -2:]
    floor = rmse_by_dose(effects, "zero_shot_context", drug_mean)[-2:]
    assert (gains.mean(axis=(0, 1)) > 0.03 * floor).all(), gains.mean(axis=(0, 1)) / floor
    assert (gains.mean(axis=(1, 2)) > 0).all()  # in every line


@pytest.mark.slow
def test_with_responsiveness_shuffled_controls_tell_nothing(effects):
    shuffled = Effects(load(NAME, shuffle_responsiveness=True, expectation=False))
    gains, true_gains = (
        zero_shot_gains(either)[..., -2:].mean(axis=(0, 1)) for either in (shuffled, effects)
    )
    assert (np.abs(gains) < 0.1 * true_gains).all(), (gains, true_gains)


def test_the_perturbation_holds_2_to_15_percent_of_the_variance_within_every_line(default):
    for line in default.obs["context"].cat.categories:
        cells = default[(default.obs["context"] == line).to_numpy()]
        values = cells.layers["lognorm"].toarray()
        _, condition = np.unique(condition_keys(cells.obs), return_inverse=True)
        n, k = len(values), condition.max() + 1
        sums = np.zeros((k, values.shape[1]))
        np.add.at(sums, condition, values)
        within = ((values - (sums / np.bincount(condition)[:, None])[condition]) ** 2).sum() / (n - k)
        total = ((values - values.mean(axis=0)) ** 2).sum() / (n - 1)
        assert 0.02 < 1 - within / total < 0.15, line


def test_no_change_explains_the_means_at_10_nm_and_clearly_less_at_10_um(effects):
    spread = ((effects.mean - effects.mean.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    r2 = (1 - (effects.delta**2).sum(axis=-1) / spread).mean(axis=1)  # (lines, doses)
    assert (r2[:, 0] > 0.85).all() and (r2[:, -1] < r2[:, 0] - 0.1).all(), r2


def test_the_default_output_is_frozen(default):
    # sha256 of cell names and counts; a coefficient changed later means a new name, simulated-drugs-2, never a new hash here.
    digest = hashlib.sha256("\n".join(default.obs_names).encode())
    for array in (default.X.data, default.X.indices.astype(np.int32), default.X.indptr.astype(np.int64)):
        digest.update(array.tobytes())
    assert digest.hexdigest() == FROZEN


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_generating_the_default_takes_below_10_seconds_and_1_gb():
    code = """
import re, time
from pathlib import Path
from perturbook.data.simulated_drugs import prepare
start = time.process_time()
prepare(expectation=False)
print(time.process_time() - start, *re.findall(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text()))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, kilobytes = map(float, run.stdout.split())
    assert seconds < 10 and kilobytes < 1e6


# --- its parts


def test_the_same_seed_gives_identical_cells_and_another_seed_differs(small):
    again, other = prepare(size="small"), prepare(size="small", seed=1)
    assert (again.X != small.X).nnz == 0 and (again.layers["lognorm"] != small.layers["lognorm"]).nnz == 0
    assert (again.obs_names == small.obs_names).all() and again.obs.equals(small.obs)
    np.testing.assert_array_equal(
        again.uns["truth"]["expected_lognorm"], small.uns["truth"]["expected_lognorm"]
    )
    assert (other.X != small.X).nnz > 0.3 * small.X.nnz
    assert not np.allclose(other.uns["truth"]["programs"], small.uns["truth"]["programs"])


def test_counts_are_whole_numbers_of_the_declared_shape(default, small):
    assert default.shape == (32_520, 600) and small.shape == (3 * (16 * 2 * 10 + 60), 120)
    for adata in (default, small):
        assert adata.X.dtype == np.float32 and adata.X.format == "csr" and adata.uns["value_kind"] == "counts"
        assert (adata.X.data == np.round(adata.X.data)).all() and adata.X.data.min() > 0
    sizes = default.obs.groupby(["context", "perturbation", "dose_um"], observed=True).size()
    assert set(sizes.xs("control", level="perturbation")) == {300} and len(sizes) == 6 * (64 * 4 + 1)
    assert set(sizes.drop("control", level="perturbation")) == {20}


def test_names_cannot_be_mistaken_for_real_lines_or_genes(small):
    assert small.var_names[[0, 119]].tolist() == ["sim-001", "sim-120"]
    assert small.obs["context"].cat.categories.tolist() == ["line-1", "line-2", "line-3"]
    assert small.obs_names[0] == "line-1|control|0|000" and "line-3|Prednisone|10|009" in small.obs_names


def test_the_truth_has_the_shapes_its_docstring_names(small):
    truth = small.uns["truth"]
    lines, mechanisms, drugs, conditions = 3, 5, 16, 3 * (16 * 2 + 1)
    assert truth["programs"].shape == truth["target_genes"].shape == (mechanisms, 120)
    assert truth["drug_weights"].shape == (drugs, mechanisms) and truth["basal"].shape == (lines, 120)
    assert truth["responsiveness"].shape == (lines, mechanisms) and len(truth["hill"]) == drugs
    assert truth["expected_lognorm"].shape == (conditions, 120)
    assert (
        set(truth["conditions"]) == set(condition_keys(small.obs)) and len(truth["conditions"]) == conditions
    )
    assert truth["mechanisms"][-1] == "shared response"


def test_programs_are_sparse_signed_and_overlap_a_little(default):
    programs = default.uns["truth"]["programs"] != 0
    assert ((programs.sum(axis=1) >= 15) & (programs.sum(axis=1) <= 40)).all()
    shared = (programs.astype(int) @ programs.T)[np.triu_indices(len(programs), 1)]
    assert 0 < shared.mean() < 0.15 * programs.sum(axis=1).mean()
    assert (default.uns["truth"]["programs"] < 0).any(axis=1).all()


def test_target_genes_are_strong_genes_of_their_program_and_of_no_other_mechanism(default):
    truth = default.uns["truth"]
    size = np.abs(truth["programs"])
    assert (truth["target_genes"].sum(axis=0) <= 1).all()
    for weight, target in zip(size, truth["target_genes"], strict=True):
        assert weight[target].min() > weight[~target].max()


def test_responsiveness_rises_and_saturates_with_basal_expression_of_the_targets(default):
    truth = default.uns["truth"]
    for mechanism, target in enumerate(truth["target_genes"]):
        basal = truth["basal"][:, target].mean(axis=1)
        order = np.argsort(basal)
        response = truth["responsiveness"][order, mechanism]
        assert (np.diff(response) > 0).all() and 0 < response[0] and response[-1] < 1


def test_the_shuffle_moves_every_line_and_changes_nothing_else_of_the_truth(small):
    shuffled = prepare(size="small", shuffle_responsiveness=True, expectation=False)
    before, after = small.uns["truth"], shuffled.uns["truth"]
    assert (before["responsiveness"] != after["responsiveness"]).all()
    np.testing.assert_array_equal(
        np.sort(before["responsiveness"], axis=0), np.sort(after["responsiveness"], axis=0)
    )
    for name in ("programs", "target_genes", "drug_weights", "basal", "hill"):
        assert np.array_equal(before[name], after[name]), name


def test_one_drug_in_ten_responds_like_another_class_than_its_structure_says(default):
    truth, mechanism = default.uns["truth"], default.uns["perturbations"]["mechanism"]
    cliff = truth["hill"]["activity_cliff"].to_numpy()
    own = [list(truth["mechanisms"]).index(name) for name in mechanism[truth["hill"].index]]
    strongest = truth["drug_weights"][:, :-1].argmax(axis=1)  # the shared response left out
    assert cliff.sum() == 6
    np.testing.assert_array_equal(strongest != own, cliff)


def test_similar_structures_have_similar_weights(default):
    truth = default.uns["truth"]
    keep = ~truth["hill"]["activity_cliff"].to_numpy()
    bits = morgan(default.uns["perturbations"].loc[truth["hill"].index, "smiles"])[keep].astype(float)
    alike = np.corrcoef(bits)[np.triu_indices(keep.sum(), 1)]
    respond = np.corrcoef(truth["drug_weights"][keep])[np.triu_indices(keep.sum(), 1)]
    assert np.corrcoef(alike, respond)[0, 1] > 0.5


def test_high_doses_of_toxic_drugs_lower_the_library_size(default):
    toxic = default.uns["truth"]["hill"]["toxicity"] > 0
    median = default.obs.groupby(["perturbation", "dose_um"], observed=True)["n_counts"].median().unstack()
    assert (median.loc[toxic.index[toxic], 10.0] < 0.75 * median.loc["control", 0.0]).all()
    assert (median.loc[toxic.index[~toxic], 10.0] > 0.9 * median.loc["control", 0.0]).all()
    assert (median[0.01].dropna() > 0.9 * median.loc["control", 0.0]).all()


def test_the_expectation_is_the_mean_that_observed_cells_scatter_about(small):
    truth, profiles = small.uns["truth"], pseudobulk(small)
    order = np.argsort(truth["conditions"].astype(str))
    error = profiles.mean - truth["expected_lognorm"][order]
    cells = profiles.obs["n_cells"].to_numpy()[:, None]
    noise = profiles.variance * (1 / cells + 1 / simulated_expectation.CELLS)
    assert simulated_expectation.CELLS >= 200
    assert abs(error.mean()) < 0.01
    assert (error**2).mean() == pytest.approx(noise.mean(), rel=0.05)


def test_the_expectation_does_not_depend_on_the_number_of_threads(small, monkeypatch, tmp_path):
    monkeypatch.setenv("PERTURBOOK_CACHE", str(tmp_path))
    monkeypatch.setattr(simulated_expectation, "THREADS", 1)
    alone = prepare(size="small").uns["truth"]["expected_lognorm"]
    np.testing.assert_array_equal(alone, small.uns["truth"]["expected_lognorm"])


def test_the_expectation_is_made_once_and_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    made = []
    path = tmp_path / "kept" / "expectation.npz"

    def make():
        made.append(1)
        return np.arange(3.0)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", lambda file, **arrays: file.write_bytes(b"half") and 1 / 0)
        with pytest.raises(ZeroDivisionError):
            simulated_expectation.kept(path, make)
    assert list(path.parent.iterdir()) == []
    for _ in range(2):
        np.testing.assert_array_equal(simulated_expectation.kept(path, make), [0, 1, 2])
    assert len(made) == 2 and [file.name for file in path.parent.iterdir()] == ["expectation.npz"]


def test_effects_saturate_at_three_log_units_and_small_ones_pass():
    np.testing.assert_allclose(saturate(np.array([0.0, 0.1, -50.0, 50.0])), [0, 0.1, -3, 3], atol=1e-4)


def test_counts_are_negative_binomial_with_the_given_dispersion():
    model = CellModel(loadings=np.zeros((2, 2)), dispersion=np.array([0.5, 0.01]))
    cells = 20_000
    counts = draw_counts(np.random.default_rng(0), model, np.zeros((1, 2)), np.ones(1), np.array([cells]))
    depth_variance = np.exp(LIBRARY_SD**2) - 1
    mean = counts.mean(axis=0)
    for gene, dispersion in enumerate(model.dispersion):
        relative = counts[:, gene].var() / mean[gene] ** 2  # (1 + v)(1 + dispersion) - 1 + 1 / mean
        expected = (1 + depth_variance) * (1 + dispersion) - 1 + 1 / mean[gene]
        assert relative == pytest.approx(expected, rel=0.06)


def test_a_screen_can_be_written_and_read_as_a_readers_own_file(small, tmp_path):
    small.write_h5ad(tmp_path / "screen.h5ad")
    again = load(tmp_path / "screen.h5ad")
    assert (again.X != small.X).nnz == 0
    np.testing.assert_array_equal(again.uns["truth"]["programs"], small.uns["truth"]["programs"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "huge"}, "no size 'huge'. Allowed: default, small"),
        ({"seed": -1}, "seed is -1; give a whole number from 0"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"seed": True}, "seed is True"),
        ({"colour": "red"}, "no option colour. Allowed: seed, size, shuffle_responsiveness, expectation"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        load(NAME, **options)
