"""The page on annotations: nothing made up passes for an expert's word, and every number is that of the files."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import vl_convert
from small_book import ROOT

from perturbook.errors import InputError
from perturbook.explorer import annotations, atlas
from perturbook.explorer.annotation_record import Record
from perturbook.explorer.annotations import Annotations
from perturbook.pages import explorer_annotations as page
from perturbook.pages import explorer_annotations_shown as shown
from perturbook.pages.charts import explorer_annotations as charts

UIDS = [f"{arm}-{n}" for n in range(6) for arm in ("sae", "neuron")]
TABLES = [
    shown.files_table,
    shown.between_table,
    shown.within_table,
    shown.scales_table,
    shown.terms_table,
    shown.arms_table,
]


def record(uid, answer, minute=0, **changed):
    values = {
        "feature_uid": uid,
        "interpretable": answer,
        "label": "<b>label</b>",
        "ontology_ids": ["GO:0006955"] if answer == "yes" else [],
        "confidence": 3,
        "usefulness": None,
        "panels_used": [],
        "seconds": 30,
        "comment": "",
        "repeat_of": None,
        "pass": 1,
        "blind": True,
        "saved": f"2026-01-31T09:{minute:02d}:00Z",
    }
    return Record.of(values | changed, "record")


def annotator(code, answers, *more):
    """One that gave these answers to the first features, in the order of `UIDS`."""
    records = [record(uid, answer) for uid, answer in zip(UIDS, answers, strict=False)]
    return Annotations("c" * 64, "kang-small", "immunology", code, (*records, *more))


@pytest.fixture
def files(tmp_path):
    """Write annotators and give the paths."""

    def files(*annotators):
        return [
            str(annotations.write_json(one, tmp_path / f"{one.annotator_code}.{n}.json"))
            for n, one in enumerate(annotators)
        ]

    return files


@pytest.fixture
def experts(files):
    """Two who agree on eight of ten; the first saw two features again."""
    again = [record("sae-0", "yes", 1, repeat_of="sae-0"), record("neuron-0", "no", 1, repeat_of="neuron-0")]
    first, second = ["yes"] * 5 + ["no"] * 5, ["yes"] * 4 + ["no"] * 5 + ["yes"]
    return page.read(files(annotator("A", first, *again), annotator("B", second)))


def text(made):
    return re.sub("<[^>]*>", " ", made.data)


# what is synthetic


@pytest.mark.parametrize("make", TABLES)
def test_every_table_of_the_book_says_synthetic_in_its_caption_and_its_heading(make):
    made = make(page.read()).data
    assert "ynthetic" in re.search("<caption>(.*?)</caption>", made)[1]
    assert "ynthetic" in re.search("<thead>(.*?)</thead>", made)[1]


def test_the_chart_of_the_book_says_synthetic_in_title_axis_and_description():
    made = charts.agreement_chart(page.read()).to_dict()
    assert "Synthetic" in made["title"] and "Synthetic" in made["description"]
    assert "Synthetic" in made["layer"][0]["encoding"]["y"]["title"]


def test_the_page_says_first_that_no_expert_has_annotated_and_nothing_is_claimed():
    assert "No expert has annotated yet, and nothing is claimed" in shown.notice(page.read()).data
    assert shown.answer(page.read()).data.startswith("**Synthetic annotations, which say nothing of experts")


def test_synthetic_annotations_of_one_annotator_stay_synthetic(tmp_path):
    (one, _) = page.read().annotators
    alone = page.read([str(annotations.write_json(one, tmp_path / "one.json"))])
    assert text(shown.between_table(alone)).startswith(
        "Synthetic annotations. Agreement between annotators cannot"
    )


@pytest.mark.parametrize("make", TABLES)
def test_what_experts_said_is_not_called_synthetic(make, experts):
    assert "ynthetic" not in make(experts).data
    assert shown.notice(experts).data == "" and "ynthetic" not in shown.answer(experts).data
    assert "ynthetic" not in json.dumps(charts.agreement_chart(experts).to_dict())


def test_synthetic_files_and_those_of_experts_are_never_read_together(files):
    mine = annotator("A", ["yes"])
    with pytest.raises(InputError, match="differ in"):
        page.read(files(mine, *page.read().annotators))
    with pytest.raises(InputError, match="differ in synthetic"):
        page.read(files(mine, replace(mine, annotator_code="synthetic-1")))


def test_a_file_of_an_expert_does_not_pass_for_one_of_the_synthetic_files(tmp_path):
    annotations.write_json(annotator("A", ["yes"]), tmp_path / "explorer-annotations.a.json")
    with pytest.raises(InputError, match="is not synthetic"):
        page.read(deposit=tmp_path)
    with pytest.raises(InputError, match="perturbook train explorer-annotations"):
        page.read(deposit=tmp_path / "none")


def test_synthetic_files_are_drawn_for_the_features_and_the_hash_of_an_atlas(tmp_path):
    empty = {name: pd.DataFrame(columns=list(columns)) for name, columns in atlas.TABLES.items()}
    features = pd.DataFrame({"uid": UIDS}).reindex(columns=list(atlas.TABLES["features"]))
    about = {"artefact_hash": "d" * 64}
    folder = atlas.write(atlas.Atlas("tiny", about, empty | {"features": features}), tmp_path / "tiny")
    said = list(page.make(folder, tmp_path))
    assert said == [f"explorer-annotations.synthetic-{n}.json: 26 synthetic records" for n in (1, 2)]
    found = page.read(deposit=tmp_path)
    assert {one.artefact_hash for one in found.annotators} == {"d" * 64}
    assert all(one.atlas == "tiny" and set(one.items(1)) == set(UIDS) for one in found.annotators)


@pytest.mark.skipif(not page.ATLAS.is_dir(), reason="perturbook train explorer makes the atlas")
def test_the_files_of_the_book_are_those_drawn_for_its_atlas(tmp_path):
    list(page.make(to=tmp_path))
    assert page.read(deposit=tmp_path) == page.read()


# what is computed


def test_two_annotators_are_compared_on_their_items_and_repeats_are_no_second_ones(experts):
    (one,) = page.between_annotators(experts)
    assert (one.who, one.pass_, one.found.items) == ("A with B", 1, 10)
    assert one.found.counts.tolist() == [[4, 1, 0], [1, 4, 0], [0, 0, 0]]
    assert "A with B, pass 1: agreement 0.80 [" in shown.answer(experts).data
    assert "kappa 0.60 [" in shown.answer(experts).data and "PABAK 0.70 [" in shown.answer(experts).data


def test_an_annotator_is_compared_with_their_own_answers_on_repeats_alone(experts):
    (one,) = page.within_annotators(experts)
    assert (one.who, one.found.items, one.found.share.value) == ("A again", 2, 0.5)


def test_arms_are_told_by_the_uid(experts):
    found = {(code, arm): (share.mean, share.n_total) for code, _, arm, share in page.arms(experts)}
    assert found == {("A", "sae"): (0.6, 5), ("A", "neuron"): (0.4, 5), ("B", "sae"): (0.4, 5), ("B", "neuron"): (0.6, 5)}  # fmt: skip
    assert "<td>A</td><td>1</td><td>Concepts</td><td>5</td><td>0.60</td>" in shown.arms_table(experts).data


def test_terms_and_scales_are_compared_where_both_gave_them(experts):
    ((who, number, found),) = page.terms(experts)
    assert (who, number, found.share.n_defined, found.share.mean, found.chance) == ("A with B", 1, 4, 1, 1)
    (confidence,) = page.between_annotators(experts, "confidence")
    assert confidence.found.share.value == 1 and np.isnan(confidence.found.kappa.value)
    assert "undefined" in shown.scales_table(experts).data
    assert page.between_annotators(experts, "usefulness") == []


def test_kappa_of_a_scale_is_weighted_by_squared_distance(files):
    """1, 2, 3 against 1, 2, 2: observed 1/3, expected 1; unweighted it would be 1/2."""
    study = page.read(
        files(
            *(
                annotator(
                    code, [], *(record(f"sae-{n}", "yes", confidence=one) for n, one in enumerate(said))
                )
                for code, said in (("A", (1, 2, 3)), ("B", (1, 2, 2)))
            )
        )
    )
    (one,) = page.between_annotators(study, "confidence")
    assert one.found.kappa.value == pytest.approx(2 / 3)


def test_files_of_one_annotator_are_merged_and_a_later_version_counts(files):
    late = annotator("A", [], record("sae-0", "no", 9))
    study = page.read(files(annotator("A", ["yes"]), late, annotator("B", ["no"])))
    assert [one.annotator_code for one in study.annotators] == ["A", "B"]
    assert page.between_annotators(study)[0].found.share.value == 1


def test_with_one_annotator_the_page_says_that_agreement_cannot_be_computed(files):
    alone = page.read(files(annotator("A", ["yes", "no"])))
    for made in (shown.answer, shown.between_table, shown.scales_table, shown.terms_table):
        assert (
            "cannot be computed: it needs two or more, and the files hold 1. The paper had one expert"
            in text(made(alone))
        )
    assert "No item was shown twice" in text(shown.within_table(alone))
    assert "A" in text(shown.arms_table(alone)) and charts.agreement_chart(alone).to_dict()


def test_annotators_without_a_common_item_or_without_any_are_said_to_have_none(files):
    study = page.read(files(annotator("A", []), annotator("B", ["yes"])))
    assert "no item was annotated by two annotators" in shown.answer(study).data
    for make in (shown.between_table, shown.scales_table, shown.terms_table):
        assert text(make(study)) == "The files hold no items for this table."
    assert "<td>undefined</td>" in shown.files_table(study).data  # no median of no seconds


def test_another_artefact_is_refused(files):
    paths = files(annotator("A", ["yes"]))
    assert page.read(paths, "c" * 64).annotators
    with pytest.raises(InputError, match="another artefact"):
        page.read(paths, "d" * 64)


def test_labels_and_comments_do_not_reach_the_page(experts):
    assert not [make for make in TABLES if re.search("<b>|&lt;b", make(experts).data)]


def test_the_example_of_prevalence_keeps_agreement_and_loses_kappa():
    assert re.findall(r"-?0\.\d\d", shown.prevalence_table().data) == [
        "0.80",
        "0.60",
        "0.60",
        "0.80",
        "-0.11",
        "0.60",
    ]


def test_the_chart_draws_every_comparison_and_leaves_out_what_is_undefined(experts):
    chart = charts.agreement_chart(experts).to_dict()
    assert vl_convert.vegalite_to_svg({**chart, "width": 500})
    drawn = chart["datasets"][chart["layer"][1]["data"]["name"]]
    assert [(one["what"], one["measure"]) for one in drawn] == [
        (what, measure)
        for what in ("A with B, pass 1", "A again, pass 1")
        for measure in ("Agreement", "Kappa", "PABAK")
    ]
    assert "A with B, pass 1: Kappa 0.60" in chart["description"]


def test_the_page_names_the_paper_s_one_expert_and_how_to_take_part():
    cells = json.loads((ROOT / "notebooks" / "explorer_annotations.ipynb").read_text())["cells"]
    said = "".join(line for cell in cells if cell["cell_type"] == "markdown" for line in cell["source"])
    assert "asked one immunologist" in said and "blind mode" in said and "Export the file" in said
