"""Calls rendered by this plugin look as the models themselves write them."""

import pytest

from vllm_messages_plugin.formats.call_rendering import CALL_RENDERERS, render_calls
from vllm_messages_plugin.formats.probing.detectors import DETECTORS_BY_NAME, PROMPT_HINTS, TOKEN_HINTS
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import CallEnd, CallPiece, Scanner

CALLS = [("Read", {"path": "a", "limit": 3}), ("Now", {})]

GOLDEN = {
    "lfm2_python": "<|tool_call_start|>[Read(path='a', limit=3), Now()]<|tool_call_end|>",
    "granite_array": '<|tool_call|>[{"name": "Read", "arguments": {"path": "a", "limit": 3}}, '
    '{"name": "Now", "arguments": {}}]',
    "hermes_json": '<tool_call>\n{"name": "Read", "arguments": {"path": "a", "limit": 3}}\n</tool_call>\n'
    '<tool_call>\n{"name": "Now", "arguments": {}}\n</tool_call>',
    "tool_calls_array": '<tool_calls>[{"name": "Read", "arguments": {"path": "a", "limit": 3}}, '
    '{"name": "Now", "arguments": {}}]</tool_calls>',
    "tool_calls_lines": '<tool_calls>\n{"name": "Read", "arguments": {"path": "a", "limit": 3}}\n'
    '{"name": "Now", "arguments": {}}\n</tool_calls>',
    "functionary_tag": '<function=Read>{"path": "a", "limit": 3}</function><function=Now>{}</function>',
    "apertus_keys": '<|tools_prefix|>[{"Read": {"path": "a", "limit": 3}}, {"Now": {}}]<|tools_suffix|>',
    "phi_functools": 'functools[{"name": "Read", "arguments": {"path": "a", "limit": 3}}, '
    '{"name": "Now", "arguments": {}}]',
    "kimi_section": "<|tool_calls_section_begin|>"
    '<|tool_call_begin|>functions.Read:0<|tool_call_argument_begin|>{"path": "a", "limit": 3}'
    "<|tool_call_end|>"
    "<|tool_call_begin|>functions.Now:1<|tool_call_argument_begin|>{}<|tool_call_end|>"
    "<|tool_calls_section_end|>",
}


@pytest.mark.parametrize("call_format", GOLDEN)
def test_calls_are_rendered_in_the_models_own_format(call_format: str) -> None:
    assert render_calls(call_format, CALLS) == GOLDEN[call_format]


@pytest.mark.parametrize("call_format", GOLDEN)
def test_the_scanner_reads_rendered_calls_back(call_format: str) -> None:
    scanner = Scanner(FORMATS[call_format])
    found = [*scanner.feed(render_calls(call_format, CALLS)), *scanner.finish()]
    names = [piece.name for piece in found if isinstance(piece, CallPiece) and piece.name]
    assert names == [name for name, _ in CALLS]
    assert [piece.complete for piece in found if isinstance(piece, CallEnd)] == [True, True]


def test_every_renderer_is_tested_and_every_hint_is_a_known_format() -> None:
    assert CALL_RENDERERS.keys() == GOLDEN.keys()
    assert {name for _, name in (*PROMPT_HINTS, *TOKEN_HINTS)} <= DETECTORS_BY_NAME.keys()
