"""The parsers of a reply, with the real scanner and vLLM's real parsers."""

from collections.abc import Sequence
from typing import Any

import pytest

from engine.parsing import READ, chat, parser_of, tokenizer_of
from formats.samples import TOOLS, write_calls
from formats.whole_scan import split
from support.calls import SeenCalls
from vllm_messages_plugin.engine.output.parsers import (
    OutputParser,
    PlainOutputParser,
    ScannerOutputParser,
    ThinkingCounter,
    VllmOutputParser,
)
from vllm_messages_plugin.engine.output.reasoning_start import ReasoningStartDetector
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import Scanner, ThinkingTags
from vllm_messages_plugin.stream.deltas import EngineText, EngineThinking, EngineToolCall

TAGS = ThinkingTags("<think>", "</think>")
OPEN, CLOSE = 100, 101
CALL = write_calls("hermes_json", [READ])


def scanner_parser(
    counter: ThinkingCounter | None = None, calls: bool = True, starts_open: bool = False
) -> ScannerOutputParser:
    tags = ThinkingTags("<think>", "</think>", starts_open)
    scanner = Scanner(FORMATS["hermes_json"], tools=TOOLS, thinking=tags, calls=calls)
    return ScannerOutputParser(scanner, reads_thinking=True, counter=counter)


def vllm_parser() -> VllmOutputParser:
    request = chat()
    parser = parser_of("hermes", "deepseek_r1")(tokenizer_of(special=("<think>", "</think>")), request.tools)
    start = ReasoningStartDetector("<think>", frozenset())
    plain = parser_of("hermes")
    return VllmOutputParser(parser, request, start, lambda: plain(tokenizer_of(), request.tools), SeenCalls())


def feed(parser: OutputParser, parts: Sequence[str]) -> tuple[str, str, list[tuple[str, str]]]:
    """The thinking, the text and the calls of a whole reply."""
    tokenizer = tokenizer_of(special=("<think>", "</think>"))
    thinking, text, calls = "", "", []
    for number, part in enumerate(parts):
        ids = tokenizer.encode(part, add_special_tokens=False)
        for delta in parser.parse(part, ids, [], number == len(parts) - 1):
            if isinstance(delta, EngineThinking):
                thinking += delta.text
            elif isinstance(delta, EngineText):
                text += delta.text
            elif isinstance(delta, EngineToolCall):
                if delta.name:
                    calls.append((delta.name, ""))
                calls[delta.call] = (calls[delta.call][0], calls[delta.call][1] + delta.arguments)
    return thinking.strip(), text.strip(), calls


@pytest.mark.parametrize("make", [scanner_parser, vllm_parser])
def test_thinking_text_and_calls_are_separated(make: Any) -> None:
    parts = ["<think>", "\nWell.\n", "</think>", "\n\nI look.", "\n", *split(CALL, 9)]
    thinking, text, calls = feed(make(), parts)
    assert (thinking, text) == ("Well.", "I look.")
    assert [name for name, _ in calls] == ["Read"]


@pytest.mark.parametrize("make", [scanner_parser, vllm_parser])
def test_a_reply_without_thinking_is_text(make: Any) -> None:
    assert feed(make(), ["It", " is", " 42."]) == ("", "It is 42.", [])


def test_a_plain_reply_is_text_whatever_it_holds() -> None:
    assert feed(PlainOutputParser(), ["<think>", CALL]) == ("", f"<think>{CALL}", [])


def test_without_calls_their_markup_is_text() -> None:
    assert feed(scanner_parser(calls=False), split(CALL, 5)) == ("", CALL, [])


def test_thinking_that_the_prompt_opened_needs_no_tag() -> None:
    assert feed(scanner_parser(starts_open=True), ["Well.", "</think>", "Yes."]) == ("Well.", "Yes.", [])


@pytest.mark.parametrize("size", [1, 2, 7])
def test_thinking_tokens_are_counted_however_the_engine_cuts_its_outputs(size: int) -> None:
    tokens = [("<think>", OPEN), ("a", 1), ("b", 2), ("c", 3), ("</think>", CLOSE), ("d", 4), ("e", 5)]
    parser = scanner_parser(ThinkingCounter(OPEN, CLOSE, inside=False))
    reported = 0
    for at in range(0, len(tokens), size):
        part = tokens[at : at + size]
        text = "".join(piece for piece, _ in part)
        deltas = parser.parse(text, [token for _, token in part], [], at + size >= len(tokens))
        reported += sum(delta.tokens for delta in deltas if isinstance(delta, EngineThinking))
    assert (parser.thinking_tokens, reported) == (3, 3)


@pytest.mark.parametrize(
    ("text", "incomplete"),
    [(CALL, False), (CALL[: CALL.index("limit")], True), ("Yes.", False)],
)
def test_a_call_that_the_model_did_not_complete_is_reported(text: str, incomplete: bool) -> None:
    parser = scanner_parser()
    feed(parser, split(text, 4))
    assert parser.incomplete_call is incomplete


def test_the_parser_is_thinking_until_the_closing_tag() -> None:
    for parser in (scanner_parser(), vllm_parser()):
        tokenizer = tokenizer_of(special=("<think>", "</think>"))
        states = []
        for part in ("<think>", "We", "ll.", "</think>", "Yes."):
            parser.parse(part, tokenizer.encode(part, add_special_tokens=False), [], False)
            states.append(parser.thinking)
        assert states[1:] == [True, True, False, False]


def test_a_value_that_a_limit_cut_behind_a_literal_closing_tag_is_no_complete_call() -> None:
    head = "<tool_call>\n<function=Write>\n<parameter=content>\nIt ends with </function>\n</tool_call>\n"
    for cut in (False, True):
        parser = scanner_parser()
        parser.cut = cut
        parser.parse(f"{head}and then", [1], [], True)
        assert parser.incomplete_call == cut
