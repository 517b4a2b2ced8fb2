"""A bundle is read as it was written, byte for byte the same each time, whole or not at all, and holds no cell."""

import json
import os
import signal
import time
from dataclasses import fields, replace

import h5py
import hand_made
import numpy as np
import pandas as pd
import pytest
from hand_made_bundle import KEYS, PREDICTED, bundle, of_cells, truth

from perturbook.errors import InputError, PerturbookError
from perturbook.evaluation import Predicted, build_truth, read_bundle, write_bundle
from perturbook.evaluation import bundle as files
from perturbook.evaluation.manifest import digest
from perturbook.evaluation.storage import open_file
from perturbook.splits import split


@pytest.fixture
def written(tmp_path):
    return write_bundle(bundle(manifest={"page": "by-hand"}), tmp_path / "kept")


def same_predicted(one, other):
    for name in (field.name for field in fields(Predicted)):
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs, err_msg=name)
        else:
            assert mine == theirs, name


def datasets(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, one: found.update({name: one[()]} if hasattr(one, "dtype") else {}))
    return found


def test_what_is_written_is_read(written):
    again = read_bundle(written)
    for name in ("genes", "mean", "variance", "halves", "coordinates", "pca_mean", "loadings", "centroid"):
        np.testing.assert_array_equal(getattr(again.truth, name), getattr(truth(), name), err_msg=name)
    for part in ("deg", "controls", "significant", "others"):
        mine, theirs = getattr(again.truth, part), getattr(truth(), part)
        assert set(mine) == set(theirs)
        assert all(np.array_equal(mine[name], theirs[name], equal_nan=True) for name in theirs)
    pd.testing.assert_frame_equal(again.truth.obs, truth().obs)
    assert (list(again.truth.contexts), again.truth.facts) == (["a", "b"], truth().facts)
    same_predicted(again.predictions[0], of_cells())
    assert again.manifest["page"] == "by-hand"


def test_a_measured_truth_survives_the_round_trip_with_its_dtypes(tmp_path):
    cells = hand_made.cells(hand_made.grid(["a", "b", "c"], ["x", "y"], doses=(np.nan,), n=5, controls=7))
    made = build_truth(cells, [split(cells, "unseen_combination")], seed=0, facts={"synthetic": True})
    again = read_bundle(write_bundle(files.Bundle(made, []), tmp_path / "b")).truth
    for name in ("mean", "variance", "halves", "coordinates", "loadings", "centroid"):
        one, other = getattr(made, name), getattr(again, name)
        np.testing.assert_array_equal(one, other, err_msg=name)
        assert one.dtype == other.dtype, name
    assert again.obs["dose_um"].isna().all() and again.facts == {"synthetic": True}


def test_a_predictor_without_a_mean_is_read_with_its_reason(tmp_path):
    absent = Predicted("gone", "Gone", "floor", reason="the perturbation is no molecule")
    folder = write_bundle(bundle(of_cells(), absent), tmp_path / "b")
    assert sorted(path.name for path in folder.iterdir()) == ["cells.h5ad", "manifest.json", "truth.h5ad"]
    same_predicted(read_bundle(folder).predictions[1], absent)


def test_the_zero_shot_mode_is_part_of_the_file_name_and_of_what_is_read(tmp_path):
    folder = write_bundle(bundle(of_cells(mode="A"), of_cells(mode="B")), tmp_path / "b")
    assert {path.stem for path in folder.glob("cells*")} == {"cells-A", "cells-B"}
    assert [one.mode for one in read_bundle(folder).predictions] == ["A", "B"]


def test_two_writes_give_the_same_bytes(written, tmp_path):
    time.sleep(1.1)  # a time stamp inside the files would have whole seconds
    other = write_bundle(bundle(manifest={"page": "by-hand"}), tmp_path / "again")
    for path in written.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def test_the_manifest_names_every_file_by_its_checksum(written):
    assert json.loads((written / "manifest.json").read_text())["files"] == digest(written)
    assert set(digest(written)) == {"truth.h5ad", "cells.h5ad"}


def test_no_file_holds_an_object_other_than_text(written):
    for path in written.glob("*.h5ad"):
        with h5py.File(path) as file:
            kinds = []
            file.visititems(
                lambda _, one, kinds=kinds: kinds.append(one.dtype) if hasattr(one, "dtype") else None
            )
        assert kinds and all(one.kind in "fiub" or h5py.check_string_dtype(one) for one in kinds)


def test_no_array_of_a_real_bundle_has_the_cells_of_the_data_as_an_axis(kang, tmp_path):
    held = [split(kang, "zero_shot_context", held_out=context, mode="B") for context in ("B", "CD4T")]
    made = build_truth(kang, held, seed=0, facts={})
    folder = write_bundle(files.Bundle(made, []), tmp_path / "b")
    found = datasets(folder / "truth.h5ad")
    n, genes = (2, 6998)
    counts = {kang.n_obs, *kang.obs.groupby(["context", "perturbation"], observed=True).size()}
    for name, array in found.items():
        assert not counts & set(getattr(array, "shape", None) or ()), name
    assert found["layers/mean"].shape == (n, genes)
    assert found["obsm/coordinates"].shape == (n, 200, 50)  # no gene axis: a cell cannot be read from these
    assert found["obsm/halves"].shape == (n, genes, 19) and found["layers/half_a"].shape == (n, genes)


def test_a_write_that_fails_leaves_the_folder_of_before_and_nothing_beside_it(written, monkeypatch):
    before, real = digest(written), files.write_prediction

    def breaks(truth, model, path):
        real(truth, model, path)
        raise OSError("disk full")

    monkeypatch.setattr(files, "write_prediction", breaks)
    with pytest.raises(OSError, match="disk full"):
        write_bundle(bundle(of_cells(mean=PREDICTED + 1)), written)
    assert digest(written) == before
    assert list(written.parent.iterdir()) == [written]


def test_a_killed_write_leaves_no_folder_under_the_final_name_and_the_next_write_succeeds(
    tmp_path, monkeypatch
):
    real = files.write_truth

    def killed(truth, path):
        real(truth, path)
        os.kill(os.getpid(), signal.SIGKILL)

    if (child := os.fork()) == 0:
        monkeypatch.setattr(files, "write_truth", killed)
        write_bundle(bundle(), tmp_path / "b")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == [f".b.{child}"]
    assert len(read_bundle(write_bundle(bundle(), tmp_path / "b")).predictions) == 1


@pytest.mark.parametrize(
    "predictions",
    [
        (of_cells(), of_cells()),
        (of_cells(name="half_duplicate"),),
        (of_cells(name="interpolated_duplicate"),),
    ],
    ids=["twice", "ceiling", "second ceiling"],
)
def test_predictions_whose_scores_could_not_be_told_apart_are_refused(predictions):
    with pytest.raises(
        InputError, match="Two predictions are called '(cells|half_duplicate|interpolated_duplicate)'; rename"
    ):
        bundle(*predictions)


@pytest.mark.parametrize(
    "lost",
    [
        "layers/mean",
        "layers/variance",
        "obsm/halves",
        "obsm/deg_split_half",
        "layers/q",
        "layers/significant_a",
        "uns/others",
        "obsm/coordinates",
        "varm/loadings",
        "varm/centroid",
        "var/pca_mean",
        "uns/controls",
        "uns/controls/context",
        "uns/facts",
    ],
)
def test_a_truth_file_that_lacks_a_part_is_refused_by_its_name(written, lost):
    with h5py.File(written / "truth.h5ad", "a") as file:
        del file[lost]
        if lost.startswith("var/"):
            file["var"].attrs["column-order"] = np.array([], dtype="S1")
    with pytest.raises(InputError, match=f"truth.h5ad lacks .*{lost.split('/')[-1]}.*not the truth file"):
        read_bundle(written)


def test_a_broken_manifest_is_refused_by_its_path(written):
    (written / "manifest.json").write_text('{"page":')
    with pytest.raises(PerturbookError, match="manifest.json is not a readable manifest"):
        read_bundle(written)


def test_a_bundle_made_by_hand_needs_no_manifest(written):
    (written / "manifest.json").unlink()
    assert read_bundle(written).manifest == {}


def test_arrays_come_back_in_the_order_of_the_truth(written):
    path = written / "cells.h5ad"
    adata = open_file(path, "")[KEYS[::-1], ["G2", "G0", "G1"]].copy()
    adata.write_h5ad(path)
    same_predicted(read_bundle(written).predictions[0], of_cells())


def test_a_model_without_generated_cells_writes_means_alone(tmp_path):
    means = replace(
        of_cells(), variance=None, n_cells=None, coordinates=None, significant=None, mean_split=None
    )
    folder = write_bundle(bundle(means), tmp_path / "b")
    same_predicted(read_bundle(folder).predictions[0], means)
    assert not any("obsm/" in name for name in datasets(folder / "cells.h5ad"))
