"""Bar charts in SVG that are readable on a light and on a dark page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LABELS, BAR, GAP, HEAD, FOOT, MARGIN = 760, 200, 18, 12, 52, 8, 70
STYLE = """\
<style>
text { font: 12px sans-serif; fill: #1f2328 }
.title { font-weight: bold }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }
</style>"""
# By what a part of a bar stands for; each is readable on white and on black.
COLORS = {
    "right": "#2da44e",
    "passed": "#2da44e",
    "refused": "#bf8700",
    "wrong": "#cf222e",
    "failed": "#cf222e",
    "lost": "#8250df",
    "cost": "#0969da",
}


@dataclass(frozen=True)
class Bar:
    """One line of a chart: its label, the parts of its bar by kind, and what is written behind it."""

    label: str
    parts: Mapping[str, float]
    note: str


def chart(title: str, bars: Sequence[Bar]) -> str:
    """Return a chart whose longest bar fills the width."""
    longest = max((sum(bar.parts.values()) for bar in bars), default=0) or 1
    scale = (WIDTH - LABELS - MARGIN) / longest
    kinds = list(dict.fromkeys(kind for bar in bars for kind in bar.parts))
    height = HEAD + len(bars) * (BAR + GAP) + FOOT
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    lines = [line for at, bar in enumerate(bars) for line in _bar(bar, HEAD + at * (BAR + GAP), scale)]
    parts = [head, f"<title>{escape(title)}</title>", STYLE, _text(0, 16, title, "title")]
    return "\n".join([*parts, *_legend(kinds), *lines, "</svg>", ""])


def _legend(kinds: Sequence[str]) -> list[str]:
    if len(kinds) < 2:
        return []
    lines = []
    for at, kind in enumerate(kinds):
        x = LABELS + at * 90
        lines += [
            f'<rect x="{x}" y="27" width="11" height="11" fill="{COLORS[kind]}"/>',
            _text(x + 16, 37, kind),
        ]
    return lines


def _bar(bar: Bar, top: float, scale: float) -> list[str]:
    middle = top + BAR - 5
    lines, x = [_text(0, middle, bar.label)], float(LABELS)
    for kind, value in bar.parts.items():
        if value:
            size = f'width="{value * scale:.1f}" height="{BAR}"'
            lines.append(f'<rect x="{x:.1f}" y="{top}" {size} fill="{COLORS[kind]}"/>')
            x += value * scale
    return [*lines, _text(x + 6, middle, bar.note)]


def _text(x: float, y: float, text: str, style: str = "") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{named}>{escape(text)}</text>'
