"""Enrichment: ES by hand, the batched form against gseapy, what is refused, and the traps of gseapy that are closed."""

import numpy as np
import pandas as pd
import pytest
from hand_made_sets import library, planted, random_sets, scored, small_sets

from perturbook.concepts import enrichment
from perturbook.concepts.enrichment import enrich
from perturbook.concepts.fast_prerank import FastPrerank
from perturbook.concepts.gene_ranking import GeneRanking
from perturbook.concepts.gene_sets import GeneSets, Library
from perturbook.concepts.overrepresentation import overrepresented
from perturbook.concepts.running_sum import Null, enrichment_scores
from perturbook.errors import ConfigError, InputError


@pytest.fixture(scope="module")
def found():
    """gseapy and the batched form on one fixture."""
    scores = scored()
    sets = planted(scores)
    return enrich(scores, sets), FastPrerank.of(scores, GeneSets.of(sets, scores.index)).table(), scores


def test_the_running_sum_peaks_where_it_does_by_hand():
    weights = np.array([5.0, 4.0, 3.0, 1.0, 2.0, 3.0])
    places = np.array([[0, 2], [4, 5], [1, 5], [3, 4]])
    # 5/8 + 3/8 - 1/4; minus 4/4 before the first hit; 4/7 - 1/4, not 1 - 4/4; minus 3/4 before the first hit
    assert enrichment_scores(weights, places) == pytest.approx([0.75, -1.0, 4 / 7 - 1 / 4 - 3 / 4, -0.75])
    assert np.isnan(enrichment_scores(np.array([1.0, 0, 0, 1]), np.array([[1, 2]]))).all()


def test_the_batched_form_gives_the_es_of_gseapy_and_its_nes_within_the_noise_of_a_seed(found):
    theirs, ours = found[0].table, found[1].loc[found[0].table.index]
    assert np.abs(theirs["ES"] - ours["ES"]).max() < 1e-12
    assert np.abs(theirs["NES"] - ours["NES"]).max() < 0.05
    assert np.abs(theirs["FDR"] - ours["FDR"]).max() < 0.1
    assert (theirs["size"] == ours["size"]).all()


def test_a_planted_set_is_first_with_an_fdr_below_five_percent_and_its_genes_lead(found):
    made, _, scores = found
    assert made.table.index[0] == "planted" and made.table["FDR"].iloc[0] < 0.05
    assert set(made.table.loc["planted", "leading_edge"]) == set(scores.nlargest(20).index)
    assert made.table.loc["planted", "p"] == pytest.approx(1 / 1001)
    assert made.shown().loc["planted", "p"] == "< 0.001"
    assert made.about["sets"] == 15 and made.about["checksum"] == "0" * 64 and made.about["universe"] == 300


def test_the_same_seed_gives_the_same_numbers_whatever_the_order_of_genes_and_another_seed_others(found):
    scores = found[2].sample(frac=1, random_state=3)
    again, other = (enrich(scores, planted(found[2]), seed=seed).table for seed in (0, 1))
    pd.testing.assert_frame_equal(again, found[0].table)
    other = other.loc[again.index]
    assert (other["NES"] != again["NES"]).any() and (other["ES"] == again["ES"]).all()


def test_a_gene_with_two_scores_or_none_is_refused():
    scores = scored(40)
    twice = pd.concat([scores, scores[:1]])
    with pytest.raises(InputError, match="'g000' has more than one score"):
        enrich(twice, planted(scores))
    with pytest.raises(InputError, match="'g000' stands twice in the universe"):
        GeneSets.of(planted(scores), twice.index)
    scores["g003"] = np.nan
    with pytest.raises(InputError, match="'g003' has the score nan; leave genes out that were not tested"):
        FastPrerank.of(scores, GeneSets.of(planted(scored(40)), scores.index))
    with pytest.raises(ConfigError, match="at least 2"):
        enrich(scored(40), planted(scored(40)), permutations=1)


def test_genes_that_were_not_tested_do_not_count_in_any_set():
    scores = scored(60)
    genes = scores.index[:12].tolist()
    sets = library(whole=[*genes, "untested 1", "untested 2"], few=[*genes[:9], "untested 3"])
    made = GeneSets.of(sets, scores.index)
    assert made.names == ("whole",) and made.sizes.tolist() == [12] and len(made.universe) == 60
    assert made.genes("whole") == genes
    with pytest.raises(InputError, match="symbols"):
        GeneSets.of(sets, [f"ENSG{one}" for one in range(60)])
    with pytest.raises(InputError, match="are on 60 genes"):
        FastPrerank.of(scored(61), made)


def test_of_sets_that_are_nearly_the_same_the_largest_is_tested_and_names_the_others():
    genes = scored(100).index.tolist()
    sets = library(b=genes[:20], a=genes[:18], c=genes[:14], d=genes[30:50], e=genes[30:50])
    made = GeneSets.of(sets, genes)  # Jaccard with b: a 0.9, c exactly 0.7, which is not above it
    assert made.names == ("b", "d", "c") and made.stands_for == {"b": ("a",), "d": ("e",), "c": ()}


def test_names_of_sets_and_case_of_genes_cannot_change_a_result():
    scores = scored(80)
    sets = random_sets(scores.index, 6)
    plain = enrich(scores, library(**sets), permutations=50).table
    upper = {
        name.replace(" ", f"{i % 2}__"): [g.upper() for g in of] for i, (name, of) in enumerate(sets.items())
    }
    nothing_hit = scores.rename(str.upper)
    renamed = enrich(nothing_hit, library(**upper), permutations=50).table
    assert renamed["FDR"].tolist() == plain["FDR"].tolist()
    with pytest.raises(InputError, match="symbols"):  # gseapy would turn the genes into upper case
        enrich(scores, library(**upper), permutations=50)


def test_a_set_that_owes_its_rate_to_the_order_of_tied_genes_is_flagged():
    scores = scored(200)
    tied = scores.index[40:160]
    scores[tied] = 1.0
    sets = library(first_by_name=tied[:15].tolist(), top=scores.nlargest(15, keep="last").index.tolist())
    scores[sets.sets["top"]] += 5
    made = enrich(scores, library(**sets.sets, **random_sets(scores.index, 4)), permutations=200)
    assert made.tied > 0.2
    assert made.table["order_decides"].to_dict()["first_by_name"]
    assert not made.table.loc["top", "order_decides"] and "top" in made.significant.index
    assert GeneRanking.of(scores).reordered(1).genes != GeneRanking.of(scores).genes


def test_what_no_permutation_has_the_sign_of_is_undefined():
    scores = scored(60)
    both = library(top=scores.nlargest(12).index.tolist(), bottom=scores.nsmallest(12).index.tolist())
    made = enrich(scores, both, permutations=2).table  # one random ranking, of one sign
    lost = made[made["NES"].isna()]
    assert len(lost) >= 1 and lost[["p", "FDR"]].isna().all(axis=None) and lost["ES"].notna().all()
    nes, p = Null(np.array([12]), [np.array([0.2, 0.4])]).normalised(
        np.array([-0.5, 0.3]), np.array([12, 12])
    )
    assert np.isnan([nes[0], p[0]]).all() and nes[1] == pytest.approx(1.0) and p[1] == 0.5


def test_a_set_of_genes_without_any_score_is_undefined_on_both_sides():
    scores = scored(60)
    scores[:12] = 0.0
    sets = library(nothing=scores.index[:12].tolist(), **random_sets(scores.index[12:], 3))
    for made in (
        enrich(scores, sets, permutations=50).table,
        FastPrerank.of(scores, GeneSets.of(sets, scores.index), 50).table(),
    ):
        assert made.loc["nothing", ["ES", "NES", "p", "FDR"]].isna().all()
        assert made.drop("nothing")["NES"].notna().all()


def test_rates_by_hand_count_the_null_of_every_set():
    null = Null(np.array([10, 20]), [np.array([-1.0, 1.0, 3.0]), np.array([-2.0, 2.0, 2.0])])
    sizes = np.array([10, 10, 20])
    # null NES: -1, .5, 1.5 twice and -1, 1, 1 once: of 6 positive ones 2 are at least 1.5, of 3 observed 1 is
    nes = np.array([[1.5, 0.5, 0.2], [1.5, -1.0, 0.2]])
    assert null.fdr(nes, sizes)[0] == pytest.approx([(2 / 6) / (1 / 3), 1.0, 1.0])
    assert null.fdr(nes, sizes)[1] == pytest.approx([(2 / 6) / (1 / 2), 1.0, 1.0])


def test_a_ranking_of_other_scores_is_refused_because_the_null_is_not_its_own():
    scores = scored(60)
    fast = FastPrerank.of(scores, GeneSets.of(planted(scores), scores.index), 20)
    with pytest.raises(InputError, match="other scores"):
        fast.of_rankings(fast.scores[None] * 2)
    assert fast.needs_gseapy()


def test_overrepresentation_is_the_hypergeometric_tail_by_hand():
    genes = list("abcdefghij")
    sets = small_sets(library(four=list("abcd"), two=list("ij")), genes)
    made = overrepresented("abc", sets)
    # three of three in a set of 4 among 10: C(4,3) / C(10,3); the other set has none, which is certain
    assert made["p"].to_dict() == pytest.approx({"four": 4 / 120, "two": 1.0})
    assert made["FDR"].to_dict() == pytest.approx({"four": 8 / 120, "two": 1.0})
    assert made.loc["four", ["hits", "size", "genes"]].tolist() == [3, 4, ("a", "b", "c")]
    assert made.loc["four", "expected"] == pytest.approx(1.2)
    assert (overrepresented([], sets)["p"] == 1).all()
    with pytest.raises(InputError, match="'x' is in the list and not in the universe"):
        overrepresented("ax", sets)
    with pytest.raises(InputError, match="'a' stands twice"):
        overrepresented("aa", sets)


def test_a_registered_library_carries_its_checksum_and_another_data_set_is_refused(monkeypatch):
    hallmark = Library.load("geneset-hallmark")
    assert len(hallmark.sets) == 50 and len(hallmark.checksum) == 64
    monkeypatch.setattr("perturbook.data.load", lambda name: object())
    with pytest.raises(ConfigError, match="holds no gene sets"):
        Library.load("pbmc3k")


def test_public_names_are_reached_without_torch_or_gseapy():
    assert enrichment.enrich is __import__("perturbook.concepts", fromlist=["enrich"]).enrich
