"""The registry of backbones, and the plain ones: PCA, highly variable genes, random weights."""

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from sklearn.decomposition import PCA

from perturbook.errors import ConfigError, InputError
from perturbook.models import embed
from perturbook.models.backbones import BACKBONES, Recipe, recipe
from perturbook.models.backbones.backbone import known_genes
from perturbook.models.backbones.hvg import HighlyVariableGenes
from perturbook.models.backbones.log_expression import log_expression
from perturbook.models.backbones.pca import PCAOnHighlyVariableGenes
from perturbook.models.scgpt import Sizes, load, random_backbone, save

GENES = [f"GENE{i}" for i in range(40)]
PARTS = ("name", "title", "width", "key", "identity", "genes", "encode")


def make_cells(n=60, seed=0):
    """Counts of two types of cells that differ in the first ten genes; gene 39 is constant."""
    rng = np.random.default_rng(seed)
    rates = np.where((np.arange(n)[:, None] % 2 == 0) & (np.arange(40) < 10), 8.0, 1.5)
    counts = rng.poisson(rates)
    counts[:, 39] = 1
    cells = AnnData(sp.csr_matrix(counts.astype(np.float32)))
    cells.obs_names, cells.var_names = [f"cell{i}" for i in range(n)], GENES
    return cells


def by_hand(cells):
    counts = cells.X.toarray().astype(float)
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


@pytest.fixture
def cells():
    return make_cells()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder in the form of the shipped one."""
    model = random_backbone(Sizes(43, embsize=16, nheads=2, d_hid=16, nlayers=2, pad_id=40), seed=7)
    return save(model, tmp_path_factory.mktemp("checkpoint") / "made", card={"name": "made"})


# the registry


def test_the_backbones_are_those_of_the_book():
    assert sorted(BACKBONES) == ["hvg", "pca", "random", "scvi", "small"]
    assert {name for name, entry in BACKBONES.items() if entry.fitted} == {"hvg", "pca", "scvi"}
    assert all(isinstance(entry, Recipe) and entry.title for entry in BACKBONES.values())


@pytest.mark.parametrize("name", ["pca", "hvg", "small", "random"])
def test_what_a_recipe_makes_keeps_the_interface(name, cells, checkpoint):
    options = {} if BACKBONES[name].fitted else {"folder": checkpoint}
    made = BACKBONES[name].make(cells, **options)
    assert all(hasattr(made, part) for part in PARTS)
    assert (made.name, made.title) == (name, BACKBONES[name].title)
    found = made.encode(cells)
    assert found.shape == (60, made.width) and found.dtype == np.float32
    for rows in ([5], [59, 3, 5]):
        np.testing.assert_allclose(made.encode(cells[rows].copy()), found[rows], rtol=1e-6, atol=1e-6)
    assert made.identity == BACKBONES[name].make(cells, **options).identity


def test_embedding_by_name_writes_under_the_key_of_the_backbone(cells, checkpoint):
    for name in ("pca", "hvg"):
        embed(cells, name)
    for name in ("small", "random"):
        embed(cells, name, folder=checkpoint)
    assert sorted(cells.obsm) == ["X_hvg", "X_pca", "X_random", "X_scGPT"]
    assert [cells.uns[key]["backbone"] for key in sorted(cells.obsm)] == ["hvg", "pca", "random", "small"]


def test_options_go_to_the_backbone_and_unknown_ones_are_refused_by_name(cells, checkpoint):
    assert embed(cells, "pca", n_components=3).obsm["X_pca"].shape == (60, 3)
    assert embed(cells, "small", folder=checkpoint, ties="one").uns["X_scGPT"]["ties"] == "one"
    with pytest.raises(ConfigError, match="Backbone pca has no option ties; it has n_components, n_top"):
        embed(cells, "pca", ties="one")
    for name in ("small", "random"):
        with pytest.raises(
            ConfigError, match=f"Backbone {name} has no option n_top; it has batch_size, .*folder"
        ):
            embed(cells, name, folder=checkpoint, n_top=3)
    with pytest.raises(ConfigError, match="made has no option n_top"):
        embed(cells, load(checkpoint), n_top=3)
    with pytest.raises(ConfigError, match="pca is made already and takes no option n_top"):
        embed(cells, PCAOnHighlyVariableGenes(cells), n_top=3)
    with pytest.raises(ConfigError, match="A int is no backbone: it has no name, title"):
        embed(cells, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ties": "both"}, "ties is 'both'; expected one of seeded, one"),
        ({"seed": 0.5}, "seed is 0.5; expected a whole number"),
        ({"max_length": 1}, "max_length is 1; it must be at least 2"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"precision": "int8"}, "precision is 'int8'; expected one of float32, bfloat16"),
        ({"device": "nowhere"}, "cannot be moved to device 'nowhere'"),
    ],
)
def test_an_impossible_option_of_scgpt_is_refused(cells, checkpoint, options, message):
    with pytest.raises(ConfigError, match=message):
        embed(cells, "small", folder=checkpoint, **options)


def test_a_new_backbone_is_one_decorated_function(cells, monkeypatch):
    monkeypatch.setattr("perturbook.models.backbones.backbone.BACKBONES", type(BACKBONES)("backbone"))
    from perturbook.models.backbones import backbone

    @recipe("one", title="One", fitted=False)
    def one(cells, seed=0):
        return None

    assert backbone.BACKBONES["one"].make is one
    with pytest.raises(ConfigError, match="backbone 'one' is registered twice"):
        recipe("one", title="One", fitted=False)(one)
    with pytest.raises(ConfigError, match="Unknown backbone 'two'. Known: one"):
        backbone.BACKBONES["two"]


# random weights


def test_random_weights_have_the_sizes_and_genes_of_the_checkpoint_and_none_of_its_numbers(checkpoint):
    trained, made = load(checkpoint), BACKBONES["random"].make(None, folder=checkpoint).model
    assert (made.sizes, made.vocabulary) == (trained.sizes, trained.vocabulary)
    drawn = [name for name, one in made.named_parameters() if one.unique().numel() > 1 and "norm" not in name]
    mine, theirs = dict(made.named_parameters()), dict(trained.named_parameters())
    assert len(drawn) > 20 and not any((mine[name] == theirs[name]).all() for name in drawn)
    other = BACKBONES["random"].make(None, folder=checkpoint, weights_seed=1)
    assert other.identity != BACKBONES["random"].make(None, folder=checkpoint).identity


# PCA and highly variable genes


def test_pca_is_that_of_scikit_learn_on_log_normalised_counts(cells):
    found = embed(cells, "pca", n_components=5).obsm["X_pca"]
    expected = PCA(5, svd_solver="full").fit_transform(by_hand(cells))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    assert (np.abs(found[::2, 0].mean() - found[1::2, 0].mean())) > 3 * found[::2, 0].std()  # the types part


def test_a_fitted_backbone_embeds_cells_it_has_not_seen(cells):
    made, unseen = PCAOnHighlyVariableGenes(cells, n_components=4), make_cells(seed=1)
    found = embed(unseen, made).obsm["X_pca"]
    fitted = PCA(4, svd_solver="full").fit(by_hand(cells))
    np.testing.assert_allclose(found, fitted.transform(by_hand(unseen)), atol=1e-3)
    shuffled = unseen[:, ::-1].copy()
    np.testing.assert_allclose(embed(shuffled, made, overwrite=True).obsm["X_pca"], found, atol=1e-5)


def test_components_are_no_more_than_cells_and_genes_allow():
    assert PCAOnHighlyVariableGenes(make_cells(n=4)).width == 3
    assert PCAOnHighlyVariableGenes(make_cells(), n_top=6).width == 6
    with pytest.raises(InputError, match="at least two cells; there are 1"):
        PCAOnHighlyVariableGenes(make_cells(n=1))
    for wrong, message in (({"n_components": 0}, "n_components is 0"), ({"n_top": 0}, "n_top is 0")):
        with pytest.raises(ConfigError, match=message):
            PCAOnHighlyVariableGenes(make_cells(), **wrong)


def test_highly_variable_genes_are_those_that_vary_for_their_mean_and_their_values_stay():
    rng = np.random.default_rng(0)
    rates = np.tile(np.r_[np.arange(1, 11), rng.uniform(0.5, 11, 290)], (200, 1))
    rates[::2, :10] *= 1.9
    rates[1::2, :10] *= 0.1  # so that each of the first ten keeps a mean that other genes have too
    many = AnnData(sp.csr_matrix(rng.poisson(rates).astype(np.float32)))
    many.var_names = [f"GENE{i}" for i in rng.permutation(300)]
    made = HighlyVariableGenes(many, n_top=25)
    assert made.width == 25 and set(range(10)) <= set(made.top)
    np.testing.assert_allclose(made.encode(many), by_hand(many)[:, made.top], rtol=1e-5)
    turned = HighlyVariableGenes(many[:, ::-1].copy(), n_top=25)
    assert {turned.genes[i] for i in turned.top} == {made.genes[i] for i in made.top}


def test_of_two_genes_that_vary_alike_the_first_by_symbol_is_kept_in_any_order_of_genes():
    twice = sp.hstack([make_cells(n=100).X] * 2).tocsr()
    pairs = AnnData(twice)
    pairs.var_names = [f"G{i:02d}" for i in np.random.default_rng(0).permutation(80)]
    kept = []
    for cells in (pairs, pairs[:, ::-1].copy()):
        made = HighlyVariableGenes(cells, n_top=21)  # odd, so that it parts a pair
        kept.append(sorted(made.genes[i] for i in made.top))
    assert kept[0] == kept[1] and len(kept[0]) == 21


def test_all_genes_are_kept_where_there_are_no_more(cells):
    assert HighlyVariableGenes(cells, n_top=40).width == HighlyVariableGenes(cells).width == 40
    assert HighlyVariableGenes(cells, n_top=39).width == 39


def test_a_missing_gene_of_a_fitted_backbone_is_named(cells):
    made = HighlyVariableGenes(cells)
    with pytest.raises(InputError, match=r"1 of the 40 genes of Highly variable genes are missing: 'GENE3'"):
        embed(cells[:, [i for i in range(40) if i != 3]].copy(), made)
    more = AnnData(sp.hstack([cells.X, cells.X[:, :1]]).tocsr(), obs=cells.obs)
    more.var_names = [*GENES, "OTHER"]
    assert known_genes(made, more.var_names).tolist() == [True] * 40 + [False]
    np.testing.assert_array_equal(embed(more, made).obsm["X_hvg"], made.encode(cells))


# the values they look at


def test_the_total_is_that_of_the_data_set_where_it_is_declared(cells):
    cells.obs["n_counts"] = 2 * np.asarray(cells.X.sum(axis=1)).ravel()
    plain = log_expression(cells, GENES).toarray()
    np.testing.assert_allclose(plain, by_hand(cells), rtol=1e-6)  # undeclared, the column may mean anything
    cells.uns["value_kind"] = "counts"
    np.testing.assert_allclose(
        np.expm1(log_expression(cells, GENES).toarray()), np.expm1(plain) / 2, rtol=1e-5
    )
    halved = embed(cells.copy(), "hvg").obsm["X_hvg"]
    np.testing.assert_allclose(np.expm1(halved), np.expm1(plain) / 2, rtol=1e-5)


def test_declared_logarithms_are_taken_as_they_stand_and_undeclared_fractions_refused(cells):
    logs = cells.copy()
    logs.X = sp.csr_matrix(by_hand(cells).astype(np.float32))
    with pytest.raises(
        InputError, match=r"values are not whole, so they are no counts. Name a layer of counts"
    ):
        embed(logs.copy(), "hvg")
    logs.layers["lognorm"], logs.uns["value_kind"] = logs.X.copy(), "lognorm"
    expected = embed(cells, "hvg").obsm["X_hvg"]
    np.testing.assert_allclose(embed(logs.copy(), "hvg").obsm["X_hvg"], expected, rtol=1e-6)
    del logs.uns["value_kind"]
    np.testing.assert_allclose(embed(logs, "hvg", layer="lognorm").obsm["X_hvg"], expected, rtol=1e-6)


def test_an_empty_cell_has_no_row_and_is_not_fitted_on(cells):
    values = cells.X.toarray()
    values[3] = 0
    spoiled = AnnData(sp.csr_matrix(values), obs=cells.obs, var=cells.var)
    with pytest.raises(InputError, match="0 cells without a known gene, 1 empty, of 60: 'cell3'"):
        embed(spoiled, "pca")
    rest = [i for i in range(60) if i != 3]
    found = embed(spoiled, "pca", undefined=True).obsm["X_pca"]
    assert np.isnan(found[3]).all()
    np.testing.assert_array_equal(found[rest], embed(cells[rest].copy(), "pca").obsm["X_pca"])
