"""The numbers of scanpy's small PBMC file: unperturbed, log-normalised, no counts."""

import numpy as np
import pytest

from perturbook.data import available, load


@pytest.fixture(scope="module")
def pbmc():
    assert available("pbmc68k-reduced"), "the installed scanpy ships another file than the registry knows"
    return load("pbmc68k-reduced")


def test_cells_genes_and_labels(pbmc):
    assert pbmc.shape == (700, 765)
    assert pbmc.obs["context"].value_counts().to_dict() == {
        "Dendritic": 240,
        "CD14+ Monocyte": 129,
        "CD19+ B": 95,
        "CD4+/CD25 T Reg": 68,
        "CD8+ Cytotoxic T": 54,
        "CD8+/CD45RA+ Naive Cytotoxic": 43,
        "CD56+ NK": 31,
        "CD4+/CD45RO+ Memory": 19,
        "CD34+": 13,
        "CD4+/CD45RA+/CD25- Naive T": 8,
    }


def test_every_cell_is_an_unperturbed_control(pbmc):
    assert pbmc.obs["is_control"].all() and set(pbmc.obs["kind"]) == {"none"}


def test_values_are_the_log_values_of_the_file_and_say_so(pbmc):
    assert pbmc.uns["value_kind"] == "lognorm" and "No counts" in pbmc.uns["origin"]["recovered"]
    assert pbmc.X.max() == pytest.approx(6.489)
    assert pbmc.X.min() == 0
    np.testing.assert_allclose(pbmc.X.data * 1000, np.round(pbmc.X.data * 1000), atol=1e-3)
    assert (pbmc.X != pbmc.layers["lognorm"]).nnz == 0
