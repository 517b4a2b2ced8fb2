"""No cell that a page holds out was ever seen by the backbone: the audit proves it, and finds every planted leak."""

import json
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hand_made import cells, grid

from perturbook import data
from perturbook.data.fingerprint import fingerprints, fingerprints_of
from perturbook.errors import LeakError
from perturbook.splits import Pretrained, TrainedOn, audit, split


@pytest.fixture(scope="module")
def screen():
    """Counts of three lines, drugs and doses; every cell has genes enough for a fingerprint."""
    rows = grid(["A", "B", "C"], ["d1", "d2", "d3"])
    counts = np.random.default_rng(1).poisson(3, size=(len(rows), 40)) + 1
    made = cells(rows, values=counts)
    made.obs["dataset"], made.uns["value_kind"] = "mine", "counts"
    return made


def seen(*names, cells=()):
    trained = tuple(TrainedOn(name, 5, ("B cell",)) for name in names)
    return Pretrained("small", trained, np.asarray(cells, np.uint64))


def audited(screen, pretrained):
    return audit(screen, split(screen, "zero_shot_context", held_out="B", mode="A"), pretrained=pretrained)


AUDITS = {
    path.parts[-3]: json.loads(path.read_text()).get("audits", [])
    for path in sorted((Path(__file__).parents[1] / "results").glob("*/0/manifest.json"))
}


@pytest.mark.parametrize("page", [page for page, audits in AUDITS.items() if audits])
def test_every_setting_page_is_audited_against_the_cells_of_the_checkpoint_in_the_box(page):
    for audit_of_fold in AUDITS[page]:
        assert any(check.startswith("The backbone small was trained on") for check in audit_of_fold["checks"])


def test_a_fingerprint_is_the_sum_of_counts_times_the_hash_of_the_gene():
    names, counts = [f"gene{i}" for i in range(20)], np.arange(1, 21)[None]
    hashes = [int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") for name in names]
    by_hand = sum(n * h for n, h in zip(range(1, 21), hashes, strict=True)) % 2**64
    assert int(fingerprints(counts, names)[0]) == by_hand


def test_neither_order_nor_format_nor_silent_genes_change_a_fingerprint(screen):
    counts, names = screen.X.toarray(), np.array(screen.var_names)
    wanted = fingerprints(screen.X, names)
    turned = np.random.default_rng(0).permutation(len(names))
    assert (fingerprints(counts[:, turned], names[turned]) == wanted).all()
    assert (fingerprints(sp.csc_matrix(counts), names) == wanted).all()
    wider = np.hstack([counts, np.zeros((len(counts), 3))])
    assert (fingerprints(wider, [*names, "x", "y", "z"]) == wanted).all()
    assert len(np.unique(wanted)) == len(wanted)


def test_another_count_or_another_gene_gives_another_fingerprint_and_few_genes_give_none(screen):
    counts, names = screen.X.toarray()[:1], list(screen.var_names)
    wanted = fingerprints(counts, names)
    assert fingerprints(counts + (np.arange(40) == 7), names) != wanted
    assert fingerprints(counts, ["other", *names[1:]]) != wanted
    assert fingerprints(counts[:, :19], names[:19])[0] == 0
    logs = screen.copy()
    logs.uns["value_kind"] = "lognorm"
    assert fingerprints_of(logs) is None


def test_a_backbone_that_saw_other_data_passes_and_the_audit_says_what_it_saw(screen):
    said = " ".join(audited(screen, seen("pbmc3k", "simulated-drugs")).checks)
    assert "backbone small was trained on 5 cells of pbmc3k and 5 simulated cells of other worlds" in said
    assert "none of them from here (by name of the data set and by counts)" in said
    assert "types of pbmc3k (B cell)" in said
    assert "backbone" not in " ".join(audited(screen, None).checks)


def test_a_backbone_trained_on_the_data_set_of_the_page_is_refused(screen):
    with pytest.raises(
        LeakError, match="backbone small was trained on cells of mine, from which this page holds out"
    ):
        audited(screen, seen("pbmc3k", "mine"))


def test_a_cell_that_the_backbone_saw_under_another_name_is_refused(screen):
    leaked = fingerprints(screen.X[7], screen.var_names)
    with pytest.raises(
        LeakError, match="1 cells, such as c007, are cells that the backbone small was trained on"
    ):
        audited(screen, seen("pbmc3k", cells=leaked))
    renamed = screen.copy()
    renamed.obs_names = [f"new{i}" for i in range(screen.n_obs)]
    with pytest.raises(LeakError, match="such as new7"):
        audited(renamed, seen("pbmc3k", cells=leaked))


def test_values_that_are_no_counts_are_compared_by_name_only(screen):
    logs = screen.copy()
    logs.uns["value_kind"] = "lognorm"
    assert "(by name of the data set)" in " ".join(audited(logs, seen("pbmc3k")).checks)


def test_another_world_of_a_simulator_passes_and_the_same_world_is_refused():
    options = {"size": "small", "expectation": False}
    page, other = (data.load("simulated-drugs", seed=seed, **options) for seed in (0, 7))
    held = split(page, "zero_shot_context", mode="A", held_out=sorted(page.obs["context"].unique())[0])
    trained = seen("simulated-drugs", cells=fingerprints_of(other))
    assert any(
        "simulated cells of other worlds" in check for check in audit(page, held, pretrained=trained).checks
    )
    with pytest.raises(LeakError, match="are cells that the backbone small was trained on"):
        audit(page, held, pretrained=replace(trained, cells=fingerprints_of(page)))
