"""`book/pages.yml`: what a row may hold, and that this book's own rows name things that exist."""

import re

import pytest

from perturbook.errors import ConfigError
from perturbook.models import MODELS
from perturbook.pages.parameters import check
from perturbook.pages.table import ALL, ROOT, in_tier, page, pages, read_pages

ROW = "pages:\n- {{id: {id}, title: A page, part: Start{more}}}\n"
NOTEBOOK_PAGES = [one for one in pages() if one.notebook]


def read(tmp_path, text):
    (tmp_path / "pages.yml").write_text(text)
    return read_pages(tmp_path / "pages.yml")


def test_a_row_needs_an_id_a_title_and_a_part_only(tmp_path):
    (one,) = read(tmp_path, ROW.format(id="a", more=""))
    assert (one.id, one.title, one.part) == ("a", "A page", "Start")
    assert (one.notebook, one.tier, one.parameters, one.after, one.headline) == ("", "book", {}, (), ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROW.format(id="a", more=", titel: x"), r"page 'a': unknown keys \['titel'\]. Allowed: .*'title'"),
        ("pages:\n- {id: a, title: x}\n", r"page 'a': \['part'\] missing"),
        ("pages:\n- {title: x, part: y}\n", r"page None: \['id'\] missing"),
        (ROW.format(id="a", more="") + "- {id: a, title: x, part: y}\n", r"the ids \['a'\] stand twice"),
        (ROW.format(id="a", more=", tier: fast"), "tier 'fast' must be one of smoke, book, full"),
        (ROW.format(id="A-page", more=""), "page 'A-page': an id is lower-case letters, digits and hyphens"),
        (ROW.format(id="a_b", more=""), "page 'a_b': an id is lower-case"),
        (ROW.format(id="../a", more=""), "page '../a': an id is lower-case"),
        ("pages:\n- intro\n", "'intro' is no page; a page has at least id, title and part"),
        ("page: []\n", "must hold one list called pages"),
        ("pages: [\n", "cannot be read: .*line 2"),
    ],
)
def test_a_wrong_table_is_refused_with_one_line_that_names_the_page(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_a_missing_table_says_how_perturbook_must_be_installed(tmp_path):
    with pytest.raises(ConfigError, match=r"There is no .*pages.yml.*pip install -e"):
        read_pages(tmp_path / "pages.yml")


def test_an_unknown_page_or_tier_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match="no page 'nowhere'. Pages: intro, .*references"):
        page("nowhere")
    with pytest.raises(ConfigError, match="tier 'fast' must be one of smoke, book, full"):
        in_tier("fast")


def test_rows_keep_their_order_and_smaller_tiers_are_parts_of_larger_ones():
    order = [one.id for one in pages()]
    tiers = [[one.id for one in in_tier(tier)] for tier in ("smoke", "book", "full")]
    assert tiers[2] == order
    for smaller, larger in zip(tiers, tiers[1:], strict=False):
        assert smaller == [one for one in larger if one in smaller]
        assert set(smaller) < set(larger) or smaller == larger


def test_smoke_parameters_hold_in_the_smoke_build_only(tmp_path):
    (one,) = read(tmp_path, ROW.format(id="a", more=", parameters: {n: 9, m: 1}, smoke: {n: 2}"))
    assert one.parameters_at("smoke") == {"n": 2, "m": 1}
    assert one.parameters_at("book") == one.parameters_at("full") == {"n": 9, "m": 1}


def test_ids_of_the_book_are_lower_case_with_hyphens_and_stand_once():
    ids = [one.id for one in pages()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one) for one in ids)


def test_pages_of_one_part_stand_together():
    parts = [one.part for one in pages()]
    blocks = [part for i, part in enumerate(parts) if i == 0 or parts[i - 1] != part]
    assert len(set(blocks)) == len(blocks)


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.id)
def test_a_page_of_the_book_has_its_source_and_what_it_names_exists(one):
    source = f"notebooks/{one.notebook}.ipynb" if one.notebook else f"book/{one.id}.md"
    assert (ROOT / source).is_file()
    if one.scored:
        assert set(one.headline) <= set(MODELS)
        assert set(one.headline) <= set(one.parameters["models"]) <= set(MODELS)
    assert set(one.after) <= {other.notebook for other in pages()} | {ALL}
    assert one.notebook not in one.after


@pytest.mark.parametrize("tier", ["smoke", "book"])
@pytest.mark.parametrize("one", NOTEBOOK_PAGES, ids=lambda one: one.id)
def test_parameters_of_a_page_are_those_of_its_notebook(one, tier):
    values = check(one.notebook, one.parameters_at(tier))
    assert one.parameters_at(tier).items() <= values.items()
