"""A data card tells what cells hold without the expression of any of them, and comes back from disk as it was."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from perturbook.errors import ConfigError, DataUnavailable, InputError
from perturbook.pages import card as cards
from perturbook.pages import card_tables, kept, present_card
from perturbook.pages.cell_map import cell_map


def a_map(cells, seed, shown):
    """Stands in for the real map, which takes seconds to compile."""
    obs = cells.obs.iloc[:shown]
    labels = {"context": obs["context"].astype(str), "group": card_tables.groups(obs).astype(str)}
    return pd.DataFrame({**labels, "n_counts": obs["n_counts"], "x": 0.125, "y": -1.5}).reset_index(drop=True)


@pytest.fixture
def own_file(screen, tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "cell_map", a_map)
    screen.obs["context"] = screen.obs["context"].cat.rename_categories({"A549": "7", "K562": "NA"})
    path = tmp_path / "mine.h5ad"
    screen.write_h5ad(path)
    return path


def made(own_file, tmp_path, **options):
    return cards.make_card("data-mine", str(own_file), tmp_path / "card", **options)


def obs_of(*rows):
    frame = pd.DataFrame(rows, columns=["context", "perturbation", "dose_um"])
    return frame.assign(is_control=frame["perturbation"] == "control")


def test_few_perturbations_are_groups_by_name_and_control_comes_first():
    obs = obs_of(("A", "IFN-beta", np.nan), ("A", "control", 0.0), ("A", "Aspirin", 1.0))
    assert list(card_tables.groups(obs)) == ["IFN-beta", "control", "Aspirin"]
    assert list(card_tables.groups(obs).cat.categories) == ["control", "Aspirin", "IFN-beta"]


def test_many_perturbations_are_groups_by_dose_ordered_as_numbers():
    rows = [("A", f"drug{i}", dose) for i in range(9) for dose in (100.0, 0.01, 1.0)]
    groups = card_tables.groups(obs_of(("A", "control", 0.0), *rows))
    assert list(groups.cat.categories) == ["control", "0.01 µM", "1 µM", "100 µM"]
    genes = [("A", f"GENE{i}", np.nan) for i in range(9)]
    assert set(card_tables.groups(obs_of(("A", "control", 0.0), *genes))) == {"control", "perturbed"}


def test_cells_and_perturbations_are_counted_per_context_and_group(screen):
    table = card_tables.counts(screen.obs)
    assert table[table["context"] == "A549"].values.tolist() == [
        ["A549", "control", 1, 10],
        ["A549", "Aspirin", 1, 20],
        ["A549", "Metformin", 1, 20],
    ]
    assert table["cells"].sum() == screen.n_obs


def test_real_cells_give_the_published_table(kang):
    table = card_tables.counts(kang.obs).set_index(["context", "group"])["cells"]
    assert table["CD4T", "IFN-beta"] == 356 and table["NK", "control"] == 54 and table.sum() == 1975


def test_library_sizes_are_quantiles_per_context_and_state():
    obs = obs_of(*[("A", "control", 0.0)] * 5, ("A", "Aspirin", 1.0))
    table = card_tables.depth(obs.assign(n_counts=[1.0, 2.0, 3.0, 4.0, 5.0, 70.0])).set_index("state")
    assert table.loc["control", ["cells", "q1", "median", "q3"]].tolist() == [5, 2, 3, 4]
    assert table.loc["perturbed", "median"] == 70


def test_the_change_and_its_noise_are_those_computed_by_hand():
    values = np.array([[0, 0], [2, 0], [4, 4], [4, 4]], dtype=np.float32)
    obs = obs_of(("A", "control", 0.0), ("A", "control", 0.0), ("A", "Aspirin", 1.0), ("A", "Aspirin", 1.0))
    cells = AnnData(sp.csr_matrix(values), obs=obs.set_index(pd.Index(list("abcd"))))
    cells.layers["lognorm"] = cells.X
    row = card_tables.change(cells).iloc[0]
    assert row["measured"] == pytest.approx(np.sqrt((3**2 + 4**2) / 2))  # means (4, 4) against (1, 0)
    assert row["expected"] == pytest.approx(1.0)  # control variances 2 and 0: mean 1, times 1/2 + 1/2
    assert row["perturbations"] == 1


def test_cells_without_any_effect_change_by_the_noise_alone(screen):
    table = card_tables.change(screen)  # all its cells are drawn alike
    assert (table["measured"] ** 2).mean() == pytest.approx((table["expected"] ** 2).mean(), rel=0.25)


def test_unperturbed_cells_have_no_change_and_carry_no_setting(screen):
    controls = screen[screen.obs["is_control"]].copy()
    assert card_tables.change(controls).empty
    assert set(card_tables.settings(controls, 0)["carried"]) == {"no"}


def test_a_setting_that_cells_cannot_carry_says_why(screen):
    table = card_tables.settings(screen, 0).set_index("setting")
    assert table.loc["New cells of known conditions", "carried"] == "yes"
    assert "three treated contexts" in table.loc["Zero-shot context", "why"]


def test_a_card_is_read_back_with_every_label_and_leaves_nothing_else(own_file, tmp_path):
    card = made(own_file, tmp_path)
    assert set(card.counts["context"]) == {"7", "NA"} == set(card.cells["context"])
    assert card.facts["cells"] == 100 and card.facts["doses_um"] == [1.0, 10.0] and not card.deposited
    assert card.depth["median"].dtype == float and len(card.facts["checks"]) > 20
    assert sorted(p.name for p in tmp_path.iterdir()) == ["card", "mine.h5ad"]


def test_a_card_holds_labels_summaries_and_places_but_no_expression(own_file, tmp_path):
    made(own_file, tmp_path)
    files = sorted(p.name for p in (tmp_path / "card").iterdir())
    tables = ["cells.csv", "change.csv", "counts.csv", "depth.csv", "settings.csv"]
    assert files == ["card.json", *tables[:4], "manifest.json", tables[4]]
    assert pd.read_csv(tmp_path / "card" / "cells.csv").columns.tolist() == [
        "context",
        "group",
        "n_counts",
        "x",
        "y",
    ]


def test_the_same_card_is_made_twice(own_file, tmp_path):
    made(own_file, tmp_path)
    first = {p.name: p.read_bytes() for p in (tmp_path / "card").iterdir() if p.name != "manifest.json"}
    made(own_file, tmp_path)
    assert first == {p: (tmp_path / "card" / p).read_bytes() for p in first}


def test_an_empty_dose_is_read_back_as_a_number_that_is_missing(own_file, tmp_path):
    table = pd.DataFrame({"context": ["NA"], "dose_um": [np.nan], "measured": [1.0], "expected": [0.5]})
    table.to_csv(tmp_path / "change.csv", index=False)
    read = cards._read(tmp_path / "change.csv")
    assert read["context"].tolist() == ["NA"] and np.isnan(read["dose_um"].iloc[0])


def test_without_the_data_the_deposit_is_shown_and_says_so(own_file, tmp_path, monkeypatch):
    made(own_file, tmp_path)
    (tmp_path / "card").rename(tmp_path / "kept")
    (tmp_path / "results" / "data-mine").mkdir(parents=True)
    (tmp_path / "kept").rename(tmp_path / "results" / "data-mine" / "0")
    monkeypatch.setattr(kept, "ROOT", tmp_path)

    def absent(name, **options):
        raise DataUnavailable(f"{name} is nowhere.")

    monkeypatch.setattr(cards.data, "load", absent)
    card = made(own_file, tmp_path)
    assert card.deposited and card.facts["cells"] == 100
    assert "Deposited results" in present_card.banner(card).data
    with pytest.raises(DataUnavailable, match="nowhere.*no deposit of page 'data-mine', seed 1"):
        made(own_file, tmp_path, seed=1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pbmc68k-reduced", {"seed": -1}, "seed=-1"),
        ("pbmc68k-reduced", {"shown": 3}, "shown=3"),
        ("pbmc68k-reduced", {"size": "small"}, "has no option size"),
        ("geneset-hallmark", {}, "holds no cells"),
        ("simulated-drugs", {"size": "huge"}, "no size 'huge'"),
    ],
)
def test_an_impossible_card_is_refused_and_writes_nothing(name, options, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        cards.make_card("data-x", name, tmp_path / "card", **options)
    assert not list(tmp_path.iterdir())


def test_half_a_card_is_refused(own_file, tmp_path):
    made(own_file, tmp_path)
    (tmp_path / "card" / "depth.csv").unlink()
    with pytest.raises(InputError, match=r"whole data card.*depth\.csv"):
        cards.read_card(tmp_path / "card")


def test_markup_in_a_label_stays_text(own_file, tmp_path):
    card = made(own_file, tmp_path)
    evil = "<img src=x onerror=alert(1)>*_`"
    for table in (card.counts, card.depth, card.change):
        table["context"] = table["context"].replace("7", evil)
    card.change["dose_um"] = np.nan
    said = present_card.change_text(card).data
    assert "<img" not in present_card.count_table(card).data and "<img" not in said and "`" not in said


def test_simulated_cells_are_called_simulated_before_anything_else(tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "cell_map", a_map)
    card = cards.make_card("data-simulated-drugs", "simulated-drugs", tmp_path / "card", size="small")
    assert "Simulated cells" in present_card.banner(card).data
    assert "simulated cells" in present_card.answer(card).data
    assert "simulated cells" in present_card.change_text(card).data


@pytest.mark.slow
def test_the_map_depends_on_the_seed_and_not_on_the_order_of_the_rows(screen):
    shuffled = screen[np.random.default_rng(1).permutation(screen.n_obs)].copy()
    first = cell_map(screen, seed=0, shown=60)
    assert first.shape == (60, 5) and np.isfinite(first[["x", "y"]]).all(axis=None)
    pd.testing.assert_frame_equal(first, cell_map(shuffled, seed=0, shown=60))
    assert not first.equals(cell_map(screen, seed=1, shown=60))
