"""Every row of the field is read rightly: at once, one character at a time, and in random splits."""

import random
from collections.abc import Sequence

import pytest

from field.rows import ROWS, ScannerRow
from formats.whole_scan import ScanResult, join, split
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import Scanner

SPLITS = 12


def random_split(text: str, draw: random.Random) -> list[str]:
    places = sorted(draw.randrange(len(text) + 1) for _ in range(draw.randrange(8)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def read(row: ScannerRow, chunks: Sequence[str]) -> ScanResult:
    scanner = Scanner(FORMATS[row.format_name], tools=row.tools, thinking=row.thinking)
    pieces = [piece for chunk in chunks for piece in scanner.feed(chunk)]
    return join([*pieces, *scanner.finish(cut=row.cut)])


@pytest.mark.parametrize("row", ROWS, ids=[row.source for row in ROWS])
def test_a_reply_from_the_field_is_read_rightly(row: ScannerRow) -> None:
    draw = random.Random(row.source)
    splits = [random_split(row.output, draw) for _ in range(SPLITS)]
    for chunks in ([row.output], split(row.output, 1), *splits):
        found = read(row, chunks)
        assert found.complete_calls == [(name, dict(arguments)) for name, arguments in row.calls]
        assert [name for name, _, complete in found.calls if not complete] == list(row.unfinished)
        assert (found.text, found.thinking) == (row.text, row.reasoning)
