"""Charts without a network: the notebook output of a chart is its specification, the book draws it.

In a notebook `enable()` makes Altair write JSON under `VEGALITE_MIME`; `vega_plugin.py` turns that JSON into a
placeholder in the page; `book/_static/charts.js` draws it with the one script made by `bundle_script`.
"""

from typing import Any

VEGALITE_MIME = "application/vnd.vegalite.v6+json"
FALLBACK_MIME = "application/vnd.vegalite.v5+json"
FALLBACK_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"

_said_first: list[str] = []


def say_first(words: str) -> None:
    """Begin the description, and so the caption, of every later chart of this notebook with `words`."""
    _said_first[:] = [words]


def book_renderer(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Altair renderer: the specification itself, once for the book and once for notebook editors.

    JupyterLab and VS Code draw Vega-Lite up to version 5, so the same chart is offered to them under that name.

    Args:
        spec: Vega-Lite specification.

    Returns:
        MIME bundle with `VEGALITE_MIME`, `FALLBACK_MIME` and `text/plain`.
        Source: MIME names, https://altair-viz.github.io (renderers); the fallback, our choice.
    """
    if "description" in spec:
        spec = {**spec, "description": " ".join([*_said_first, spec["description"]])}
    return {
        VEGALITE_MIME: spec,
        FALLBACK_MIME: {**spec, "$schema": FALLBACK_SCHEMA},
        "text/plain": f"<vega-lite: {spec.get('description', 'chart')}>",
    }


def enable() -> None:
    """Make this project's renderer and theme the ones that Altair uses; called once, first, in each notebook."""
    import altair as alt

    from perturbook.palette import theme

    _said_first.clear()
    alt.renderers.register("perturbook", book_renderer)
    alt.renderers.enable("perturbook")
    alt.theme.register("perturbook", enable=True)(theme)


def bundle_script() -> str:
    """Vega, Vega-Lite and vega-embed as one script, taken from the installed vl-convert wheel.

    Returns:
        JavaScript that defines `vegaEmbed`; equal on every call. It is wrapped in a function because it
        declares constants at its top level, which would collide with those of other scripts.

    Raises:
        ConfigError: the wheel does not carry the Vega-Lite version that Altair writes.
    """
    import altair as alt
    import vl_convert

    from perturbook.errors import ConfigError

    minor = ".".join(alt.VEGALITE_VERSION.lstrip("v").split(".")[:2])
    if minor not in vl_convert.get_vegalite_versions():
        raise ConfigError(
            f"Altair writes Vega-Lite {minor}; the installed vl-convert offers "
            f"{', '.join(vl_convert.get_vegalite_versions())}. Install both as pinned in constraints.txt."
        )
    return "(()=>{" + vl_convert.javascript_bundle(vl_version=minor) + "})();\n"
