"""Animated pictures: the frames are the screens between pauses, and each row is shown for its own time."""

import re
from xml.etree import ElementTree

import pytest

pytest.importorskip("pyte", reason="pyte is not installed: make env")

from clients import animation, screen

PARTS = (b"one\r\n", b"two\r\n", b"\x1b[2;1Hthree")


def recorded(*pauses: float) -> list[animation.Frame]:
    """The frames of PARTS, each written so long after the one before it."""
    written, marks, now = b"", [], 0.0
    for part, pause in zip(PARTS, pauses, strict=True):
        written, now = written + part, now + pause
        marks.append((now, len(written)))
    return animation.frames(written, marks, columns=20, rows=4)


def plain(frame: animation.Frame) -> list[str]:
    return [row.plain for row in frame.rows if row.plain]


def test_the_screen_is_looked_at_when_the_program_pauses() -> None:
    shown = recorded(0, 0.5, 0.01)
    assert [plain(frame) for frame in shown] == [["one"], ["one", "three"]]
    assert [frame.start for frame in shown] == [0, pytest.approx(0.51)]


def test_a_long_pause_is_shortened() -> None:
    assert recorded(0, 60, 60)[-1].start == 2 * animation.LONGEST_SECONDS


def test_a_row_is_drawn_once_for_as_long_as_it_stands_there() -> None:
    found = [(each.text.plain, each.start, each.end) for each in animation.runs(recorded(0, 1, 1))]
    assert found == [("one", 0, 6), ("two", 1, 2), ("three", 2, 6)]


def test_the_picture_is_complete_and_loads_and_runs_nothing() -> None:
    drawn = animation.svg(recorded(0, 1, 1), 20, "a < b", screen.LIGHT_THEME)
    texts = [each.text for each in ElementTree.fromstring(drawn).iter() if each.tag.endswith("}text")]
    assert texts == ["a < b", "one", "two", "three"]
    assert not re.search(r"<script|href|url\(|@import", drawn)
    assert "50.00% { visibility: hidden; }" not in drawn
    assert "16.67% { visibility: visible; } 33.33% { visibility: hidden; }" in drawn
    assert "prefers-reduced-motion" in drawn
