"""Our reasoning parser in vLLM's hands, beside our tool parsers and vLLM's."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.parsing import (
    READ,
    SIZES,
    WRITE,
    ParsedReply,
    chat,
    make,
    parser_of,
    streamed,
    tokenizer_of,
    whole,
)
from formats.samples import SAMPLE_WRITERS, TOOLS, write_calls
from formats.whole_scan import THINK, THINKING, split
from vllm_messages_plugin.engine.openai_routes.reasoning_parsers import (
    MessagesAutoReasoning,
    ReasoningSplitter,
)
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import Scanner, ThinkingPiece

CLOSED = "<|im_start|>assistant\n<think>\n\n</think>\n\n"
OPEN = "<|im_start|>assistant\n<think>\n"
FREE = "<|im_start|>assistant\n"
CALL = write_calls("hermes_json", [READ])
REPLIES = [
    # prompt, reply, thought, content, calls
    (FREE, "<think>\nWell.\n</think>\n\nYes.", "Well.", "Yes.", 0),
    (FREE, "Yes.", "", "Yes.", 0),
    (FREE, "\n\n  Yes.", "", "\n\n  Yes.", 0),
    (FREE, "<thin air> is no tag", "", "<thin air> is no tag", 0),
    (FREE, "<thi", "", "<thi", 0),
    (FREE, "<think>\n\n</think>\n\nYes.", "", "Yes.", 0),
    (FREE, "</think>Yes.", "", "Yes.", 0),
    (FREE, "Is <think> a tag? </think>", "", "Is <think> a tag? </think>", 0),
    (FREE, "<think>cut", "cut", "", 0),
    (FREE, f"<think>\nWell.\n</think>\n\n{CALL}", "Well.", "", 1),
    (FREE, f"<think>\nWell.\n</think>\n\nI read.\n{CALL}", "Well.", "I read.", 1),
    (FREE, CALL, "", "", 1),
    (FREE, f"<think>\nWell.\n{CALL}", "Well.", "", 1),
    (FREE, f"<think>\n{CALL}", "", "", 1),
    (FREE, f"<think>\nWell.\n{CALL}\n</think>\n\nYes.", "Well.", "Yes.", 1),
    (FREE, "<think>\na</think>\n<think>\nb</think>\nYes.", "ab", "Yes.", 0),
    (FREE, "<think>a <tool_call> b</think>c", "a <tool_call> b", "c", 0),
    (
        FREE,
        "<think>\nif a < b > c:\n    </thin>\n\n</think>\n    d",
        "if a < b > c:\n    </thin>",
        "    d",
        0,
    ),
    (OPEN, "Well.\n</think>\n\nYes.", "Well.", "Yes.", 0),
    (OPEN, f"Well.\n</think>\n{CALL}", "Well.", "", 1),
    (OPEN, f"Well.\n{CALL}", "Well.", "", 1),
    (OPEN, "cut", "cut", "", 0),
    (OPEN, "<think>\nWell.</think>Yes.", "Well.", "Yes.", 0),
    (CLOSED, "Yes.", "", "Yes.", 0),
    (CLOSED, "<think> is a tag </think>", "", "<think> is a tag </think>", 0),
    (CLOSED, f"I read.\n{CALL}", "", "I read.", 1),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("prompt", "reply", "thought", "content", "calls"), REPLIES)
def test_thinking_is_separated_from_the_reply_in_both_modes(
    prompt: str, reply: str, thought: str, content: str, calls: int, size: int
) -> None:
    ids = tokenizer_of().encode(prompt)
    parsed = streamed(make("hermes_json", reasoning=True), split(reply, size), chat(), ids)
    assert parsed == ParsedReply(thought, content, [("Read", json.dumps(READ[1]))] * calls)
    assert whole(make("hermes_json", reasoning=True), reply, chat(), ids) == parsed


def test_without_a_sight_of_the_prompt_its_switch_decides() -> None:
    reply = "<think>Well.</think>Yes."
    on, off = (make("hermes_json", reasoning=True, enable_thinking=value) for value in (True, False))
    assert whole(on, reply, chat()) == ParsedReply("Well.", "Yes.")
    assert whole(off, reply, chat()) == ParsedReply("", reply)


def test_a_reply_that_goes_on_with_a_message_is_where_the_message_was() -> None:
    for begun, reply, parsed in (
        ("<think>\nWe", "ll.</think>Yes.", ParsedReply("ll.", "Yes.")),
        ("<think>\nWell.\n</think>\n\nYe", "s <think>.", ParsedReply("", "s <think>.")),
    ):
        ids = tokenizer_of().encode(FREE + begun)
        parser = make("hermes_json", reasoning=True, continue_final_message=True)
        assert streamed(parser, split(reply, 1), chat(), ids) == parsed


def test_a_model_that_does_not_think_passes_everything_as_content() -> None:
    reply = f"<think>Well.</think>Yes.\n{write_calls('qwen_xml', [READ])}"
    parser = make("qwen_xml", reasoning=True, template="xml_calls")
    assert (parser.reasoning_parser.reasoning_start_str, parser.reasoning_parser.reasoning_end_str) == (
        None,
        None,
    )
    parsed = streamed(parser, split(reply, 2), chat())
    assert parsed == whole(make("qwen_xml", reasoning=True, template="xml_calls"), reply, chat())
    assert (parsed.reasoning, parsed.content, parsed.made) == ("", "<think>Well.</think>Yes.", [READ])
    assert parser.count_reasoning_tokens([1, 2, 3]) == 0


def test_without_a_reasoning_parser_thinking_is_content() -> None:
    reply = "<think>Well.</think>Yes."
    assert streamed(make("hermes_json"), split(reply, 1), chat()) == ParsedReply("", reply)


def test_the_start_up_check_finds_the_tags() -> None:
    parser = MessagesAutoReasoning(tokenizer_of())
    assert (parser.reasoning_start_str, parser.reasoning_end_str) == ("<think>", "</think>")


def test_reasoning_beside_a_parser_of_vllms() -> None:
    parser = parser_of("hermes", "messages_auto")
    reply = f"<think>\nWell.\n</think>\n\n{CALL}"
    for parsed in (
        streamed(parser(tokenizer_of(), TOOLS), split(reply, 5), chat()),
        whole(parser(tokenizer_of(), TOOLS), reply, chat()),
    ):
        assert (parsed.reasoning, parsed.made) == ("Well.", [READ])


@pytest.mark.parametrize("theirs", ["qwen3", "deepseek_r1"])
def test_calls_beside_a_reasoning_parser_of_vllms(theirs: str) -> None:
    tokenizer, request = tokenizer_of(), chat()
    prompt = tokenizer.encode(OPEN)
    parser = parser_of("messages_auto", theirs)(tokenizer, request.tools)
    tokens = tokenizer.encode(f"Well.</think>I read.\n{CALL}")
    deltas = [
        parser.parse_delta(
            tokenizer.decode([token]), [token], request, prompt, finished=number == len(tokens) - 1
        )
        for number, token in enumerate(tokens)
    ]
    parsed = [delta for delta in deltas if delta is not None]
    assert "".join(delta.reasoning or "" for delta in parsed) == "Well."
    assert "".join(delta.content or "" for delta in parsed) == "I read."
    pieces = [call.function for delta in parsed for call in delta.tool_calls]
    assert [piece.name for piece in pieces if piece.name] == ["Read"]
    assert json.loads("".join(piece.arguments or "" for piece in pieces)) == READ[1]


def steps(parser: Any, prompt: str, reply: str) -> Iterator[tuple[str, bool]]:
    """Each token of a reply, and whether a grammar may begin behind it."""
    tokenizer = tokenizer_of()
    ids = tokenizer.encode(prompt)
    for token in tokenizer.encode(reply):
        ids.append(token)
        yield tokenizer.decode([token]), parser.is_reasoning_end_streaming(ids, [token])


@pytest.mark.parametrize(
    ("prompt", "reply", "last"),
    [
        (OPEN, "Well, so.</think>", "</think>"),
        (FREE, "<think>\nWell.\n</think>", "</think>"),
        (FREE, "\n\nYes", "Yes"),
        (FREE, "Yes", "Yes"),
    ],
)
def test_a_grammar_begins_when_the_thinking_is_over(prompt: str, reply: str, last: str) -> None:
    parser = MessagesAutoReasoning(tokenizer_of())
    assert not parser.is_reasoning_end(tokenizer_of().encode(prompt))
    *before, (token, over) = steps(MessagesAutoReasoning(tokenizer_of()), prompt, reply)
    assert not any(ended for _, ended in before)
    assert (token, over) == (last, True)


def test_a_grammar_begins_at_once_where_the_prompt_has_ended_the_thinking() -> None:
    assert MessagesAutoReasoning(tokenizer_of()).is_reasoning_end(tokenizer_of().encode(CLOSED))


@pytest.mark.parametrize(
    ("prompt", "reply", "thought"),
    [
        (FREE, "<think>one two</think>three", "one two"),
        (FREE, "one two", ""),
        (OPEN, "one two</think>three", "one two"),
        (OPEN, "one two", "one two"),
        (CLOSED, "one two</think>", ""),
    ],
)
def test_thinking_tokens_are_counted(prompt: str, reply: str, thought: str) -> None:
    tokenizer, parser = tokenizer_of(), MessagesAutoReasoning(tokenizer_of())
    parser.is_reasoning_end(tokenizer.encode(prompt))
    assert parser.count_reasoning_tokens(tokenizer.encode(reply)) == len(tokenizer.encode(thought))


def test_the_ids_of_the_content_are_those_behind_the_thinking() -> None:
    tokenizer, parser = tokenizer_of(), MessagesAutoReasoning(tokenizer_of())
    assert parser.extract_content_ids(tokenizer.encode("a</think>b c")) == tokenizer.encode("b c")
    assert parser.extract_content_ids(tokenizer.encode("a b")) == []


# The splitter, beside the scanner

BITS = [
    *("<think>", "</think>", "</think>\n\n", "\n", "  ", "a", "b > c", "<", ">", "</", "Well.\n", "é"),
    *(CALL, "<tool_call>", "<tool_call>\n{", '{"name": "Read", ', '"arguments": {', "}}", "</tool_call>"),
    *(" " * 100, "x" * 700, '"x": 1, '),
]
replies = st.lists(st.one_of(st.sampled_from(BITS), st.text(max_size=4)), max_size=14).map("".join)


def parted(chunks: Sequence[str], opened: bool) -> tuple[str, str]:
    splitter = ReasoningSplitter(("<think>", "</think>"), "hermes_json", opened)
    parts = [*(splitter.feed(chunk) for chunk in chunks), splitter.finish()]
    return "".join(thought for thought, _ in parts), "".join(rest for _, rest in parts)


@settings(max_examples=500, deadline=None)
@given(reply=replies, opened=st.booleans(), size=st.integers(1, 40))
def test_the_splitter_is_blind_to_chunks(reply: str, opened: bool, size: int) -> None:
    assert parted(split(reply, 1), opened) == parted([reply], opened) == parted(split(reply, size), opened)


@settings(max_examples=500, deadline=None)
@given(reply=replies, opened=st.booleans())
def test_the_reasoning_splitter_finds_the_thinking_that_the_scanner_finds_first(
    reply: str, opened: bool
) -> None:
    tags = THINKING if opened else THINK
    scanner = Scanner(FORMATS["qwen_xml"], thinking=tags, drop_stray_tags=False)
    pieces = scanner.feed(reply) + scanner.finish()
    first = takewhile(lambda piece: isinstance(piece, ThinkingPiece), pieces)
    thought, rest = parted([reply], opened)
    assert thought == "".join(piece.text for piece in first)
    assert reply.endswith(rest)


@settings(max_examples=300, deadline=None)
@given(reply=replies, opened=st.booleans(), size=st.integers(1, 40))
def test_thinking_and_calls_are_the_same_streaming_and_non_streaming(
    reply: str, opened: bool, size: int
) -> None:
    ids = tokenizer_of().encode(OPEN if opened else FREE)
    parsed = streamed(make("hermes_json", reasoning=True), split(reply, size), chat(), ids)
    if (
        parsed.calls and not parsed.content.strip()
    ):  # vLLM drops whitespace alone beside calls, if not streamed
        parsed = replace(parsed, content="")
    assert parsed == whole(make("hermes_json", reasoning=True), reply, chat(), ids)


@pytest.mark.parametrize("call_format", sorted(SAMPLE_WRITERS))
def test_both_modes_agree_wherever_a_reply_is_cut(call_format: str) -> None:
    ids, text = tokenizer_of().encode(OPEN), f"Well.\n</think>\n\n{write_calls(call_format, [READ, WRITE])}"
    for end in range(0, len(text), 3):
        parsed = streamed(make(call_format, reasoning=True), split(text[:end], 7) or [""], chat(), ids)
        assert parsed == whole(make(call_format, reasoning=True), text[:end], chat(), ids)
