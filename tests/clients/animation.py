"""Draws what a program wrote to a terminal over time as an animated SVG, without scripts.

The screen is looked at whenever the program paused. A row of the screen that stays the same over several of
these frames is drawn once, and CSS shows it for as long as it stood there. Readers who want less motion see
the last frame.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import pyte
from rich.cells import cell_len
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from clients import screen

QUIET_SECONDS = 0.06
"""A pause in the output after which the screen is looked at."""
LONGEST_SECONDS = 1.2
"""How long a frame is shown at most; a model on a CPU thinks longer than anybody wants to watch."""
END_SECONDS = 4.0
CELL, LINE, MARGIN, BAR = 8.4, 19.0, 12.0, 34.0
Mark = tuple[float, int]


@dataclass(frozen=True)
class Frame:
    """What the screen shows from a time on, in seconds."""

    start: float
    rows: tuple[Text, ...]


@dataclass(frozen=True)
class Shown:
    """A row of the screen, and from when to when it shows a text."""

    row: int
    text: Text
    start: float
    end: float


def frames(written: bytes, marks: Sequence[Mark], columns: int, rows: int) -> list[Frame]:
    """The different screens, each from when it was complete; long pauses are shortened.

    Args:
        written: What the program wrote.
        marks: How many bytes it had written at which time, in order.
        columns: The width of the terminal.
        rows: Its height.
    """
    terminal = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(terminal)
    found: list[Frame] = []
    clock, start = 0.0, 0
    times = [time for time, _ in marks]
    pauses = [later - now for now, later in pairwise(times)] + [END_SECONDS]
    for (_, end), pause in zip(marks, pauses, strict=True):
        stream.feed(screen.PRIVATE.sub(b"", written[start:end]))
        start = end
        if pause < QUIET_SECONDS:
            clock += pause
            continue
        seen = tuple(screen.row(terminal, number) for number in range(rows))
        if not found or seen != found[-1].rows:
            found.append(Frame(clock, seen))
        clock += min(pause, LONGEST_SECONDS)
    return found


def runs(shown: Sequence[Frame]) -> list[Shown]:
    """The rows of all frames, each text once for as long as it stands there; blank rows are left out."""
    ends = [frame.start for frame in shown[1:]] + [shown[-1].start + END_SECONDS]
    found: list[Shown] = []
    for number in range(len(shown[0].rows)):
        begun, text = shown[0].start, shown[0].rows[number]
        for frame, end in zip(shown, ends, strict=True):
            if frame.rows[number] != text:
                found.append(Shown(number, text, begun, frame.start))
                begun, text = frame.start, frame.rows[number]
            if end == ends[-1]:
                found.append(Shown(number, text, begun, end))
    return [each for each in found if each.text.plain.strip()]


def svg(shown: Sequence[Frame], columns: int, title: str, theme: TerminalTheme) -> str:
    """The frames as an animated picture of a terminal.

    Args:
        shown: The frames.
        columns: The width of the terminal.
        title: What stands in the bar of the window.
        theme: The colours.
    """
    total = shown[-1].start + END_SECONDS
    lines = max(number for frame in shown for number, row in enumerate(frame.rows) if row.plain.strip()) + 1
    width, height = columns * CELL + 2 * MARGIN, lines * LINE + BAR + MARGIN
    found = runs(shown)
    spans = sorted({(each.start, each.end) for each in found})
    names = {span: f"s{number}" for number, span in enumerate(spans)}
    parts = [
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(title)}</title>",
        "<style>",
        'text { font: 14px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; }',
        *(_rule(names[span], span, total) for span in spans),
        "@media (prefers-reduced-motion: reduce) {",
        *(f".{names[span]} {{ animation: none; visibility: {_at_rest(span, total)}; }}" for span in spans),
        "}",
        "</style>",
        *_window(width, height, title, theme),
        *(_row(each, names[(each.start, each.end)], theme) for each in found),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _at_rest(span: tuple[float, float], total: float) -> str:
    return "visible" if span[1] == total else "hidden"


def _rule(name: str, span: tuple[float, float], total: float) -> str:
    """The rule that shows what has this class from the start of a span to its end."""
    start, end = (f"{100 * time / total:.2f}%" for time in span)
    steps: Mapping[str, str] = {"0%": "hidden", start: "visible"} | (
        {} if span[1] == total else {end: "hidden"}
    )
    if span[0] == 0:
        steps = {key: value for key, value in steps.items() if key != "0%"}
    keyframes = " ".join(f"{place} {{ visibility: {value}; }}" for place, value in steps.items())
    return (
        f".{name} {{ animation: {name} {total:.1f}s step-end infinite; }} @keyframes {name} {{ {keyframes} }}"
    )


def _window(width: float, height: float, title: str, theme: TerminalTheme) -> Iterator[str]:
    back, front = _hex(theme.background_color), _hex(theme.foreground_color)
    size = f'width="{width:.0f}" height="{height:.0f}" rx="8"'
    yield f'<rect {size} fill="{back}" stroke="{front}" stroke-opacity="0.3"/>'
    for number, color in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        yield f'<circle cx="{20 + 20 * number}" cy="17" r="6" fill="{color}"/>'
    yield f'<text x="{width / 2:.0f}" y="22" text-anchor="middle" fill="{front}">{escape(title)}</text>'


def _row(shown: Shown, name: str, theme: TerminalTheme) -> str:
    top = BAR + shown.row * LINE
    backs, texts, column = [], [], 0
    for piece, style in _pieces(shown.text):
        front, back = _colors(style, theme)
        left = MARGIN + column * CELL
        wide = cell_len(piece) * CELL
        if back is not None:
            backs.append(
                f'<rect x="{left:.1f}" y="{top:.0f}" width="{wide:.1f}" height="{LINE:.0f}" fill="{back}"/>'
            )
        if piece.strip():
            weight = ' font-weight="bold"' if style.bold else ""
            texts.append(
                f'<text x="{left:.1f}" y="{top + 14:.0f}" textLength="{wide:.1f}" fill="{front}"{weight}>'
                f"{escape(piece)}</text>"
            )
        column += cell_len(piece)
    return f'<g class="{name}">{"".join(backs)}{"".join(texts)}</g>'


def _pieces(text: Text) -> Iterator[tuple[str, Style]]:
    """The parts of a text that look alike."""
    place = 0
    for span in text.spans:
        if span.start > place:
            yield text.plain[place : span.start], Style()
        yield text.plain[span.start : span.end], span.style if isinstance(span.style, Style) else Style()
        place = span.end
    if place < len(text.plain):
        yield text.plain[place:], Style()


def _colors(style: Style, theme: TerminalTheme) -> tuple[str, str | None]:
    """The colour of a text and of what is behind it."""
    front = _hex(style.color.get_truecolor(theme)) if style.color else _hex(theme.foreground_color)
    back = _hex(style.bgcolor.get_truecolor(theme)) if style.bgcolor else None
    return (back or _hex(theme.background_color), front) if style.reverse else (front, back)


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
