"""scVI as a backbone: the numbers of scvi-tools, identical whenever they are made, and files that hold no code."""

import json
import logging
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData
from safetensors.torch import load_file, save_file

from perturbook.errors import ConfigError, InputError, ShapeError
from perturbook.models.backbones.backbone import BACKBONES
from perturbook.models.backbones.scvi import ScviBackbone

GENES = [f"GENE{i}" for i in range(20)]


def make_cells(n: int = 60) -> AnnData:
    """Two types that differ in half of the genes, two batches; counts."""
    rng = np.random.default_rng(0)
    rates = np.where(np.arange(n)[:, None] % 2 == (np.arange(20)[None] < 10), 6.0, 1.0)
    cells = AnnData(sp.csr_matrix(rng.poisson(rates).astype(np.float32)))
    cells.var_names, cells.obs_names = GENES, [f"cell{i}" for i in range(n)]
    cells.obs["plate"] = np.where(np.arange(n) < n // 2, "P1", "P2")
    return cells


@pytest.fixture(scope="module")
def cells():
    return make_cells()


@pytest.fixture(scope="module")
def fitted(cells):
    return ScviBackbone.fit(cells, n_latent=4, epochs=3)


def test_the_embedding_is_the_posterior_mean_that_scvi_tools_gives(cells, fitted):
    fitted.module.eval()
    x = torch.from_numpy(cells.X.toarray())
    with torch.no_grad():
        posterior = fitted.module.inference(x, torch.zeros(len(x), 1))["qz"]
    np.testing.assert_allclose(fitted.encode(cells), posterior.loc.numpy(), atol=1e-5)
    assert fitted.encode(cells).shape == (60, fitted.width) == (60, 4)
    assert fitted.encode(cells).dtype == np.float32


def test_a_cell_is_embedded_bit_for_bit_alike_in_any_company_and_order(cells, fitted):
    together = fitted.encode(cells)
    for rows in ([5], [59, 3, 5], list(range(59, -1, -1))):
        np.testing.assert_array_equal(fitted.encode(cells[rows]), together[rows])
    many = AnnData(sp.vstack([cells.X] * 3).tocsr(), var=cells.var)  # more than one block
    np.testing.assert_array_equal(fitted.encode(many)[60:120], together)


def test_genes_are_taken_by_name_and_others_ignored(cells, fitted):
    shuffled = cells[:, ::-1].copy()
    np.testing.assert_array_equal(fitted.encode(shuffled), fitted.encode(cells))
    more = AnnData(sp.hstack([cells.X, cells.X[:, :1]]).tocsr(), obs=cells.obs)
    more.var_names = [*GENES, "OTHER"]
    np.testing.assert_array_equal(fitted.encode(more), fitted.encode(cells))


def test_one_seed_gives_one_model_and_another_seed_another(cells, fitted):
    again, other = (ScviBackbone.fit(cells, n_latent=4, epochs=3, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(again.encode(cells), fitted.encode(cells))
    assert again.identity == fitted.identity != other.identity


def test_a_fit_says_nothing_and_leaves_no_trace(cells, tmp_path, monkeypatch, capfd, recwarn):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    threads, level = torch.get_num_threads(), logging.getLogger("lightning.pytorch").level
    before = cells.copy()
    ScviBackbone.fit(cells, n_latent=2, epochs=1)
    drawn = torch.rand(1), np.random.rand()  # noqa: NPY002
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    assert (torch.rand(1), np.random.rand()) == drawn  # noqa: NPY002
    assert (torch.get_num_threads(), logging.getLogger("lightning.pytorch").level) == (threads, level)
    assert capfd.readouterr() == ("", "")
    assert not list(recwarn) and not list(tmp_path.iterdir())
    assert list(cells.obs) == list(before.obs) and list(cells.uns) == list(before.uns)


def test_more_passes_lower_the_training_loss(cells):
    loss = ScviBackbone.fit(cells, n_latent=4, epochs=25).card["train_loss"]
    assert len(loss) == 25 and loss[-1] < loss[0]


@pytest.mark.parametrize("n_cells", [2, 129])
def test_a_last_batch_of_one_cell_is_no_obstacle(n_cells):
    assert ScviBackbone.fit(make_cells(n_cells), n_latent=2, epochs=1).card["cells"] == n_cells


def test_decoding_gives_the_mean_of_the_zero_inflated_counts(cells, fitted):
    z = fitted.encode(cells)
    with torch.no_grad():
        made = fitted.module.generative(
            torch.from_numpy(z), torch.full((60, 1), float(np.log(500.0))), torch.zeros(60, 1).long()
        )["px"]
        by_hand = made.mu / (
            1 + torch.exp(made.zi_logits)
        )  # rate times the chance that a count is no dropout
    np.testing.assert_allclose(fitted.decode(z, np.full(60, 500.0)), by_hand, rtol=1e-5)


def test_the_decoded_mean_scales_with_the_library_and_is_per_10k_without_one(cells, fitted):
    z = fitted.encode(cells)[:3]
    np.testing.assert_allclose(fitted.decode(z, np.full(3, 2e4)), 2 * fitted.decode(z), rtol=1e-5)
    assert (fitted.decode(z).sum(axis=1) <= 1e4 * (1 + 1e-5)).all()


def test_the_batch_reaches_the_decoder_and_never_the_embedding(cells):
    model = ScviBackbone.fit(cells, n_latent=2, epochs=2, batch_key="plate")
    assert model.batches == ["P1", "P2"]
    z = model.encode(cells)
    other = cells.copy()
    other.obs["plate"] = "P1"
    np.testing.assert_array_equal(model.encode(other), z)
    assert not np.allclose(model.decode(z, batch="P1"), model.decode(z, batch="P2"))
    for wrong in (None, "P3"):
        with pytest.raises(InputError, match="trained on P1, P2"):
            model.decode(z, batch=wrong)


def test_a_stored_model_comes_back_bit_for_bit_and_holds_no_pickle(cells, fitted, tmp_path):
    fitted.save(tmp_path / "model")
    assert sorted(one.name for one in (tmp_path / "model").iterdir()) == ["model.safetensors", "scvi.json"]
    back = ScviBackbone.load(tmp_path / "model")
    assert (back.identity, back.genes, back.card) == (fitted.identity, fitted.genes, fitted.card)
    np.testing.assert_array_equal(back.encode(cells), fitted.encode(cells))
    np.testing.assert_array_equal(back.decode(fitted.encode(cells)), fitted.decode(fitted.encode(cells)))


def _without(state):
    state.pop("z_encoder.mean_encoder.bias")


def _beyond(state):
    state["surplus"] = torch.zeros(1)


def _turned(state):
    state["z_encoder.mean_encoder.weight"] = state["z_encoder.mean_encoder.weight"].T.contiguous()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without, "mean_encoder.bias is missing"),
        (_beyond, "surplus is not part"),
        (_turned, r"is \(128, 4\)"),
    ],
)
def test_a_tensor_missing_beyond_or_turned_is_named(fitted, tmp_path, change, message):
    fitted.save(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    change(state)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=message):
        ScviBackbone.load(tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("no json", "not the table"),
        ({"genes": None}, "lists of names"),
        (
            {"settings": {"n_hidden": 10**9, "n_layers": 1, "n_latent": 4, "gene_likelihood": "zinb"}},
            "more than",
        ),
        (
            {"settings": {"n_hidden": -1, "n_layers": 1, "n_latent": 4, "gene_likelihood": "zinb"}},
            "positive sizes",
        ),
        ({"settings": {"n_hidden": 128}}, "not the table"),
    ],
)
def test_a_table_that_is_none_or_asks_for_too_much_is_refused(fitted, tmp_path, table, message):
    fitted.save(tmp_path)
    path = tmp_path / "scvi.json"
    path.write_text(
        table if isinstance(table, str) else json.dumps({**json.loads(path.read_text()), **table})
    )
    with pytest.raises(InputError, match=message):
        ScviBackbone.load(tmp_path)


def test_weights_that_are_a_pickle_and_folders_without_files_are_refused(fitted, tmp_path):
    with pytest.raises(InputError, match="has no model.safetensors"):
        ScviBackbone.load(tmp_path)
    fitted.save(tmp_path)
    torch.save({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="not a safetensors file"):
        ScviBackbone.load(tmp_path)


@pytest.mark.parametrize(
    ("value", "message"),
    [(0.5, "not whole, such as 0.5"), (-1.0, "negative"), (np.nan, "not finite"), (np.inf, "not finite")],
)
def test_values_that_are_no_counts_are_refused_with_an_example(cells, fitted, value, message):
    broken = cells.copy()
    broken.X = broken.X.toarray()
    broken.X[0, 0] = value
    broken.uns["value_kind"] = "lognorm"
    for act in (fitted.encode, ScviBackbone.fit):
        with pytest.raises(InputError, match=message):
            act(broken)
    with pytest.raises(InputError, match="X holds lognorm"):
        fitted.encode(broken)


def test_missing_genes_are_counted_and_named(cells, fitted):
    with pytest.raises(InputError, match="2 of the 20 genes .* GENE0, GENE1"):
        fitted.encode(cells[:, 2:])


def test_doubled_genes_and_cells_without_counts_are_named(cells, fitted):
    doubled = cells.copy()
    doubled.var_names = ["GENE1", *GENES[1:]]
    with pytest.raises(InputError, match="GENE1 occurs more than once"):
        fitted.encode(doubled)
    empty = cells.copy()
    empty.X = empty.X.toarray()
    empty.X[7] = 0
    for act in (fitted.encode, ScviBackbone.fit):
        with pytest.raises(InputError, match="1 of 60 cells .* cell7"):
            act(empty)


def test_settings_that_cannot_be_are_refused(cells):
    for wrong in ({"n_latent": 0}, {"epochs": 0}):
        with pytest.raises(ConfigError, match="at least 1"):
            ScviBackbone.fit(cells, **wrong)
    with pytest.raises(ConfigError, match="two cells"):
        ScviBackbone.fit(cells[:1])
    with pytest.raises(InputError, match="no column 'donor'"):
        ScviBackbone.fit(cells, batch_key="donor")
    gaps = cells.copy()
    gaps.obs["plate"] = gaps.obs["plate"].where(np.arange(60) > 2)
    with pytest.raises(InputError, match="3 cells have no label"):
        ScviBackbone.fit(gaps, batch_key="plate")


def test_latents_and_libraries_of_another_shape_are_refused(fitted):
    with pytest.raises(ShapeError, match=r"expected \(cells, 4\)"):
        fitted.decode(np.zeros((2, 3)))
    with pytest.raises(ShapeError, match="one total per cell"):
        fitted.decode(np.zeros((2, 4)), np.ones(3))
    with pytest.raises(InputError, match="not positive"):
        fitted.decode(np.zeros((2, 4)), np.array([1.0, 0.0]))


def test_the_registry_makes_it_by_its_name(cells, fitted):
    made = BACKBONES["scvi"]
    assert (made.title, made.fitted) == ("scVI", True)
    assert made.make(cells, n_latent=4, epochs=3).identity == fitted.identity


def test_the_file_is_imported_without_scvi_tools_and_lightning():
    code = "import sys, perturbook.models.backbones.scvi; assert not {'scvi', 'lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
