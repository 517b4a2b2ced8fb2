"""The adapter, drawn: one layer of the frozen model, and what is trained beside it. SVG in the colours of the page."""

from IPython.display import HTML

from perturbook.palette import BLUE

WIDTH, HEIGHT = 360, 470
SAID = (
    "One transformer layer from bottom to top. Frozen: attention, sum and norm, feed-forward block, sum and norm. Trained: "
    "behind the feed-forward block the adapter takes its output h down to r numbers by W, adds the shift f of e, keeps what is "
    "positive, and goes up again by U; the result is added to h. The embedding e of the molecule enters from the right, through "
    "f alone. The molecule's own encoder is frozen."
)


def drawing() -> HTML:
    """One layer with its adapter; frozen parts grey and dashed, trained parts filled."""
    frozen = [
        (20, 405, 150, "attention"),
        (20, 345, 150, "sum, norm"),
        (20, 285, 150, "feed-forward"),
        (20, 45, 150, "sum, norm"),
    ]
    trained = [(90, 225, 80, "W: D to r"), (90, 165, 80, "+ then act"), (90, 105, 80, "U: r to D")]
    parts = [_box(*one, frozen=True) for one in frozen] + [_box(*one) for one in trained]
    parts += [_box(235, 165, 105, "f: m to r"), _box(235, 285, 105, "molecule", frozen=True)]
    up = [(95, 465, 441), (95, 405, 381), (95, 345, 321), (130, 285, 261), (130, 225, 201), (130, 165, 141)]
    parts += [_arrow(x, start, x, end) for x, start, end in up]
    parts += [
        _arrow(130, 105, 130, 81),
        _arrow(287, 285, 287, 201),
        _arrow(235, 183, 170, 183),
        _arrow(45, 285, 45, 81),  # the residual path around the bottleneck
        _arrow(95, 45, 95, 14),
        _text(53, 190, "s h", "start"),
        _text(140, 275, "h", "start"),
        _text(295, 250, "e", "start"),
        _text(105, 462, "tokens in", "start"),
        _text(105, 24, "tokens out", "start"),
    ]
    return HTML(
        f'<svg class="pb-drawing" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{SAID}" '
        f'style="max-width:{WIDTH}px;width:100%;height:auto;display:block;margin:auto" fill="none" '
        'stroke="currentColor" font-size="14" font-family="inherit">'
        '<defs><marker id="pb-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="currentColor" stroke="none"/></marker></defs>{"".join(parts)}</svg>'
    )


def _box(x: int, y: int, width: int, words: str, frozen: bool = False) -> str:
    look = 'stroke-dasharray="4 3"' if frozen else f'stroke="{BLUE}" stroke-width="2"'
    return f'<rect x="{x}" y="{y}" width="{width}" height="36" rx="5" {look}/>' + _text(
        x + width // 2, y + 23, words, "middle"
    )


def _arrow(x: int, y: int, to_x: int, to_y: int) -> str:
    return f'<path d="M{x} {y}L{to_x} {to_y}" marker-end="url(#pb-tip)"/>'


def _text(x: int, y: int, words: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="currentColor" stroke="none">{words}</text>'
