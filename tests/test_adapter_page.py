"""The page on the adapter: its numbers are those of the models, and its drawing says what is drawn."""

import re
import xml.etree.ElementTree as ET

import pytest
import torch

from perturbook.models.scdca import WHOLE_HUMAN, Config, trainable_parameters
from perturbook.pages import adapter as shown
from perturbook.pages.adapter_drawing import SAID, drawing
from perturbook.pages.charts.adapter import budget


def rows(html):
    """Cells of the body of a table, as text."""
    body = html.data.split("<tbody>")[1]
    return [re.findall(r"<td>(.*?)</td>", row) for row in body.split("<tr>")[1:]]


@pytest.fixture(scope="module")
def shares():
    return shown.shares()


@pytest.mark.parametrize(
    ("encoder", "adapters", "r"),
    [("ChemBERTa", "12", 16), ("RDKit descriptors", "24", 3), ("ChemBERTa", "24", 40)],
)
def test_a_point_of_the_chart_is_what_the_model_trains(shares, encoder, adapters, r):
    row = shares[(shares["encoder"] == encoder) & (shares["adapters"] == adapters) & (shares["r"] == r)].iloc[
        0
    ]
    position = "both" if adapters == "24" else "ffn"
    assert row["trained"] == trainable_parameters(Config(position=position, bottleneck=r), row["m"])
    assert row["percent"] == 100 * row["trained"] / WHOLE_HUMAN.n_parameters


def test_the_chart_has_a_control_for_adapters_and_width_and_a_description(shares):
    spec = budget(shares).to_dict()
    assert {one["name"] for one in spec["params"]} >= {"adapters", "bottleneck"}
    assert "one percent" in spec["description"]


def test_the_width_table_says_the_largest_bottleneck_within_the_claim():
    found = {(row[0], row[2]): (row[3], row[5]) for row in rows(shown.width_table())}
    assert found["ChemBERTa", "12"] == ("350,400", "23")
    assert found["Morgan, 2,048 bits", "12"] == ("596,160", "13")


def test_the_forms_table_says_which_forms_break_the_claim():
    found = {row[0]: row[3] for row in rows(shown.forms_table())}
    over = {name for name, said in found.items() if said == "over"}
    assert over == {
        "shift, behind both sublayers",
        "shift behind U, one linear map",
        "shift, with a trained decoder as head",
        "full fine-tuning",
    }


def test_the_first_steps_begin_at_the_frozen_model_and_drugs_differ_from_the_second_on():
    batch, other = shown.screen(6)
    assert len(batch.e) == 6 and not torch.equal(batch.e, other.e)
    first, second, third, _ = rows(shown.start(batch, other))
    assert first[3:5] == ["0", "0"] and first[6:] == ["0", "0"]
    assert float(first[2]) > 0 and all(float(one) > 0 for one in second[2:])
    assert float(third[1]) < float(first[1])


def test_the_drawing_is_well_formed_says_what_it_shows_and_asks_for_no_other_file():
    root = ET.fromstring(drawing().data)
    assert root.get("role") == "img" and root.get("aria-label") == SAID
    assert "http" not in drawing().data and "href" not in drawing().data
    words = [one.text for one in root.iter("text")]
    assert {"attention", "feed-forward", "W: D to r", "U: r to D", "f: m to r"} <= set(words)
