"""A reader's own file: what is accepted without a question, what it becomes, and what the page is told about it."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from conftest import load_or_skip

from perturbook.data import Columns, load, own_sha256, pseudobulk, validate
from perturbook.data.own import canonical
from perturbook.data.schema import normalise
from perturbook.errors import ConfigError, InputError

OWN = Columns(
    perturbation="treatment", context="line", dose="dose_nM", dose_unit="nM", control="DMSO", kind="drug"
)


@pytest.fixture
def mine(screen):
    """The hand-made screen as another laboratory would keep it: other names, nanomolar, X as raw counts, float64."""
    obs = pd.DataFrame(
        {
            "treatment": screen.obs["perturbation"].astype(str).replace("control", "DMSO").to_numpy(),
            "line": screen.obs["context"].astype(str).to_numpy(),
            "dose_nM": 1000 * screen.obs["dose_um"].to_numpy(),
            "plate": [f"P{i % 2}" for i in range(screen.n_obs)],
            "structure": screen.obs["perturbation"].map(screen.uns["perturbations"]["smiles"]).astype(str).to_numpy(),
        },
        index=screen.obs_names,
    )  # fmt: skip
    return AnnData(X=screen.X.astype(np.float64), obs=obs, var=screen.var.copy())


def counts_of(adata):
    return adata.X.toarray()


def said(adata):
    return adata.uns["origin"]["recovered"]


def test_other_column_names_become_the_canonical_schema(mine, screen):
    made = validate(canonical(mine, OWN, "mine.h5ad"))
    np.testing.assert_array_equal(counts_of(made), counts_of(screen))
    for column in ("context", "perturbation", "dose_um", "is_control", "kind"):
        assert made.obs[column].tolist() == screen.obs[column].tolist()
    np.testing.assert_array_equal(made.obs["n_counts"], counts_of(screen).sum(axis=1))
    total = made.obs["n_counts"].to_numpy()
    assert (made.layers["lognorm"] != normalise(made.X, total)).nnz == 0 and made.X.dtype == np.float32
    assert set(made.obs["dataset"]) == {"mine.h5ad"}
    for told in ("Counts as they stand in X", "'DMSO' is the control", "Doses from 'dose_nM', in uM"):
        assert told in said(made)


def test_the_readers_object_is_not_changed(mine):
    before = mine.copy()
    canonical(mine, OWN)
    pd.testing.assert_frame_equal(mine.obs, before.obs)
    assert (mine.X != before.X).nnz == 0 and not mine.uns


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_a_file_is_loaded_by_its_columns_and_identified_by_its_bytes(mine, tmp_path, ending):
    path = tmp_path / f"mine.{ending}"
    mine.write_h5ad(path) if ending == "h5ad" else mine.write_zarr(path)
    made = load(str(path), columns=OWN)
    assert made.uns["origin"]["name"] == path.name and made.uns["origin"]["sha256"] == [own_sha256(path)]
    assert "Counts as they stand in X" in said(made)
    np.testing.assert_array_equal(pseudobulk(made).mean, pseudobulk(canonical(mine, OWN)).mean)


def test_the_checksum_of_a_folder_tells_its_content_and_its_names(mine, tmp_path):
    mine.write_zarr(tmp_path / "a.zarr")
    mine.write_zarr(tmp_path / "b.zarr")
    assert own_sha256(tmp_path / "a.zarr") == own_sha256(tmp_path / "b.zarr")
    (tmp_path / "b.zarr" / "obs" / "more").write_text("")
    assert own_sha256(tmp_path / "a.zarr") != own_sha256(tmp_path / "b.zarr")


def test_a_canonical_file_goes_through_unchanged(screen, tmp_path):
    screen.write_zarr(tmp_path / "mine.zarr")
    again = load(tmp_path / "mine.zarr")
    np.testing.assert_array_equal(counts_of(again), counts_of(screen))
    np.testing.assert_array_equal(again.obs["n_counts"], screen.obs["n_counts"])
    assert said(again) == "Values as the file holds them."


def test_without_a_context_all_cells_are_one_and_without_a_dose_it_is_undefined(mine):
    made = validate(canonical(mine, Columns(perturbation="treatment", kind="drug")))
    assert set(made.obs["context"]) == {"all"} and 'all cells are one, "all"' in said(made)
    control = made.obs["is_control"].to_numpy()
    assert (made.obs["dose_um"][control] == 0).all() and made.obs["dose_um"][~control].isna().all()


def test_canonical_columns_are_used_where_no_other_is_named(mine):
    mine.obs["context"], mine.obs["dose_um"], mine.obs["kind"] = mine.obs["line"], 3.0, "cytokine"
    made = validate(canonical(mine, Columns(perturbation="treatment")))
    assert set(made.obs["context"]) == {"A549", "K562"} and set(made.obs["kind"]) == {"cytokine"}
    assert set(made.obs["dose_um"]) == {0.0, 3.0}


def test_unperturbed_cells_need_no_perturbation_column(mine):
    made = validate(canonical(mine, Columns(context="line", kind="none")))
    assert made.obs["is_control"].all() and set(made.obs["kind"]) == {"none"}


@pytest.mark.parametrize("spelling", ["ctrl", "Control", "non-targeting", "vehicle", "Unstimulated", "dmso "])
def test_the_one_usual_spelling_of_control_needs_no_name(mine, spelling):
    mine.obs["treatment"] = mine.obs["treatment"].replace("DMSO", spelling)
    made = canonical(mine, Columns(perturbation="treatment", kind="drug"))
    assert made.obs["is_control"].sum() == 20 and f"{spelling.strip()!r} is the control" in said(made)


@pytest.mark.parametrize(
    ("labels", "control"),
    [
        (lambda old: old != "DMSO", "False"),
        (lambda old: int(old != "DMSO"), "0"),
        (lambda old: pd.NA if old is None else old, "DMSO"),
    ],
    ids=["booleans", "whole numbers", "nullable text"],
)
def test_labels_that_are_no_text_are_read_as_their_text(mine, labels, control):
    mine.obs["treatment"] = [labels(old) for old in mine.obs["treatment"]]
    mine.obs["treatment"] = mine.obs["treatment"].convert_dtypes()
    made = validate(canonical(mine, Columns(perturbation="treatment", control=control, kind="drug")))
    assert made.obs["is_control"].sum() == 20


def test_categories_that_no_cell_has_are_dropped(mine):
    mine.obs["treatment"] = mine.obs["treatment"].astype("category").cat.add_categories(["Vehicle", "None"])
    made = validate(canonical(mine, OWN))
    assert list(made.obs["perturbation"].cat.categories) == ["Aspirin", "Metformin", "control"]


@pytest.mark.parametrize(
    ("written", "unit", "micromolar"),
    [
        (10_000, "nM", 10.0),
        (3, "mM", 3000.0),
        ("0.5", "uM", 0.5),
        ("1 uM", "nM", 1.0),
        ("10nM", "uM", 0.01),
        ("2.5 \u00b5M", "uM", 2.5),
        ("2.5 \u03bcm", "uM", 2.5),
        ("1e-3 mM", "uM", 1.0),
    ],
)
def test_doses_are_micromolar_and_a_unit_in_the_text_counts_first(mine, written, unit, micromolar):
    mine.obs["dose"] = [written if old != "DMSO" else "vehicle" for old in mine.obs["treatment"]]
    made = validate(
        canonical(mine, Columns(perturbation="treatment", dose="dose", dose_unit=unit, kind="drug"))
    )
    assert set(made.obs["dose_um"]) == {0.0, micromolar}


def test_genetic_labels_come_out_in_one_way(mine):
    old = ["SET_KLF1", "KLF1+ctrl", "KLF1", "SET", "ctrl"]
    mine.obs["guide"] = [old[i % 5] for i in range(mine.n_obs)]
    made = validate(canonical(mine, Columns(perturbation="guide", kind="CRISPRa")))
    assert set(made.obs["perturbation"]) == {"KLF1", "KLF1+SET", "SET", "control"}
    drugs = canonical(mine, Columns(perturbation="guide", kind="drug"))
    assert "SET_KLF1" in set(drugs.obs["perturbation"])  # an underscore in a drug's name is a letter


def test_plates_become_replicates_and_other_columns_stay(mine):
    made = canonical(mine, Columns(perturbation="treatment", kind="drug", batch="plate"))
    assert made.obs["replicate"].tolist() == mine.obs["plate"].tolist() == made.obs["plate"].tolist()


def test_structures_become_the_table_of_perturbations(mine):
    made = validate(canonical(mine, Columns(perturbation="treatment", kind="drug", smiles="structure")))
    table = made.uns["perturbations"]
    assert list(table.index) == ["control", "Aspirin", "Metformin"]
    assert table.loc["Aspirin", "inchikey14"] == "BSYNRYMUTXBXSQ" and table.loc["control", "smiles"] == ""


# Values


def test_counts_of_a_layer_come_before_a_normalised_x(mine):
    counts = counts_of(mine)
    mine.layers["counts"] = sp.csc_matrix(counts.astype(int))
    mine.X = np.log1p(counts) - 1
    made = validate(canonical(mine, OWN))
    np.testing.assert_array_equal(counts_of(made), counts)
    assert 'Counts as they stand in layers["counts"].' in said(made) and made.uns["value_kind"] == "counts"


def test_counts_of_raw_keep_the_total_of_all_its_genes(mine):
    counts = counts_of(mine)
    mine.raw = mine.copy()
    part = mine[:, mine.var_names[5:]].copy()
    part.X = part.X.toarray() - 2.5
    made = validate(canonical(part, OWN))
    np.testing.assert_array_equal(counts_of(made), counts[:, 5:])
    np.testing.assert_array_equal(made.obs["n_counts"], counts.sum(axis=1))
    assert "Counts as they stand in raw." in said(made)


def lognorm(mine, scale=1e4, genes=slice(None), dtype=np.float32):
    counts = counts_of(mine)
    logs = np.log1p(counts * (scale / counts.sum(axis=1, keepdims=True)))
    made = mine[:, genes].copy()
    made.X = sp.csr_matrix(logs[:, genes].astype(dtype))
    return made, counts


def test_log_normalised_values_stay_and_tell_their_depth(mine):
    logs, counts = lognorm(mine)
    made = validate(canonical(logs, OWN))
    assert made.uns["value_kind"] == "lognorm" and (made.X != made.layers["lognorm"]).nnz == 0
    np.testing.assert_array_equal(counts_of(made), counts_of(logs))
    np.testing.assert_allclose(made.obs["n_counts"], counts.sum(axis=1), rtol=1e-4)
    assert "proportional to whole numbers in every cell; expm1 of X sums to 10,000 in every cell." in said(
        made
    )


def test_another_scale_is_told_from_the_totals_and_brought_to_1e4(mine):
    """What `scanpy.pp.normalize_total` does when it is not told a total: the median."""
    logs, counts = lognorm(mine, scale=np.median(counts_of(mine).sum(axis=1)))
    made = validate(canonical(logs, OWN))
    np.testing.assert_allclose(made.X.toarray(), lognorm(mine)[0].X.toarray(), rtol=1e-5)
    np.testing.assert_allclose(made.obs["n_counts"], counts.sum(axis=1), rtol=1e-4)
    assert "and was brought to 1e4" in said(made)


def test_of_selected_genes_the_scale_is_taken_for_granted_and_the_page_says_so(mine):
    logs, _ = lognorm(mine, genes=slice(0, 20))
    made = validate(canonical(logs, OWN))
    np.testing.assert_array_equal(counts_of(made), counts_of(logs))
    assert "taken as scaled to 1e4 per cell, which a selection of genes cannot show" in said(made)


def test_scaled_x_gives_way_to_log_normalised_raw(mine):
    logs, _ = lognorm(mine)
    scaled = logs.copy()
    scaled.raw = logs
    scaled.X = scaled.X.toarray() - 3
    made = validate(canonical(scaled, OWN))
    np.testing.assert_array_equal(counts_of(made), counts_of(logs))
    assert "expm1 of raw is proportional" in said(made)


def test_rounded_log_values_pass_when_the_file_declares_them(mine):
    logs, counts = lognorm(mine)
    logs.X.data = np.round(logs.X.data, 1)
    logs.uns["value_kind"] = "lognorm"
    logs.obs["total_counts"] = counts.sum(axis=1)
    made = validate(canonical(logs, OWN))
    assert made.uns["value_kind"] == "lognorm" and "as declared" in said(made)
    np.testing.assert_array_equal(made.obs["n_counts"], counts.sum(axis=1))


def test_log_intensities_pass_when_the_file_declares_them(mine):
    mine.X = counts_of(mine) + 4.25
    mine.uns["value_kind"] = "log_intensity"
    made = validate(canonical(mine, OWN))
    assert "lognorm" not in made.layers and made.obs["n_counts"].isna().all()


@pytest.mark.parametrize("column", ["gene_symbols", "gene_name", "feature_name"])
def test_symbols_beside_ensembl_ids_take_their_place(mine, column):
    mine.var[column] = pd.Categorical([*mine.var_names[:-1], ""])
    mine.var_names = [f"ENSG{i:011d}.3" for i in range(mine.n_vars)]
    made = validate(canonical(mine, OWN))
    assert made.var_names[0] == "GENE0" and made.var["gene_id"].iloc[0] == "ENSG00000000000.3"
    assert made.var_names[-1] == "ENSG00000000029.3"  # no symbol: the id stays
    assert f"Symbols from var[{column!r}]" in said(made)


# Other contexts of what is canonical already


def test_another_column_is_taken_as_context_and_the_former_one_is_kept(screen, tmp_path):
    screen.obs["donor"] = [f"D{i % 3}" for i in range(screen.n_obs)]
    screen.write_h5ad(tmp_path / "mine.h5ad")
    made = load(tmp_path / "mine.h5ad", columns=Columns(context="donor"))
    assert made.obs["context"].tolist() == screen.obs["donor"].tolist()
    assert made.obs["cell_type"].tolist() == screen.obs["context"].tolist()
    assert said(made).endswith("Here context is column 'donor'.")


def test_a_registry_entry_takes_another_context_where_each_has_controls():
    plain = load_or_skip("l1000-mini")
    made = load("l1000-mini", columns=Columns(context="replicate"))
    assert made.obs["context"].tolist() == plain.obs["replicate"].tolist()
    assert set(made.obs["cell_type"]) == set(plain.obs["context"]) == {"HT115"}


@pytest.mark.parametrize(
    ("name", "columns", "error", "message"),
    [
        (
            "simulated-drugs",
            Columns(context="perturbation"),
            ConfigError,
            "Simulated cells know their truth by context",
        ),
        (
            "kang2018-mini",
            Columns(context="donor"),
            InputError,
            r"obs has no column 'donor' for context; it has dataset",
        ),
        (
            "kang2018-mini",
            Columns(perturbation="condition"),
            ConfigError,
            "perturbation cannot be named again",
        ),
        ("geneset-hallmark", Columns(context="x"), ConfigError, "holds no cells and has no columns to name"),
    ],
)
def test_what_a_registry_entry_does_not_take(name, columns, error, message):
    if not name.startswith("simulated"):
        load_or_skip(name)
    options = {"size": "small", "expectation": False} if name.startswith("simulated") else {}
    with pytest.raises(error, match=message):
        load(name, columns=columns, **options)
