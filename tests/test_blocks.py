"""What is resampled together: drugs with their doses, genes of doubles, nothing where all share one perturbation."""

import numpy as np
import pandas as pd

from perturbook.evaluation.blocks import block_of


def of(names, **more):
    return block_of(pd.DataFrame({"perturbation": names, **more}))


def test_doses_and_contexts_of_a_drug_are_one_block():
    np.testing.assert_array_equal(of(["x", "x", "y"], dose_um=[1.0, 10.0, 1.0]), ["x", "x", "y"])


def test_doubles_are_resampled_by_their_genes_and_a_single_has_one():
    np.testing.assert_array_equal(of(["A+B", "A", "B+C"]), [["A", "B"], ["A", ""], ["B", "C"]])


def test_a_plus_in_the_name_of_a_dosed_drug_makes_no_pair():
    np.testing.assert_array_equal(of(["(+)-JQ1", "x"], dose_um=[1.0, 1.0]), ["(+)-JQ1", "x"])


def test_one_perturbation_in_many_contexts_leaves_conditions_to_resample():
    assert of(["IFN-beta"] * 3, dose_um=[np.nan] * 3) is None
