"""Leaks of the Settings chapter: each that is put in is caught, and an audit that lets one pass fails the page."""

import numpy as np
import pytest

from perturbook import data, splits
from perturbook.errors import PerturbookError
from perturbook.pages import present_unseen, unseen, unseen_genes, unseen_leaks


@pytest.fixture(scope="module")
def drugs():
    cells = data.load("simulated-drugs", size="small", expectation=False)
    return cells, unseen.examples(cells, 0)


@pytest.fixture(scope="module")
def genes():
    cells = data.load("simulated-pairs", size="small", expectation=False)
    return cells, unseen_genes.examples(cells, 0, "world-1")


def test_every_leak_put_into_a_drug_screen_is_caught_with_words_of_its_own(drugs):
    messages = [message for _, _, message in unseen_leaks.caught(unseen_leaks.of_drugs(*drugs))]
    assert len(messages) == 6 == len(set(messages))
    assert "LeakError" in present_unseen.leak_table(unseen_leaks.of_drugs(*drugs)).data


def test_the_splits_pass_before_a_leak_is_put_in(drugs, genes):
    for cells, made in (drugs, genes):
        for split in made.values():
            assert splits.audit(cells, split).checks


@pytest.mark.parametrize("seed", range(4))
def test_every_leak_put_into_a_gene_screen_is_caught_by_the_label_that_leaks(genes, seed):
    cells, _ = genes
    made = unseen_genes.examples(cells, seed, "world-1")
    found = {name: message for name, _, message in unseen_leaks.caught(unseen_leaks.of_genes(cells, made))}
    assert list(found) == ["unseen_single", "double_seen2", "double_seen0", "additive_split"]
    parts = ("training", "validation", "validation", "training")
    for (name, message), part in zip(found.items(), parts, strict=True):
        assert message.startswith(f"Cells of held-out labels in {part} ({name})")
    assert f"|{made['double_seen0'].options['unseen_genes'][0]}|" in found["double_seen0"]
    assert f"|{made['additive_split'].held_out[0]}|" in found["additive_split"]
    assert made["unseen_single"].held_out[0] in found["unseen_single"]


def test_an_audit_that_lets_a_leak_pass_fails_the_page(drugs, monkeypatch):
    monkeypatch.setattr(unseen_leaks.splits, "audit", lambda *_: None)
    with pytest.raises(PerturbookError, match="let a leak pass: one test cell is also in training"):
        list(unseen_leaks.caught(unseen_leaks.of_drugs(*drugs)))


def test_a_double_is_relabelled_with_its_genes_in_the_other_order(genes):
    cells, made = genes
    *_, (_, _, changed, split, _) = unseen_leaks.of_genes(cells, made)
    double = made["additive_split"].held_out[0]
    differ = cells.obs["perturbation"].astype(str) != changed.obs["perturbation"].astype(str)
    assert set(changed.obs.loc[differ, "perturbation"]) == {"+".join(double.split("+")[::-1])}
    assert set(cells.obs.loc[differ, "perturbation"]) == {double}
    assert set(cells.obs_names[differ]) <= set(split.train) and not set(cells.obs_names[differ]) & set(
        split.test
    )


def test_putting_in_leaks_leaves_the_cells_as_they_were(drugs, genes):
    for (cells, made), put_in in ((drugs, unseen_leaks.of_drugs), (genes, unseen_leaks.of_genes)):
        values, obs = cells.X.copy(), cells.obs.copy()
        list(unseen_leaks.caught(put_in(cells, made)))
        assert (cells.X != values).nnz == 0 and cells.obs.equals(obs)
        np.testing.assert_array_equal(cells.obs_names, obs.index)
