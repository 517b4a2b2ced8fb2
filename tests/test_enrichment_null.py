"""What enrichment finds where nothing is: permuted rankings, the null matched in detection, and the arm of DE."""

import numpy as np
import pandas as pd
import pytest
from hand_made_sets import library, planted, random_sets, scored, small_sets

from perturbook.concepts.differential_genes import RankedGenes, active_cells, permuted
from perturbook.concepts.enrichment_agreement import agreement, spearman
from perturbook.concepts.fast_prerank import FastPrerank
from perturbook.concepts.gene_sets import GeneSets
from perturbook.concepts.matched_null import annotated, annotated_lists, dealt, detection_bins
from perturbook.errors import ConfigError, InputError, NotApplicable, ShapeError


def test_a_permuted_ranking_is_annotated_in_at_most_a_tenth_of_fifty_runs():
    scores = scored()
    fast = FastPrerank.of(scores, GeneSets.of(library(**random_sets(scores.index, 40)), scores.index))
    rng = np.random.default_rng(0)
    rates = fast.of_rankings(np.stack([rng.permutation(fast.scores) for _ in range(50)]))["FDR"]
    assert (rates < 0.05).any(axis=1).mean() <= 0.1


def test_matched_rankings_hold_the_same_scores_in_every_bin_of_detection():
    values, rates = np.arange(10.0), np.array([5, 4, 3, 2, 1, 1, 6, 7, 8, 9]) / 10
    bins = detection_bins(rates, 5)
    assert bins.tolist() == [2, 2, 1, 1, 0, 0, 3, 3, 4, 4]
    made = dealt(values, bins, rankings=20)
    for one in range(5):
        assert (np.sort(made[:, bins == one], axis=1) == np.sort(values[bins == one])).all()
    assert len(np.unique(made, axis=0)) > 5 and (made == dealt(values, bins, rankings=20)).all()
    with pytest.raises(ConfigError, match="bins is 11, of 10 genes"):
        detection_bins(rates, 11)


def test_a_set_that_follows_detection_alone_is_annotated_as_often_in_the_matched_null():
    rng = np.random.default_rng(0)
    genes = [f"g{one:03d}" for one in range(400)]
    detected = pd.Series(np.linspace(0, 1, 400), genes)
    scores = detected**2 + 0.05 * rng.standard_normal(400)
    sets = library(ribosome=genes[-30:], **random_sets(genes, 20))
    fast = FastPrerank.of(scores, GeneSets.of(sets, genes))
    matched = annotated(fast, detected)
    assert matched.sets >= 1 and matched.share > 0.9 and matched.p > 0.2
    blind = annotated(fast, pd.Series(rng.random(400), genes))  # bins that know nothing of detection
    assert blind.sets == matched.sets and blind.share < 0.3
    listed = annotated_lists(fast, detected, cutoff=0.8)
    assert listed.sets >= 1 and listed.share > 0.9


def test_a_planted_set_is_found_and_its_matched_null_is_not():
    scores = scored()
    fast = FastPrerank.of(scores, GeneSets.of(planted(scores), scores.index))
    found = annotated(fast, pd.Series(np.random.default_rng(1).random(300), scores.index))
    assert found.sets >= 1 and found.share <= 0.2 and found.p <= 0.2
    with pytest.raises(InputError, match="detection rate"):
        annotated(fast, pd.Series(0.5, scores.index[1:]))


def test_rank_sum_scores_are_those_of_scanpy_with_its_correction_for_ties():
    import anndata
    import scanpy

    rng = np.random.default_rng(0)
    x = rng.poisson(1.0, (60, 7)).astype(np.float32)
    x[:, 6] = 2.0  # the same in every cell
    labels = np.stack([np.arange(60) < 20, rng.random(60) < 0.5])
    ours = RankedGenes.of(x).scores(labels)
    for row, active in zip(ours, labels, strict=True):
        cells = anndata.AnnData(
            x, obs=pd.DataFrame({"active": np.where(active, "yes", "no")}, index=map(str, range(60)))
        )
        scanpy.tl.rank_genes_groups(
            cells, "active", groups=["yes"], reference="no", method="wilcoxon", tie_correct=True
        )
        theirs = scanpy.get.rank_genes_groups_df(cells, "yes").set_index("names")["scores"]
        assert row[:6] == pytest.approx(theirs.loc[[str(one) for one in range(6)]].to_numpy(), abs=1e-5)
    assert (ours[:, 6] == 0).all()


def test_the_rank_sum_score_by_hand():
    # ranks 1 to 4, active are 3 and 4: R = 7, mean 2 * 5 / 2, variance 2 * 2 / 12 * 5
    made = RankedGenes.of(np.array([[1.0], [2.0], [3.0], [9.0]])).scores(np.array([False, False, True, True]))
    assert made.item() == pytest.approx((7 - 5) / np.sqrt(20 / 12))
    with pytest.raises(ShapeError, match="active labels 3 cells; the ranks are of 4"):
        RankedGenes.of(np.ones((4, 1))).scores(np.ones(3, bool))
    with pytest.raises(InputError, match="NaN"):
        RankedGenes.of(np.array([[np.nan]]))


def test_too_few_active_cells_are_said_and_never_made_up_for():
    codes = np.r_[np.zeros(9_000), np.linspace(0.1, 1, 1_500)]
    assert active_cells(codes).sum() == 105
    with pytest.raises(NotApplicable, match="20 of 2000 cells are active above the quantile 0.99"):
        active_cells(np.linspace(1, 2, 2000))
    assert active_cells(np.linspace(1, 2, 2000), quantile=0.9).sum() == 200
    with pytest.raises(NotApplicable, match="50 of 150 cells are inactive"):
        active_cells(np.r_[np.zeros(50), np.ones(100)], quantile=0.0)
    with pytest.raises(ConfigError, match="quantile is 1"):
        active_cells(codes, quantile=1)


def test_permuted_labels_name_as_many_cells_and_other_ones():
    active = np.arange(50) < 10
    made = permuted(active, 5)
    assert (made.sum(axis=1) == 10).all() and (made != active).any(axis=1).all()
    assert (made == permuted(active, 5)).all()


def test_rankings_agree_with_themselves_and_not_with_their_reverse():
    scores = scored()
    sets = GeneSets.of(planted(scores), scores.index)
    fast, reverse = FastPrerank.of(scores, sets), FastPrerank.of(-scores, sets)
    same, opposed = agreement(fast, fast), agreement(fast, reverse)
    assert (same.genes, same.nes, same.jaccard) == pytest.approx((1, 1, 1))
    assert opposed.genes == pytest.approx(-1) and opposed.nes < -0.9
    nothing = FastPrerank.of(scored(seed=5), sets)
    empty = agreement(nothing, nothing)
    assert np.isnan(empty.jaccard) == (empty.significant == (0, 0))
    other = small_sets(library(a=list(scores.index[:12])), scores.index)
    with pytest.raises(InputError, match="not on the same genes and sets"):
        agreement(fast, FastPrerank.of(scores, other))
    assert np.isnan(spearman(np.ones(3), np.arange(3.0)))
