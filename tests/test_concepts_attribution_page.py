"""The attribution page: what is read of a concept is deposited whole, and sentences follow the numbers."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from perturbook.concepts.dictionaries import FixedDictionary
from perturbook.concepts.encoder_of import embeddings
from perturbook.concepts.gradient_screen import Screen
from perturbook.concepts.linear_encoder import LinearEncoder
from perturbook.errors import ConfigError, InputError
from perturbook.pages import concepts_attribution_deposit as deposit
from perturbook.pages import concepts_attribution_read
from perturbook.pages import concepts_attribution_tables as shown
from perturbook.pages.charts import concepts_attribution as charts
from perturbook.pages.concepts_attribution_read import ARMS, Told, concepts
from perturbook.pages.concepts_attribution_study import Study
from perturbook.pages.concepts_control import parts
from perturbook.pages.concepts_control_arms import Control


@pytest.fixture(scope="module")
def study():
    """Ninety cells of three types, twelve genes of which two respond to the stimulation, and a linear encoder of two outputs."""
    rng = np.random.default_rng(0)
    rows = [(kind, stim) for kind in "ABC" for stim in ("control", "IFN-beta") for _ in range(30)]
    obs = pd.DataFrame(
        rows, columns=["cell_type", "perturbation"], index=[f"c{i:03d}" for i in range(len(rows))]
    )
    counts = rng.poisson(1.0, (len(rows), 12)).astype(np.float32)
    counts[obs["perturbation"] == "IFN-beta", :2] += 4
    counts[:, 2] += 5 * (obs["cell_type"] == "C").to_numpy()
    adata = AnnData(sp.csr_matrix(counts), obs, pd.DataFrame(index=[f"G{i}" for i in range(12)]))
    matrix = np.zeros((2, 12))
    matrix[0, :2], matrix[1, 2] = 1, 1
    encoder = LinearEncoder(matrix)
    control = Control(adata, parts(obs), encoder, embeddings(encoder, adata), Screen())
    sae = FixedDictionary(np.eye(2), np.eye(2), k=1)
    sae.mu += 3.0
    sae = sae.double()
    return Study.of(control, sae, 0, 2)


@pytest.fixture(scope="module")
def rows(study, tmp_path_factory):
    """The deposit as a page reads it back; the untrained autoencoder is left out, because the concepts are no autoencoder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("perturbook.pages.concepts_attribution_study._untrained", lambda sae: sae)
        made = pd.DataFrame(study.rows(), columns=deposit.COLUMNS)
    path = tmp_path_factory.mktemp("results") / "concepts-attribution.csv"
    made.to_csv(path, index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deposit.trained_table, "read", lambda *given: None)
        return deposit.stored(path)


def test_the_first_concept_is_the_one_that_was_given_and_the_next_is_the_best_for_a_type(study):
    assert list(study.chosen) == [0, 1] and study.chosen[0] == "perturbation"
    assert study.chosen[1] in {"A", "C"}


def test_genes_of_a_linear_concept_are_those_that_its_encoder_reads(rows):
    told = Told.of(rows, 0)
    assert set(told.genes.index[:2]) == {"G0", "G1"}
    assert told.label == "perturbation" and "stimulation" in told.name
    assert told.value("joint swap", "furthest from 1") < 1e-12
    assert told.value("completeness", "pre", "0.5") == pytest.approx(1)
    assert told.value("equal label", "cell_type", "pairs") == 1


def test_the_page_keeps_the_genes_of_every_concept(rows, tmp_path):
    concepts_attribution_read.keep(rows, tmp_path / "kept")
    table = pd.read_csv(tmp_path / "kept" / "attributions.csv").set_index(["concept", "gene"])
    assert set(table.index.get_level_values("concept")) == set(rows["concept"])
    one = rows[rows["quantity"] == "gene"].iloc[0]
    assert table.loc[(one["concept"], one["of"]), one["to"]] == pytest.approx(one["value"])


def test_swapping_the_two_genes_that_a_concept_reads_leaves_little_of_it(rows):
    told = Told.of(rows, 0)
    left = told.curves.set_index(["arm", "genes"])["left"]
    assert left["Attribution", 2] < 0.1 < left["Expression level", 1]
    assert set(told.curves["arm"]) == set(ARMS.values())


def test_every_concept_has_a_null_cutoff_and_shares_that_fall_with_the_cutoff(rows):
    for one in concepts(rows):
        assert one.null > 0
        own = one.above[one.above["of"] == "concept"].sort_values("cutoff")
        assert (np.diff(own["share"]) <= 0).all() and own["share"].max() <= 1


def test_the_example_by_hand_is_that_of_the_specification():
    said = shown.by_hand().data
    for value in ("0.75", "3.00", "0.60", "0.50", "2.00", "0.40", "1.25", "1.00"):
        assert f"<td>{value}</td>" in said
    assert said.count("0, skipped") == 3


def test_sentences_follow_the_numbers(rows):
    told = Told.of(rows, 0)
    assert "published cutoff of 0.05 keeps" in shown.cutoff_verdict(told)
    assert "below that of every one" in shown.deletion_verdict(told)
    changed = rows.copy()
    own = (changed["quantity"] == "area") & (changed["of"] == "random, lowest")
    changed.loc[own, "value"] = 0.0
    assert "not below that of every one" in shown.deletion_verdict(Told.of(changed, 0))
    low = changed["quantity"] == "completeness"
    changed.loc[low, "value"] = 0.5
    assert "stand in for each other" in shown.completeness_verdict(Told.of(changed, 0))
    changed.loc[low & (changed["of"] == "pre"), "value"] = 1.0
    assert "other concepts have overtaken it" in shown.completeness_verdict(Told.of(changed, 0))


def test_tables_and_charts_show_every_concept_and_a_menu_picks_one(rows, monkeypatch):
    monkeypatch.setattr(shown, "training_cells", lambda: None)
    assert "training cell" in shown.pair_table(rows, 0).data
    assert shown.diagnostics_table(rows).data.count("<tr>") == shown.audit_table(rows).data.count("<tr>") == 3
    assert "G0" in shown.gene_table(rows, 0).data and "G0" in shown.answer(rows, 0).data
    for chart in (charts.gene_chart, charts.cutoff_chart, charts.deletion_chart):
        spec = chart(rows, 1).to_dict()
        assert (
            spec["params"][0]["value"] == Told.of(rows, 1).name
            and len(spec["params"][0]["bind"]["options"]) == 2
        )
        assert spec["description"].startswith("Real cells")


def test_a_concept_that_is_not_deposited_a_named_part_and_a_missing_deposit_are_refused(rows, tmp_path):
    with pytest.raises(InputError, match="Concept 7 is not deposited. Deposited: 0, 1"):
        Told.of(rows, 7)
    with pytest.raises(ConfigError, match="made as a whole"):
        list(deposit.make(["magnet"], tmp_path / "a.csv"))
    with pytest.raises(InputError, match="make it with `perturbook train concepts-attribution`"):
        deposit.stored(tmp_path / "a.csv")
