"""Annotation files: a round trip loses nothing, merging forgets nothing and knows no order, and a bad file changes nothing."""

import csv
import io
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perturbook.errors import InputError
from perturbook.explorer import annotations
from perturbook.explorer.annotation_record import RECORD, Record
from perturbook.explorer.annotations import Annotations
from perturbook.explorer.annotations_csv import COLUMNS
from perturbook.explorer.synthetic_annotations import synthetic

HASH, OTHER = "a" * 64, "b" * 64


def values(**changed):
    """One record as it stands in a file."""
    return {
        "feature_uid": "sae-12",
        "interpretable": "yes",
        "label": "interferon response",
        "ontology_ids": ["GO:0006955", "GO:0051607"],
        "confidence": 4,
        "usefulness": None,
        "panels_used": ["map", "genes"],
        "seconds": 41.5,
        "comment": "",
        "repeat_of": None,
        "pass": 1,
        "blind": True,
        "saved": "2026-01-31T09:00:00.000Z",
        **changed,
    }


def record(**changed):
    return Record.of(values(**changed), "record")


def whole(*records, **changed):
    """A file as the explorer exports it."""
    head = {"schema_version": 1, "artefact_hash": HASH, "atlas": "kang-small", "study_id": "immunology"}
    return {**head, "annotator_code": "A-1", "pass": 1, "records": list(records), **changed}


def of(*records, code="A-1"):
    return Annotations(HASH, "kang-small", "immunology", code, tuple(records))


@pytest.fixture
def put(tmp_path):
    """Write a file, given as text, bytes or what JSON holds, and name it."""

    def put(content, name="mine.json"):
        content = content if isinstance(content, str | bytes) else json.dumps(content)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / name

    return put


def refused(path, message, **options):
    with pytest.raises(InputError, match=message):
        annotations.read(path, **options)


# what is read


def test_every_field_of_a_file_is_read_as_it_stands(put):
    found = annotations.read(put(whole(values())), HASH)
    assert (found.artefact_hash, found.atlas, found.study_id) == (HASH, "kang-small", "immunology")
    assert (found.annotator_code, found.pass_, found.synthetic) == ("A-1", 1, False)
    assert [one.values() for one in found.records] == [values()]
    assert list(found.records[0].values()) == list(RECORD)


def test_a_file_without_a_record_is_read_from_json_and_a_csv_without_one_is_refused(put, tmp_path):
    empty = annotations.read(put(whole()))
    assert empty.records == () and empty.latest() == ()
    assert annotations.read(annotations.write_json(empty, tmp_path / "again.json")) == empty
    refused(annotations.write_csv(empty, tmp_path / "empty.csv"), "holds no record")


# round trip

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80)
NASTY = st.sampled_from(
    ["=1+1", "'=1", "''@x", "'", "+", "-1", "\tx", "\r", 'a"b', "a,b\r\nc\n", "", " x ", "ü", "'a"]
)
RECORDS = st.builds(
    lambda **changed: record(**changed),
    label=WORDS | NASTY,
    comment=WORDS | NASTY,
    ontology_ids=st.lists(st.sampled_from(["GO:1", "CL:2"]), max_size=3),
    panels_used=st.lists(st.sampled_from(["map", "genes"]), max_size=2),
    confidence=st.none() | st.integers(1, 5),
    seconds=st.integers(0, 2**53 - 1) | st.floats(0, 1e9),
    interpretable=st.sampled_from(["yes", "no", "unsure"]),
    repeat_of=st.sampled_from([None, "sae-12"]),
    blind=st.booleans(),
    saved=st.sampled_from(["2026-01-31T09:00:00Z", "2026-01-31T09:00:00.250Z", "2026-02-01T09:00:00.5Z"]),
    **{"pass": st.sampled_from([1, 2])},
)


@settings(max_examples=150, deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_json_to_csv_to_json_loses_nothing(tmp_path_factory, records):
    folder = tmp_path_factory.getbasetemp()
    first = annotations.write_json(of(*records), folder / "first.json")
    as_csv = annotations.write_csv(annotations.read(first), folder / "middle.csv")
    again = annotations.write_json(annotations.read(as_csv), folder / "again.json")
    assert annotations.read(first) == of(*records)
    assert again.read_bytes() == first.read_bytes()


def test_a_csv_has_the_columns_of_the_schema_quoted_as_the_rfc_says(tmp_path):
    path = annotations.write_csv(
        of(record(label='say "hi", twice', comment="two\nlines")), tmp_path / "x.csv"
    )
    text = path.read_bytes().decode()
    assert text.startswith(",".join(COLUMNS) + "\r\n") and text.endswith("\r\n")
    assert COLUMNS[:5] == ["schema_version", "artefact_hash", "atlas", "study_id", "annotator_code"]
    assert '"say ""hi"", twice"' in text and '"two\nlines"' in text
    assert ",GO:0006955;GO:0051607,4,,map;genes,41.5," in text and ",,1,true,2026" in text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "''-1"])
def test_no_field_of_a_csv_is_a_formula_to_a_spreadsheet(tmp_path, text):
    mine = of(record(label=text, comment=text), code="-mine")
    path = annotations.write_csv(mine, tmp_path / "x.csv")
    (row,) = csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""))
    assert (row["label"], row["comment"], row["annotator_code"]) == (f"'{text}", f"'{text}", "'-mine")
    assert annotations.read(path) == mine


def test_an_apostrophe_before_anything_else_stands_as_it_is(tmp_path):
    path = annotations.write_csv(of(record(label="'quoted'", comment="5' end")), tmp_path / "x.csv")
    assert "'quoted'" in path.read_text() and "''quoted" not in path.read_text()
    assert annotations.read(path) == of(record(label="'quoted'", comment="5' end"))


def test_a_mark_of_order_before_a_csv_is_no_part_of_it(put, tmp_path):
    text = annotations.write_csv(of(record()), tmp_path / "x.csv").read_text(encoding="utf-8")
    assert annotations.read(put("\ufeff" + text, "marked.csv")) == of(record())


# what is refused


def test_a_foreign_artefact_is_refused_in_either_format(put, tmp_path):
    refused(put(whole(values())), "another artefact", artefact_hash=OTHER)
    refused(annotations.write_csv(of(record()), tmp_path / "x.csv"), "another artefact", artefact_hash=OTHER)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("feature_uid", ""),
        ("feature_uid", "sae 12"),
        ("feature_uid", "../x"),
        ("feature_uid", 12),
        ("interpretable", "maybe"),
        ("interpretable", ["yes"]),
        ("label", "x" * 81),
        ("label", None),
        ("label", "\ud800"),
        ("label", "a\0b"),
        ("ontology_ids", "GO:1"),
        ("ontology_ids", ["GO:1;GO:2"]),
        ("ontology_ids", [""]),
        ("ontology_ids", [1]),
        ("ontology_ids", ["GO:1"] * 101),
        ("confidence", 0),
        ("confidence", 6),
        ("confidence", 2.5),
        ("confidence", True),
        ("confidence", "3"),
        ("usefulness", -1),
        ("panels_used", None),
        ("seconds", -0.1),
        ("seconds", 2**53),
        ("seconds", 10**400),
        ("seconds", True),
        ("seconds", "12"),
        ("comment", "x" * 5001),
        ("repeat_of", "sae-13"),
        ("repeat_of", ""),
        ("pass", 3),
        ("pass", True),
        ("blind", 1),
        ("saved", "yesterday"),
        ("saved", "2026-02-30T09:00:00Z"),
        ("saved", "2026-01-31T09:00:00+02:00"),
        ("saved", "2026-01-31"),
    ],
)
def test_a_wrong_value_is_named_with_its_file_record_and_field(put, field, value):
    path = put(whole(values(), values(**{field: value})))
    refused(path, rf"^mine\.json, record 2, field {field}: .* is not ")


@pytest.mark.parametrize(
    ("field", "value"),
    [("confidence", "x"), ("confidence", " 4"), ("confidence", "4.0"), ("seconds", "nan"), ("seconds", "1_0"), ("seconds", ""),
     ("seconds", "1e999"), ("blind", "True"), ("pass", ""), ("interpretable", ""), ("panels_used", "a;;b"), ("repeat_of", "x")],
)  # fmt: skip
def test_a_wrong_value_of_a_csv_is_named_too(put, tmp_path, field, value):
    text = annotations.write_csv(of(record()), tmp_path / "x.csv").read_bytes().decode()
    header, row = csv.reader(io.StringIO(text, newline=""))
    row[COLUMNS.index(field)] = value
    made = io.StringIO(newline="")
    csv.writer(made).writerows([header, row])
    refused(put(made.getvalue(), "mine.csv"), rf"^mine\.csv, record 1, field {field}: .* is not ")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schema_version": 2}, "field schema_version: 2 is not 1"),
        ({"artefact_hash": "A" * 64}, "field artefact_hash"),
        ({"atlas": "../kang"}, "field atlas"),
        ({"annotator_code": "Ann Example"}, "field annotator_code: .* is not a pseudonym"),
        ({"annotator_code": "x" * 33}, "field annotator_code"),
        ({"study_id": 7}, "field study_id"),
        ({"pass": 0}, "field pass"),
        ({"records": {}}, "field records"),
        ({"records": [0] * 20_001}, "field records: .* is not a list of at most 20,000"),
        ({"email": "x"}, "unknown field 'email'"),
        ({"records": [values(extra=1)]}, "record 1 has the unknown field 'extra'"),
        (
            {"records": [{k: v for k, v in values().items() if k != "blind"}]},
            "record 1 lacks the field blind",
        ),
        ({"records": ["yes"]}, "record 1 is 'yes', not a set of named fields"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(put, changed, message):
    refused(put(whole(**changed)), message)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"{", "x.json", "no whole JSON"),
        (b"[]", "x.json", "not a set of named fields"),
        (b"[" * 100_000, "x.json", "no whole JSON"),
        (b"\xff\xfe", "x.json", "cannot be read"),
        (b'{"a": 1, "a": 2}', "x.json", "a field stands twice"),
        (b'{"a": NaN}', "x.json", "NaN is no number"),
        (b"", "x.csv", "must begin with the columns"),
        (b"a,b\n1,2\n", "x.csv", "must begin with the columns"),
        (",".join(COLUMNS) + "\n1,2\n", "x.csv", "record 1 has 2 fields, not 18"),
        (",".join(COLUMNS) + '\n"1', "x.csv", "no whole CSV"),
        (b" " * 5_000_001, "x.json", "5,000,001 bytes, more than"),
        (b"{}", "x.txt", "neither .json nor .csv"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_annotations_is_refused_without_a_traceback_from_below(
    put, content, name, message
):
    refused(put(content, name), message)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    (tmp_path / "folder.json").mkdir()
    refused(tmp_path / "none.json", "cannot be read")
    refused(tmp_path / "folder.json", "cannot be read")


def test_a_csv_with_rows_of_two_annotators_is_refused(put, tmp_path):
    parts = [annotations.write_csv(of(record(), code=code), tmp_path / f"{code}.csv") for code in ("A", "B")]
    first, second = (path.read_bytes().decode() for path in parts)
    refused(put(first + second.split("\r\n", 1)[1], "both.csv"), "record 2 is of another file than record 1")


# versions


def test_the_version_saved_last_counts_and_none_is_lost():
    early, late = (
        record(saved="2026-01-31T09:00:00Z"),
        record(saved="2026-01-31T09:00:00.500Z", label="later"),
    )
    both = of(late, early)  # as text "…00Z" would stand behind "…00.500Z"
    assert both.records == (early, late) and both.latest() == (late,)


def test_of_versions_of_one_instant_the_same_one_counts_here_and_in_the_explorer():
    """A script compares texts by UTF-16 units, in which a character beyond the first plane is less than U+FB01."""
    first, second = record(label="\U0001d6fc"), record(label="\ufb01")
    assert of(second, first).latest() == of(first, second).latest() == (second,)


def test_a_repeat_and_another_pass_are_items_of_their_own_and_a_repeat_counts_once():
    first, again = record(), record(repeat_of="sae-12", interpretable="no", saved="2026-01-31T09:05:00Z")
    corrected = replace(again, interpretable="unsure", saved="2026-01-31T09:06:00Z")
    second = record(**{"pass": 2}, saved="2026-02-01T09:00:00Z")
    found = of(first, again, corrected, second)
    assert len(found.latest()) == 3 and found.pass_ == 2
    assert found.items(1) == {"sae-12": first} and found.items(2) == {"sae-12": second}
    assert found.repeats(1) == [(first, corrected)] and found.repeats(2) == []


def test_what_is_said_openly_later_does_not_count_for_a_blind_item():
    blind = record(**{"pass": 2}, interpretable="no")
    seen = replace(blind, blind=False, interpretable="yes", saved="2026-02-01T09:00:00Z")
    assert of(blind, seen).items(2) == {"sae-12": blind} and of(seen).items(2) == {"sae-12": seen}
    assert set(of(seen, blind).latest()) == {blind, seen}


def test_a_repeat_without_a_first_answer_is_no_pair_and_no_item():
    found = of(record(repeat_of="sae-12"))
    assert found.items(1) == {} and found.repeats(1) == []


# merging

PARTS = st.lists(RECORDS, max_size=3).map(lambda records: of(*records))


@settings(max_examples=60, deadline=None)
@given(PARTS, PARTS, PARTS)
def test_merging_is_commutative_associative_idempotent_and_forgets_nothing(a, b, c):
    merge = annotations.merge
    assert merge(a, b) == merge(b, a) and merge(a, a) == a
    assert merge(merge(a, b), c) == merge(a, merge(b, c)) == merge(c, b, a)
    assert set(merge(a, b).records) == set(a.records) | set(b.records)
    assert set(merge(a, b).latest()) <= set(a.latest()) | set(b.latest())


def test_a_whole_number_of_seconds_is_one_version_however_it_is_written(put):
    both = whole(values(seconds=12), values(seconds=12.0))
    assert len(annotations.read(put(both)).records) == 1


@pytest.mark.parametrize(
    "changed", [{"artefact_hash": OTHER}, {"atlas": "x"}, {"study_id": "x"}, {"annotator_code": "x"}]
)
def test_what_is_not_of_one_annotator_and_atlas_is_not_merged(changed):
    with pytest.raises(InputError, match=f"differ in {next(iter(changed))}"):
        annotations.merge(of(record()), replace(of(record()), **changed))


def test_more_records_than_a_file_may_hold_are_not_merged_and_nothing_is_no_merge(monkeypatch):
    monkeypatch.setattr(annotations, "MOST_RECORDS", 1)
    with pytest.raises(InputError, match="2 records of A-1 are more than the 1"):
        annotations.merge(of(record()), of(record(label="other")))
    with pytest.raises(InputError, match="nothing to merge"):
        annotations.merge()


def test_files_of_a_study_are_gathered_by_annotator_in_any_order(tmp_path):
    made = [of(record()), of(record(label="b")), of(record(), code="B-1")]
    paths = [annotations.write_json(one, tmp_path / f"{i}.json") for i, one in enumerate(made)]
    found = annotations.gather(paths)
    assert found == annotations.gather(paths[::-1]) == [annotations.merge(*made[:2]), made[2]]
    assert annotations.gather([]) == []


def test_synthetic_files_are_never_gathered_with_others(tmp_path):
    made = [of(record()), of(record(), code="synthetic-1")]
    paths = [annotations.write_json(one, tmp_path / f"{i}.json") for i, one in enumerate(made)]
    with pytest.raises(InputError, match="differ in synthetic"):
        annotations.gather(paths)


# what nobody annotated


def test_synthetic_annotations_say_so_in_study_code_label_and_comment():
    made = synthetic([f"{arm}-{n}" for n in range(30) for arm in ("sae", "neuron")], HASH, "kang-small")
    assert [one.annotator_code for one in made] == ["synthetic-1", "synthetic-2"]
    assert all(one.synthetic and one.study_id == "synthetic" for one in made)
    records = [record for one in made for record in one.records]
    assert all(
        "synthetic" in record.comment and record.label in ("", "synthetic label") for record in records
    )
    assert {record.saved[:4] for record in records} == {"2000"}


def test_synthetic_annotations_mix_arms_hide_them_in_the_first_pass_and_repeat_a_tenth():
    uids = [f"sae-{n}" for n in range(100)] + [f"neuron-{n}" for n in range(100)]
    first, second = synthetic(uids, HASH, "kang-small")
    assert set(first.items(1)) == set(second.items(1)) == set(first.items(2))
    assert sum(uid.startswith("sae") for uid in first.items(1)) == 20 and len(first.items(1)) == 40
    assert len(first.repeats(1)) == 4 and len(first.repeats(2)) == 0
    assert all(one.blind == (one.pass_ == 1) for one in first.records)


def test_a_seed_decides_synthetic_annotations_and_no_feature_gives_none():
    assert synthetic(["sae-0"], HASH, "x", 1) == synthetic(["sae-0"], HASH, "x", 1)
    uids = [f"sae-{n}" for n in range(20)]
    assert synthetic(uids, HASH, "x", 0) != synthetic(uids, HASH, "x", 1)
    with pytest.raises(InputError, match="need a feature"):
        synthetic([], HASH, "x")
