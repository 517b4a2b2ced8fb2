"""The renderer, the plugin and the bundled script, without a browser."""

import json
from importlib import metadata

import altair as alt
import nbformat
import pandas as pd
import pytest
from myst_nb.core.render import MimeData

from perturbook.errors import ConfigError
from perturbook.pages import vega
from perturbook.pages.vega_plugin import VegaLitePlugin, chart_html

NASTY = 'ends </script> and <!-- opens, "quotes" & more'


@pytest.fixture
def chart():
    before = alt.renderers.active, alt.theme.active
    vega.enable()
    data = pd.DataFrame({"x": [1.0, None]})
    yield alt.Chart(data, description=NASTY).mark_point().encode(x=alt.X("x:Q", title="x (a.u.)"))
    alt.renderers.enable(before[0])
    alt.theme.enable(before[1])


def script_of(html):
    return html.split('<script type="application/json">')[1].split("</script>")[0]


def test_a_chart_is_written_for_the_book_and_for_editors_that_know_version_5(chart):
    written = chart._repr_mimebundle_()
    book, editor = written[vega.VEGALITE_MIME], written[vega.FALLBACK_MIME]
    assert set(written) == {
        "application/vnd.vegalite.v6+json",
        "application/vnd.vegalite.v5+json",
        "text/plain",
    }
    assert "/v6" in book["$schema"] and editor["$schema"].endswith("/vega-lite/v5.json")
    assert {**editor, "$schema": book["$schema"]} == book
    nbformat.validate(
        nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data=written)])]
        )
    )


def test_the_same_chart_gives_the_same_specification(chart):
    assert chart._repr_mimebundle_() == chart._repr_mimebundle_()


def test_a_missing_number_is_null_in_the_specification(chart):
    (rows,) = chart.to_dict()["datasets"].values()
    assert rows == [{"x": 1.0}, {"x": None}]


def test_no_text_of_a_chart_can_end_its_script_or_its_attribute(chart):
    spec = chart.to_dict()
    html = chart_html(spec)
    assert html.count("</script>") == 1 and "<!--" not in html
    assert json.loads(script_of(html)) == spec
    assert 'aria-label="ends &lt;/script&gt; and &lt;!-- opens, &quot;quotes&quot; &amp; more"' in html


def test_the_plugin_is_installed_and_takes_charts_only(chart):
    names = {entry.value for entry in metadata.entry_points(group="myst_nb.mime_renderers")}
    assert "perturbook.pages.vega_plugin:VegaLitePlugin" in names
    handle = VegaLitePlugin.handle_mime
    (node,) = handle(None, MimeData(vega.VEGALITE_MIME, chart.to_dict()), False)
    assert node.astext() == chart_html(chart.to_dict()) and node["format"] == "html"
    assert handle(None, MimeData(vega.FALLBACK_MIME, chart.to_dict()), False) == []
    assert handle(None, MimeData("text/plain", "words"), False) is None


def test_the_script_of_all_charts_is_one_closed_function_and_the_same_each_time():
    script = vega.bundle_script()
    assert script == vega.bundle_script()
    assert script.startswith("(()=>{") and script.endswith("})();\n") and "vegaEmbed" in script
    assert 5e5 < len(script) < 2e6


def test_a_version_that_the_wheel_lacks_is_named(monkeypatch):
    monkeypatch.setattr(alt, "VEGALITE_VERSION", "v99.1.0")
    with pytest.raises(ConfigError, match=r"Vega-Lite 99\.1; the installed vl-convert offers"):
        vega.bundle_script()


def test_after_the_notice_of_simulated_cells_every_chart_says_so_until_the_next_notebook():
    from perturbook.pages import frame

    frame.notices(synthetic=True)
    assert (
        vega.book_renderer({"description": "Dots."})[vega.VEGALITE_MIME]["description"]
        == "Simulated cells. Dots."
    )
    assert "description" not in vega.book_renderer({})[vega.VEGALITE_MIME]
    vega.enable()
    assert vega.book_renderer({"description": "Dots."})[vega.VEGALITE_MIME]["description"] == "Dots."
