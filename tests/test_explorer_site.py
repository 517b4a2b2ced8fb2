"""The static explorer: what it shows is what the tables hold, whole or not at all, and nothing in it is code."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_atlas import MARKUP, small_atlas

from perturbook.errors import InputError
from perturbook.explorer.atlas import TABLES, Atlas, read
from perturbook.explorer.charts import specs
from perturbook.explorer.runtime import runtime_script
from perturbook.explorer.site import write_site
from perturbook.pages.explorer_atlases import ATLASES, FOLDER

FIRST_VIEW, ONE_FEATURE = 1_000_000, 300_000  # bytes


@pytest.fixture(scope="module")
def atlas():
    return small_atlas(features=14)


@pytest.fixture(scope="module")
def site(atlas, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explorer") / "site"
    assert (
        write_site([atlas, small_atlas("second", markup=False)], folder, "../intro.html")
        == folder / "index.html"
    )
    return folder


def held(path):
    """Atlas, key and value of a data script."""
    text = path.read_text(encoding="utf-8")
    return json.loads("[" + re.fullmatch(r"explorer\.receive\((.*)\);\n", text)[1] + "]")


def same(shown, stored):
    return shown is None if isinstance(stored, float) and math.isnan(stored) else shown == stored


@pytest.mark.parametrize("table", [name for name in TABLES if name not in ("cells", "features")])
def test_fifty_sampled_rows_of_every_table_of_features_are_shown_with_the_same_digits(site, atlas, table):
    rows = atlas.tables[table]
    rows = rows.assign(place=rows.groupby("uid").cumcount()).sample(50, replace=True, random_state=0)
    for row in rows.to_dict("records"):
        shown = held(site / "data" / atlas.name / f"{row['uid']}.js")[2][table]
        assert list(shown) == [one for one in TABLES[table] if one != "uid"]
        assert all(same(values[row["place"]], row[column]) for column, values in shown.items())


def test_fifty_sampled_cells_and_all_features_are_shown_with_the_same_digits(site, atlas):
    _, key, shown = held(site / "data" / atlas.name / "list.js")
    assert key == "list" and list(shown["features"]) == list(TABLES["features"])
    for name, column in atlas.tables["features"].items():
        assert all(map(same, shown["features"][name], column))
    shown = held(site / "data" / atlas.name / "cells.js")[2]
    for at, row in atlas.tables["cells"].sample(50, random_state=0).iterrows():
        assert [shown[name][at] for name in ("cell", "x", "y", "part")] == list(row[:4])
        assert [one["values"][one["of"][at]] for one in shown["labels"]] == list(row[4:])


def test_a_gene_and_a_significant_term_lead_to_the_features_that_have_them(site, atlas):
    shown = held(site / "data" / atlas.name / "find.js")[2]
    uids = atlas.tables["features"]["uid"]
    for kind, table in (
        ("genes", atlas.tables["genes"]),
        ("terms", atlas.tables["terms"].query("fdr < 0.05 & nes > 0")),
    ):
        assert set(shown[kind]["name"]) == set(table[kind[:-1]])
        for name, places in zip(shown[kind]["name"], shown[kind]["features"], strict=True):
            assert set(uids[places]) == set(table.loc[table[kind[:-1]] == name, "uid"])
    assert "SET_TWO" not in shown["terms"]["name"]


def test_the_list_names_the_first_genes_of_a_feature_by_the_score_that_ranks_it(atlas, tmp_path):
    def pre(of):
        return of.assign(ranked_by=of["ranked_by"].where(of["uid"] != "sae-5", "pre"))

    def turned(of):
        return of.assign(pre=-of["attribution"] + 1)

    made = with_table(with_table(atlas, "features", pre), "genes", turned)
    page = write_site([made], tmp_path / "site")
    _, _, shown = held(page.parent / "data" / "planted" / "list.js")
    genes = {uid: list(of["gene"]) for uid, of in atlas.tables["genes"].groupby("uid")}
    assert shown["leading"][4] == ", ".join(genes["sae-4"][:4])
    assert shown["leading"][5] == ", ".join(genes["sae-5"][:-5:-1])


def test_what_is_undefined_is_null(site, atlas):
    assert held(site / "data" / atlas.name / "list.js")[2]["features"]["null_cutoff"][1] is None


def test_no_data_script_holds_the_sign_that_opens_markup(site):
    scripts = [*site.glob("data/**/*.js"), site / "specs.js"]
    assert len(scripts) == 1 + 2 * 3 + 14 + 12 + 1
    assert [path for path in scripts if "<" in path.read_text(encoding="utf-8")] == []
    assert MARKUP in json.dumps(held(site / "data" / "planted" / "list.js"))


def test_the_first_view_of_three_hundred_features_is_below_a_megabyte_and_a_feature_below_300_kb(tmp_path):
    real = small_atlas("real", features=300, cells=2600, detailed=8)
    page = write_site([real], tmp_path / "site")
    scripts = re.findall(r'(?:src|href)="([^"]+\.(?:js|css))"', page.read_text())
    data = [f"data/real/{name}.js" for name in ("list", "cells", "sae-2")]
    sizes = {name: (page.parent / name).stat().st_size for name in ["index.html", *scripts, *data]}
    assert {"runtime.js", "specs.js", "main.js", "data/atlases.js"} < set(sizes)
    assert sum(sizes.values()) < FIRST_VIEW, sizes
    assert max(path.stat().st_size for path in page.parent.glob("data/real/sae-*.js")) < ONE_FEATURE


def test_every_file_that_the_page_names_is_there_and_none_lies_elsewhere(site):
    named = re.findall(r'(?:src|href)="([^"#]+)"', (site / "index.html").read_text())
    assert "../intro.html" in named
    assert [
        one for one in named if one not in ("data:,", "../intro.html") and not (site / one).is_file()
    ] == []


def test_charts_and_runtime_are_the_same_on_every_call_and_ask_no_host():
    assert specs() == specs() and len(specs()) == 8
    assert "window.drawing" in runtime_script() and len(runtime_script()) < 700_000
    assert all(one["data"][0] == {"name": "rows"} for one in specs().values())


def test_a_second_run_writes_the_same_bytes(site, atlas, tmp_path):
    write_site([atlas, small_atlas("second", markup=False)], tmp_path / "again", "../intro.html")
    first, again = (
        {p.relative_to(of): p.read_bytes() for p in of.rglob("*.*")} for of in (site, tmp_path / "again")
    )
    assert first == again


def with_table(atlas, name, change):
    table = atlas.tables[name].copy()
    return Atlas(atlas.name, atlas.about, {**atlas.tables, name: change(table)})


def with_uid(atlas, uid):
    return with_table(atlas, "features", lambda of: of.assign(uid=[uid, *of["uid"][1:]]))


@pytest.mark.parametrize("name", ["../out", "a/b", "", ".", "a b", "x" * 65, "é", "con.js"])
def test_an_atlas_whose_name_is_not_plain_is_refused_and_nothing_is_written(atlas, tmp_path, name):
    with pytest.raises(InputError, match="is not plain"):
        write_site([replace(atlas, name=name)], tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uid", ["../../x-1", "list", "sae-", "SAE-1", "sae-1\n", "sae-1/2", MARKUP])
def test_a_feature_whose_uid_is_not_plain_is_refused_and_nothing_is_written(atlas, tmp_path, uid):
    with pytest.raises(InputError, match="is not plain"):
        write_site([with_uid(atlas, uid)], tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: [], "at least one atlas"),
        (lambda a: [a, replace(a, name=a.name.upper())], "Two atlases have one name"),
        (lambda a: [with_uid(a, "sae-1")], "stands twice"),
        (
            lambda a: [with_table(a, "codes", lambda of: of.assign(uid="sae-99"))],
            "'sae-99', which is no feature",
        ),
        (lambda a: [with_table(a, "codes", lambda of: of.assign(cell=120))], "a cell beyond its 120"),
        (lambda a: [with_table(a, "genes", lambda of: of.assign(de=np.inf))], "infinite"),
        (lambda a: [replace(a, about={**a.about, "artefact_hash": "abc"})], "no sha256"),
        (
            lambda a: [replace(a, about={k: v for k, v in a.about.items() if k != "chance"})],
            "does not say its chance",
        ),
        (
            lambda a: [with_table(a, "cells", lambda of: of.drop(columns="condition"))],
            "lack the label 'condition'",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_and_the_old_site_stays(atlas, tmp_path, change, words):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "old.txt").write_text("old")
    with pytest.raises(InputError, match=re.escape(words)):
        write_site(change(atlas), tmp_path / "site")
    assert [path.name for path in tmp_path.rglob("*")] == ["site", "old.txt"]


@pytest.mark.parametrize(
    "home", ["https://example.org", "//example.org", "javascript:alert(1)", "", "/intro.html"]
)
def test_a_link_home_that_leaves_the_site_is_refused(atlas, tmp_path, home):
    with pytest.raises(InputError, match="is not relative"):
        write_site([atlas], tmp_path / "site", home)


def test_markup_in_the_link_home_is_text(atlas, tmp_path):
    page = write_site([atlas], tmp_path / "site", '"><script>.html')
    assert "<script>.html" not in page.read_text()


def test_an_atlas_without_features_in_some_tables_has_empty_columns_there(atlas, tmp_path):
    bare = with_table(atlas, "curves", lambda of: of[:0])
    page = write_site([bare], tmp_path / "site")
    assert held(page.parent / "data" / "planted" / "sae-5.js")[2]["curves"] == {
        "order": [],
        "genes": [],
        "left": [],
    }


def test_synthetic_tables_have_the_form_of_an_atlas():
    made = small_atlas()
    assert made.tables["features"]["active"].tolist()[:2] == [120, 0]
    assert isinstance(made.tables["codes"], pd.DataFrame)


def test_the_list_names_the_first_genes_of_a_feature_by_attribution_and_none_without_one(site, atlas):
    leading = dict(
        zip(
            atlas.tables["features"]["uid"],
            held(site / "data" / atlas.name / "list.js")[2]["leading"],
            strict=True,
        )
    )
    genes = atlas.tables["genes"]
    told = atlas.tables["features"].set_index("uid")
    uid = told.index[(told["status"] == "attributed") & (told["ranked_by"] == "relative")][0]
    own = genes[(genes["uid"] == uid) & (genes["attribution"] > 0)]
    first = own.sort_values(["attribution", "gene"], ascending=[False, True])["gene"].head(4)
    assert leading[uid] == ", ".join(first) and len(first)
    assert all(leading[one] == "" for one in told.index[told["status"] != "attributed"])


@pytest.mark.parametrize("name", ATLASES)
def test_fifty_numbers_of_every_deposited_atlas_are_shown_as_they_are_stored(name, tmp_path):
    atlas = read(FOLDER / name)
    site = write_site([atlas], tmp_path / "site").parent
    names = [one for one in TABLES if one not in ("cells", "features")]
    rng = np.random.default_rng(0)
    for table in rng.choice(names, 50):
        rows = atlas.tables[table]
        row = rows.iloc[rng.integers(len(rows))]
        place = int((rows["uid"].to_numpy() == row["uid"])[: row.name].sum())
        shown = held(site / "data" / name / f"{row['uid']}.js")[2][table]
        column = rng.choice([one for one in TABLES[table] if one != "uid"])
        assert same(shown[column][place], row[column])
