"""Gene labels: every convention in circulation comes out in one way, and nothing else is touched."""

import numpy as np
import pytest

from perturbook.data.gene_labels import genes_of, normalise
from perturbook.errors import InputError

KNOWN = ["KLF1", "SET", "HLA-A", "AC_1", "MAPK1"]


def test_genes_of_a_canonical_label():
    assert genes_of("control") == () and genes_of("KLF1") == ("KLF1",)
    assert genes_of("KLF1+SET") == ("KLF1", "SET")


@pytest.mark.parametrize(
    ("label", "canonical"),
    [
        ("SET+KLF1", "KLF1+SET"),
        ("KLF1 + SET", "KLF1+SET"),
        ("SET_KLF1", "KLF1+SET"),
        ("SET,KLF1", "KLF1+SET"),
        ("SET, KLF1", "KLF1+SET"),
        ("SET+KLF1+MAPK1", "KLF1+MAPK1+SET"),
        ("SET_KLF1_MAPK1", "KLF1+MAPK1+SET"),
        ("KLF1+ctrl", "KLF1"),
        ("ctrl+KLF1", "KLF1"),
        ("KLF1_ctrl", "KLF1"),
        ("KLF1,control", "KLF1"),
        ("KLF1+KLF1", "KLF1"),
        ("ctrl", "control"),
        ("ctrl+ctrl", "control"),
        ("control", "control"),
        ("Control", "control"),
        ("non-targeting", "control"),
        ("", "control"),
        (" ", "control"),
        (" KLF1 ", "KLF1"),
    ],
)
def test_conventions_in_circulation_become_one(label, canonical):
    assert normalise([label], KNOWN).tolist() == [canonical]


@pytest.mark.parametrize(
    "label", ["KLF1", "HLA-A", "AC_1", "KLF1_UNKNOWN", "UNKNOWN,KLF1", "IFN-beta", "Unknown_name", "a|b"]
)
def test_everything_else_stays_as_it_is(label):
    assert normalise([label], KNOWN).tolist() == [label]


def test_a_plus_splits_symbols_that_are_not_known():
    assert normalise(["B9+A1"], []).tolist() == ["A1+B9"]


def test_labels_keep_their_order_and_canonical_ones_do_not_change():
    labels = ["SET+KLF1", "ctrl", "MAPK1", "SET+KLF1"]
    once = normalise(labels, KNOWN)
    assert once.tolist() == ["KLF1+SET", "control", "MAPK1", "KLF1+SET"]
    assert normalise(once, KNOWN).tolist() == once.tolist()
    assert normalise([], KNOWN).shape == (0,)


@pytest.mark.parametrize("missing", [None, np.nan, 3])
def test_a_missing_label_is_not_taken_for_a_control(missing):
    with pytest.raises(InputError, match="1 of 2 perturbation labels are missing or no text"):
        normalise(["KLF1", missing], KNOWN)
