"""Anchors of a double are what two single effects say of a gene, in whatever order the two are named."""

import numpy as np
import pytest

from perturbook.models.perturbed_vae.anchors import LEVELS, WHOLE, anchors

FIRST, SECOND, CONTROL = np.array([1.0, 0.5, -0.5, 0.0]), np.array([0.2, 1.0, 0.4, 0.05]), np.arange(4.0)


def named(made):
    return dict(zip((*LEVELS, *WHOLE), made.T, strict=True))


def test_the_anchors_by_hand():
    made = named(anchors(FIRST, SECOND, CONTROL))
    assert made["stronger"].tolist() == FIRST.tolist() and made["weaker"].tolist() == SECOND.tolist()
    assert made["product"] == pytest.approx([0.2, 0.5, -0.2, 0])
    assert made["common"] == pytest.approx([0.2, 0.5, 0, 0])
    assert made["control"].tolist() == [0, 1, 2, 3]
    norms = np.linalg.norm(FIRST), np.linalg.norm(SECOND)
    assert made["cosine"] == pytest.approx(np.full(4, 0.5 / (norms[0] * norms[1])))
    assert made["norm ratio"] == pytest.approx(np.full(4, norms[1] / norms[0]))
    assert made["agreement"] == pytest.approx(np.full(4, 1 / 3)) and made["overlap"].tolist() == [0.75] * 4


def test_the_order_of_the_two_genes_does_not_matter():
    assert np.array_equal(anchors(FIRST, SECOND, CONTROL), anchors(SECOND, FIRST, CONTROL))


def test_an_effect_that_is_none_has_no_angle_and_no_overlap():
    made = named(anchors(FIRST, np.zeros(4), CONTROL))
    assert all((made[name] == 0).all() for name in ("weaker", "product", "common", *WHOLE))
    assert np.isfinite(anchors(np.zeros(4), np.zeros(4), CONTROL)).all()
