"""A reader's own predictions are scored beside the floors of a page, or refused in a sentence that says what to do."""

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hand_made_bundle import GENES, KEYS, PREDICTED, bundle, of_cells, value
from scipy.sparse import csr_matrix
from test_metric_views import BY_HAND

from perturbook.errors import InputError, PerturbookError, ShapeError
from perturbook.evaluation import CEILINGS, METRICS, Predicted, read_bundle, write_bundle
from perturbook.evaluation.metric import key_on
from perturbook.pages import own_bundle
from perturbook.pages.own_bundle import score_beside_floors, truth_folder

FLOOR = Predicted("floor", "Floor", "floor", mean=PREDICTED + 1)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project whose page `by-hand` has a deposit, and no build."""
    monkeypatch.setattr(own_bundle, "ROOT", tmp_path / "project")
    deposit = tmp_path / "project" / "results" / "by-hand" / "0"
    deposit.parent.mkdir(parents=True)
    write_bundle(bundle(FLOOR), deposit)
    return tmp_path / "project"


def own(path, values=PREDICTED, conditions=KEYS, genes=GENES, **more):
    """Write a reader's file: predicted means in X, nothing of ours in it."""
    adata = AnnData(
        X=None if values is None else np.asarray(values, dtype=float),
        obs=pd.DataFrame(index=list(conditions)),
        var=pd.DataFrame(index=list(genes)),
        **more,
    )
    adata.write_h5ad(path)
    return path


def test_a_plain_file_of_means_is_scored_beside_the_floors_under_its_own_name(root, tmp_path):
    table, scores = score_beside_floors(own(tmp_path / "mine.h5ad"), "by-hand")
    assert set(table.index.get_level_values("method")) == {"mine", "floor", *CEILINGS}
    assert list(table) == [key_on(key, 3) for key in METRICS]
    assert value(scores, "r2_mean", "a|x|1", "mine") == pytest.approx(BY_HAND["r2_mean"][0])
    assert table.loc[("mine", ""), "nir"] == "0.500 (2 of 3)"
    assert table.loc[("mine", ""), "r2_mean_deg50"] == "undefined (0 of 3)"


def test_conditions_and_genes_in_any_order_score_the_same(root, tmp_path):
    _, straight = score_beside_floors(own(tmp_path / "mine.h5ad"), "by-hand")
    rows, columns = [2, 0, 1], [1, 2, 0]
    shuffled = PREDICTED[rows][:, columns], [KEYS[i] for i in rows], [GENES[i] for i in columns]
    _, found = score_beside_floors(own(tmp_path / "mine.h5ad", *shuffled), "by-hand")
    pd.testing.assert_frame_equal(found, straight)


def test_means_may_lie_in_a_sparse_layer_with_a_variance_beside_them(root, tmp_path):
    layers = {"mean": csr_matrix(PREDICTED), "variance": np.ones((3, 3))}
    _, scores = score_beside_floors(own(tmp_path / "mine.h5ad", PREDICTED + 99, layers=layers), "by-hand")
    assert value(scores, "r2_mean", "a|x|1", "mine") == pytest.approx(BY_HAND["r2_mean"][0])
    assert value(scores, "var_ratio", "a|x|1", "mine") == 0.5


def test_a_name_given_in_the_file_is_used_and_a_note_of_another_shape_is_not(root, tmp_path):
    named = own(tmp_path / "mine.h5ad", uns={"model": {"name": "scgen", "title": "scGen", "lr": 0.1}})
    assert "scgen" in score_beside_floors(named, "by-hand")[0].index.get_level_values("method")
    noted = own(tmp_path / "mine.h5ad", uns={"model": "scgen v2"})
    assert "mine" in score_beside_floors(noted, "by-hand")[0].index.get_level_values("method")


def test_a_condition_left_out_as_a_row_of_nan_is_undefined(root, tmp_path):
    values = PREDICTED.copy()
    values[1] = np.nan
    table, _ = score_beside_floors(own(tmp_path / "mine.h5ad", values), "by-hand")
    assert table.loc[("mine", ""), "r2_mean"].endswith("(2 of 3)")


def test_a_whole_bundle_folder_is_scored_by_its_own_truth(root, tmp_path):
    mine = write_bundle(bundle(of_cells()), tmp_path / "mine")
    table, scores = score_beside_floors(mine)
    assert value(scores, "var_ratio", "a|x|1") == 0.5 and ("floor", "") not in table.index
    pd.testing.assert_frame_equal(score_beside_floors(mine, "by-hand")[1], scores)


def test_the_bundle_of_the_last_build_comes_before_the_deposit(root):
    assert truth_folder("by-hand") == root / "results" / "by-hand" / "0"
    built = root / "build" / "book" / "bundles" / "by-hand"
    built.parent.mkdir(parents=True)
    write_bundle(bundle(FLOOR), built)
    assert truth_folder("by-hand") == built


def layers(**given):
    return {"layers": {name: np.asarray(one, dtype=float) for name, one in given.items()}}


def with_(where, what):
    values = PREDICTED.copy()
    values[where] = what
    return values


BAD_FILES = {
    "lacks a condition": (dict(values=PREDICTED[:2], conditions=KEYS[:2]), r"lacks 1 conditions of the page, such as \['b\|x\|1'\]; give all 3"),
    "lacks genes": (dict(values=PREDICTED[:, :1], genes=GENES[:1]), r"lacks 2 genes of the page, such as \['G1', 'G2'\]; give all 3"),
    "unknown condition": (dict(values=np.vstack([PREDICTED, PREDICTED[:1]]), conditions=[*KEYS, "b|z|1"]), r"has 1 conditions that the page does not ask about, such as \['b\|z\|1'\]; leave them out"),
    "unknown gene": (dict(values=np.hstack([PREDICTED, PREDICTED[:, :1]]), genes=[*GENES, "G9"]), r"has 1 genes that the page does not ask about, such as \['G9'\]; leave them out"),
    "condition twice": (dict(values=np.vstack([PREDICTED, PREDICTED[:1]]), conditions=[*KEYS, KEYS[0]]), r"condition 'a\|x\|1' stands twice"),
    "gene twice": (dict(values=np.hstack([PREDICTED, PREDICTED[:, :1]]), genes=[*GENES, "G0"]), "gene 'G0' stands twice"),
    "transposed": (dict(values=PREDICTED.T, conditions=GENES, genes=KEYS), r"lacks 3 conditions of the page, such as \['a\|x\|1', 'a\|y\|1', 'b\|x\|1'\]"),
    "nan": (dict(values=with_((0, 1), np.nan)), "1 values of mean are not finite numbers"),
    "infinity": (dict(values=with_((slice(0, 2), 1), np.inf)), "2 values of mean are not finite numbers"),
    "nothing predicted": (dict(values=np.full((3, 3), np.nan)), "predicts no condition: all of mean is NaN"),
    "no mean": (dict(values=None), r"has neither layers\['mean'\] nor X; give predicted means \(conditions, genes\)"),
    "negative variance": (layers(variance=with_((0, 0), -1)), "1 values of variance are not finite numbers from 0"),
    "infinite split mean": (layers(mean_split=with_((0, 0), np.inf)), "1 values of mean_split are not finite numbers"),
    "name of a floor": (dict(uns={"model": {"name": "floor"}}), "Two predictions are called 'floor'; rename the file"),
    "name of the ceiling": (dict(uns={"model": {"name": "half_duplicate"}}), "Two predictions are called 'half_duplicate'"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_does_not_fit_the_page_is_refused_by_name_and_nothing_is_written(
    root, tmp_path, given, message
):
    path = own(tmp_path / "mine.h5ad", **given)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message) as caught:
        score_beside_floors(path, "by-hand")
    assert "Two predictions" in str(caught.value) or str(path) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_coordinates_of_another_space_are_refused_with_both_shapes(root, tmp_path):
    path = own(tmp_path / "mine.h5ad", obsm={"coordinates": np.zeros((3, 4, 2))})
    with pytest.raises(ShapeError, match=r"coordinates are \(3, 4, 2\), expected \(conditions, cells, 1\)"):
        score_beside_floors(path, "by-hand")


def test_a_file_that_is_not_there_is_refused(root, tmp_path):
    with pytest.raises(
        InputError, match=r"mine.h5ad does not exist. Give the folder of a bundle, or an .h5ad"
    ):
        score_beside_floors(tmp_path / "mine.h5ad", "by-hand")


def test_a_file_that_is_no_hdf5_is_refused(root, tmp_path):
    (tmp_path / "mine.h5ad").write_text("gene,value\n")
    with pytest.raises(InputError, match=r"mine.h5ad is not an .h5ad \(HDF5\) file. Is it whole"):
        score_beside_floors(tmp_path / "mine.h5ad", "by-hand")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_file_cut_short_anywhere_is_refused(root, tmp_path, share):
    whole = own(tmp_path / "mine.h5ad").read_bytes()
    (tmp_path / "mine.h5ad").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(
        InputError, match="mine.h5ad (cannot be read as .h5ad; it may be truncated|is not an .h5ad)"
    ):
        score_beside_floors(tmp_path / "mine.h5ad", "by-hand")


def test_an_hdf5_file_that_is_no_anndata_is_refused(root, tmp_path):
    with h5py.File(tmp_path / "mine.h5ad", "w") as file:
        file["numbers"] = [1, 2, 3]
    with pytest.raises(InputError, match="mine.h5ad cannot be read as .h5ad; .* or another kind of file"):
        score_beside_floors(tmp_path / "mine.h5ad", "by-hand")


def test_a_single_file_needs_a_page(root, tmp_path):
    with pytest.raises(InputError, match="is a single file: name the page it predicts with --page"):
        score_beside_floors(own(tmp_path / "mine.h5ad"))


def test_a_page_without_a_bundle_is_refused_with_those_that_have_one(root, tmp_path):
    with pytest.raises(
        InputError, match="Page 'kang' has no bundle. Name a page with --page; deposited: by-hand"
    ):
        score_beside_floors(own(tmp_path / "mine.h5ad"), "kang")


def test_a_bundle_of_another_page_is_refused(root, tmp_path):
    mine = write_bundle(bundle(of_cells()), tmp_path / "mine")
    with pytest.raises(InputError, match="is a bundle of page 'by-hand', not of 'kang'"):
        score_beside_floors(mine, "kang")


@pytest.mark.parametrize("lost", ["truth.h5ad", "everything"])
def test_a_folder_without_truth_is_refused(root, tmp_path, lost):
    mine = write_bundle(bundle(of_cells()), tmp_path / "mine")
    if lost == "everything":
        shutil.rmtree(mine)
        mine.mkdir()
    else:
        (mine / lost).unlink()
    with pytest.raises(
        InputError, match="truth.h5ad does not exist; a bundle needs truth.h5ad and one .h5ad per model"
    ):
        score_beside_floors(mine)


def test_a_folder_with_a_broken_manifest_is_refused(root, tmp_path):
    mine = write_bundle(bundle(of_cells()), tmp_path / "mine")
    (mine / "manifest.json").write_text("{")
    with pytest.raises(PerturbookError, match="manifest.json is not a readable manifest"):
        score_beside_floors(mine)


def test_a_file_taken_from_a_bundle_of_ours_is_refused_beside_itself_and_scored_once_renamed(root, tmp_path):
    ours = truth_folder("by-hand") / "floor.h5ad"
    with pytest.raises(InputError, match="Two predictions are called 'floor'; rename the file, and uns"):
        score_beside_floors(ours, "by-hand")
    assert len(read_bundle(truth_folder("by-hand")).predictions) == 1
