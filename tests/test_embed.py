"""`embed`: the reference's numbers, whatever the batch, order, storage or interruption; and one clear error before computing."""

import shutil
from pathlib import Path

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData

from perturbook.errors import ConfigError, InputError, ShapeError
from perturbook.models import embed
from perturbook.models.backbones import cells_read, kept_blocks
from perturbook.models.backbones.scgpt_backbone import ScGPTBackbone
from perturbook.models.scgpt import Sizes, load, random_backbone, save

A = Path(__file__).parent / "fixtures" / "scgpt" / "A"
KEY = "X_scGPT"
GENES = 80


@pytest.fixture(scope="module")
def model():
    return random_backbone(Sizes(GENES + 3, embsize=16, nheads=2, d_hid=16, nlayers=2, pad_id=GENES), seed=1)


def make_cells(n=70, most=6):
    """Counts with ties, 1 to 60 of 80 genes expressed, so that lengths differ."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, most, (n, GENES)) * (rng.random((n, GENES)) < rng.uniform(0.02, 0.75, (n, 1)))
    counts[:, 7] = rng.integers(1, most, n)
    cells = AnnData(sp.csr_matrix(counts.astype(np.float32)))
    cells.obs_names, cells.var_names = [f"cell{i}" for i in range(n)], [f"GENE{i}" for i in range(GENES)]
    return cells


@pytest.fixture
def cells():
    return make_cells()


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 16 cells, so that 70 cells are five."""
    monkeypatch.setattr(cells_read, "BLOCK", 16)


def vectors(cells, backbone, **options):
    return embed(cells.copy(), backbone, **options).obsm[KEY]


class Stub:
    """A backbone that gives the sum of a cell, and counts what it was asked."""

    name, title, key, width, identity = "stub", "Stub", KEY, 1, "stub"
    genes = tuple(f"GENE{i}" for i in range(GENES))

    def __init__(self, die_at=None):
        self.blocks, self.die_at = 0, die_at

    def encode(self, cells):
        self.blocks += 1
        if self.blocks == self.die_at:
            raise KeyboardInterrupt
        return np.asarray(cells.X.sum(axis=1), dtype=np.float32).reshape(-1, 1)


# the reference


@pytest.mark.parametrize("weights", ["best_model.pt", "best_model_flash_keys.pt"])
def test_embeddings_are_those_of_the_reference(weights):
    found = embed(anndata.read_h5ad(A / "embed_input.h5ad"), load(A, weights=weights)).obsm[KEY]
    np.testing.assert_allclose(found, np.load(A / "embed_data.npz")["X_scGPT"], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert found.dtype == np.float32


# one cell, one embedding


@pytest.mark.parametrize("size", [1, 3, 64])
def test_the_size_of_a_batch_changes_nothing_but_rounding(cells, model, size, small_blocks):
    np.testing.assert_allclose(vectors(cells, model, batch_size=size), vectors(cells, model), atol=1e-6)


def test_neither_order_of_cells_nor_of_genes_nor_other_cells_change_an_embedding(cells, model):
    expected, rng = vectors(cells, model), np.random.default_rng(1)
    rows, columns = rng.permutation(70), rng.permutation(GENES)
    np.testing.assert_allclose(vectors(cells[rows], model), expected[rows], atol=1e-6)
    np.testing.assert_allclose(vectors(cells[:, columns], model), expected, atol=1e-6)
    np.testing.assert_allclose(vectors(cells[rows[:9]], model), expected[rows[:9]], atol=1e-6)


def test_threads_blocks_and_torchs_own_seed_change_nothing(cells, model, monkeypatch):
    expected, threads = vectors(cells, model), torch.get_num_threads()
    monkeypatch.setattr(cells_read, "BLOCK", 16)
    torch.manual_seed(99)
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        found = vectors(cells, model)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_generators_of_torch_and_numpy_are_left_as_they_were(cells, model):
    legacy = np.random.mtrand._rand  # the generator behind the functions of numpy.random
    before = torch.get_rng_state(), legacy.get_state()[1].copy()
    embed(cells, model)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(legacy.get_state()[1], before[1])


def test_a_new_seed_moves_cells_with_ties_and_no_other(cells, model):
    free = cells.copy()
    free.X.data = np.random.default_rng(0).random(free.X.nnz).astype(np.float32)
    genes = np.diff(free.X.indptr)
    moved = np.abs(vectors(cells, model, seed=0) - vectors(cells, model, seed=1)).max(axis=1)
    assert (genes > 8).sum() > 50 and (moved[genes > 8] > 1e-4).all()  # of 8 counts up to 5 some are equal
    moved = np.abs(vectors(free, model, seed=0) - vectors(free, model, seed=1)).max(axis=1)
    assert (moved[genes > 1] < 1e-6).all()  # a single value has nothing to rank
    np.testing.assert_array_equal(
        vectors(cells, model, ties="one"), vectors(cells, model, ties="one", seed=1)
    )


def test_the_seed_of_a_finished_backbone_holds_unless_another_is_given(cells, model):
    made = ScGPTBackbone(model, seed=5)
    np.testing.assert_array_equal(vectors(cells, made), vectors(cells, model, seed=5))
    np.testing.assert_array_equal(vectors(cells, made, seed=0), vectors(cells, model))


def test_a_long_cell_is_cut_to_the_same_genes_in_any_company(cells, model):
    cut = vectors(cells, model, max_length=10)
    np.testing.assert_allclose(vectors(cells[[3]], model, max_length=10), cut[[3]], atol=1e-6)
    assert np.abs(cut - vectors(cells, model)).max() > 1e-3


def test_padding_does_not_reach_a_cell(cells, model):
    lengths = np.diff(cells.X.indptr)
    pair = [int(lengths.argmin()), int(lengths.argmax())]
    assert lengths[pair[1]] > 10 * lengths[pair[0]]
    together = vectors(cells[pair], model, tokens_per_batch=10_000)
    alone = [vectors(cells[[one]], model) for one in pair]
    np.testing.assert_allclose(together, np.vstack(alone), atol=1e-6)


def test_a_model_in_training_mode_embeds_as_in_evaluation_and_stays_in_training(cells, model):
    expected = vectors(cells, model)
    model.train()
    try:
        np.testing.assert_array_equal(vectors(cells, model), expected)
        assert model.training
    finally:
        model.eval()


def test_half_precision_is_close_and_has_an_identity_of_its_own(cells, model):
    found = embed(cells.copy(), model, precision="bfloat16")
    np.testing.assert_allclose(found.obsm[KEY], vectors(cells, model), atol=3e-2)
    assert found.uns[KEY]["identity"] != embed(cells, model).uns[KEY]["identity"]


# where the values lie


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array])
def test_storage_in_memory_or_on_disk_changes_nothing(cells, model, kind, tmp_path):
    expected = vectors(cells, model)
    stored = AnnData(kind(cells.X.toarray()), obs=cells.obs, var=cells.var)
    np.testing.assert_array_equal(vectors(stored, model), expected)
    stored.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    np.testing.assert_array_equal(embed(backed, model).obsm[KEY], expected)
    assert backed.isbacked
    assert ("read whole" in backed.uns[KEY]["said"]) == (kind is sp.csc_matrix)
    backed.file.close()


def test_values_are_read_in_blocks_and_each_of_them_twice(cells, small_blocks):
    class Watched:
        shape, dtype = cells.X.shape, cells.X.dtype
        read = []

        def __getitem__(self, rows):
            self.read.append(cells.X[rows].shape[0])
            return cells.X[rows]

    class Lazy:
        X, layers, obs, var, uns = Watched(), {}, cells.obs, cells.var, {}
        obsm, shape, obs_names, var_names = {}, cells.shape, cells.obs_names, cells.var_names
        is_view = isbacked = False

    embed(Lazy(), Stub())
    assert Watched.read == [16, 16, 16, 16, 6] * 2


def test_a_layer_is_read_where_one_is_named(cells, model):
    other = cells.copy()
    other.layers["counts"], other.X = cells.X, sp.csr_matrix(cells.shape)
    np.testing.assert_array_equal(vectors(other, model, layer="counts"), vectors(cells, model))
    with pytest.raises(InputError, match=r"no layer 'raw'; there are counts"):
        embed(other, model, layer="raw")


def test_symbols_may_stand_in_a_column(cells, model):
    other = cells.copy()
    other.var["symbol"] = cells.var_names
    other.var_names = [f"ENSG{i:011d}" for i in range(GENES)]
    np.testing.assert_array_equal(vectors(other, model, symbols="symbol"), vectors(cells, model))
    with pytest.raises(InputError, match="var has no column 'name'; it has symbol"):
        embed(other, model, symbols="name")


def test_the_cells_given_are_changed_in_obsm_and_uns_alone(cells, model):
    cells.X.data[3] = 0  # stored, and not to be removed from the reader's matrix
    before = cells.copy()
    assert embed(cells, model) is cells
    np.testing.assert_array_equal(cells.X.data, before.X.data)
    np.testing.assert_array_equal(cells.X.indices, before.X.indices)
    assert (list(cells.obsm), list(cells.uns)) == ([KEY], [KEY])
    assert cells.obs.equals(before.obs) and cells.var.equals(before.var)


def test_a_view_becomes_an_object_of_its_own_and_one_of_a_backed_file_is_refused(
    cells, model, tmp_path, recwarn
):
    view = cells[:5]
    assert embed(view, model) is view and not view.is_view and not cells.obsm
    assert not recwarn.list
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    with pytest.raises(ConfigError, match="take it into memory"):
        embed(backed[:5], model)
    backed.file.close()


# the report


def test_the_report_counts_genes_and_cells_and_says_it_in_one_line(cells, model, tmp_path):
    cells.var_names = [*cells.var_names[:-20], *(f"OTHER{i}" for i in range(20))]
    values = cells.X.toarray()
    values[4], values[5], values[6] = 0, 0, 0
    values[6, -1] = 2  # only in a gene nobody knows
    cells.X = sp.csr_matrix(values)
    embed(cells, model, undefined=True, seed=3)
    report = cells.uns[KEY]
    assert report["said"] == (
        "scGPT (random): 70 cells, 16 numbers each, from X; 60 of 80 genes known (75.0%), 20 left out; "
        "1 cells without a known gene, 2 empty; seed 3, ties seeded."
    )
    assert (report["matched_genes"], report["matched_share"]) == (60, 0.75)
    assert report["dropped_genes"].tolist() == [f"OTHER{i}" for i in range(20)]
    assert (report["cells_without_known_gene"], report["empty_cells"]) == (1, 2)
    assert (report["backbone"], report["seed"], report["ties"], report["n_cells"]) == (
        "random",
        3,
        "seeded",
        70,
    )
    assert len(report["identity"]) == 64
    missing = np.isnan(cells.obsm[KEY]).all(axis=1)
    assert np.flatnonzero(missing).tolist() == [4, 5, 6] and np.isfinite(cells.obsm[KEY][~missing]).all()
    cells.write_h5ad(tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad").uns[KEY]
    assert (
        again["said"] == report["said"]
        and again["dropped_genes"].tolist() == report["dropped_genes"].tolist()
    )


def test_the_identity_changes_with_what_changes_an_embedding(model):
    one = ScGPTBackbone(model)
    others = [{"seed": 1}, {"ties": "one"}, {"max_length": 20}, {"precision": "bfloat16"}]
    found = [ScGPTBackbone(model, **options).identity for options in [{}, *others, {"batch_size": 3}]]
    assert len(set(found)) == 5 and found[0] == found[-1] == one.identity


def test_progress_is_shown_on_stderr_when_asked_and_never_else(cells, model, capfd):
    embed(cells, model)
    assert capfd.readouterr() == ("", "")
    embed(cells, model, progress=True, overwrite=True)
    out, err = capfd.readouterr()
    assert out == "" and "70/70" in err


# going on after a kill


def test_a_run_that_was_killed_goes_on_and_equals_one_that_was_not(
    cells, model, tmp_path, small_blocks, monkeypatch
):
    expected, encode, calls = vectors(cells, model), ScGPTBackbone.encode, []

    def dying(self, block):
        calls.append(block.n_obs)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(self, block)

    monkeypatch.setattr(ScGPTBackbone, "encode", dying)
    with pytest.raises(KeyboardInterrupt):
        embed(cells, model, resume=tmp_path / "run")
    assert not cells.obsm and not cells.uns
    found = vectors(cells, model, resume=tmp_path / "run")
    np.testing.assert_array_equal(found, expected)
    assert calls == [16, 16, 16] + [16, 16, 6]  # the two finished blocks are not computed again
    np.testing.assert_array_equal(vectors(cells, model, resume=tmp_path / "run"), expected)
    assert len(calls) == 6


def fault_truncate(folder):
    block = folder / "block-000001.npy"
    block.write_bytes(block.read_bytes()[:-8])


def fault_shape(folder):
    np.save(folder / "block-000001.npy", np.zeros((3, 1), np.float32))


def fault_type(folder):
    np.save(folder / "block-000001.npy", np.zeros((16, 1)))


def fault_pickle(folder):
    np.save(folder / "block-000001.npy", np.array([{}] * 16, dtype=object), allow_pickle=True)


def fault_empty(folder):
    (folder / "block-000001.npy").write_bytes(b"")


@pytest.mark.parametrize("fault", [fault_truncate, fault_shape, fault_type, fault_pickle, fault_empty])
def test_a_kept_block_that_is_not_as_it_must_be_is_computed_again(cells, tmp_path, small_blocks, fault):
    expected = vectors(cells, Stub(), resume=tmp_path)
    fault(tmp_path)
    again = Stub()
    np.testing.assert_array_equal(vectors(cells, again, resume=tmp_path), expected)
    assert again.blocks == 1


def change_name(cells):
    cells.obs_names = [*cells.obs_names[:-1], "another"]


def change_gene(cells):
    cells.var_names = [*cells.var_names[1:], cells.var_names[0]]


def change_value(cells):
    cells.X.data[0] += 1


def change_order(cells):
    cells._inplace_subset_obs(np.arange(cells.n_obs)[::-1])


@pytest.mark.parametrize("change", [change_name, change_gene, change_value, change_order])
def test_blocks_of_other_cells_are_refused(cells, tmp_path, change):
    embed(cells.copy(), Stub(), resume=tmp_path)
    change(cells)
    with pytest.raises(InputError, match=r"another run: data differs. Finish that run, or delete the folder"):
        embed(cells, Stub(), resume=tmp_path)


def test_blocks_of_another_backbone_or_seed_are_refused(cells, model, tmp_path):
    embed(cells.copy(), model, resume=tmp_path)
    with pytest.raises(InputError, match="another run: backbone, settings differ. Finish"):
        embed(cells.copy(), model, seed=1, resume=tmp_path)
    with pytest.raises(InputError, match="another run: backbone, settings, width differ"):
        embed(cells, Stub(), resume=tmp_path)


def test_a_folder_of_something_else_is_never_written_into(cells, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds thesis.txt and is not of an embedding; take a new folder"):
        embed(cells, Stub(), resume=tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        embed(cells, Stub(), resume=tmp_path / "thesis.txt")
    (tmp_path / "thesis.txt").unlink()
    (tmp_path / kept_blocks.RUN).write_text("{")
    with pytest.raises(InputError, match="cannot be read; delete"):
        embed(cells, Stub(), resume=tmp_path)


# one error, before any computing


def bad_ensembl(cells):
    cells.var_names = [f"ENSG{i:011d}" for i in range(GENES)]
    return r"0 of 80 gene names are in the vocabulary of 83 tokens, less than 50%. Names such as ENSG0+ are Ensembl ids"


def bad_species(cells):
    cells.var_names = [f"Gene{i}" for i in range(GENES)]
    return "look like mouse or rat symbols"


def bad_few(cells):
    cells.var_names = [*cells.var_names[:39], *(f"OTHER{i}" for i in range(41))]
    return "39 of 80 gene names are in the vocabulary"


def bad_cell_names(cells):
    cells.obs_names = ["cell0", *cells.obs_names[:-1]]
    return r"1 cell names \(obs index\) stand more than once: 'cell0'. Make them unique"


def bad_symbols(cells):
    cells.var_names = ["GENE0", *cells.var_names[:-1]]
    return r"1 gene symbols \(var index\) stand more than once: 'GENE0'"


def bad_negative(cells):
    cells.X[68, 7] = -1.5
    return r"X has negative values; it looks scaled or centred.* The first is -1.5 in cell 'cell68', gene 'GENE7'"


def bad_nan(cells):
    cells.X[68, 7] = np.nan
    return r"X has values that are not finite.* The first is nan in cell 'cell68', gene 'GENE7'"


def bad_infinite(cells):
    cells.X[0, 7] = np.inf
    return "The first is inf in cell 'cell0', gene 'GENE7'"


def bad_undefined(cells):
    cells.var_names = [*cells.var_names[:-1], "OTHER"]
    values = cells.X.toarray()
    values[2:5] = 0
    values[2, -1] = values[66, :] = 0
    values[66, -1] = 1
    cells.X = sp.csr_matrix(values)
    return (
        r"1 cells without a known gene, 3 empty, of 70: 'cell2', 'cell3', 'cell4' and 1 more.*undefined=True"
    )


@pytest.mark.filterwarnings("ignore:.*names are not unique")
@pytest.mark.parametrize(
    "spoil",
    [
        bad_ensembl,
        bad_species,
        bad_few,
        bad_cell_names,
        bad_symbols,
        bad_negative,
        bad_nan,
        bad_infinite,
        bad_undefined,
    ],
)
def test_what_cannot_be_embedded_is_refused_once_before_computing(
    cells, model, spoil, monkeypatch, small_blocks
):
    monkeypatch.setattr(ScGPTBackbone, "encode", lambda *_: pytest.fail("it computed before it looked"))
    with pytest.raises(InputError, match=spoil(cells)):
        embed(cells, model)
    assert not cells.obsm and not cells.uns


def test_half_of_the_genes_is_enough(cells, model):
    cells.var_names = [*cells.var_names[:40], *(f"OTHER{i}" for i in range(40))]
    embed(cells, model)
    assert cells.uns[KEY]["matched_share"] == 0.5


def test_nothing_to_embed_is_said(model):
    with pytest.raises(InputError, match="The data set is empty: 0 cells and 80 genes"):
        embed(make_cells()[:0].copy(), model)
    with pytest.raises(InputError, match="There is no matrix X"):
        embed(AnnData(obs=make_cells().obs, var=make_cells().var), model)


def test_what_stands_under_the_key_is_replaced_only_knowingly(cells, model):
    cells.obsm[KEY] = np.zeros((70, 2))
    for key in (None, KEY):
        with pytest.raises(
            ConfigError, match=r"obsm\['X_scGPT'\] is there already; give another key, or overwrite"
        ):
            embed(cells, model, key=key)
    embed(cells, model, key="X_other")
    embed(cells, model, overwrite=True)
    np.testing.assert_array_equal(cells.obsm[KEY], cells.obsm["X_other"])


def test_backbones_that_break_their_promise_are_named(cells):
    class Wrong(Stub):
        def encode(self, block):
            return np.zeros((block.n_obs, 2))

    class Endless(Stub):
        def encode(self, block):
            return np.full((block.n_obs, 1), np.inf)

    with pytest.raises(ShapeError, match=r"Stub gave \(70, 2\) for 70 cells and width 1"):
        embed(cells, Wrong())
    with pytest.raises(ShapeError, match="Stub gave 70 of 70 cells numbers that are not finite"):
        embed(cells, Endless())


def test_a_folder_is_a_backbone_and_one_that_is_no_checkpoint_is_refused(cells, model, tmp_path):
    save(model, tmp_path / "made")
    np.testing.assert_array_equal(vectors(cells, tmp_path / "made"), vectors(cells, model))
    np.testing.assert_array_equal(vectors(cells, str(tmp_path / "made")), vectors(cells, model))
    shutil.copytree(tmp_path / "made", tmp_path / "broken")
    (tmp_path / "broken" / "vocab.json").unlink()
    with pytest.raises(InputError, match="vocab.json is missing"):
        embed(cells, tmp_path / "broken")
    with pytest.raises(
        ConfigError, match=r"Unknown backbone 'smal'. Known: hvg, pca, random, scvi, small; or the path"
    ):
        embed(cells, "smal")
