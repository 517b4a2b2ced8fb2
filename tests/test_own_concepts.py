"""`perturbook concepts`: a reader's own cells by one command, whole or not at all, refused in one message."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData, read_h5ad
from test_cli import call

from perturbook.concepts.own_cells import BESIDE, own_concepts
from perturbook.concepts.parts import SHARES, parts
from perturbook.concepts.sae_artifact import load_sae
from perturbook.models.scgpt import Sizes, random_backbone, save

FEW = ("--passes", "4", "-k", "2", "--width", "24")


@pytest.fixture
def perturbook(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *words: call(*words, monkeypatch=monkeypatch, capsys=capsys)


@pytest.fixture
def cells():
    """Two types of cells that differ in one direction of an embedding of eight numbers."""
    rng = np.random.default_rng(0)
    kind = np.repeat(["a", "b"], 200)
    counts = rng.poisson(1.0, (400, 40)).astype(np.float32)
    cells = AnnData(sp.csr_matrix(counts), obs=pd.DataFrame({"type": pd.Categorical(kind)}))
    cells.obs_names, cells.var_names = (
        [f"cell{i}" for i in range(400)],
        [f"GENE{i}" for i in range(40)],
    )
    points = rng.normal(0, 0.3, (400, 8)) + 5
    points[kind == "a", 0] += 4
    cells.obsm["X_own"] = points.astype(np.float32)
    return cells


@pytest.fixture
def own(tmp_path, cells):
    cells.write_h5ad(tmp_path / "my.h5ad")
    return tmp_path


def test_parts_share_no_cell_and_have_their_shares_within_every_group():
    groups = np.repeat(["x", "y"], [100, 50])
    part = parts(groups, 1)
    counts = pd.crosstab(groups, part, normalize="index")
    assert all(counts[name].tolist() == pytest.approx([share] * 2) for name, share in SHARES.items())
    assert (part == parts(groups, 1)).all() and (part != parts(groups, 2)).any()


def test_one_command_writes_the_autoencoder_its_codes_and_its_measures(perturbook, own):
    before = (own / "my.h5ad").read_bytes()
    code, out, err = perturbook(
        "concepts", "my.h5ad", "--out", "made", "--embedding", "X_own", "--label", "type", *FEW
    )
    assert code == 0, err
    assert out.startswith(
        "made: 24 concepts of X_own, 2 active per cell, from 240 training cells; on 80 test cells"
    )
    assert (own / "my.h5ad").read_bytes() == before
    measured = pd.read_csv(own / "made" / "quality.csv").set_index("dictionary")
    assert list(measured.index) == ["sae", *BESIDE]
    assert (measured["l0"] <= 2).all() and (measured["n_cells"] == 80).all() and (measured["gamma"] > 2).all()
    told = pd.read_csv(own / "made" / "labels.csv").set_index(["dictionary", "label", "value"])
    assert told.loc[("neurons", "type", "a"), "f1_test"] > 0.95  # one coordinate tells the types
    saved = load_sae(own / "made" / "sae")
    part = pd.read_csv(own / "made" / "parts.csv").set_index("cell")["part"]
    assert set(saved.cells) == set(part.index[part == "train"])
    codes = pd.read_parquet(own / "made" / "codes.parquet")
    cells = read_h5ad(own / "my.h5ad")
    again = saved.sae.encode(cells.obsm["X_own"]).numpy()
    rows = cells.obs_names.get_indexer(codes["cell"])
    np.testing.assert_allclose(codes["code"], again[rows, codes["concept"]], rtol=1e-5)
    assert len(codes) == (again > 0).sum()


def test_the_same_cells_and_seed_give_the_same_files_and_another_seed_does_not(cells, tmp_path):
    made = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        own_concepts(cells, tmp_path / name, key="X_own", labels=["type"], width=24, k=2, passes=2, seed=seed)
        made[name] = (tmp_path / name / "quality.csv").read_bytes()
    assert made["a"] == made["b"] != made["c"]


def test_cells_without_an_embedding_are_embedded_first_into_a_copy(perturbook, own):
    tiny = random_backbone(Sizes(43, embsize=16, nheads=2, d_hid=16, nlayers=1, pad_id=40), seed=7)
    save(tiny, own / "model")
    code, out, err = perturbook("concepts", "my.h5ad", "--out", "made", "--backbone", "model", *FEW)
    assert code == 0, err
    first, second = out.splitlines()
    assert first.startswith("scGPT (model): 400 cells, 16 numbers each") and "X_scGPT" in second
    assert "X_scGPT" in read_h5ad(own / "made-embedded.h5ad").obsm
    assert not (own / "made" / "labels.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--embedding", "X_umap"), "obsm has no 'X_umap'. Embeddings: X_own."),
        (("--embedding", "X_own", "--label", "donor"), "obs has no column 'donor'. Columns: type."),
        (("--embedding", "X_own", "-k", "0"), "k"),
    ],
)
def test_a_wrong_word_is_refused_in_one_message_and_nothing_is_written(perturbook, own, words, message):
    code, _, err = perturbook("concepts", "my.h5ad", "--out", "made", *words)
    assert code == 1 and message in err and "Traceback" not in err
    assert not (own / "made").exists()


def test_a_folder_that_is_there_is_refused_before_anything_is_embedded(perturbook, own):
    (own / "made").mkdir()
    (own / "made" / "mine.txt").write_text("keep")
    code, _, err = perturbook("concepts", "my.h5ad", "--out", "made", *FEW)
    assert code == 1 and "made is there already; give another folder, or say --overwrite." in err
    assert (own / "made" / "mine.txt").read_text() == "keep" and not (own / "made-embedded.h5ad").exists()


def test_a_missing_file_is_named(perturbook, own):
    code, _, err = perturbook("concepts", "no.h5ad", "--out", "made", *FEW)
    assert code == 1 and "There is no file no.h5ad" in err


def test_few_cells_and_a_cell_without_numbers_are_refused(cells, tmp_path):
    from perturbook.errors import InputError

    with pytest.raises(InputError, match=r"obsm\['X_own'\] is \(50, 8\); an autoencoder needs 100 cells"):
        own_concepts(cells[:50].copy(), tmp_path / "made", key="X_own")
    cells.obsm["X_own"][3, 2] = np.nan
    with pytest.raises(InputError, match="1 cells have no finite"):
        own_concepts(cells, tmp_path / "made", key="X_own")
    assert not (tmp_path / "made").exists()
