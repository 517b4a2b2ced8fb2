"""The full Norman 2019 file, in the conventions its copies have: one canonical label per perturbation."""

import hand_made_full_size as hand_made
import numpy as np
import pytest

from perturbook.data import load
from perturbook.data.norman2019 import NAME, VERSIONS
from perturbook.data.origin_columns import resembles
from perturbook.errors import InputError

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*trusted on first use", "ignore:Variable names are not unique"
)
LAYOUTS = {  # control, KLF1, CEBPE, KLF1 with CEBPE, KLF1 with SET
    "scPerturb": ("perturbation", ("control", "KLF1", "CEBPE", "KLF1_CEBPE", "SET_KLF1")),
    "CPA": ("guide_ids", ("", "KLF1", "CEBPE", "KLF1,CEBPE", "KLF1,SET")),
    "GEARS": ("condition", ("ctrl", "KLF1+ctrl", "ctrl+CEBPE", "KLF1+CEBPE", "SET+KLF1")),
}


@pytest.fixture
def put(tmp_path, monkeypatch):
    return hand_made.writer(tmp_path, monkeypatch, NAME)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_convention_gives_the_same_labels(put, layout):
    column, spell = LAYOUTS[layout]
    made = hand_made.norman(spell, column)
    put(made)
    cells = load(NAME, genes=10)
    counts = cells.obs["perturbation"].value_counts().to_dict()
    assert counts == {"control": 30, "KLF1": 6, "CEBPE": 6, "CEBPE+KLF1": 6, "KLF1+SET": 6}
    assert set(cells.obs["context"]) == {"K562"} and set(cells.obs["kind"]) == {"CRISPRa"}
    assert cells.uns["origin"]["mapped"]["perturbation"] == column
    assert list(cells.obs["replicate"].cat.categories) == ["0", "1"]
    at = [list(made.var_names).index(symbol) for symbol in cells.var_names]
    np.testing.assert_array_equal(cells.X.toarray(), made.X[:, at].toarray())


def test_perturbed_genes_are_in_the_panel_and_the_one_not_measured_is_named(put):
    put(hand_made.norman(LAYOUTS["scPerturb"][1]))
    cells = load(NAME, genes=1)
    assert {"KLF1", "CEBPE"} <= set(cells.var_names) and cells.n_vars <= 3
    assert "Perturbed but not measured: SET." in cells.uns["origin"]["panel"]


def test_a_pair_that_cannot_be_told_from_one_gene_is_refused(put):
    made = hand_made.norman(("control", "KLF1", "CEBPE", "KLF1|CEBPE", "SET_KLF1"))
    put(made)
    with pytest.raises(InputError, match="norman2019: 6 cells name another number of genes.*'KLF1|CEBPE'"):
        load(NAME)


def test_cells_without_a_label_are_left_out_and_without_a_count_of_genes_kept(put):
    made = hand_made.norman(LAYOUTS["scPerturb"][1])
    made.obs.loc["cell0031", "perturbation"] = np.nan
    made.obs.loc["cell0032", "nperts"] = np.nan
    put(made)
    cells = load(NAME, genes=10)
    assert "cell0031" not in cells.obs_names and "cell0032" in cells.obs_names
    assert "1 left out by their labels" in cells.uns["origin"]["left_out"]


def test_the_sizes_of_the_public_versions_are_known():
    assert "the size of scPerturb's filtered file" in resembles(111_445, 33_694, VERSIONS)
    assert "the size of the CPA tutorial's file" in resembles(111_122, 5_044, VERSIONS)
    assert "the size of the data of the PerturbedVAE paper" in resembles(105_528, 5_000, VERSIONS)
    assert "resembles scPerturb's filtered file" in resembles(111_400, 33_694, VERSIONS)
