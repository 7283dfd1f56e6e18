"""Every kind of drift that docs/models.md lists for a format is read rightly, however the text is split."""

import random

import pytest

from formats.samples import SAMPLE_WRITERS, write_calls
from formats.untidy import CALLS, TOOLS, untidy_samples
from formats.whole_scan import ScanResult, scan
from vllm_messages_plugin.formats.probing.drift import DRIFT, drift_of
from vllm_messages_plugin.formats.scanning.formats import FORMATS

CASES = [(name, kind) for name in sorted(SAMPLE_WRITERS) for kind in drift_of(FORMATS[name])]


def random_split(text: str, draw: random.Random) -> list[str]:
    places = sorted(draw.randrange(len(text) + 1) for _ in range(draw.randrange(8)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def read(format_name: str, text: str) -> ScanResult:
    """Read a text whole, in single characters and in random pieces, which must give the same."""
    found = scan(format_name, text, tools=TOOLS)
    assert scan(format_name, text, size=1, tools=TOOLS) == found, text
    assert scan(format_name, random_split(text, random.Random(text)), tools=TOOLS) == found, text
    return found


@pytest.mark.parametrize(("format_name", "kind"), CASES)
def test_drift_of_each_kind_is_repaired(format_name: str, kind: str) -> None:
    samples = untidy_samples(format_name, kind)
    assert samples
    for text, calls in samples:
        found = read(format_name, text)
        assert found.complete_calls == calls, text
        assert len(found.calls) == len(calls), text
        assert found.text.strip() == "", text


@pytest.mark.parametrize("format_name", sorted(SAMPLE_WRITERS))
def test_a_tidy_call_is_read_without_a_repair(format_name: str) -> None:
    repairs: list[str] = []
    found = scan(format_name, write_calls(format_name, CALLS), tools=TOOLS, on_repair=repairs.append)
    assert (found.complete_calls, repairs) == (CALLS, [])


def test_every_kind_is_one_of_a_format() -> None:
    assert {kind for _, kind in CASES} == set(DRIFT)
