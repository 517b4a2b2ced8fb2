"""Vega alone, without Vega-Lite and vega-embed, as one classic script from the installed vl-convert wheel."""

from functools import cache

from perturbook.errors import ConfigError

SNIPPET = (
    'import {{parse as p0, View as V0}} from "https://cdn.jsdelivr.net/npm/vega@{version}/+esm"; '
    "window.drawing = {{parse: p0, View: V0}};"
)


@cache
def runtime_script() -> str:
    """Script that defines `window.drawing.parse` and `window.drawing.View`; equal on every call, nothing is downloaded.

    It is wrapped in a function because it declares constants at its top level.

    Raises:
        ConfigError: the installed vl-convert does not name its Vega or does not carry it.
    """
    import vl_convert

    if not hasattr(vl_convert, "get_vega_version"):
        raise ConfigError(
            "The installed vl-convert does not say which Vega it carries; install it as pinned."
        )
    made = vl_convert.javascript_bundle(SNIPPET.format(version=vl_convert.get_vega_version()))
    return "(()=>{" + made + "})();\n"
