"""Pictures of a terminal show a program's output."""

from xml.etree import ElementTree

import pytest

pytest.importorskip("pyte", reason="pyte is not installed: make env")

from clients import screen


def shown(written: bytes) -> list[str]:
    return [line.plain for line in screen.lines(screen.drawn(written, columns=20, rows=5))]


def test_text_is_drawn_at_the_cursor() -> None:
    assert shown(b"one\r\n\r\n  two\x1b[1;10Hthree") == ["one      three", "", "  two"]


def test_what_was_written_over_is_gone() -> None:
    assert shown(b"99 %\r100 %\x1b[2;1Hgone\x1b[2K") == ["100 %"]


def test_private_sequences_leave_no_trace() -> None:
    assert shown(b"\x1b[?2026h\x1b[>1uheron\x1b[<u\x1b[>0q\x1b[?2026l") == ["heron"]


def test_a_wide_character_takes_two_columns() -> None:
    assert shown("鷺|".encode()) == ["鷺|"]


def test_colours_and_weights_become_styles() -> None:
    (line,) = screen.lines(screen.drawn(b"\x1b[1;33mgold\x1b[0m \x1b[38;2;1;2;3mink", 20, 5))
    gold, ink = [span.style for span in line.spans if line.plain[span.start : span.end].strip()]
    assert (gold.bold, gold.color.name) == (True, "yellow")
    assert ink.color.name == "#010203"


def test_a_picture_is_complete_and_loads_nothing() -> None:
    drawn = screen.svg(screen.lines(screen.drawn(b"a < b & c", 20, 5)), 20, "title")
    words = "".join(ElementTree.fromstring(drawn).itertext())
    assert "a < b & c" in words.replace("\xa0", " ")
    assert drawn.count("http") == 1  # the name of the format
