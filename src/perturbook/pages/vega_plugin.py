"""The MyST-NB plugin that puts a chart's specification into the page; apart because it needs Sphinx."""

import html
import json
from typing import Any

from docutils import nodes
from myst_nb.core.render import MimeData, MimeRenderPlugin, NbElementRenderer

from perturbook.pages.vega import FALLBACK_MIME, VEGALITE_MIME

UNDESCRIBED = "Chart without a description."


class VegaLitePlugin(MimeRenderPlugin):
    """Renders `VEGALITE_MIME` as a named figure, its specification and a spoken description."""

    mime_priority_overrides = [("*", VEGALITE_MIME, 1)]

    @staticmethod
    def handle_mime(renderer: NbElementRenderer, data: MimeData, inline: bool) -> list[nodes.Node] | None:
        """Return one raw HTML node for a chart, none for its fallback, or None to leave the output to MyST-NB."""
        if data.mime_type == FALLBACK_MIME:
            return []  # the same chart again, for notebook editors only
        if inline or data.mime_type != VEGALITE_MIME:
            return None
        spec = data.content if isinstance(data.content, dict) else json.loads(data.content)
        return [nodes.raw("", chart_html(spec), format="html")]


def chart_html(spec: dict[str, Any]) -> str:
    """HTML of one chart: an empty figure to draw into, the specification, and the description in words.

    The role is `figure` and not `img`, because an `img` hides its children, and with them the chart's
    sliders and menus, from screen readers.
    """
    description = html.escape(str(spec.get("description") or UNDESCRIBED), quote=True)
    # "<" never stands in JSON outside strings; escaped, no text can close or comment out the script element.
    text = json.dumps(spec, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<div class="vl-chart" role="figure" aria-label="{description}"></div>'
        f'<script type="application/json">{text}</script>'
        f'<details class="vl-about"><summary>About this chart</summary><p>{description}</p></details>'
    )
