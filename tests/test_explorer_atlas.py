"""The atlas of the concept explorer: its numbers by hand, its tables as they were written, its deposits whole."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from perturbook import data
from perturbook.concepts.gene_sets import Library
from perturbook.concepts.linear_encoder import LinearEncoder
from perturbook.errors import ConfigError, InputError
from perturbook.explorer import atlas as atlas_file
from perturbook.explorer import make_atlas as making
from perturbook.explorer.feature_genes import other_examples
from perturbook.explorer.feature_table import activity, best_labels, entries, groups, near, stability
from perturbook.explorer.feature_terms import leading_edge, terms
from perturbook.explorer.recipe import Recipe
from perturbook.explorer.rounding import digits
from perturbook.explorer.subject import Subject
from perturbook.pages import explorer_deposit
from perturbook.pages.explorer_atlases import ATLASES, FOLDER

GENES, PLANTED = 40, 8
SMALL = Recipe(width=12, k=2, passes=8, prototypes=8, controls=6)


def subject_of(n=200, encoder=True, labels=("batch", "type")):
    """Cells of two kinds in two batches; the first genes are high in kind "a", and the encoder sums them in its first number."""
    rng = np.random.default_rng(0)
    kind = np.repeat(["a", "b"], n // 2)
    counts = rng.poisson(1.0, (n, GENES)).astype(np.float32)
    counts[kind == "a", :PLANTED] += rng.poisson(4.0, (n // 2, PLANTED))
    matrix = rng.normal(0, 0.05, (4, GENES))
    matrix[0, :PLANTED] += 1
    cells = AnnData(
        sp.csr_matrix(counts),
        obs=pd.DataFrame(
            {"type": kind, "batch": np.tile(["x", "y"], n // 2)}, index=[f"c{i}" for i in range(n)]
        ),
    )
    cells.var_names = [f"GENE{i}" for i in range(GENES)]
    linear = LinearEncoder(matrix)
    z = linear.embed(np.arange(GENES), counts).numpy().astype(np.float32)
    return Subject(cells, sp.csr_matrix(np.log1p(counts)), labels, z, Float32(linear) if encoder else None)


class Float32:
    """A linear encoder with embeddings in the precision of an autoencoder."""

    def __init__(self, of):
        self.of, self.width, self.identity = of, of.width, of.identity
        self.most_genes = self.mask_value = None

    def read(self, counts):
        return self.of.read(counts)

    def embed(self, *given):
        return self.of.embed(*given).float()

    def swapped(self, *given):
        return self.of.swapped(*given).float()


@pytest.fixture(scope="module")
def libraries():
    sets = {f"SET{i}": [f"GENE{j}" for j in range(i, i + 12)] for i in (0, 14, 26)}
    return [Library("planted", "0" * 64, sets)]


@pytest.fixture(scope="module")
def made(libraries):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "NEURONS", 4)
        about = {"title": "Planted", "backbone": "linear", "data": "planted", "notes": [], "simulated": True}
        subject = subject_of()
        return making.make_atlas("planted", about | {"manifest": {}}, subject, SMALL, libraries), subject


def test_four_digits_are_kept_and_what_is_undefined_stays_so():
    assert digits([0.123456, 12345.6, -0.00098765, 0.0]).tolist() == [0.1235, 12350.0, -0.0009876, 0.0]
    assert np.isnan(digits([np.nan])[0]) and np.isinf(digits([np.inf])[0])


def test_activity_counts_the_cells_above_zero_and_an_empty_feature_has_no_mean():
    codes = np.array([[2.0, 0.0], [0.0, 0.0], [4.0, 0.0], [0.0, 0.0]])
    table = activity(["x", "y"], codes)
    assert table.loc["x"].tolist() == [2, 0.5, 3.0, 4.0]
    assert table.loc["y", "active"] == 0 and table.loc["y", ["mean_code", "largest_code"]].isna().all()
    assert entries(["x", "y"], codes).to_numpy().tolist() == [["x", 0, 2.0], ["x", 2, 4.0]]


def test_groups_give_the_share_of_active_cells_and_quartiles_of_their_codes():
    subject = subject_of(8)
    codes = np.array([[1.0], [2.0], [3.0], [0.0], [0.0], [0.0], [0.0], [5.0]])
    rows = groups(["x"], codes, subject).set_index("value")
    assert rows.loc["a", ["cells", "active", "share"]].tolist() == [4, 3, 0.75]
    assert rows.loc["a", ["lower", "median", "upper"]].tolist() == [1.5, 2.0, 2.5]
    assert rows.loc["b", ["cells", "active", "share", "median"]].tolist() == [4, 1, 0.25, 5.0]


def test_the_best_label_is_chosen_on_validation_cells_and_its_f1_is_of_test_cells():
    subject = subject_of()
    kind = subject.adata.obs["type"].to_numpy(str)
    codes = np.zeros((len(kind), 2))
    codes[(kind == "a"), 0] = 1
    codes[(subject.part == "test") & (kind == "b"), 0] = 1  # no validation cell can know of this
    best = best_labels(["x", "silent"], codes, subject)
    assert best.loc["x", ["label", "value"]].tolist() == ["type", "a"]
    assert best.loc["x", "f1"] == pytest.approx(2 / 3, abs=1e-4)
    assert best.loc["silent", "label"] == "" and np.isnan(best.loc["silent", "f1"])


def test_stability_is_one_where_another_seed_found_the_same_atoms_in_another_order():
    atoms = np.random.default_rng(0).normal(size=(5, 8))
    np.testing.assert_allclose(stability(atoms, [atoms[::-1] * 3]), 1)
    turned = np.eye(4)[[0, 1]]
    np.testing.assert_allclose(stability(turned, [turned, np.eye(4)[[0, 2]]]), [1, 0.5])
    assert np.isnan(stability(atoms, [])).all()


def test_the_nearest_feature_is_that_with_the_largest_cosine_and_never_itself():
    found = near(["x", "y", "z"], np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]))
    assert found[found["uid"] == "x"][["other", "cosine"]].to_numpy().tolist() == [["y", 0.8], ["z", 0.0]]


def test_a_leading_edge_ends_where_the_running_sum_is_largest():
    ordered = pd.Series([5.0, 4.0, 3.0, 2.0, 1.0], list("abcde"))
    assert leading_edge(ordered, {"a", "b", "e"}) == "a;b"
    assert leading_edge(pd.Series([0.0, 0.0], ["a", "b"]), {"a"}) == ""


def test_a_planted_set_leads_and_a_library_without_a_fitting_set_is_left_out(libraries):
    scores = pd.Series(np.linspace(1, -1, GENES), [f"GENE{i}" for i in range(GENES)])
    too_small = Library("tiny", "0" * 64, {"S": ["GENE0", "GENE1"]})
    table, count, null = terms(scores, -scores, pd.Series(0.5, scores.index), [*libraries, too_small])
    own = table[table["by"] == "attribution"]
    assert own.iloc[0]["term"] == "SET0" and own.iloc[0]["fdr"] < 0.05 <= 0.05 + null
    assert count >= 1 and set(table["library"]) == {"planted"}
    assert table[table["by"] == "de"].iloc[0]["term"] == "SET26"
    nothing, count, null = terms(scores, scores, pd.Series(0.5, scores.index), [too_small])
    assert len(nothing) == 0 and count == 0 and np.isnan(null)


def test_middle_and_random_examples_are_active_cells_that_are_no_prototypes():
    codes = np.r_[np.arange(30.0), 0, 0]
    rows = other_examples(codes, {29, 28}, 0)
    middle = [row[1] for row in rows if row[0] == "middle"]
    assert middle[:2] == [15, 14] or middle[:2] == [14, 15] or middle[0] in (14, 15)
    assert all(codes[row[1]] > 0 and row[1] not in (28, 29) for row in rows)
    assert len({row[1] for row in rows}) == len(rows) == 20


def test_the_planted_genes_carry_the_feature_that_the_planted_cells_activate(made):
    atlas, _ = made
    features = atlas.tables["features"].set_index("uid")
    told = features[(features["status"] == "attributed") & (features["value"] == "a")]
    best = told["f1"].idxmax()
    genes = atlas.tables["genes"]
    mine = genes[genes["uid"] == best].sort_values("attribution", ascending=False)
    planted = {f"GENE{i}" for i in range(PLANTED)}
    assert len(planted & set(mine["gene"].head(PLANTED))) >= PLANTED - 2
    assert set(mine.sort_values("de", ascending=False)["gene"].head(4)) <= planted
    cutoffs = atlas.tables["cutoffs"]
    falling = cutoffs[cutoffs["uid"] == best]["genes"].to_numpy()
    assert (np.diff(falling) <= 0).all() and falling[0] <= features.loc[best, "tested"]


def test_every_table_agrees_with_the_codes(made):
    atlas, subject = made
    codes, features = atlas.tables["codes"], atlas.tables["features"].set_index("uid")
    counts = codes.groupby("uid").size().reindex(features.index).fillna(0)
    assert (counts == features["active"]).all() and (codes["code"] > 0).all()
    shown = atlas.tables["examples"].merge(codes, on=["uid", "cell"], suffixes=("", "_stored"))
    assert len(shown) == len(atlas.tables["examples"])
    assert (shown["code"] == shown["code_stored"]).all()
    top = atlas.tables["examples"].query("stratum == 'top' and counterfactual >= 0")
    active = set(zip(codes["uid"], codes["cell"], strict=True))
    assert len(top) and not active & set(zip(top["uid"], top["counterfactual"], strict=True))
    batch = subject.adata.obs["batch"].to_numpy(str)
    assert (batch[top["cell"]] == batch[top["counterfactual"]]).all()  # pairs agree in the first label
    assert {"train"} == set(subject.part[top["cell"]]) == set(subject.part[top["counterfactual"]])


def test_a_swap_shows_the_values_of_both_cells(made):
    atlas, subject = made
    swaps, examples = atlas.tables["swaps"], atlas.tables["examples"]
    other = examples.query("stratum == 'top'").set_index(["uid", "cell"])["counterfactual"]
    assert len(swaps)
    for row in swaps.sample(20, random_state=0).itertuples():
        gene = subject.adata.var_names.get_loc(row.gene)
        assert row.before == subject.adata.X[row.cell, gene]
        assert row.after == subject.adata.X[other[row.uid, row.cell], gene]


def test_an_embedding_without_its_encoder_has_de_and_says_why_it_has_no_attribution(libraries):
    atlas = making.make_atlas("own", {}, subject_of(encoder=False, labels=()), SMALL, libraries)
    features = atlas.tables["features"]
    assert features["status"].str.contains("without its encoder").all() and (features["tested"] == 0).all()
    assert atlas.tables["genes"]["de"].notna().all() and atlas.tables["genes"]["attribution"].isna().all()
    assert len(atlas.tables["swaps"]) == len(atlas.tables["terms"]) == len(atlas.tables["groups"]) == 0


def test_an_atlas_comes_back_as_it_was_written_and_another_seed_is_another_artefact(made, tmp_path):
    atlas, _ = made
    back = atlas_file.read(atlas_file.write(atlas, tmp_path / "planted"))
    assert back.name == "planted" and back.about["artefact_hash"] == atlas.about["artefact_hash"]
    for name, table in atlas.tables.items():
        pd.testing.assert_frame_equal(back.tables[name], table, check_dtype=False)
    assert atlas_file.artefact_hash("w", ["c"], ["f"]) != atlas_file.artefact_hash("v", ["c"], ["f"])


def test_a_damaged_atlas_is_refused_by_name(made, tmp_path):
    folder = atlas_file.write(made[0], tmp_path / "planted")
    genes = (folder / "genes.parquet").read_bytes()
    (folder / "genes.parquet").write_bytes(genes[:100])
    with pytest.raises(InputError, match="planted is no whole atlas"):
        atlas_file.read(folder)
    pd.read_parquet(folder / "near.parquet").to_parquet(folder / "genes.parquet")
    with pytest.raises(InputError, match="Table genes of atlas planted has columns uid, other, cosine"):
        atlas_file.read(folder)
    (folder / "genes.parquet").write_bytes(genes)
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps(about | {"format": 99}))
    with pytest.raises(InputError, match="has format 99, expected 1"):
        atlas_file.read(folder)


def test_an_unknown_atlas_is_refused_before_anything_is_made():
    with pytest.raises(ConfigError, match="Unknown atlas 'kang-large'. Known: kang-small"):
        list(explorer_deposit.make(["kang-large"]))


@pytest.mark.parametrize("name", ATLASES)
def test_a_deposited_atlas_is_of_the_data_set_that_the_book_has(name):
    atlas = atlas_file.read(FOLDER / name)
    features = atlas.tables["features"].set_index("uid")
    assert atlas.about["manifest"]["data"][ATLASES[name][0]] == data.checksum(ATLASES[name][0])
    assert len(atlas.tables["cells"]) == atlas.about["cells"]
    np.testing.assert_allclose(features["share"], features["active"] / atlas.about["cells"], rtol=1e-3)
    counts = atlas.tables["codes"].groupby("uid").size().reindex(features.index, fill_value=0)
    assert (counts == features["active"]).all()
    assert {"sae", "neuron"} == set(features["arm"]) and features.index.is_unique
    assert (features["status"] == "attributed").sum() >= 20
