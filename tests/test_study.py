"""A study asks only what makes sense, shows a model only what its split shows, and tells what is stored."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from perturbook import data
from perturbook.data.cache import file_sha256
from perturbook.data.validate import validate
from perturbook.errors import ConfigError, DataUnavailable, InputError, LeakError, NotApplicable, ShapeError
from perturbook.evaluation import METRICS, Bundle, build_truth, read_bundle, score
from perturbook.evaluation.bundle import MANIFEST, TRUTH, read_truth, write_truth
from perturbook.evaluation.manifest import digest, read_manifest, write_manifest
from perturbook.evaluation.measure import measure
from perturbook.evaluation.score import from_csv, wide
from perturbook.evaluation.withheld import withhold
from perturbook.models import MODELS, Prediction
from perturbook.pages import kept, predict, present, study
from perturbook.pages.design import Design
from perturbook.pages.layout import layout_of
from perturbook.pages.standings import title
from perturbook.pages.study import audit_page, bundle_folder, run
from perturbook.pages.table import ROOT
from perturbook.pages.table import page as page_of

ZERO_SHOT = dict(
    page="p",
    data="simulated-drugs",
    setting="zero_shot_context",
    models=["no_change"],
    modes=["A", "B"],
    size="small",
)
DRUG = dict(page="p", data="simulated-drugs", setting="unseen_drug", models=["no_change"], size="small")
SPIED = {**DRUG, "models": ["spy"], "scored_pairs": 2}


@pytest.fixture(scope="module", autouse=True)
def loaded_once(tmp_path_factory):
    """The small simulated screen and its noise-free means are made once for this file."""
    load, kept_cells = data.load, {}

    def once(name, **options):
        if (name, *options.items()) not in kept_cells:
            kept_cells[(name, *options.items())] = load(name, **options)
        return kept_cells[(name, *options.items())]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERTURBOOK_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(data, "load", once)
        yield


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    models = ["no_change", "mean_train", "shifted_controls", "oracle", "mean_per_drug"]
    return run(Design(**{**DRUG, "models": models}), tmp_path_factory.mktemp("study") / "bundle")


@pytest.fixture(scope="module")
def of_kang(kang, tmp_path_factory):
    """Seven cell types, each held out in turn; the one run on real cells of this file."""
    models = ["no_change", "mean_train", "shifted_controls"]
    design = Design("kang-zero-shot", "kang2018-mini", "zero_shot_context", models, modes=["A", "B"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda name, **_: kang)
        return run(design, tmp_path_factory.mktemp("kang") / "bundle")


IMPOSSIBLE = [
    ({"setting": "unseen_cat"}, "Unknown setting 'unseen_cat'. Known: additive_split, "),
    ({"models": ["no_change", "gears"]}, "Unknown model 'gears'. Known: "),
    ({"models": []}, "models is empty; name at least one of "),
    ({"models": ["oracle", "oracle"]}, "models names oracle twice"),
    ({"data": "sciplex9"}, "Unknown data set 'sciplex9'. Known: "),
    ({"data": "hallmark"}, "hallmark holds no cells and cannot carry a setting"),
    ({"data": "kang2018-mini"}, "size='small' has no meaning for kang2018-mini, which is not simulated"),
    ({"seed": -1}, "seed=-1 must not be negative"),
    ({"fold": -2}, "fold=-2 must lie in 0..4, or be -1 for all in turn"),
    ({"scored_pairs": -2}, "scored_pairs=-2 must not be negative"),
    ({"fold": 5}, "fold=5 must lie in 0..4"),
    ({"fold": 1, "held_out": ["Aspirin"]}, "fold=1 has no meaning beside held_out"),
    ({"k": 8}, r"k=8 has no meaning in unseen_drug, which takes \['fold', 'held_out'\]"),
    ({"modes": ["A"]}, r"modes=\['A'\] has no meaning in unseen_drug"),
    ({"held_out": ["x", "x"]}, "held_out names x twice"),
    ({"setting": "random_cells", "fold": 1}, "fold=1 has no meaning in random_cells, which takes no option"),
    ({"setting": "random_cells", "held_out": ["a"]}, "held_out has no meaning in random_cells; it draws"),
    (
        {"setting": "unseen_combination", "held_out": ["a"]},
        r"held_out names 'a'; write a pair as .context \| perturbation",
    ),
    (
        {"setting": "few_shot_context"},
        "few_shot_context needs a support: give k from 1, or k_sweep, not both",
    ),
    ({"setting": "few_shot_context", "k": 1, "k_sweep": [1]}, "few_shot_context needs a support"),
    ({"setting": "few_shot_context", "k_sweep": [2, 2]}, "k_sweep names 2 twice"),
    ({"setting": "few_shot_context", "k_sweep": [-1]}, "k_sweep has -1, which must not be negative"),
    ({"k_sweep": [1]}, r"k_sweep=\[1\] has no meaning in unseen_drug"),
    (
        {"setting": "few_shot_context", "k": 2, "modes": ["A"]},
        r"modes=\['A'\] has no meaning in few_shot_context",
    ),
    ({"setting": "zero_shot_context"}, r"modes=\[\] must name A, B or both"),
    ({"setting": "zero_shot_context", "modes": ["C"]}, r"modes=\['C'\] must name A, B or both"),
    ({"setting": "zero_shot_context", "modes": ["A", "A"]}, "modes names A twice"),
    ({"setting": "zero_shot_context", "modes": ["A"], "k": 3}, "k=3 has no meaning in zero_shot_context"),
]


@pytest.mark.parametrize(("given", "message"), IMPOSSIBLE, ids=[message[:45] for _, message in IMPOSSIBLE])
def test_an_impossible_design_is_refused_when_it_is_built(given, message):
    if given.get("data") == "hallmark":
        given = {"data": next(name for name, entry in data.DATASETS.items() if not entry.cells)}
        message = message.replace("hallmark", given["data"])
    with pytest.raises(ConfigError, match=message):
        Design(**{**DRUG, **given})


def test_a_file_that_is_not_there_or_is_given_a_size_is_refused(tmp_path):
    path = tmp_path / "mine.h5ad"
    with pytest.raises(InputError, match=r"data='.*mine\.h5ad': there is no such file"):
        Design(**{**DRUG, "data": str(path)})
    path.touch()
    with pytest.raises(ConfigError, match="size='small' has no meaning for .*mine.h5ad"):
        Design(**{**DRUG, "data": str(path)})


@pytest.mark.parametrize(
    "setting", ["unseen_drug", "unseen_combination", "random_cells", "zero_shot_context"]
)
def test_fewer_scored_pairs_leave_the_held_out_cells_held_out_and_pass_the_audit(setting):
    modes = ["B"] if setting == "zero_shot_context" else []
    design = Design(**{**DRUG, "setting": setting, "modes": modes, "scored_pairs": 2})
    cells = design.load()
    whole, part = (
        one.splits(cells)["B" if modes else ""] for one in (replace(design, scored_pairs=0), design)
    )
    for every, some in zip(whole, part, strict=True):
        pairs = some.conditions[["context", "perturbation"]].drop_duplicates()
        assert len(pairs) == 2 and len(some.conditions) == 4  # both doses of each pair
        assert set(some.test) < set(every.test) and set(some.train) == set(every.train)
        assert set(cells.obs.loc[some.query, "context"]) == set(pairs["context"])
        study._audit_entry("", cells, some)  # raises LeakError if the split leaks


def test_the_folds_of_a_context_setting_hold_out_every_treated_context_once():
    design = Design(**ZERO_SHOT)
    folds = design.splits(design.load())
    for each in folds.values():
        assert [split.held_out for split in each] == [("line-1",), ("line-2",), ("line-3",)]
    for a, b in zip(folds["A"], folds["B"], strict=True):
        pd.testing.assert_frame_equal(a.conditions, b.conditions)
    assert len(replace(design, held_out=["line-2"]).splits(design.load())["A"]) == 1


# ---- what a model is shown


class Spy:
    """Predicts its controls, and keeps whatever reaches it."""

    title, role = "Spy", "model"
    seen: list = []

    def fit(self, train):
        self.train = train
        return self

    def predict(self, query):
        type(self).seen.append((self.train, query))
        return Prediction(query.mu0)


@pytest.fixture
def spy(monkeypatch):
    """A registered spy; `register(Class)` replaces it."""

    def register(made, name="spy"):
        made.name = name
        monkeypatch.setitem(MODELS, name, made)
        return made

    monkeypatch.setattr(Spy, "seen", [])
    register.default = register(Spy)
    return register


def everything_reachable(train, query):
    for cells in (train.cells, query.controls):
        yield from cells.uns.keys()
        yield from cells.layers.keys()
        yield from cells.obsm.keys()


def test_no_model_can_reach_the_simulator_s_truth(spy, tmp_path):
    run(Design(**SPIED), tmp_path / "b")
    assert len(Spy.seen) == 2
    for train, query in Spy.seen:
        assert query.truth is None
        assert "truth" not in set(everything_reachable(train, query))
        assert train.cells.raw is None and not train.cells.is_view and not query.controls.is_view


def test_only_a_declared_oracle_is_given_the_truth_of_the_conditions_asked_about(spy, tmp_path):
    class Declared(Spy):
        reads_truth = True

    spy(Declared)
    run(Design(**SPIED), tmp_path / "b")
    assert all(set(query.conditions.index) <= set(query.truth.index) for _, query in Spy.seen)
    declared = {name for name, made in MODELS.items() if getattr(made, "reads_truth", False)}
    assert declared == {"spy", "oracle"}


@pytest.mark.parametrize("setting", ["unseen_drug", "zero_shot_context", "few_shot_context", "random_cells"])
def test_a_model_sees_no_test_cell_and_in_the_blind_run_no_reference_control(spy, tmp_path, setting):
    more = {"zero_shot_context": {"modes": ["A", "B"]}, "few_shot_context": {"k": 2}}.get(setting, {})
    design = Design(**{**SPIED, "setting": setting, **more})
    run(design, tmp_path / "b")
    folds = [split for each in design.splits(design.load()).values() for split in each]
    assert len(Spy.seen) == 2 * len(folds)
    for i, split in enumerate(folds):
        (train, whole), (blind_train, blind) = Spy.seen[2 * i : 2 * i + 2]
        for seen in (train.cells, whole.controls, blind_train.cells, blind.controls):
            assert not set(seen.obs_names) & set(split.test)
        assert set(whole.controls.obs_names) == set(split.query)
        hidden = set(split.reference)
        assert hidden and not hidden & {*blind_train.cells.obs_names, *blind.controls.obs_names}
        assert {*blind_train.cells.obs_names} == {*train.cells.obs_names} - hidden


def test_a_model_is_fitted_twice_only_where_its_training_cells_differ(spy, tmp_path):
    run(Design(**{**ZERO_SHOT, "models": ["spy"], "held_out": ["line-1"], "scored_pairs": 2}), tmp_path / "b")
    (a, _), (a_blind, _), (b, _), (b_blind, _) = Spy.seen
    assert a is not a_blind and b is b_blind  # in mode B no control of the held-out line is in training


def test_one_reason_makes_a_predictor_not_applicable_and_keeps_the_others(spy, tmp_path):
    class Picky(Spy):
        def predict(self, query):
            if "line-2" in set(query.conditions["context"]):
                raise NotApplicable("line-2 is not to its taste")
            return super().predict(query)

    spy(Picky)
    found = run(
        Design(**{**ZERO_SHOT, "models": ["spy", "no_change"], "modes": ["B"], "scored_pairs": 2}),
        tmp_path / "b",
    )
    by_name = {one.name: one for one in found.bundle.predictions}
    assert by_name["spy"].reason == "line-2 is not to its taste" and by_name["spy"].mean is None
    assert np.isfinite(by_name["no_change"].mean).all()
    assert not (tmp_path / "b" / "spy-B.h5ad").exists()


def test_a_prediction_of_the_wrong_shape_is_refused_by_name_and_nothing_is_written(spy, tmp_path):
    class Short(Spy):
        def predict(self, query):
            return Prediction(query.mu0[:1])  # would be spread over all conditions

    spy(Short)
    with pytest.raises(ShapeError, match=r"spy predicted means of shape \(1, 120\), expected \(\d+, 120\)"):
        run(Design(**SPIED), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_mean_with_a_variance_keeps_its_variance(spy, tmp_path):
    class Wide(Spy):
        def predict(self, query):
            return Prediction(query.mu0, variance=np.full(query.mu0.shape, 0.5))

    spy(Wide)
    found = run(Design(**SPIED), tmp_path / "b")
    rows = found.scores[(found.scores["method"] == "spy") & (found.scores["metric"] == "var_ratio")]
    expected = 0.5 * 120 / found.bundle.truth.variance.sum(axis=1)
    np.testing.assert_allclose(rows["value"], expected, rtol=1e-6)
    assert np.isinf(rows["n_pred"]).all()


def test_modes_that_gave_the_same_arrays_share_one_entry_and_others_do_not(spy, tmp_path):
    class Depth(Spy):
        def predict(self, query):
            return Prediction(query.mu0 + len(self.train.cells) / 1e4)

    spy(Depth)
    found = run(Design(**{**ZERO_SHOT, "models": ["spy", "no_change"], "scored_pairs": 2}), tmp_path / "b")
    assert sorted((one.name, one.mode) for one in found.bundle.predictions) == [
        ("no_change", "AB"),
        ("spy", "A"),
        ("spy", "B"),
    ]


def test_generated_cells_are_kept_as_moments_counts_and_at_most_200_points(simulated):
    made = next(one for one in simulated.bundle.predictions if one.name == "shifted_controls")
    n = len(simulated.bundle.truth.obs)
    assert made.variance.shape == made.mean.shape and (made.n_cells == 60).all()
    assert made.coordinates.shape == (n, 200, simulated.bundle.truth.n_components)
    assert (~np.isnan(made.coordinates).any(axis=2)).sum(axis=1).tolist() == [60] * n
    assert made.significant.shape == made.mean.shape and set(np.unique(made.significant)) <= {0, 1}


# ---- what is stored and told


def test_the_folder_holds_bundle_scores_and_layout_and_the_study_tells_what_is_stored(simulated):
    assert {path.name for path in simulated.folder.iterdir()} == {
        "truth.h5ad",
        "manifest.json",
        "scores.csv.gz",
        "split.csv.gz",
        *(f"{name}.h5ad" for name in ("no_change", "mean_train", "shifted_controls", "oracle")),
    }
    pd.testing.assert_frame_equal(score(simulated.folder), simulated.scores)
    stored = from_csv(simulated.folder / "scores.csv.gz")
    pd.testing.assert_frame_equal(stored, wide(simulated.scores), rtol=1e-7, check_names=False)
    assert not simulated.deposited


def test_the_manifest_names_parameters_data_models_audits_and_no_secret_of_the_machine(simulated):
    about = json.loads((simulated.folder / "manifest.json").read_text())
    assert about["parameters"]["setting"] == "unseen_drug" and about["parameters"]["seed"] == 0
    assert about["data"] == {"simulated-drugs": data.checksum("simulated-drugs")}
    assert set(about["model_sources"]) == set(about["parameters"]["models"])
    assert len(about["audits"]) == 1 and len(about["audits"][0]["checks"]) >= 5
    assert [one["name"] for one in about["not_applicable"]] == ["mean_per_drug"]
    assert str(simulated.folder) not in json.dumps(about)


def test_a_study_that_fails_at_the_last_moment_leaves_no_folder(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(study, "to_csv", full)
    with pytest.raises(OSError, match="disk full"):
        run(Design(**DRUG), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_leak_stops_everything_before_a_file_is_written(tmp_path, monkeypatch):
    real = Design.splits

    def leaking(self, cells):
        return {
            mode: [replace(one, train=np.append(one.train, one.test[:1])) for one in each]
            for mode, each in real(self, cells).items()
        }

    monkeypatch.setattr(Design, "splits", leaking)
    with pytest.raises(LeakError, match="Test cells in training"):
        run(Design(**DRUG), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_two_runs_are_equal_in_every_file_but_the_run_part_of_the_manifest(simulated, tmp_path):
    models = ["no_change", "mean_train", "shifted_controls", "oracle", "mean_per_drug"]
    again = run(Design(**{**DRUG, "models": models}), tmp_path / "b")
    pd.testing.assert_frame_equal(again.scores, simulated.scores)
    for path in simulated.folder.iterdir():
        one, other = path.read_bytes(), (again.folder / path.name).read_bytes()
        if path.name == "manifest.json":
            one, other = ({**json.loads(text), "run": None} for text in (one, other))
        assert one == other, path.name


def test_the_layout_counts_every_cell_once_per_fold_and_names_its_part(simulated):
    layout = simulated.layout
    assert layout["cells"].sum() == simulated.cells.n_obs and set(layout["part"]) == {
        "test",
        "training",
        "validation",
    }
    tested = set(simulated.bundle.truth.obs["perturbation"])
    assert set(layout.loc[layout["part"] == "test", "perturbation"]) == tested
    few = Design(**{**DRUG, "setting": "few_shot_context", "k": 2, "held_out": ["line-2"]})
    cells = few.load()
    layout = layout_of(cells, few.splits(cells)[""])
    support = layout[layout["part"] == "support"]
    assert set(support["context"]) == {"line-2"} and support["perturbation"].nunique() == 2


def test_a_reader_s_own_file_is_run_under_its_checksum(tmp_path, screen):
    path = tmp_path / "mine.h5ad"
    screen.uns["origin"] = {"title": "without a checksum"}
    validate(screen).write_h5ad(path)
    found = run(Design("p", str(path), "random_cells", ["no_change", "mean_train"]), tmp_path / "b")
    assert found.bundle.truth.facts["data"] == "mine.h5ad" and not found.bundle.truth.facts["synthetic"]
    assert found.bundle.manifest["data"] == {path.name: file_sha256(path)}


# ---- without the data


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No data can be had, and `results/` lies in tmp_path."""

    def absent(*_, **__):
        raise DataUnavailable("kang.h5ad (2 bytes) is nowhere.")

    monkeypatch.setattr(data, "load", absent)
    monkeypatch.setattr(kept, "ROOT", tmp_path)
    return tmp_path / "results"


def test_without_data_the_deposit_is_opened_and_said_to_be_one(simulated, offline, tmp_path):
    shutil.copytree(simulated.folder, offline / "p" / "0")
    found = run(Design(**DRUG), tmp_path / "out")
    assert found.deposited and found.cells is None
    pd.testing.assert_frame_equal(found.scores, simulated.scores)
    pd.testing.assert_frame_equal(found.layout, simulated.layout)
    assert found.audits == simulated.audits


def test_a_deposit_without_measurements_shows_every_score_as_it_was_stored(simulated, offline, tmp_path):
    place = offline / "p" / "0"
    shutil.copytree(simulated.folder, place)
    write_truth(withhold(read_truth(place)), place / TRUTH)
    (place / "mean_train.h5ad").unlink()  # only its scores are deposited
    about = read_manifest(place / MANIFEST)
    write_manifest({**about, "files": digest(place)}, place / MANIFEST)
    models = [one.name for one in simulated.bundle.predictions]
    found = run(Design(**{**DRUG, "models": models}), tmp_path / "out")
    keys = ["method", "mode", "condition", "metric"]
    told = [
        "value",
        "context",
        "perturbation",
        "dose_um",
        "n_true",
        "fold",
        "stratum",
        "reference",
        "clipped",
    ]
    then, now = (one.scores.set_index(keys)[told] for one in (simulated, found))
    pd.testing.assert_frame_equal(now.loc[then.index], then, check_dtype=False, check_categorical=False)
    assert len(now) == len(then) and {one.name for one in found.bundle.predictions} == set(models)
    assert title("mean_train") in present.score_table(found, 100).data.split("Not applicable")[0]


@pytest.mark.parametrize("there", [False, True])
def test_without_data_and_without_a_deposit_the_error_names_page_and_seed(offline, tmp_path, there):
    if there:  # an empty folder, or another seed, is no deposit
        (offline / "p" / "3").mkdir(parents=True)
        (offline / "p" / "0").mkdir()
    with pytest.raises(
        DataUnavailable, match="is nowhere. The project has no deposit of page 'p', seed 3, either"
    ):
        run(Design(**{**DRUG, "seed": 3}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---- pages


def test_a_page_is_audited_by_its_own_parameters_and_a_written_page_has_none():
    small = page_of("simulated-unseen-drug")
    entries = audit_page(replace(small, parameters={**small.parameters, **small.smoke}))
    assert entries[0]["counts"]["conditions"] > 0 and entries[0]["checks"]
    with pytest.raises(ConfigError, match="Page 'intro' has no split to audit"):
        audit_page(page_of("intro"))


def test_a_notebook_opened_by_hand_keeps_its_bundle_below_runs():
    assert bundle_folder("", "p") == ROOT / "runs" / "p" / "bundle"
    assert bundle_folder("build/x", "p") == ROOT / "build" / "x"


# ---- real cells: Kang 2018, known numbers of datasets.md section 3.2 and floors-and-peers.md section 1

KNOWN = pd.DataFrame(
    {
        "no_change": [0.829, 0.629, 0.780, 0.774, 0.761, 0.685, 0.676],
        "mean_train": [0.889, 0.875, 0.895, 0.852, 0.854, 0.915, 0.912],
        "pearson": [0.803, 0.855, 0.787, 0.717, 0.716, 0.882, 0.879],
    },
    index=["CD4T", "CD14+Mono", "B", "CD8T", "NK", "FCGR3A+Mono", "Dendritic"],
)


def per_type(found, method, metric):
    rows = found.scores[(found.scores["method"] == method) & (found.scores["metric"] == metric)]
    assert set(rows["mode"]) == {"AB"}
    return rows.set_index("context").loc[KNOWN.index, "value"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["no_change", "mean_train"])
def test_r2_of_every_cell_type_is_the_known_one(of_kang, method):
    np.testing.assert_allclose(per_type(of_kang, method, "r2_mean"), KNOWN[method], atol=2e-3)


@pytest.mark.slow
def test_the_mean_shift_correlates_with_the_measured_change_as_known_where_controls_are_shared(of_kang):
    found = per_type(of_kang, "mean_train", "pearson_delta_ctrl_shared")
    np.testing.assert_allclose(found, KNOWN["pearson"], atol=2e-3)
    assert found.mean() == pytest.approx(0.806, abs=2e-3)


@pytest.mark.slow
def test_with_split_controls_the_mean_shift_correlates_less(of_kang):
    """0.780 is of one random half of the controls; 0.01 is what another half moves the mean of seven types."""
    found = per_type(of_kang, "mean_train", "pearson_delta_ctrl")
    assert found.mean() == pytest.approx(0.780, abs=0.01)
    assert (found < per_type(of_kang, "mean_train", "pearson_delta_ctrl_shared")).all()


@pytest.mark.slow
def test_no_change_and_retrieval_are_undefined_for_every_cell_type(of_kang):
    assert per_type(of_kang, "no_change", "pearson_delta_ctrl").isna().all()
    assert per_type(of_kang, "mean_train", "nir").isna().all()  # one perturbation: nothing to confuse it with


@pytest.mark.slow
def test_rounding_moves_no_score_of_real_cells_by_a_thousandth(of_kang, kang, monkeypatch):
    folds = Design("p", "kang2018-mini", "zero_shot_context", ["mean_train"], modes=["B"]).splits(kang)
    exact = measure(kang, folds["B"], seed=0, facts=of_kang.bundle.truth.facts)
    monkeypatch.setattr(predict, "stored", lambda values, *_: np.asarray(values, dtype=float))
    fine = score(Bundle(exact, predict.predict(["mean_train", "no_change"], kang, folds, exact)))
    coarse = of_kang.scores.assign(mode="B")
    both = fine.merge(coarse, on=["method", "mode", "condition", "metric"], suffixes=("", "_stored"))
    both = both[both["method"] != "half_duplicate"]
    assert len(both) == 2 * 7 * len(METRICS) and (both["status"] == both["status_stored"]).all()
    relative = both["value"].abs() > 1  # distances, of the size of 10; others of 1
    change = (both["value"] - both["value_stored"]).abs() / np.where(relative, both["value"].abs(), 1)
    lists = both["metric"].str.contains("_deg")
    assert change[~lists].max() < 1e-3 and change[lists].max() < 2e-3


@pytest.mark.slow
def test_a_truth_made_again_from_shuffled_real_cells_is_the_same_to_the_bit(of_kang, kang):
    rows = np.random.default_rng(0).permutation(kang.n_obs)
    shuffled = kang[rows].copy()
    design = Design("p", "kang2018-mini", "zero_shot_context", ["no_change"], modes=["A"])
    again = build_truth(shuffled, design.splits(shuffled)["A"], seed=0, facts={})
    for name in ("mean", "variance", "halves", "coordinates", "loadings", "centroid"):
        np.testing.assert_array_equal(getattr(again, name), getattr(of_kang.bundle.truth, name), err_msg=name)


@pytest.mark.slow
def test_the_bundle_of_real_cells_reads_back_whole(of_kang):
    again = read_bundle(of_kang.folder)
    assert [one.name for one in again.predictions] == [
        "no_change",
        "mean_train",
        "shifted_controls",
    ]  # as the design names them
    assert len(again.manifest["audits"]) == 14
