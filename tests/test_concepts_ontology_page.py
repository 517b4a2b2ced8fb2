"""The page on ontology: the deposit is whole, planted concepts are told from their null, sentences follow the numbers."""

import json

import numpy as np
import pandas as pd
import pytest
import vl_convert
from hand_made_sets import library, random_sets

from perturbook.errors import ConfigError, InputError
from perturbook.pages import concepts_ontology as ontology
from perturbook.pages import concepts_ontology_findings as findings
from perturbook.pages import concepts_ontology_study as study
from perturbook.pages import concepts_ontology_tables as shown
from perturbook.pages.charts import concepts_ontology as charts

GENES = [f"g{one:03d}" for one in range(200)]
SETS = library(planted=GENES[:20], **random_sets(GENES, 8))


@pytest.fixture(scope="module")
def rows():
    """Five concepts: attribution puts the planted set first, DE and permuted labels know nothing."""
    rng, made = np.random.default_rng(0), []
    for concept in range(5):
        columns = {
            name: rng.standard_normal(200) for name in ("score", "de", "detected", *study.PERMUTATIONS)
        }
        columns["score"][:20] += 4
        made.append(pd.DataFrame({"concept": concept, "gene": GENES} | columns)[study.COLUMNS])
    return pd.concat(made, ignore_index=True)


@pytest.fixture(scope="module")
def compared(rows):
    return ontology.compare(rows, range(5), SETS, 30, 200, 0)


def test_planted_sets_exceed_the_null_and_noise_does_not(compared):
    assert compared.share("ranking", "score") == 1 and compared.p("ranking", "score") == pytest.approx(1 / 31)
    assert compared.share("list", "score") == 1
    assert compared.p("ranking", "de") > 0.05
    assert "; more than the null" in findings.share_verdict(compared, "ranking", "score")
    assert "**no more than the null**" in findings.share_verdict(compared, "ranking", "de")
    assert "0 by neither" in findings.overlap_verdict(compared)
    assert "for Attribution in hand-made and no other pair" in findings.answer([compared]).data


def test_the_page_keeps_the_sets_below_a_quarter_of_every_concept_and_arm(compared, tmp_path):
    ontology.keep([compared], tmp_path / "kept")
    table = pd.read_csv(tmp_path / "kept" / "enrichment.csv")
    planted = table[(table["term"] == "planted") & (table["by"] == "Attribution")]
    assert planted["concept"].tolist() == [0, 1, 2, 3, 4] and (planted["size"] == 20).all()
    assert table["FDR"].max() < 0.25 and set(table["library"]) == {"hand-made"}
    ontology.keep([], tmp_path / "kept")
    assert len(pd.read_csv(tmp_path / "kept" / "enrichment.csv")) == 0


def test_one_concept_is_enriched_by_gseapy_and_company_moves_its_rates(rows):
    more = library(**{f"other {name}": genes for name, genes in random_sets(GENES, 30, seed=7).items()})
    live = ontology.live(rows, range(5), [SETS, more], 200, 0)
    assert live.made.table.index[0] == "planted"
    assert np.abs(live.path("planted")).max() == pytest.approx(live.made.table.loc["planted", "ES"])
    assert "First by NES is planted" in findings.live_verdict(live).data
    assert "among 39 sets" in findings.company_verdict(live).data
    spec = charts.running_chart(live).to_dict()
    assert "planted" in spec["description"] and vl_convert.vegalite_to_svg(json.dumps(spec | {"width": 400}))
    assert "planted" in shown.live_table(live).data


def test_charts_say_what_they_show_and_can_be_drawn(compared):
    for chart in (charts.share_chart([compared]), charts.agreement_chart(compared)):
        spec = chart.to_dict()
        assert "Share of" in spec["description"] or "median" in spec["description"]
        assert "<svg" in vl_convert.vegalite_to_svg(json.dumps(spec | {"width": 400}))
    assert "hand-made" in shown.share_table([compared]).data + shown.library_table([compared]).data


def test_without_gene_sets_the_page_says_so(rows):
    assert ontology.live(rows, range(5), [], 200, 0) is None
    assert findings.answer([]) is findings.NONE and charts.share_chart([]) is shown.ABSENT


def test_the_deposit_is_whole_small_and_holds_only_finite_scores(tmp_path):
    rows = study.stored()
    assert study.DEPOSIT.stat().st_size < 700_000
    assert rows.notna().all(axis=None) and not rows.duplicated(["concept", "gene"]).any()
    assert ontology.concepts(rows, 3) == sorted(rows["concept"].unique())[:3]
    with pytest.raises(ConfigError, match="n_concepts is 31"):
        ontology.concepts(rows, 31)
    with pytest.raises(InputError, match="perturbook train concepts-ontology"):
        study.stored(tmp_path / "none.csv.gz")


def test_concepts_are_chosen_by_how_many_cells_they_are_active_in_alone():
    codes = np.zeros((100, 5))
    for latent, active in enumerate((3, 50, 98, 30, 30)):
        codes[:active, latent] = 1
    assert study.often_active(codes, 2) == [1, 3] and study.often_active(codes, 9) == [1, 3, 4]
