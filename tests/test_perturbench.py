"""Every number of the two parts of the PerturBench file that their specification states."""

import anndata
import numpy as np
import pandas as pd
import pytest
from conftest import load_or_skip

from perturbook.data import fetch, load, pseudobulk
from perturbook.data.gene_labels import genes_of
from perturbook.data.recovered_counts import counts_of_smallest
from perturbook.evaluation.mean_profile import r2_mean

NORMAN, MCFALINE = "norman2019-mini", "mcfaline2023-mini"
SINGLES = "FOXO4 HK2 IER5L KLF1 KMT2A MAP2K3 MAP2K6 MAP3K21 MAP4K3 MAP4K5 MAPK1 MIDN NIT1 PLK4 SGK1 SLC38A2 TGFBR2 TMSB4X"
DOUBLES = """BPGM+SAMD1 CBL+CNN1 CEBPE+RUNX1T1 CNN1+MAPK1 FOXL2+HOXB9 KLF1+MAP2K6 KLF1+TGFBR2 MAP2K3+MAP2K6
    MAP2K3+SLC38A2 MAPK1+TGFBR2 PTPN12+PTPN9 PTPN12+SAMD1 KLF1+SET SGK1+TBX3 PTPN12+ZBTB10"""
LINES = {
    "A172": [100, 100, 85, 94, 88, 68, 100, 46, 100, 69],
    "T98G": [100, 78, 71, 100, 95, 84, 88, 71, 100, 84],
    "U87MG": [100, 85, 61, 86, 95, 95, 86, 60, 100, 97],
}


@pytest.fixture(scope="module")
def norman():
    return load_or_skip(NORMAN)


@pytest.fixture(scope="module")
def mcfaline():
    return load_or_skip(MCFALINE)


@pytest.fixture(scope="module")
def origin(norman):
    return anndata.read_h5ad(*fetch(NORMAN))


@pytest.fixture(scope="module")
def means(norman):
    profiles = pseudobulk(norman)
    return pd.DataFrame(profiles.mean, index=profiles.obs["perturbation"], columns=profiles.genes)


def row_sums(adata):
    return np.asarray(adata.X.sum(axis=1, dtype=float)).ravel()


def of_origin(origin, adata):
    """The origin's own values of the cells and genes of `adata`, and the normalising totals they imply."""
    x = origin[adata.obs_names, adata.var_names].X.tocsr()
    x.sort_indices()
    return x, counts_of_smallest(x, adata.obs_names, "the origin")[1]


def test_norman_has_3375_cells_250_genes_and_the_stated_labels(norman):
    assert norman.shape == (3375, 250)
    expected = dict.fromkeys([*SINGLES.split(), *DOUBLES.split(), "control"], 100)
    expected |= {"PLK4": 95, "FOXL2+HOXB9": 80}
    assert len(expected) == 1 + 18 + 15
    assert norman.obs["perturbation"].value_counts().to_dict() == expected
    assert set(norman.obs["context"]) == {"K562"} and set(norman.obs["kind"]) == {"CRISPRa"}


def test_norman_has_five_doubles_with_both_singles_and_three_with_one(norman):
    labels = norman.obs["perturbation"].cat.categories
    have = {pair: [gene for gene in genes_of(pair) if gene in labels] for pair in DOUBLES.split()}
    assert [pair for pair, singles in have.items() if len(singles) == 2] == [
        "KLF1+MAP2K6",
        "KLF1+TGFBR2",
        "MAP2K3+MAP2K6",
        "MAP2K3+SLC38A2",
        "MAPK1+TGFBR2",
    ]
    assert {pair for pair, singles in have.items() if len(singles) == 1} == {
        "SGK1+TBX3",
        "CNN1+MAPK1",
        "KLF1+SET",
    }


def test_the_dose_of_the_file_counts_guides_and_is_not_kept(origin, norman, mcfaline):
    guides = origin.obs.loc[norman.obs_names, "dose"].astype(str)
    assert guides.value_counts().to_dict() == {"1": 1895, "1+1": 1480}
    pairs = norman.obs["perturbation"].astype(str).str.contains("+", regex=False)
    assert ((guides == "1+1") == pairs).all()
    for adata in (norman, mcfaline):
        assert (adata.obs.loc[adata.obs["is_control"], "dose_um"] == 0).all()
        assert adata.obs.loc[~adata.obs["is_control"], "dose_um"].isna().all()


def test_mcfaline_has_2586_cells_438_genes_and_the_whole_table_of_lines(mcfaline):
    assert mcfaline.shape == (2586, 438)
    table = pd.crosstab(mcfaline.obs["context"], mcfaline.obs["perturbation"])
    genes = ["MAP2K3", "MAP2K6", "MAP3K21", "MAP4K3", "MAP4K5", "MAPK1", "PLK4", "SGK1", "TGFBR2"]
    assert table[["control", *genes]].T.to_dict("list") == LINES and table.shape == (3, 10)
    assert table.sum(axis=1).to_dict() == {"A172": 850, "T98G": 871, "U87MG": 865}
    assert set(mcfaline.obs["kind"]) == {"CRISPRi"}


def test_genes_that_were_not_measured_are_left_out_of_each_part(origin, norman, mcfaline):
    assert origin.shape == (5961, 500) and origin.var["highly_variable"].all()
    one, other = set(norman.var_names), set(mcfaline.var_names)
    assert len(one & other) == 236 and 500 - len(one | other) == 48
    for adata in (norman, mcfaline):
        assert (adata.X.getnnz(axis=0) > 0).all()
        assert list(adata.var_names) == [gene for gene in origin.var_names if gene in set(adata.var_names)]


def test_controls_of_four_contexts_are_not_one_control(origin, norman, mcfaline):
    assert (origin.obs["condition"] == "control").sum() == 400
    assert norman.obs["is_control"].sum() == 100
    assert mcfaline.obs.loc[mcfaline.obs["is_control"], "context"].value_counts().tolist() == [100] * 3


def test_one_gene_has_an_old_name_in_the_raw_labels(origin, norman, mcfaline):
    raw = origin.obs["perturbation_raw"] == "KIAA1804"
    assert raw.sum() == 380
    both = pd.concat([norman.obs["perturbation"].astype(str), mcfaline.obs["perturbation"].astype(str)])
    assert set(both[origin.obs_names[raw]]) == {"MAP3K21"} and (both == "MAP3K21").sum() == 380
    assert "KIAA1804" not in set(both)


def test_of_31_perturbed_genes_one_is_measured(norman, mcfaline):
    targets = {gene for label in norman.obs["perturbation"].cat.categories for gene in genes_of(label)}
    targets |= {gene for label in mcfaline.obs["perturbation"].cat.categories for gene in genes_of(label)}
    assert len(targets) == 31
    assert targets & set(norman.var_names) == targets & set(mcfaline.var_names) == {"TMSB4X"}


def test_norman_counts_are_exact(norman):
    total = row_sums(norman)
    assert total.sum() == 510_299 and norman.uns["value_kind"] == "counts_recovered"
    assert (total.min(), np.median(total), total.max()) == (10, 126, 875)
    assert np.median(norman.X.getnnz(axis=1)) == 15
    smallest = pd.Series([row.data.min() for row in norman.X], index=norman.obs_names)
    assert set(smallest.index[smallest != 1]) == {"TTTATGCTCAAACAAG-4", "GATCGCGTCTATCCCG-8"}
    assert set(smallest[smallest != 1]) == {2}


def test_the_totals_agree_with_the_depth_of_the_file_in_norman_only(origin, norman, mcfaline):
    shares = {}
    for adata in (norman, mcfaline):
        _, total = of_origin(origin, adata)
        shares[adata.uns["origin"]["name"]] = total / adata.obs["n_counts"]
    assert shares[NORMAN].agg(["min", "max"]).tolist() == pytest.approx([0.9824, 0.9974], abs=1e-4)
    assert shares[MCFALINE].agg(["min", "median", "max"]).tolist() == pytest.approx(
        [0.356, 0.867, 0.986], abs=1e-3
    )


def test_mcfaline_counts_are_recovered_but_unverified(mcfaline):
    assert row_sums(mcfaline).sum() == 426_365
    assert min(row.data.min() for row in mcfaline.X) == 1  # k is 1 in every cell
    assert mcfaline.uns["value_kind"] == "counts_recovered_unverified"
    assert "would not be noticed" in mcfaline.uns["origin"]["recovered"]


@pytest.mark.parametrize("name", [NORMAN, MCFALINE])
def test_counts_give_back_the_origin_and_lognorm_is_the_origin(name, origin, request):
    adata = request.getfixturevalue(name.split("20")[0])
    stored, total = of_origin(origin, adata)
    np.testing.assert_array_equal(stored.indices, adata.X.indices)
    again = np.log1p(1e4 * adata.X.data.astype(float) / np.repeat(total, np.diff(adata.X.indptr)))
    np.testing.assert_allclose(again, stored.data, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(adata.layers["lognorm"].data, stored.data.astype(np.float32))
    np.testing.assert_array_equal(adata.obs["n_counts"], origin.obs.loc[adata.obs_names, "ncounts"])


def test_the_largest_value_of_the_file_and_the_rank_agreement_of_depths(origin, norman):
    assert origin.X.max() == pytest.approx(6.9485, abs=1e-4)
    ranks = norman.obs["n_counts"].corr(pd.Series(row_sums(norman), norman.obs_names), method="spearman")
    assert ranks == pytest.approx(0.57, abs=5e-3)


@pytest.mark.parametrize(
    ("gene", "label", "mean"),
    [
        ("HBZ", "control", 1.718),
        ("HBZ", "CBL+CNN1", 4.807),
        ("HBZ", "BPGM+SAMD1", 4.384),
        ("HBZ", "PTPN12+SAMD1", 4.305),
        ("HBG2", "control", 1.795),
        ("HBG2", "CBL+CNN1", 3.665),
        ("HBG2", "KLF1+SET", 3.239),
    ],
)
def test_the_erythroid_programme_rises(means, gene, label, mean):
    assert means.loc[label, gene] == pytest.approx(mean, abs=2e-3)


def test_no_change_floor_of_norman(means):
    treated = means.drop(index="control")
    floor = pd.Series(r2_mean(treated, means.loc[["control"] * len(treated)]), index=treated.index)
    assert len(floor) == 33 and floor.idxmin() == "SGK1+TBX3"
    assert [floor.mean(), floor.median(), floor.min()] == pytest.approx([0.9228, 0.9446, 0.6476], abs=2e-3)


@pytest.mark.parametrize(
    ("pair", "no_change", "additive", "pearson"),
    [
        ("KLF1+MAP2K6", 0.9003, 0.9963, 0.981),
        ("KLF1+TGFBR2", 0.8751, 0.9957, 0.987),
        ("MAP2K3+MAP2K6", 0.9826, 0.9900, 0.727),
        ("MAP2K3+SLC38A2", 0.9860, 0.9916, 0.708),
        ("MAPK1+TGFBR2", 0.9128, 0.9897, 0.946),
    ],
)
def test_the_sum_of_two_singles_is_nearly_perfect(means, pair, no_change, additive, pearson):
    control, truth = means.loc["control"], means.loc[pair]
    one, other = (means.loc[gene] for gene in genes_of(pair))
    predicted = one + other - control
    scores = [r2_mean([truth], [control])[0], r2_mean([truth], [predicted])[0]]
    assert scores == pytest.approx([no_change, additive], abs=2e-3)
    assert np.corrcoef(truth - control, predicted - control)[0, 1] == pytest.approx(pearson, abs=2e-3)


@pytest.mark.parametrize(
    ("line", "mean", "lowest"),
    [("A172", 0.9500, 0.8883), ("T98G", 0.9669, 0.9599), ("U87MG", 0.9515, 0.9367)],
)
def test_no_change_floor_of_the_glioma_lines(mcfaline, line, mean, lowest):
    profiles = pseudobulk(mcfaline[mcfaline.obs["context"] == line])
    control = profiles.obs["is_control"].to_numpy()
    floor = r2_mean(profiles.mean[~control], np.repeat(profiles.mean[control], 9, axis=0))
    assert [floor.mean(), floor.min()] == pytest.approx([mean, lowest], abs=2e-3)


@pytest.mark.parametrize("name", [NORMAN, MCFALINE])
def test_preparing_again_from_another_folder_gives_the_same_object(name, request, tmp_path, monkeypatch):
    first = request.getfixturevalue(name.split("20")[0])
    monkeypatch.chdir(tmp_path)
    again = load(name)
    pd.testing.assert_frame_equal(again.obs, first.obs)
    assert list(again.var_names) == list(first.var_names) and list(tmp_path.iterdir()) == []
    for one, other in ((again.X, first.X), (again.layers["lognorm"], first.layers["lognorm"])):
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_the_prepared_objects_can_be_written_and_read(norman, mcfaline, tmp_path):
    for adata in (norman, mcfaline):
        adata.copy().write_h5ad(tmp_path / "one.h5ad")
        again = load(tmp_path / "one.h5ad")
        assert (again.X != adata.X).nnz == 0 and again.uns["value_kind"] == adata.uns["value_kind"]
