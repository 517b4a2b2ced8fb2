"""The concept explorer in a real browser, over http and from disk, with every odd feature and file."""

import csv
import io
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from small_atlas import MARKUP, small_atlas
from test_browser import CHECKS, CHROMIUM, browser, served  # noqa: F401

from perturbook.explorer.annotations import read, write_csv
from perturbook.explorer.site import write_site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PLACES = ("http", "disk")
ATLAS = small_atlas()
HASH = ATLAS.about["artefact_hash"]
FEATURES = ATLAS.tables["features"].set_index("uid")


def record(**changed) -> dict:
    held = {
        "feature_uid": "sae-5",
        "interpretable": "no",
        "label": "'=x",
        "ontology_ids": [],
        "confidence": None,
    }
    held |= {
        "usefulness": 2,
        "panels_used": ["map"],
        "seconds": 3.5,
        "comment": '-a,"b"\r\nc',
        "repeat_of": None,
    }
    return held | {"pass": 1, "blind": True, "saved": "2026-01-31T09:00:00.000Z"} | changed


def annotations(*records, **changed) -> dict:
    held = {"schema_version": 1, "artefact_hash": HASH, "atlas": "planted", "study_id": "trial"}
    return held | {"annotator_code": "anna", "pass": 1, "records": list(records)} | changed


OTHER = record(feature_uid="sae-6", label="=x", panels_used=["map", "genes"])


def files(folder: Path) -> Path:
    """Files to import: good ones and one for every way of being wrong."""
    folder.mkdir()
    texts = {
        "good.json": json.dumps(annotations(record())),
        "foreign.json": json.dumps(annotations(record(), artefact_hash="0" * 64)),
        "corrupt.json": json.dumps(annotations(record()))[:-9],
        "corrupt.csv": 'schema_version,"artefact',
        "strange.json": json.dumps(annotations(record(extra=1))),
        "types.json": json.dumps(annotations(record(confidence=6))),
        "unknown.json": json.dumps(annotations(record(feature_uid="sae-999"))),
        "big.json": json.dumps(annotations()) + " " * 5_000_000,
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
    (folder / "binary.json").write_bytes(b"\xff\xfe\x00")
    (folder / "other.json").write_text(json.dumps(annotations(OTHER)))
    write_csv(read(folder / "other.json"), folder / "good.csv")
    return folder


@pytest.fixture(scope="module")
def seen(browser, tmp_path_factory) -> dict:  # noqa: F811
    folder = tmp_path_factory.mktemp("explorer")
    page = write_site([ATLAS, small_atlas("many", features=2000)], folder / "site", "../intro.html")
    job = {"chromium": CHROMIUM, "files": str(files(folder / "files"))}
    if pictures := os.environ.get("PERTURBOOK_SCREENSHOTS"):
        job["screenshots"] = str(Path(pictures).resolve())
    report = {}
    with served(folder / "site") as base:
        for place, address, more in (
            ("http", f"{base}index.html", {}),
            ("disk", page.as_uri(), {"only": ["list", "feature", "annotation", "lost"]}),
        ):
            done = subprocess.run(
                ["node", "explorer.mjs"],
                cwd=CHECKS,
                input=json.dumps({**job, **more, "places": {place: address}}),
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == 0, done.stderr
            report |= json.loads(done.stdout)
    return report


@pytest.mark.parametrize("place", PLACES)
def test_no_visit_ends_early_asks_another_host_or_runs_what_a_label_says(seen, place):
    assert seen[place]["problems"] == []


@pytest.mark.parametrize("place", PLACES)
def test_the_list_is_searched_sorted_and_filtered(seen, place):
    facts = seen[place]["list"]
    assert facts["all"] == list(FEATURES.index)
    assert facts["count"] == "12 of 12 features match."
    assert facts["badge"] == 1 and MARKUP in facts["notes"]
    by_share = FEATURES["share"].sort_values(kind="stable")
    assert [FEATURES["share"][uid] for uid in facts["rising"][0]] == list(by_share)
    assert [FEATURES["share"][uid] for uid in facts["falling"][0]] == list(by_share[::-1])
    assert (facts["rising"][1], facts["falling"][1]) == ("ascending", "descending")
    assert facts["overtaken"][-2:] == ["sae-1", "sae-3"]  # undefined comes last
    genes = ATLAS.tables["genes"]
    assert set(facts["gene"]) == set(genes.loc[genes["gene"] == "GENE7", "uid"])
    assert set(facts["term"]) == set(ATLAS.tables["terms"]["uid"])
    assert facts["nothing"] == [[], "0 of 12 features match."]
    assert facts["neurons"] == ["neuron-0", "neuron-1"]
    assert facts["often"] == ["sae-0"]
    assert facts["unattributed"] == ["sae-1", "sae-3"]


@pytest.mark.parametrize("place", PLACES)
def test_a_feature_opens_by_its_link_and_keys_lead_on(seen, place):
    facts = seen[place]["feature"]
    assert facts["title"] == "sae-4 · Synthetic planted"
    row = FEATURES.loc["sae-4"]
    assert facts["told"].startswith(f"Active in {row['active']} of 120 cells (")
    assert facts["charts"] >= 8 and facts["named"] == 0
    assert facts["swaps"] == 3
    assert facts["back"] == "sae-6 · Synthetic planted"
    assert facts["typed"] == ["j", "sae-6"]
    assert facts["help"] and facts["closed"] and facts["slash"]
    print(f"next feature shown after {facts['milliseconds']} ms ({place})")
    assert max(facts["milliseconds"]) < 3000


def test_the_cutoff_counts_the_tested_genes_above_it(seen):
    facts, row = seen["http"]["feature"], FEATURES.loc["sae-4"]
    table = ATLAS.tables["cutoffs"].query("uid == 'sae-4'").set_index("cutoff")["genes"]
    assert facts["at005"].startswith(f"{table[0.05]} of 40 tested genes lie above 0.05.")
    above = (ATLAS.tables["genes"].query("uid == 'sae-4'")["attribution"] > row["null_cutoff"]).sum()
    assert facts["counted"].startswith(f"{above} of 40 tested genes lie above ")
    assert "1 % of the scores of negative controls" in facts["counted"]


def test_terms_stand_once_with_both_rankings_and_what_is_not_shown_is_a_dash(seen):
    first, second = seen["http"]["feature"]["terms"]
    assert MARKUP in first and "1.9" in first and "< 0.001" in first and "0.03" in first
    assert second.split("\t")[1:5] == ["1.2", "0.2", "–", "–"]


def test_features_active_everywhere_nowhere_and_in_one_cell_type_say_so(seen):
    facts = seen["http"]["odd"]
    assert facts["sae-0"]["told"].startswith("Active in all 120 cells, most often ")
    assert facts["sae-1"]["told"] == "Active in none of 120 cells."
    assert "most of them NK (100 % of active cells, 20 % of all)" in facts["sae-2"]["told"]
    for uid in ("sae-1", "sae-3"):
        assert facts[uid]["genes"].startswith("No attribution: active in 4 of 90 training cells")
    assert all("NaN" not in one["page"] and "null," not in one["page"] for one in facts.values())
    assert "undefined" in facts["sae-1"]["page"]


@pytest.mark.parametrize("place", PLACES)
def test_an_unknown_link_says_so_and_offers_the_atlases(seen, place):
    assert len(seen[place]["lost"]) == 8
    assert set(map(tuple, seen[place]["lost"].values())) == {("Unknown link", 2)}


@pytest.mark.parametrize("place", PLACES)
def test_an_annotation_is_checked_kept_and_exported_with_all_its_versions(seen, place):
    facts = seen[place]["annotation"]
    assert facts["nobody"] == "Give a study and an annotator code first."
    assert facts["refused"].startswith("ontology ids: must be a list")
    assert facts["saved"] == "Saved in this browser."
    assert facts["reloaded"] == facts["listed"] == 'Interferon, "type I" <b>bold</b>'
    assert facts["mine"] == ["sae-4"]
    assert facts["json"]["name"] == "planted-anna.json"
    file = json.loads(facts["json"]["text"])
    assert list(file) == list(annotations()) and list(file["records"][0]) == list(record())
    assert (file["artefact_hash"], file["study_id"], file["pass"]) == (HASH, "trial", 2)
    first, second = file["records"]
    assert (first["interpretable"], second["interpretable"]) == ("yes", "unsure")
    assert first["ontology_ids"] == ["GO:0034340", "CL:0000236"] and first["comment"] == "=1+1\nsecond line"
    assert (first["confidence"], first["usefulness"], first["blind"], first["repeat_of"]) == (
        4,
        None,
        False,
        None,
    )
    assert first["seconds"] > 0 and "map" in first["panels_used"]
    rows = list(csv.DictReader(io.StringIO(facts["csv"]["text"], newline="")))
    assert [row["comment"] for row in rows] == ["'=1+1\nsecond line"] * 2
    assert [row["label"] for row in rows] == [first["label"]] * 2
    assert rows[0]["ontology_ids"] == "GO:0034340;CL:0000236" and rows[0]["usefulness"] == ""


@pytest.mark.parametrize("place", PLACES)
def test_import_adds_versions_once_and_refuses_what_is_wrong_with_a_sentence(seen, place):
    facts = seen[place]["annotation"]
    said = facts["imports"]
    assert "1 new, none overwritten" in said["good.json"][0] and "0 new" in said["good.json"][1]
    assert "1 new" in said["good.csv"][0]
    for name, words in {
        "foreign.json": "another artefact",
        "corrupt.json": "no whole JSON",
        "corrupt.csv": "ends inside a quotation",
        "strange.json": 'unknown field "extra"',
        "types.json": "field confidence: 6 is not null or a whole number from 1 to 5",
        "unknown.json": "sae-999",
        "big.json": "more than the 5,000,000",
        "binary.json": "no text in UTF-8",
    }.items():
        assert words in said[name][0] and "Nothing was read" in said[name][0]
    assert facts["after"][:2] == [
        record(),
        record(feature_uid="sae-6", label="=x", panels_used=["map", "genes"]),
    ]
    assert len(facts["after"]) == 4
    assert facts["unsaved"]


@pytest.mark.parametrize("place", PLACES)
def test_what_the_page_exports_is_what_the_library_reads_as_json_and_as_csv(seen, place, tmp_path):
    facts = seen[place]["annotation"]
    for kind in ("json", "csv"):
        (tmp_path / f"x.{kind}").write_bytes(facts[kind]["text"].encode())
    held = read(tmp_path / "x.json", HASH)
    assert held == read(tmp_path / "x.csv", HASH) and len(held.records) == 2
    assert facts["csv"]["text"].encode() == write_csv(held, tmp_path / "again.csv").read_bytes()


def test_records_come_back_from_csv_without_loss_and_merge_in_either_order(seen):
    facts = seen["http"]["rules"]
    assert facts["csv"] and facts["merged"] and facts["thrice"] == 3
    assert facts["formula"] == ["'=1", "''=1", "'+", "'-a", "'@a", "a=1"]


def test_blind_mode_hides_what_an_item_is_and_asks_some_again(seen):
    facts = seen["http"]["blind"]
    assert facts["start"] == "Pass 1 of 2: 0 of 5 items answered."
    assert facts["resumed"] == "Pass 1 of 2: 2 of 5 items answered."
    assert facts["second"] == "Pass 2 of 2: 0 of 5 items answered."
    for number, page in enumerate(facts["pages"], 1):
        assert page["title"] == f"Item {number} of 5 · Synthetic planted"
        assert page["address"] == f"/planted/blind/{number}"
        assert not re.search(r"(?:sae|neuron)-\d", page["text"] + page["html"])
        assert not page["terms"] and "attributed" not in page["text"]
    assert facts["pass2"] == {"terms": True, "near": False, "label": ""}
    first, second = (facts["records"][:5], facts["records"][5:])
    assert [one["pass"] for one in facts["records"]] == [1] * 5 + [2] and second[0]["label"] == "again"
    assert sorted(one["feature_uid"].split("-")[0] for one in first if not one["repeat_of"]) == [
        "neuron",
        "neuron",
        "sae",
        "sae",
    ]
    assert all(one["blind"] for one in facts["records"])
    anna, bob, again = facts["items"]
    assert bob == again and anna != bob
    assert [one["feature_uid"] for one in first] == [one["uid"] for one in bob]


def test_two_thousand_features_are_listed_searched_and_opened(seen):
    facts = seen["http"]["many"]
    assert facts["count"] == "2,000 of 2,000 features match."
    assert (facts["rows"], facts["all"]) == (150, 2000)
    assert facts["title"] == "sae-1799 · Synthetic many"
    print(f"a search takes {facts['milliseconds']:.0f} ms")
    assert facts["milliseconds"] < 3000


def test_without_storage_the_page_says_so_and_still_exports(seen):
    facts = seen["http"]["storage"]
    assert "no storage" in facts["before"] and "Export before you leave" in facts["after"]
    assert facts["records"] == 1


def test_no_serious_rule_of_accessibility_is_broken_and_nothing_is_wider_than_the_screen(seen):
    facts = seen["http"]["looks"]
    assert {name: found for name, found in facts["axe"].items() if found} == {}
    assert {name: w for name, w in facts["width"].items() if w > int(name.split()[1])} == {}
    assert facts["theme"] == facts["kept"] == "light"
