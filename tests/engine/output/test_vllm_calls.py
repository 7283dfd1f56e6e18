"""A call of vLLM's parsers reaches the client only with an object as its arguments."""

import pytest

from support.calls import SeenCalls
from vllm_messages_plugin.engine.output.vllm_calls import VllmCalls
from vllm_messages_plugin.formats.scanning.repair import TEXT_ARGUMENTS
from vllm_messages_plugin.stream.deltas import EngineDelta, EngineText, EngineToolCall


def read(*pieces: tuple[int, str | None, str], cut: bool = False) -> tuple[list[EngineDelta], SeenCalls]:
    seen = SeenCalls()
    calls = VllmCalls(seen)
    deltas = [delta for piece in pieces for delta in calls.add(*piece)]
    return [*deltas, *calls.end(cut=cut)], seen


def test_an_object_streams_from_its_brace_on() -> None:
    calls = VllmCalls(SeenCalls())
    assert calls.add(0, "f", "") == []
    assert calls.add(0, None, " ") == []
    assert calls.add(0, None, '{"a"') == [EngineToolCall(0, "f", ' {"a"')]
    assert calls.add(0, None, ": 1}") == [EngineToolCall(0, None, ": 1}")]
    assert calls.end() == []


@pytest.mark.parametrize("written", ["", "null", " null "])
def test_no_arguments_are_an_empty_object(written: str) -> None:
    assert read((0, "f", written)) == ([EngineToolCall(0, "f", "")], SeenCalls())


@pytest.mark.parametrize("written", ["[1]", '"x"', "3", "true", '[{"a": 1}]', '"[1]"', "1.5", "nul"])
def test_a_call_whose_arguments_are_no_object_becomes_text(written: str) -> None:
    pieces = [(0, "f", ""), *((0, None, character) for character in written)]
    assert read(*pieces) == ([EngineText(f"f{written}")], SeenCalls(raw=1))


def test_an_object_that_is_encoded_as_a_string_is_decoded() -> None:
    found, seen = read((0, "f", '"{\\"a\\": '), (0, None, '\\"é\\"}"'))
    assert found == [EngineToolCall(0, "f", '{"a": "é"}')]
    assert seen == SeenCalls([f"call 0 (f): {TEXT_ARGUMENTS}"])


def test_nothing_is_left_of_arguments_that_a_limit_cut() -> None:
    assert read((0, "f", '"{\\"a'), cut=True) == ([], SeenCalls())


def test_the_calls_behind_it_are_numbered_without_gaps() -> None:
    found, _ = read((0, "f", "[1]"), (2, "g", "{}"), (3, "h", ""), (5, "i", "{"), (5, None, "}"))
    assert found == [
        EngineText("f[1]"),
        EngineToolCall(0, "g", "{}"),
        EngineToolCall(1, "h", ""),
        EngineToolCall(2, "i", "{"),
        EngineToolCall(2, None, "}"),
    ]
