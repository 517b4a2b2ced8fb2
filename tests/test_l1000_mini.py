"""Every number of the L1000 extract that its specification states."""

import anndata
import numpy as np
import pandas as pd
import pytest
from conftest import load_or_skip

from perturbook.data import fetch, load, pseudobulk
from perturbook.data.molecules import canonical, inchikey14
from perturbook.evaluation.mean_profile import r2_mean

TWICE = ["curcumin", "dexamethasone", "manumycin-a", "parthenolide", "sirolimus"]


@pytest.fixture(scope="module")
def l1000():
    return load_or_skip("l1000-mini")


@pytest.fixture(scope="module")
def origin(l1000):
    return anndata.read_h5ad(*fetch("l1000-mini"))


@pytest.fixture(scope="module")
def profiles(l1000):
    return pseudobulk(l1000)


def test_profiles_genes_plates_and_controls(l1000):
    assert l1000.shape == (681, 978)
    control = l1000.obs["is_control"]
    assert control.sum() == 20 and (~control).sum() == 661
    assert l1000.obs["replicate"].value_counts().sort_index().to_dict() == {
        "CPC006_HT115_6H_X1": 338,
        "CPC006_HT115_6H_X2": 343,
    }
    assert l1000.obs.loc[control, "replicate"].value_counts().sort_index().tolist() == [9, 11]
    assert set(l1000.obs["context"]) == {"HT115"} and set(l1000.obs["kind"]) == {"drug"}
    assert (l1000.obs["time_h"] == 6).all()


def test_values_are_dense_log_intensities_as_in_the_file_with_a_cap(l1000, origin):
    assert type(l1000.X) is np.ndarray and l1000.X.dtype == np.float32
    np.testing.assert_array_equal(l1000.X, origin.X)
    assert (l1000.X.min(), l1000.X.max()) == (pytest.approx(2.4149, abs=1e-4), 15.0)
    assert (l1000.X == 15).sum() == 1123 and np.isfinite(l1000.X).all()


def test_there_are_no_counts_and_it_says_so(l1000):
    assert l1000.uns["value_kind"] == "log_intensity" and not l1000.layers
    assert l1000.obs["n_counts"].isna().all() and "No counts" in l1000.uns["origin"]["recovered"]


def test_doses_are_those_of_the_usable_column(l1000, origin):
    dose, control = l1000.obs["dose_um"], l1000.obs["is_control"]
    assert (dose[control] == 0).all()
    assert set(origin.obs.loc[control.to_numpy(), "pert_dose"]) == {-666}
    assert dose[~control].nunique() == 52
    assert (dose[~control].min(), dose.max()) == (0.04, 177.6) and (dose == 10).sum() == 342


def test_349_drugs_by_name_in_354_conditions_although_there_are_354_structures(l1000, origin):
    treated = l1000.obs[~l1000.obs["is_control"]]
    assert treated["perturbation"].nunique() == 349
    replicates = treated.groupby(["perturbation", "dose_um"], observed=True).size()
    assert len(replicates) == 354 and replicates.value_counts().to_dict() == {2: 304, 1: 49, 4: 1}
    assert origin.obs["SMILES"].nunique() == 355
    assert origin.obs.loc[~l1000.obs["is_control"].to_numpy(), "SMILES"].nunique() == 354


def test_every_structure_parses_and_each_drug_has_one_row(l1000, origin):
    table = l1000.uns["perturbations"]
    assert list(table.columns) == ["smiles", "parent_smiles", "inchikey14"]
    assert len(table) == 350 and set(table.index) == set(l1000.obs["perturbation"])
    assert (table.drop(index="control") != "").all(axis=None) and (table.loc["control"] == "").all()
    assert all(canonical(smiles) for smiles in origin.obs["SMILES"].unique())


def test_five_drugs_have_two_structures_that_differ_in_stereochemistry_only(l1000, origin):
    found = origin.obs.groupby("pert_iname", observed=True)["SMILES"].unique()
    assert sorted(found.index[found.map(len) > 1]) == TWICE
    for name in TWICE:
        one, other = (canonical(smiles) for smiles in found[name])
        kept = l1000.uns["perturbations"].loc[name, "smiles"]
        assert inchikey14(one) == inchikey14(other) == l1000.uns["perturbations"].loc[name, "inchikey14"]
        assert kept in (one, other) and len(kept) == max(len(one), len(other))


def test_349_names_are_347_structures(l1000):
    drugs = l1000.uns["perturbations"].drop(index="control")
    shared = drugs[drugs["inchikey14"].duplicated(keep=False)].groupby("inchikey14").groups.values()
    assert len(drugs) == 349 and drugs["inchikey14"].nunique() == 347
    assert {frozenset(names) for names in shared} == {
        frozenset({"tipifarnib", "tipifarnib-P2"}),
        frozenset({"BRD-K61053657", "TH02453-036-P1"}),
    }


def test_the_structure_that_is_kept_does_not_depend_on_the_order_of_rows(l1000, origin):
    from perturbook.data.l1000_mini import _structures

    names = l1000.obs["perturbation"].astype(str)[::-1]
    again = _structures(names, origin.obs["SMILES"].astype(str)[::-1])
    pd.testing.assert_frame_equal(again, l1000.uns["perturbations"])


def test_the_pairing_of_the_file_crosses_plates(l1000, origin):
    partner = origin.obs["paired_control_index"].astype(str)
    plate = l1000.obs["replicate"].astype(str)
    assert (plate == plate[partner].to_numpy()).mean() == pytest.approx(0.504, abs=5e-4)
    treated = ~l1000.obs["is_control"].to_numpy()
    assert set(origin.obs.loc[treated, "demo_split"]) == {"test"}


def test_nineteen_drugs_are_in_the_table_of_sciplex3_too(l1000):
    other = {name.lower() for name in load_or_skip("sciplex3-drugs").index} - {"control"}
    assert len({name.lower() for name in l1000.obs["perturbation"].cat.categories} & other) == 19


def test_replicates_agree_little(l1000):
    x = l1000.X.astype(float)
    plate, control = l1000.obs["replicate"].to_numpy(), l1000.obs["is_control"].to_numpy()
    delta = np.full_like(x, np.nan)
    for one in np.unique(plate):
        delta[plate == one] = x[plate == one] - x[(plate == one) & control].mean(axis=0)
    keys = l1000.obs["perturbation"].astype(str) + "|" + l1000.obs["dose_um"].astype(str)
    rows = pd.Series(np.flatnonzero(~control)).groupby(keys[~control].to_numpy()).agg(list)
    pairs = rows[rows.map(len) == 2]
    assert len(pairs) == 304
    agreement = [np.corrcoef(delta[one], delta[other])[0, 1] for one, other in pairs]
    assert np.median(agreement) == pytest.approx(0.156, abs=2e-3)


def test_floors_of_the_conditions(l1000, profiles):
    control = profiles.obs["is_control"].to_numpy()
    truth = profiles.mean[~control]
    assert len(truth) == 354
    no_change = r2_mean(truth, np.repeat(profiles.mean[control], 354, axis=0))
    assert [no_change.mean(), np.median(no_change)] == pytest.approx([0.836, 0.913], abs=2e-3)
    treated = l1000.X[~l1000.obs["is_control"].to_numpy()].mean(axis=0, dtype=float)
    assert r2_mean(truth, np.tile(treated, (354, 1))).mean() == pytest.approx(0.853, abs=2e-3)


def test_preparing_again_gives_the_same_object_which_can_be_written_and_read(l1000, tmp_path):
    again = load("l1000-mini")
    again.write_h5ad(tmp_path / "one.h5ad")
    for other in (again, load(tmp_path / "one.h5ad")):
        np.testing.assert_array_equal(other.X, l1000.X)
        pd.testing.assert_frame_equal(other.obs, l1000.obs)
        pd.testing.assert_frame_equal(other.uns["perturbations"], l1000.uns["perturbations"])
