"""Provenance: what the page says of manifests and registries; labels are data."""

from hand_made_scores import PAGE

from perturbook.evaluation.manifest import write_manifest
from perturbook.pages import inventory

ABOUT = {
    "parameters": {"seed": 3, "data": "kang2018-mini"},
    "data": {"kang2018-mini": "83f89f5356a4c01f65bb"},
    "tier": "smoke",
    "packages": {"numpy": "2.0.0"},
    "run": {
        "code": {"version": "0.1.0", "commit": "0123456789abcdef", "dirty": True},
        "python": "3.11.7",
        "machine": "Linux, cpu",
        "finished": "2026-01-01T00:00:00+00:00",
        "peak_memory_mb": 300,
        "seconds": 7.5,
    },
}


def manifests_of(tmp_path, about, bundle=None):
    write_manifest(about, tmp_path / "manifests" / f"{PAGE}.json")
    if bundle:
        write_manifest(bundle, tmp_path / "bundles" / PAGE / "manifest.json")
    return inventory.manifests(str(tmp_path / "bundles"))


def test_provenance_names_data_seed_code_time_and_memory_of_a_live_page(tmp_path):
    found = manifests_of(tmp_path, ABOUT)
    assert found[PAGE]["live"] is True
    text = inventory.pages_table(found).data
    for cell in (
        "live",
        "kang2018-mini 83f89f5356a4",
        "3",
        "0.1.0, 0123456789ab, with changes not committed",
        "7.5",
        "300",
    ):
        assert f"<td>{cell}</td>" in text
    assert f'<a href="../manifests/{PAGE}.json">' in text


def test_provenance_of_a_deposited_page_names_the_data_behind_the_deposit(tmp_path):
    found = manifests_of(
        tmp_path, {**ABOUT, "data": {"kang2018-mini": "absent"}}, {"data": {"kang2018-mini": "f" * 64}}
    )
    text = inventory.pages_table(found).data
    assert "<td>deposited</td>" in text and "kang2018-mini ffffffffffff<" in text and "absent" not in text


def test_a_package_with_two_versions_shows_both(tmp_path):
    found = {"a": ABOUT, "b": {**ABOUT, "packages": {"numpy": "2.1.0"}}}
    assert "<td>numpy</td><td>2.0.0, 2.1.0</td>" in inventory.packages_table(found).data


def test_the_registries_are_printed_whole_and_formulas_are_marked_for_the_typesetter():
    from perturbook.data import DATASETS
    from perturbook.evaluation import METRICS
    from perturbook.models import MODELS

    metrics = inventory.metrics_table().data
    assert metrics.count('<span class="math') == len(METRICS)
    assert "not stated" not in metrics
    assert inventory.models_table().data.count("<tr>") == len(MODELS) + 1
    text = inventory.data_table().data
    assert all(
        file.sha256 in text and file.url in text for entry in DATASETS.values() for file in entry.files
    )
    assert "<a " not in text  # an address is text: the book links no file that could be gone


def test_markup_in_a_manifest_is_inert(tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    about = {**ABOUT, "data": {evil: evil}, "packages": {evil: evil}, "parameters": {"seed": evil}}
    found = manifests_of(tmp_path, about)
    for one in (
        inventory.pages_table(found),
        inventory.packages_table(found),
        inventory.footer(PAGE, out=evil),
    ):
        assert "<img" not in one.data and "&lt;img" in one.data
