"""Draws a program's terminal output as SVG: pyte emulates the terminal, rich writes the picture.

Fonts and colours are the reader's own or the page's; the picture fetches nothing.
"""

import io
import re
from collections.abc import Iterator
from itertools import groupby

import pyte
from pyte.screens import Char
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

# Private sequences (synchronised output, keyboard modes) that pyte would print in part.
PRIVATE = re.compile(rb"\x1b\[[<>=][0-9;]*[a-zA-Z]")
NAMES = {"brown": "yellow", "brightbrown": "bright_yellow", "bfightmagenta": "bright_magenta"}
THEME = TerminalTheme(
    (22, 27, 34),
    (201, 209, 217),
    [
        (72, 79, 88),
        (255, 123, 114),
        (63, 185, 80),
        (210, 153, 34),
        (88, 166, 255),
        (188, 140, 255),
        (57, 197, 207),
        (177, 186, 196),
    ],
    [
        (139, 148, 158),
        (255, 161, 152),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (240, 246, 252),
    ],
)
LIGHT_THEME = TerminalTheme(
    (255, 255, 255),
    (31, 35, 40),
    [
        (36, 41, 47),
        (207, 34, 46),
        (17, 99, 41),
        (77, 45, 0),
        (9, 105, 218),
        (130, 80, 223),
        (27, 124, 131),
        (110, 119, 129),
    ],
    [
        (87, 96, 106),
        (164, 14, 38),
        (26, 127, 55),
        (99, 60, 1),
        (33, 139, 255),
        (164, 117, 249),
        (49, 146, 170),
        (140, 149, 159),
    ],
)
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "Fira Code", Menlo, Consolas, "DejaVu Sans Mono", monospace;
font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""  # noqa: E501 - the picture's own lines


def drawn(written: bytes, columns: int, rows: int) -> pyte.Screen:
    """The screen after these bytes."""
    screen = pyte.Screen(columns, rows)
    pyte.ByteStream(screen).feed(PRIVATE.sub(b"", written))
    return screen


def lines(screen: pyte.Screen) -> list[Text]:
    """The screen's lines down to the last that is not blank."""
    found = [row(screen, number) for number in range(screen.lines)]
    while found and not found[-1].plain.strip():
        found.pop()
    return found


def row(screen: pyte.Screen, number: int) -> Text:
    """One line of the screen."""
    return _line(screen.buffer[number], screen.columns)


def svg(shown: list[Text], columns: int, title: str) -> str:
    """The lines as a picture of a terminal."""
    console = Console(
        width=columns, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    for line in shown:
        console.print(line, no_wrap=True, overflow="crop", highlight=False)
    return console.export_svg(title=title, theme=THEME, code_format=SVG, unique_id="terminal")


def _line(cells: dict[int, Char], columns: int) -> Text:
    text = Text()
    for piece, style in _pieces(cells, columns):
        text.append(piece, style)
    text.rstrip()
    return text


def _pieces(cells: dict[int, Char], columns: int) -> Iterator[tuple[str, Style]]:
    """Runs of cells that look alike; the second half of a wide character is empty."""
    row = [cells[column] for column in range(columns)]
    for style, alike in groupby(row, _style):
        yield "".join(cell.data for cell in alike), style


def _style(cell: Char) -> Style:
    return Style(
        color=_color(cell.fg),
        bgcolor=_color(cell.bg),
        bold=cell.bold,
        italic=cell.italics,
        underline=cell.underscore,
        reverse=cell.reverse,
    )


def _color(name: str) -> str | None:
    if name == "default":
        return None
    if re.fullmatch(r"[0-9a-f]{6}", name):
        return f"#{name}"
    return NAMES.get(name) or name.replace("bright", "bright_")
