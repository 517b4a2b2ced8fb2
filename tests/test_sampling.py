"""Sampling or averaging: the page puts variance beside error, and its curve is the equation it prints."""

import numpy as np
import pytest
from hand_made_scores import write_bundle

from perturbook.errors import InputError
from perturbook.pages import sampling
from perturbook.pages.charts.sampling import sampling_chart
from perturbook.pages.table import page

N = 3


def of(error, ratio, distance, means=0.1):
    return {
        sampling.ERROR: [error] * N,
        sampling.RATIO: [ratio] * N,
        sampling.DISTANCE: [distance] * N,
        sampling.MEANS: [means] * N,
    }


VALUES = {
    ("mean_train", ""): of(0.5, 0.0, 1.0),
    ("perturbed_vae", ""): of(0.45, 0.04, 0.9),
    ("perturbed_vae_transport", ""): of(0.6, 1.0, 0.2),
    ("half_duplicate", ""): of(0.6 * np.sqrt(2), 1.0, 0.0),
    ("additive_pairs", ""): of(np.nan, np.nan, np.nan),
}


@pytest.fixture
def rows(tmp_path):
    for name in sampling.PAGES:
        write_bundle(tmp_path / name, VALUES)
    return sampling.read(str(tmp_path))


def test_every_predictor_with_a_defined_error_stands_on_both_pages(rows):
    titles = [page(name).title for name in sampling.PAGES]
    assert list(dict.fromkeys(rows["page"])) == titles
    assert set(rows["method"]) == {"mean_train", "perturbed_vae", "perturbed_vae_transport", "half_duplicate"}
    assert (rows["conditions"] == N).all()
    assert rows.set_index("method")["role"]["half_duplicate"].tolist() == ["ceiling"] * 2


def test_the_spread_comes_from_real_cells_and_the_curve_is_the_printed_equation(rows):
    mine = rows[rows["page"] == page(sampling.PAGES[1]).title]
    assert sampling.spread(mine) == pytest.approx(0.6)
    drawn = sampling.curve(mine)
    assert drawn["error"].iloc[0] == pytest.approx(0.6) and drawn["ratio"].iloc[-1] == 1.5
    assert drawn["error"].to_numpy() == pytest.approx(0.6 * np.sqrt(1 + drawn["ratio"].to_numpy()))


def test_the_sentence_says_that_the_error_rises_while_the_cells_come_nearer(rows):
    said = sampling.answer(rows).data
    assert (
        "0.04 of the variance" in said
        and "the error rises to 0.600" in said
        and "nearer to the measured ones" in said
    )
    gone = sampling.answer(rows[rows["method"] != "perturbed_vae"]).data
    assert "no defined score" in gone


def test_tables_are_sorted_by_distance_and_judge_the_ratio(rows):
    shown = sampling.scores_table(rows, page(sampling.PAGES[1]).title).data
    assert shown.index("Split-half") < shown.index("controls moved") < shown.index("Mean of training")
    wanted = sampling.wanted(rows).data
    assert wanted.count("<td>yes</td>") == 2 and wanted.count("<td>no</td>") == 2


def test_the_published_table_is_labelled_and_implies_no_variance():
    shown = sampling.published_table().data
    assert "Reported by others" in shown and "-0.004" in shown and "0.716" in shown


def test_the_chart_responds_and_has_words(rows):
    spec = sampling_chart(rows).to_dict()
    assert spec["width"] == "container" and "the less variance, the smaller the error" in spec["description"]


def test_a_missing_page_is_named(tmp_path, monkeypatch):
    from perturbook.pages import kept

    monkeypatch.setattr(kept, "ROOT", tmp_path)
    with pytest.raises(InputError, match="lacks norman-seen-single"):
        sampling.read(str(tmp_path))
