"""`perturbook embed`: a reader's own file by one command, gone on with after a kill, refused in one message."""

import os
import subprocess
import sys

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from small_book import ENVIRONMENT
from test_cli import call

from perturbook.models import embed
from perturbook.models.scgpt import Sizes, load, random_backbone, save

KEY = "X_scGPT"


@pytest.fixture
def perturbook(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *words: call(*words, monkeypatch=monkeypatch, capsys=capsys)


@pytest.fixture
def own(tmp_path):
    """A folder with a checkpoint and a reader's file that holds more than cells and genes."""
    save(
        random_backbone(Sizes(43, embsize=16, nheads=2, d_hid=16, nlayers=2, pad_id=40), seed=7),
        tmp_path / "model",
    )
    counts = np.random.default_rng(0).poisson(1.0, (30, 40)).astype(np.float32)
    cells = AnnData(sp.csr_matrix(counts), layers={"raw": sp.csr_matrix(counts + 1)})
    cells.obs_names, cells.var_names = [f"cell{i}" for i in range(30)], [f"GENE{i}" for i in range(40)]
    cells.obs["donor"] = pd.Categorical(["a", "b"] * 15)
    cells.obsm["X_umap"], cells.uns["made"] = counts[:, :2], {"by": "a reader"}
    cells.write_h5ad(tmp_path / "my.h5ad")
    return tmp_path


def expected(own, **options):
    return embed(anndata.read_h5ad(own / "my.h5ad"), load(own / "model"), **options).obsm[KEY]


def test_one_command_writes_a_copy_with_the_embedding_and_says_so_in_one_line(perturbook, own):
    before = (own / "my.h5ad").read_bytes()
    code, out, err = perturbook("embed", "my.h5ad", "--backbone", "model", "--out", "made.h5ad")
    assert code == 0, err
    assert out == (
        "scGPT (model): 30 cells, 16 numbers each, from X; 40 of 40 genes known (100.0%), 0 left out; "
        "0 cells without a known gene, 0 empty; seed 0, ties seeded.\n"
    )
    assert "30/30" in err
    assert (own / "my.h5ad").read_bytes() == before
    made, source = anndata.read_h5ad(own / "made.h5ad"), anndata.read_h5ad(own / "my.h5ad")
    np.testing.assert_array_equal(made.obsm[KEY], expected(own))
    assert made.uns[KEY]["said"] + "\n" == out and made.uns["made"] == {"by": "a reader"}
    np.testing.assert_array_equal(made.obsm["X_umap"], source.obsm["X_umap"])
    assert made.obs.equals(source.obs) and (made.layers["raw"] != source.layers["raw"]).nnz == 0
    assert sorted(path.name for path in own.iterdir()) == ["made.h5ad", "model", "my.h5ad"]


def test_layer_seed_and_symbols_are_passed_on(perturbook, own):
    source = anndata.read_h5ad(own / "my.h5ad")
    source.var["hugo"], source.var_names = source.var_names, [f"ENSG{i:011d}" for i in range(40)]
    source.write_h5ad(own / "ids.h5ad")
    words = [
        "--backbone",
        "model",
        "--out",
        "made.h5ad",
        "--layer",
        "raw",
        "--seed",
        "4",
        "--symbols",
        "hugo",
    ]
    code, out, err = perturbook("embed", "ids.h5ad", *words)
    assert code == 0, err
    found = anndata.read_h5ad(own / "made.h5ad")
    np.testing.assert_array_equal(found.obsm[KEY], expected(own, layer="raw", seed=4))
    assert list(found.var) == ["hugo"] and "layers['raw']" in out and "seed 4" in out


def test_ensembl_ids_with_a_usual_column_of_symbols_are_recognised_and_it_is_said(perturbook, own):
    source = anndata.read_h5ad(own / "my.h5ad")
    source.var["feature_name"], source.var_names = source.var_names, [f"ENSG{i:011d}" for i in range(40)]
    source.write_h5ad(own / "ids.h5ad")
    code, out, err = perturbook("embed", "ids.h5ad", "--backbone", "model", "--out", "made.h5ad")
    assert code == 0, err
    assert "Symbols from var['feature_name']" in out
    found = anndata.read_h5ad(own / "made.h5ad")
    np.testing.assert_array_equal(found.obsm[KEY], expected(own))
    assert list(found.var) == ["feature_name"] and found.uns[KEY]["said"] + "\n" == out


def test_a_fitted_backbone_embeds_the_file_it_is_fitted_on(perturbook, own):
    code, out, _ = perturbook("embed", "my.h5ad", "--backbone", "pca", "--out", "made.h5ad")
    assert code == 0 and out.startswith("PCA: 30 cells, 29 numbers each")
    found, source = anndata.read_h5ad(own / "made.h5ad"), anndata.read_h5ad(own / "my.h5ad")
    np.testing.assert_array_equal(found.obsm["X_pca"], embed(source, "pca").obsm["X_pca"])


def test_a_file_of_the_barest_kind_is_enough(perturbook, own):
    source = anndata.read_h5ad(own / "my.h5ad")
    source.write_h5ad(own / "bare.h5ad")
    with h5py.File(own / "bare.h5ad", "r+") as file:
        for group in ("obsm", "uns", "layers", "varm", "obsp", "varp"):
            file.pop(group, None)
    code, _, err = perturbook("embed", "bare.h5ad", "--backbone", "model", "--out", "made.h5ad")
    assert code == 0, err
    np.testing.assert_array_equal(anndata.read_h5ad(own / "made.h5ad").obsm[KEY], expected(own))


# the second time


def test_nothing_that_is_there_is_replaced_but_knowingly(perturbook, own):
    words = ["embed", "my.h5ad", "--backbone", "model", "--out", "made.h5ad"]
    assert perturbook(*words)[0] == 0
    code, out, err = perturbook(*words)
    assert (code, out) == (1, "") and "made.h5ad is there already" in err and "--overwrite" in err
    assert perturbook(*words, "--overwrite", "--seed", "1")[0] == 0
    np.testing.assert_array_equal(anndata.read_h5ad(own / "made.h5ad").obsm[KEY], expected(own, seed=1))
    again = ["embed", "made.h5ad", "--backbone", "model", "--out", "again.h5ad"]
    code, _, err = perturbook(*again)
    assert code == 1 and "obsm['X_scGPT'] is there already" in err and not (own / "again.h5ad").exists()
    assert perturbook(*again, "--overwrite")[0] == 0
    np.testing.assert_array_equal(anndata.read_h5ad(own / "again.h5ad").obsm[KEY], expected(own))


KILLED = """
import os, sys
from perturbook import cli
from perturbook.models.backbones import cells_read
from perturbook.models.backbones.scgpt_backbone import ScGPTBackbone
cells_read.BLOCK, encode, blocks = 8, ScGPTBackbone.encode, []
def dying(self, cells):
    blocks.append(cells)
    if len(blocks) == int(os.environ["DIE_AT"]):
        os._exit(9)
    return encode(self, cells)
ScGPTBackbone.encode = dying
sys.argv = ["perturbook", "embed", "my.h5ad", "--backbone", "model", "--out", "made.h5ad", *sys.argv[1:]]
try:
    cli.main()
finally:
    sys.stderr.write(f"computed {len(blocks)} blocks")
"""


@pytest.mark.slow
def test_the_same_command_goes_on_after_a_kill_and_another_is_refused(own):
    def run(die_at, *words):
        return subprocess.run(
            [sys.executable, "-c", KILLED, *words],
            cwd=own,
            env=ENVIRONMENT
            | {"DIE_AT": str(die_at), "OMP_NUM_THREADS": str(os.environ.get("OMP_NUM_THREADS", 2))},
            capture_output=True,
            text=True,
        )

    assert run(3).returncode == 9
    assert not (own / "made.h5ad").exists() and (own / "made.h5ad.parts").is_dir()
    other = run(0, "--seed", "1")
    assert other.returncode == 1 and "made.h5ad.parts holds blocks of another run" in other.stderr
    assert "computed 0 blocks" in other.stderr and "Traceback" not in other.stderr
    done = run(0)
    assert done.returncode == 0 and "computed 2 blocks" in done.stderr  # of four
    np.testing.assert_allclose(anndata.read_h5ad(own / "made.h5ad").obsm[KEY], expected(own), atol=1e-6)
    assert sorted(path.name for path in own.iterdir()) == ["made.h5ad", "model", "my.h5ad"]


# one message for every mistake


def truncated(own):
    whole = (own / "my.h5ad").read_bytes()
    (own / "my.h5ad").write_bytes(whole[: len(whole) // 2])
    return "my.h5ad cannot be read as .h5ad; it may be truncated"


def text(own):
    (own / "my.h5ad").write_text("cells")
    return "my.h5ad is not an .h5ad (HDF5) file"


def gone(own):
    (own / "my.h5ad").unlink()
    return "There is no file my.h5ad"


def other_hdf5(own):
    with h5py.File(own / "my.h5ad", "w") as file:
        file["numbers"] = [1, 2]
    return "my.h5ad cannot be read as .h5ad"


def without_x(own):
    with h5py.File(own / "my.h5ad", "r+") as file:
        del file["X"]
    return "There is no matrix X"


def damaged_values(own):
    with h5py.File(own / "my.h5ad", "r+") as file:
        stored = file["X/data"][:]
        stored[5] = np.nan
        file["X/data"][:] = stored
    return "X has values that are not finite"


def unknown_genes(own):
    source = anndata.read_h5ad(own / "my.h5ad")
    source.var_names = [f"ENSG{i:011d}" for i in range(40)]
    source.write_h5ad(own / "my.h5ad")
    return "are Ensembl ids; name the var column that holds gene symbols"


def empty_cells(own):
    source = anndata.read_h5ad(own / "my.h5ad")
    values = source.X.toarray()
    values[3] = 0
    source.X = sp.csr_matrix(values)
    source.write_h5ad(own / "my.h5ad")
    return "1 empty, of 30: 'cell3'"


def no_checkpoint(own):
    (own / "model" / "args.json").unlink()
    return "args.json is missing"


@pytest.mark.parametrize(
    "spoil",
    [truncated, text, gone, other_hdf5, without_x, damaged_values, unknown_genes, empty_cells, no_checkpoint],
)
def test_a_file_that_cannot_be_embedded_is_one_message_and_leaves_no_file(perturbook, own, spoil):
    message = spoil(own)
    before = {path.name for path in own.iterdir()}
    code, out, err = perturbook("embed", "my.h5ad", "--backbone", "model", "--out", "made.h5ad")
    assert (code, out) == (1, "") and message in err and err.startswith("perturbook: ")
    assert "Traceback" not in err
    assert {path.name for path in own.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "my.h5ad"], "my.h5ad is the file that is read; it is never written to"),
        (["--out", "./model/../my.h5ad", "--overwrite"], "is the file that is read"),
        (["--out", "made.csv"], "made.csv is not named as one"),
        (["--out", "nowhere/made.h5ad"], "There is no folder nowhere"),
        (["--out", "made.h5ad", "--layer", "spliced"], "There is no layer 'spliced'; there are raw"),
        (["--out", "made.h5ad", "--symbols", "hugo"], "var has no column 'hugo'"),
        (["--out", "made.h5ad", "--device", "nowhere"], "cannot be moved to device 'nowhere'"),
    ],
)
def test_a_mistake_in_the_command_is_one_message_and_leaves_no_file(perturbook, own, words, message):
    before = {path.name for path in own.iterdir()}
    code, out, err = perturbook("embed", "my.h5ad", "--backbone", "model", *words)
    assert (code, out) == (1, "") and message in err and "Traceback" not in err
    assert {path.name for path in own.iterdir()} == before


def test_an_unknown_backbone_is_told_those_that_are(perturbook, own):
    code, _, err = perturbook("embed", "my.h5ad", "--backbone", "smal", "--out", "made.h5ad")
    assert code == 1 and "Unknown backbone 'smal'. Known: hvg, pca, random, scvi, small" in err


def test_a_folder_of_zarr_is_told_how_to_become_a_file(perturbook, own):
    (own / "my.zarr").mkdir()
    code, _, err = perturbook("embed", "my.zarr", "--backbone", "model", "--out", "made.h5ad")
    assert code == 1 and "read_zarr(...).write_h5ad(...)" in err


def test_cells_without_a_known_gene_get_rows_of_nan_when_asked(perturbook, own):
    empty_cells(own)
    code, out, _ = perturbook("embed", "my.h5ad", "--backbone", "model", "--out", "made.h5ad", "--undefined")
    assert code == 0 and "1 empty" in out
    assert np.flatnonzero(np.isnan(anndata.read_h5ad(own / "made.h5ad").obsm[KEY]).all(axis=1)).tolist() == [
        3
    ]


def test_a_copy_that_cannot_be_completed_leaves_nothing_at_its_place(perturbook, own, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("perturbook.models.backbones.embed_file.write_elem", full)
    code, _, err = perturbook("embed", "my.h5ad", "--backbone", "model", "--out", "made.h5ad")
    assert code == 1 and "made.h5ad cannot be written: No space left on device" in err
    assert sorted(path.name for path in own.iterdir()) == ["made.h5ad.parts", "model", "my.h5ad"]
    monkeypatch.undo()
