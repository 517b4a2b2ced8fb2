"""What `validate` refuses, one message each, and what it lets pass."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from perturbook.data import load, validate
from perturbook.data.schema import normalise
from perturbook.errors import InputError


def set_labels(adata, column, change):
    adata.obs[column] = pd.Categorical(
        [change(i, old) for i, old in enumerate(adata.obs[column].astype(str))]
    )


def set_type(adata, column, dtype):
    adata.obs[column] = adata.obs[column].astype(dtype)


def set_values(adata, column, change):
    adata.obs[column] = [change(i, old) for i, old in enumerate(adata.obs[column])]


def set_x(adata, change):
    adata.X = adata.X.copy()
    change(adata.X.data)


def set_lognorm(adata, change):
    adata.layers["lognorm"].data[:] = change(adata.layers["lognorm"].data)


def first_gene_nan(adata):
    dense = adata.X.toarray()
    dense[:, 4] = np.nan
    adata.X = sp.csr_matrix(dense)


def duplicate_genes(adata):
    adata.var_names = ["TP53", "TP53", *adata.var_names[2:]]


def duplicate_cells(adata):
    adata.obs_names = ["twin", "twin", *adata.obs_names[2:]]


def shuffle_depth(adata):
    """Totals of other cells, raised so that none lies below its own total."""
    order = np.random.default_rng(1).permutation(adata.n_obs)
    adata.obs["n_counts"] = adata.obs["n_counts"].to_numpy()[order] + 300
    adata.layers["lognorm"] = normalise(adata.X, adata.obs["n_counts"].to_numpy())


def two_structures_in_table(adata):
    adata.uns["perturbations"] = pd.DataFrame({"smiles": ["CCO", "CCN"]}, index=["Aspirin", "Aspirin"])


def two_structures_in_cells(adata):
    adata.obs["SMILES"] = ["CCO" if i % 2 else "CCN" for i in range(adata.n_obs)]


def genetic_labels_unsorted(adata):
    set_labels(adata, "kind", lambda i, old: "CRISPRa")
    set_labels(adata, "perturbation", lambda i, old: "SET+KLF1" if old == "Aspirin" else old)
    adata.uns.pop("perturbations")


def genes_joined_by_underscore(adata):
    adata.uns.pop("perturbations")
    set_labels(adata, "perturbation", lambda i, old: "SET_KLF1" if old == "Aspirin" else old)


def colliding_keys(adata):
    """`A549|x` + `y` and `A549` + `x|y` are different conditions with one key."""
    adata.uns.pop("perturbations")
    control = adata.obs["is_control"].to_numpy()
    contexts = np.where(adata.obs["context"] == "A549", "A549|x", "A549")
    drugs = np.where(adata.obs["context"] == "A549", "y", "x|y")
    adata.obs["context"] = pd.Categorical(contexts)
    adata.obs["perturbation"] = pd.Categorical(np.where(control, "control", drugs))


def controls_without_label(adata):
    labels = adata.obs["context"].astype(object)
    labels.iloc[3] = np.nan
    adata.obs["context"] = labels.astype("category")


BAD = {
    "a missing column": (
        lambda a: a.obs.drop(columns="dose_um", inplace=True),
        "obs lacks dose_um; it has context",
    ),
    "several missing columns": (
        lambda a: a.obs.drop(columns=["kind", "context"], inplace=True),
        "obs lacks context, kind",
    ),
    "text instead of categories": (
        lambda a: set_type(a, "context", object),
        r"obs\['context'\] has type object, expected category of text",
    ),
    "whole-number doses": (
        lambda a: set_type(a, "dose_um", int),
        r"obs\['dose_um'\] has type int64, expected float",
    ),
    "0 and 1 for is_control": (
        lambda a: set_type(a, "is_control", int),
        r"obs\['is_control'\] has type int64, expected bool",
    ),
    "duplicate cell names": (duplicate_cells, r"cell names \(obs index\) stand more than once: 'twin'"),
    "duplicate symbols": (duplicate_genes, r"gene symbols \(var index\) stand more than once: 'TP53'"),
    "Ensembl ids": (
        lambda a: setattr(a, "var_names", [f"ENSG{i:011d}" for i in range(a.n_vars)]),
        r"30 of 30 gene names are Ensembl ids \('ENSG00000000000'",
    ),
    "no value kind": (lambda a: a.uns.pop("value_kind"), r'uns\["value_kind"\] is None; say what X holds'),
    "an unknown value kind": (
        lambda a: a.uns.update(value_kind="tpm"),
        r"is 'tpm'; say what X holds with one of counts",
    ),
    "a missing label": (
        controls_without_label,
        r"obs\['context'\] has no label in 1.0 % of cells \(1 of 100\), such as 'cell003'",
    ),
    "spaces around a label": (
        lambda a: set_labels(a, "context", lambda i, old: old + " " if old == "A549" else old),
        r"spaces around them: 'A549 '",
    ),
    "an unknown kind": (
        lambda a: set_labels(a, "kind", lambda i, old: "magic"),
        r"obs\['kind'\] has 'magic'; allowed: drug",
    ),
    "perturbed cells of kind none": (
        lambda a: set_labels(a, "kind", lambda i, old: "none"),
        r"obs\['kind'\] is none but obs\['perturbation'\] is not control: 80.0 % of cells",
    ),
    "the control under another name": (
        lambda a: set_labels(a, "perturbation", lambda i, old: "DMSO" if old == "control" else old),
        r"has 'DMSO': rename what is untreated to 'control'",
    ),
    "genes of a combination out of order": (genetic_labels_unsorted, r"'SET\+KLF1'; write 'KLF1\+SET'"),
    "is_control beside a drug": (
        lambda a: set_values(a, "is_control", lambda i, old: old or i == 15),
        r"'is_control'\] disagrees with obs\['perturbation'\] in 1.0 % of cells \(1 of 100\), such as 'cell015' \(Aspirin, is_control True",
    ),
    "a dose for the control": (
        lambda a: set_values(a, "dose_um", lambda i, old: 5.0 if i == 0 else old),
        r"of a control cell must be 0: 1.0 % of cells \(1 of 100\), such as 'cell000' \(5\)",
    ),
    "dose zero for a drug": (
        lambda a: set_values(a, "dose_um", lambda i, old: 0.0 if i == 20 else old),
        r"of a treated cell must be positive, or NaN .*'cell020' \(0\)",
    ),
    "an infinite dose": (
        lambda a: set_values(a, "dose_um", lambda i, old: np.inf if i == 20 else old),
        r"of a treated cell must be positive, or NaN .*'cell020' \(inf\)",
    ),
    "a context without control": (
        lambda a: a._inplace_subset_obs(~((a.obs["context"] == "K562") & a.obs["is_control"]).to_numpy()),
        r"obs\['context'\] without control cells: 'K562', 44.4 % of cells \(40 of 90\)",
    ),
    "colliding condition keys": (colliding_keys, r"give one condition key: 'A549\|x\|y\|1'"),
    "a drug with two structures in the table": (
        two_structures_in_table,
        r'uns\["perturbations"\]\["smiles"\] gives 1 of 1 names of index two structures or more: \'Aspirin\': \'CCO\', \'CCN\'',
    ),
    "a drug with two structures in the cells": (
        two_structures_in_cells,
        r"obs\['SMILES'\] gives 2 of 3 names of obs\['perturbation'\] two structures or more: 'Aspirin'",
    ),
    "one drug in two rows": (
        lambda a: a.uns.update(perturbations=pd.concat([a.uns["perturbations"]] * 2)),
        "more than one row for 'Aspirin', 'Metformin'",
    ),
    "a drug without a row": (
        lambda a: a.uns.update(perturbations=a.uns["perturbations"].drop("Aspirin")),
        "no row for 'Aspirin' of obs",
    ),
    "a perturbation table that is a dictionary": (
        lambda a: a.uns.update(perturbations={"Aspirin": "CCO"}),
        "is a dict, expected a DataFrame",
    ),
    "dense counts": (lambda a: setattr(a, "X", a.X.toarray()), "X is dense, expected CSR"),
    "counts by column": (lambda a: setattr(a, "X", a.X.tocsc()), "X is CSC, expected CSR"),
    "double precision": (
        lambda a: setattr(a, "X", a.X.astype(np.float64)),
        "X has type float64, expected float32",
    ),
    "no lognorm": (lambda a: a.layers.pop("lognorm"), r'layers\["lognorm"\] is missing'),
    "NaN": (
        lambda a: set_x(a, lambda d: d.__setitem__(0, np.nan)),
        "X has NaN in .* stored values .*genes 'GENE0'",
    ),
    "a gene that is all NaN": (first_gene_nan, "X is NaN in every cell for 1 genes: 'GENE4'"),
    "infinity": (lambda a: set_x(a, lambda d: d.__setitem__(0, np.inf)), "X has infinite values"),
    "negative values": (
        lambda a: set_x(a, lambda d: d.__setitem__(0, -3)),
        r"X has negative values: .*lowest -3. It looks scaled or centred",
    ),
    "counts that are not whole": (
        lambda a: set_x(a, lambda d: d.__setitem__(slice(0, 5), 1.5)),
        r"declared as counts but .* are not whole: 1.5 \(cell000, GENE0\), ",
    ),
    "log values declared as counts": (
        lambda a: setattr(a, "X", a.layers["lognorm"].copy()),
        r"declared as counts but 100.0 % of stored values .* are not whole",
    ),
    "raw counts as lognorm": (
        lambda a: a.layers.update(lognorm=a.X.copy()),
        r'layers\["lognorm"\] looks like raw counts: all values whole',
    ),
    "values above log1p(1e4)": (lambda a: set_lognorm(a, lambda d: d * 3), r"above log1p\(1e4\) = 9.21"),
    "another logarithm": (
        lambda a: set_lognorm(a, lambda d: d / np.log(10)),
        r'expm1\(layers\["lognorm"\]\) is not proportional to X in .* another logarithm',
    ),
    "another scale": (
        lambda a: set_lognorm(a, lambda d: np.log1p(np.expm1(d) * 0.18325)),
        r"is scaled to 1,83\d per cell \(median\), expected 1e4",
    ),
    "zeros in other places": (
        lambda a: set_lognorm(a, lambda d: np.where(np.arange(len(d)) == 3, 0, d)),
        "non-zero in different places",
    ),
    "n_counts of zero": (
        lambda a: set_values(a, "n_counts", lambda i, old: 0.0 if i == 7 else old),
        r"obs\['n_counts'\] must be positive: .*'cell007' \(0\)",
    ),
    "n_counts below the cell's total": (
        lambda a: set_values(a, "n_counts", lambda i, old: 1.0 if i == 7 else old),
        r"obs\['n_counts'\] is below the cell's own total in X in .*'cell007' \(1 below",
    ),
    "n_counts of other cells": (
        shuffle_depth,
        r"does not follow the totals of X: Spearman -?0\.\d+, expected above 0.3",
    ),
    "control cells only": (
        lambda a: a._inplace_subset_obs(a.obs["is_control"].to_numpy()),
        r"is 'control' in all 20 cells: nothing to predict",
    ),
    "numbers for gene names": (
        lambda a: setattr(a, "var_names", [str(i) for i in range(a.n_vars)]),
        "30 of 30 gene names are numbers",
    ),
    "perturbed genes that are no symbols": (
        lambda a: (set_labels(a, "kind", lambda i, old: "CRISPRi"), genes_joined_by_underscore(a)),
        "'SET_KLF1', which cannot be gene symbols",
    ),
    "no cells": (lambda a: a._inplace_subset_obs(np.zeros(a.n_obs, bool)), "empty: 0 cells and 30 genes"),
    "no genes": (lambda a: a._inplace_subset_var(np.zeros(a.n_vars, bool)), "empty: 100 cells and 0 genes"),
    "no matrix": (lambda a: setattr(a, "X", None), "There is no matrix X: put the values"),
}


@pytest.mark.parametrize("name", BAD)
def test_refuses(screen, name):
    spoil, message = BAD[name]
    validate(screen)
    spoil(screen)
    with pytest.raises(InputError, match=message):
        validate(screen)


def test_a_good_screen_passes_unchanged_and_stays_sparse(screen):
    before = screen.copy()
    assert validate(screen) is screen
    assert sp.issparse(screen.X) and (screen.X != before.X).nnz == 0
    pd.testing.assert_frame_equal(screen.obs, before.obs)


def test_markup_in_a_label_is_data_and_passes(screen):
    html = "<script>alert('x')</script>"
    set_labels(screen, "perturbation", lambda i, old: html if old == "Aspirin" else old)
    screen.uns["perturbations"] = screen.uns["perturbations"].rename(index={"Aspirin": html})
    validate(screen)


def test_stereochemistry_alone_warns_and_passes(screen):
    isomers = ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O")
    aspirin = screen.obs["perturbation"] == "Aspirin"
    screen.obs["SMILES"] = [isomers[i % 2] if one else "" for i, one in enumerate(aspirin)]
    with pytest.warns(UserWarning, match="1 names of obs.*'Aspirin'.*count as one drug"):
        validate(screen)


def test_doses_without_meaning_may_be_nan_for_treated_cells(screen):
    screen.obs.loc[~screen.obs["is_control"], "dose_um"] = np.nan
    validate(screen)


def test_log_intensity_may_be_dense_and_needs_no_lognorm(screen):
    screen.X = screen.X.toarray() + np.float32(0.5)
    screen.layers.pop("lognorm")
    screen.uns["value_kind"] = "log_intensity"
    screen.obs["n_counts"] = np.nan
    validate(screen)


def test_lognorm_data_must_repeat_lognorm_in_x(screen):
    screen.uns["value_kind"] = "lognorm"
    with pytest.raises(InputError, match="so X must repeat"):
        validate(screen)
    screen.X = screen.layers["lognorm"].copy()
    validate(screen)


def published_columns(adata):
    """The columns of a public sci-Plex preparation, joined from the parts."""
    obs = adata.obs
    obs["cell_type"] = obs["context"].astype(str)
    obs["product_name"] = obs["perturbation"].astype(str)
    nanomolar = (1000 * obs["dose_um"]).astype(str)
    obs["cov_drug"] = obs["cell_type"] + "_" + obs["product_name"]
    obs["product_dose"] = obs["product_name"] + "_" + nanomolar
    obs["SMILES"] = obs["product_name"].map(adata.uns["perturbations"]["smiles"])
    return adata


def shuffled(adata, *columns):
    rng = np.random.default_rng(3)
    for column in columns:
        adata.obs[column] = adata.obs[column].to_numpy()[rng.permutation(adata.n_obs)]
    return adata


def test_the_published_columns_pass_when_they_agree(screen):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        validate(published_columns(screen))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("cov_drug", r"obs\['cov_drug'\] disagrees with obs\['(context|cell_type)'\] in \d+\.\d % of cells"),
        ("product_dose", r"obs\['product_dose'\] disagrees with obs\['(perturbation|product_name)'\] in"),
        ("SMILES", r"obs\['SMILES'\] gives 2 of 3 names of obs\['perturbation'\] two structures"),
    ],
)
def test_a_column_shuffled_apart_from_the_others_is_refused_by_its_content(screen, column, message):
    with pytest.raises(InputError, match=message):
        validate(shuffled(published_columns(screen), column))


def test_a_mock_is_refused_whatever_its_columns_are_called(screen):
    """As the public mock: no canonical column at all, every column shuffled, values that are no counts."""
    foreign = ["cell_type", "product_name", "cov_drug", "product_dose", "SMILES"]
    mock = AnnData(X=screen.layers["lognorm"].copy(), obs=published_columns(screen).obs[foreign].copy())
    with pytest.raises(InputError, match=r"disagrees with obs\['cell_type'\]"):
        validate(shuffled(mock, *foreign))


def test_one_swapped_cell_is_enough(screen):
    published_columns(screen)
    screen.obs.loc["cell010", "cov_drug"] = "K562_Aspirin"
    with pytest.raises(
        InputError, match=r"1.0 % of cells \(1 of 100\), such as 'cell010' \(K562_Aspirin beside A549\)"
    ):
        validate(screen)


def test_labels_that_only_look_joined_are_left_alone(screen):
    """`lane_A` is not joined from a donor `A`: `lane` is nobody's label."""
    screen.obs["donor"] = ["A" if i % 2 else "B" for i in range(screen.n_obs)]
    screen.obs["lane"] = ["lane_A" if i % 3 else "lane_B" for i in range(screen.n_obs)]
    validate(screen)


def test_a_joined_label_that_can_be_read_in_two_ways_passes_if_one_reading_agrees(screen):
    """`CD4_T_x` is `CD4` and `T_x`, or `CD4_T` and `x`."""
    pairs = [("CD4", "T_x"), ("CD4_T", "x"), ("B", "y"), ("B", "T_x")]
    chosen = [pairs[i % 4] for i in range(screen.n_obs)]
    screen.obs["type"] = [one for one, _ in chosen]
    screen.obs["drug_code"] = [other for _, other in chosen]
    screen.obs["both"] = [f"{one}_{other}" for one, other in chosen]
    validate(screen)


def test_the_mock_rebuilt_from_the_simulated_screen_is_refused_and_the_screen_passes():
    simulated = load("simulated-drugs", size="small", expectation=False)
    validate(published_columns(simulated))
    with pytest.raises(InputError, match=r"obs\['cov_drug'\] disagrees with obs\['context'\]"):
        validate(shuffled(simulated, "product_name", "cov_drug", "product_dose", "SMILES"))
