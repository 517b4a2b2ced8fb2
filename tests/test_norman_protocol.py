"""The published protocol on Norman et al.: 96 new cells of each large single, every double, and nothing of either in training."""

import numpy as np
import pytest
from hand_made import cells
from norman_labels import DOUBLES, SINGLES

from perturbook import splits
from perturbook.errors import ConfigError, LeakError
from perturbook.splits import audit

LARGE = "KLF1 BAK1 CEBPE UBASH3B ETS2 OSR2 SLC4A1 SET ELMSAN1 MAP2K6 FOXF1 C19orf26 FOXA1 UBASH3A".split()
"""Singles of more than 800 cells. Source: perturbedvae.md section 9."""


def screen(sizes):
    rows = [("K562", "control", 0.0)] * 20
    rows += [("K562", name, np.nan) for name, n in sizes.items() for _ in range(n)]
    return cells(rows, np.ones((len(rows), 1)))


@pytest.fixture(scope="module")
def small():
    return screen({"A": 801, "B": 800, "C": 20, "A+B": 10, "A+C": 10, "C+D": 10, "D+E": 10, "A+B+C": 10})


@pytest.fixture(scope="module")
def part(small):
    return splits.split(small, "norman_protocol")


def counts(adata, names):
    return adata.obs.loc[names, "perturbation"].astype(str).value_counts().to_dict()


def test_only_singles_of_more_than_800_cells_and_every_double_are_tested(small, part):
    assert counts(small, part.test) == {"A": 96, "A+B": 10, "A+C": 10, "C+D": 10, "D+E": 10}
    assert not any("+" in name for name in counts(small, part.visible))
    learned = counts(small, part.visible)
    assert {name: learned[name] for name in "ABC"} == {"A": 801 - 96, "B": 800, "C": 20}


def test_a_double_says_how_many_of_its_genes_are_ever_alone(part):
    assert dict(zip(part.conditions["perturbation"], part.conditions["stratum"], strict=True)) == {
        "A": "new cells",
        "A+B": "seen 2",
        "A+C": "seen 2",
        "C+D": "seen 1",
        "D+E": "seen 0",
    }


def test_the_audit_passes_and_finds_a_planted_double_and_a_planted_test_cell(small, part):
    audit(small, part)
    double = small.obs_names[small.obs["perturbation"] == "A+B"]
    with pytest.raises(LeakError):
        audit(small, part, {"panel": [*part.train, *double]})
    tested = [name for name in part.test if small.obs.loc[name, "perturbation"] == "A"]
    with pytest.raises(LeakError):
        audit(small, part, {"panel": [*part.train, tested[0]]})


def test_a_screen_without_a_large_single_is_refused_with_what_to_ask_instead():
    with pytest.raises(ConfigError, match="K562 has none; seen_single and double_seen2 ask the same"):
        splits.split(screen({"A": 800, "B": 5, "A+B": 5}), "norman_protocol")


def test_the_published_screen_gives_1344_test_cells_of_14_singles():
    sizes = {name: 801 if name in LARGE else 2 for name in SINGLES} | dict.fromkeys(DOUBLES, 1)
    adata = screen(sizes)
    part = splits.split(adata, "norman_protocol")
    tested = counts(adata, part.test)
    singles = {name: n for name, n in tested.items() if "+" not in name}
    assert set(singles) == set(LARGE) & set(SINGLES) and set(singles.values()) == {96}
    assert sum(singles.values()) == 1344
    assert {name for name in tested if "+" in name} == set(DOUBLES)
