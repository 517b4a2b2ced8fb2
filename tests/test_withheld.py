"""Bulk profiles are the origin's own data: their means are not deposited, their predictions and scores are."""

from dataclasses import replace

import numpy as np
from hand_made_bundle import truth

from perturbook.evaluation import Bundle, Predicted, read_bundle, write_bundle
from perturbook.evaluation.bundle import read_truth, write_truth
from perturbook.evaluation.withheld import must_withhold, withheld, withhold


def bulk():
    return replace(truth(), facts={**truth().facts, "value_kind": "log_intensity"})


def test_intensities_are_withheld_and_counts_are_not():
    assert must_withhold(bulk()) and not must_withhold(truth())


def test_no_measured_number_survives_and_every_label_does(tmp_path):
    write_truth(withhold(bulk()), tmp_path / "truth.h5ad")
    kept = read_truth(tmp_path)
    assert withheld(kept) and not withheld(bulk())
    assert kept.obs.index.equals(bulk().obs.index) and (kept.genes == bulk().genes).all()
    for name in ("mean", "variance", "halves", "coordinates", "loadings", "centroid", "pca_mean"):
        assert np.isnan(np.asarray(getattr(kept, name), dtype=float)).all(), name
    assert all(np.isnan(kept.controls[name]).all() for name in ("mean", "mean_a", "mean_b", "halves"))
    assert all((positions == -1).all() for positions in kept.deg.values())


def test_a_bundle_with_a_withheld_truth_still_reads_its_predictions(tmp_path):
    one = Predicted("mine", "Mine", "model", mean=bulk().mean)
    write_bundle(Bundle(withhold(bulk()), [one]), tmp_path / "b")
    read = read_bundle(tmp_path / "b").predictions[0]
    assert read.name == "mine" and np.allclose(read.mean, bulk().mean, atol=1e-3)
