"""`perturbook explorer`: a reader's own cells become a whole site by one command, or are refused in one message."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from test_cli import call

from perturbook.concepts.gradient_screen import Screen
from perturbook.data import own_files
from perturbook.explorer import atlas, make_atlas, recipe
from perturbook.explorer.recipe import Recipe
from perturbook.models.backbones.small_checkpoint import SMALL

TINY = Recipe(width=8, k=2, passes=3, prototypes=6, controls=5, screen=Screen(q=1, others=0, lead=3))


@pytest.fixture
def perturbook(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(recipe.RECIPES, "small", TINY)
    monkeypatch.setattr(make_atlas, "NEURONS", 3)
    monkeypatch.setattr(make_atlas, "SEEDS", 2)
    return lambda *words: call("explorer", *words, monkeypatch=monkeypatch, capsys=capsys)


@pytest.fixture
def cells(tmp_path):
    """Two types of 70 cells, 50 genes of the vocabulary of the checkpoint, a type with markup in its name."""
    rng = np.random.default_rng(0)
    kind = np.repeat(["a", "<b>"], 70)
    counts = rng.poisson(0.7, (140, 50)).astype(np.float32)
    counts[kind == "a", :10] += rng.poisson(3.0, (70, 10))
    made = AnnData(
        sp.csr_matrix(counts),
        obs=pd.DataFrame(
            index=[f"cell{i}" for i in range(140)], data={"type": kind, "empty": [np.nan, *"x" * 139]}
        ),
    )
    made.var_names = [gene for gene in json.loads((SMALL / "vocab.json").read_text()) if gene[:2] == "CD"][
        :50
    ]
    made.obsm["X_own"] = rng.normal(size=(140, 6)).astype(np.float32)
    made.write_h5ad(tmp_path / "my.h5ad")
    return made


@pytest.mark.slow
def test_one_command_writes_a_site_and_the_tables_behind_it(perturbook, cells, tmp_path):
    before = (tmp_path / "my.h5ad").read_bytes()
    code, out, err = perturbook("my.h5ad", "--out", "made", "--label", "type")
    assert code == 0, err
    assert out.startswith("Open made/site/index.html")
    tables = atlas.read(tmp_path / "made" / "tables")
    assert tables.about["title"] == "scGPT, small, my.h5ad" and tables.about["labels"] == ["type"]
    assert tables.about["manifest"]["data"] == {"my.h5ad": own_files.own_sha256(tmp_path / "my.h5ad")}
    features = tables.tables["features"]
    assert (features["status"] == "attributed").any() and tables.tables["genes"]["attribution"].notna().any()
    assert set(tables.tables["cells"]["type"]) == {"a", "<b>"}
    site = tmp_path / "made" / "site"
    assert (site / "index.html").is_file()
    assert "<b>" not in "".join(path.read_text() for path in site.rglob("data/**/*.js"))
    assert (tmp_path / "my.h5ad").read_bytes() == before
    assert not [path.name for path in tmp_path.iterdir() if path.name not in ("made", "my.h5ad")]


def test_the_same_seed_gives_the_same_atlas_and_an_own_embedding_has_no_genes_asked(
    perturbook, cells, tmp_path
):
    for folder in ("one", "two"):
        assert perturbook("my.h5ad", "--out", folder, "--embedding", "X_own")[0] == 0
    one, two = (atlas.read(tmp_path / folder / "tables") for folder in ("one", "two"))
    assert one.about["artefact_hash"] == two.about["artefact_hash"]
    for name, table in one.tables.items():
        pd.testing.assert_frame_equal(table, two.tables[name])
    assert one.tables["features"]["status"].str.contains("without its encoder").all()


@pytest.mark.parametrize(
    "words, said",
    [
        (["no.h5ad"], "no.h5ad"),
        (["my.h5ad", "--label", "kind"], "obs has no column 'kind'"),
        (["my.h5ad", "--label", "empty"], "has no label in 0.7 % of cells"),
        (["my.h5ad", "--embedding", "X_pca"], "obsm has no 'X_pca'. Embeddings: X_own."),
        (["my.h5ad", "--backbone", "large"], "Unknown backbone 'large'"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_message_before_any_work(
    perturbook, cells, tmp_path, words, said
):
    code, out, err = perturbook(*words, "--out", "made")
    assert code == 2 or code == 1
    assert said in err and "Traceback" not in err and len(err.strip().splitlines()) <= 2
    assert not (tmp_path / "made").exists()


def test_a_folder_that_is_there_stays_as_it_is_unless_it_may_be_replaced(perturbook, cells, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "kept.txt").write_text("mine")
    code, _, err = perturbook("my.h5ad", "--out", "made")
    assert code and "made is there already" in err and (tmp_path / "made" / "kept.txt").read_text() == "mine"


def test_few_cells_and_intensities_are_refused(perturbook, cells, tmp_path):
    cells[:50].copy().write_h5ad(tmp_path / "few.h5ad")
    assert "holds 50 cells; an explorer needs 100 or more" in perturbook("few.h5ad", "--out", "x")[2]
    cells.uns["value_kind"] = "log_intensity"
    cells.write_h5ad(tmp_path / "bulk.h5ad")
    assert "log intensities of bulk profiles" in perturbook("bulk.h5ad", "--out", "x")[2]


def test_declared_log_normalised_values_need_no_depth_and_must_not_be_negative(perturbook, cells, tmp_path):
    cells.X = sp.csr_matrix(np.log1p(cells.X.toarray() / 3))
    cells.uns["value_kind"] = "lognorm"
    cells.write_h5ad(tmp_path / "logs.h5ad")
    assert perturbook("logs.h5ad", "--out", "made", "--embedding", "X_own")[0] == 0
    assert "as declared" in atlas.read(tmp_path / "made" / "tables").about["notes"][-1]
    cells.X = cells.X - sp.csr_matrix(np.eye(140, 50, dtype=np.float32) * 9)
    cells.write_h5ad(tmp_path / "scaled.h5ad")
    code, _, err = perturbook("scaled.h5ad", "--out", "other", "--embedding", "X_own")
    assert code and "Traceback" not in err and not (tmp_path / "other").exists()
