"""Samples of model text with some of their bytes changed: the scanner reads them the same in any pieces."""

from hypothesis import given, settings
from hypothesis import strategies as st

from formats.samples import SAMPLE_WRITERS, write_calls
from formats.scanning.test_scanner import check_arguments
from formats.whole_scan import THINK, THINKING, scan
from fuzz.examples import examples

CALLS = [("Read", {"file_path": "/ä b.py", "limit": 5}), ("Write", {"file_path": "/a", "content": "é\n<b>"})]
TEXTS = {name: f"<think>Hm.</think>Well. {write_calls(name, CALLS)} Done." for name in SAMPLE_WRITERS}


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """A text with up to six runs of bytes removed, doubled, moved or replaced."""
    data = bytearray(text.encode())
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        run = bytes(data[start : start + draw(st.integers(0, 20))])
        put = draw(st.sampled_from([b"", run * 2, run[::-1]]) | st.binary(max_size=4))
        data[start : start + len(run)] = put
        if draw(st.booleans()):
            place = draw(st.integers(0, len(data)))
            data[place:place] = run
    return data.decode("utf-8", "replace")


@settings(max_examples=examples(300))
@given(st.data(), st.sampled_from(sorted(SAMPLE_WRITERS)))
def test_mutated_text_is_read_the_same_in_any_pieces(data: st.DataObject, name: str) -> None:
    text = data.draw(mutated(TEXTS[name]))
    thinking = data.draw(st.sampled_from([None, THINK, THINKING]))
    whole = scan(name, text, thinking=thinking)
    check_arguments(whole)
    assert scan(name, text, size=data.draw(st.integers(1, 7)), thinking=thinking) == whole
    if text.strip() and thinking is None:
        assert whole.text or whole.calls
