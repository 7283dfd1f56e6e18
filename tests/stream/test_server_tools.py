"""Server tools in a stream: their blocks stand in order, and the usage of all rounds is summed."""

import anthropic.types.beta
import pytest

from stream import grammar
from stream.oracle import final_message
from stream.playbook import (
    OUTPUT_TOKENS,
    READ,
    START,
    call_piece,
    end,
    events_of,
    finish,
    play,
    text,
    text_piece,
    thinking,
    thinking_piece,
    tool,
)
from vllm_messages_plugin.stream.collect import Collector
from vllm_messages_plugin.stream.deltas import (
    CompleteBlock,
    EngineDelta,
    PromptProcessed,
    ReplyFinished,
    RoundUsage,
    ServerToolUse,
)

USE = ServerToolUse(
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}, '{"query": "x"}'
)
RESULT = CompleteBlock(
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [
            {
                "type": "web_search_result",
                "url": "https://a.example",
                "title": "A",
                "encrypted_content": "c",
                "page_age": None,
            }
        ],
    }
)
ROUNDS = (
    RoundUsage(PromptProcessed(100, 64), 5),
    RoundUsage(PromptProcessed(150, 105), 7),
    RoundUsage(PromptProcessed(190, 157), 9),
)


def use(index: int) -> list[tuple[object, ...]]:
    """The compact events of USE."""
    return [
        ("open", index, "server_tool_use"),
        ("input_json_delta", index, '{"query": "x"}'),
        ("close", index),
    ]


def result(index: int) -> list[tuple[object, ...]]:
    """The compact events of RESULT: it has no delta."""
    return [("open", index, "web_search_tool_result"), ("close", index)]


def test_a_search_stands_between_the_texts_of_two_rounds() -> None:
    assert play(text_piece("Let me look."), USE, RESULT, text_piece("Found."), finish()) == [
        START,
        *text(0, "Let me look."),
        *use(1),
        *result(2),
        *text(3, "Found."),
        *end("end_turn"),
    ]


def test_thinking_is_signed_before_a_search() -> None:
    assert play(thinking_piece("Hm."), USE, RESULT, finish())[1:6] == [*thinking(0, "Hm."), use(1)[0]]


def test_a_client_tool_that_is_called_beside_a_search_ends_the_turn() -> None:
    assert play(call_piece(0, "f", "{}"), USE, RESULT, finish()) == [
        START,
        *tool(0, 0, "f", "{}"),
        *use(1),
        *result(2),
        *end("tool_use"),
    ]


def test_a_call_after_a_search_goes_on_streaming() -> None:
    played = play(USE, RESULT, call_piece(0, "f", '{"a"'), call_piece(0, None, ": 1}"), finish())
    assert played[6:] == [*tool(2, 0, "f", '{"a"', ": 1}"), *end("tool_use")]


def test_a_pause_gives_the_stop_reason_pause_turn() -> None:
    assert play(USE, RESULT, finish("pause"))[-2:] == end("pause_turn")


@pytest.mark.parametrize("deltas", [[USE, RESULT], [text_piece("a"), USE, RESULT, USE, RESULT]])
def test_the_stream_is_legal_and_collects_to_what_the_sdk_builds(deltas: list[EngineDelta]) -> None:
    events = events_of([READ, *deltas, finish()])
    grammar.check(events)
    collector = Collector()
    for event in events:
        collector.feed(event)
    assert collector.message is not None
    built = final_message(events)
    assert [block["type"] for block in collector.message["content"]] == [
        block["type"] for block in built["content"]
    ]
    assert collector.message["content"][-2]["input"] == {"query": "x"}
    assert built["content"][-2]["input"] == {"query": "x"}


def test_the_usage_of_all_rounds_is_summed_and_listed() -> None:
    done = ReplyFinished("stop", 21, None, rounds=ROUNDS, server_tool_use={"web_search_requests": 2})
    usage = events_of([READ, USE, RESULT, done])[-2]["usage"]
    assert usage["input_tokens"] == 36 + 45 + 33
    assert usage["cache_read_input_tokens"] == 64 + 105 + 157
    assert usage["output_tokens"] == 21
    assert usage["server_tool_use"] == {"web_search_requests": 2, "web_fetch_requests": 0}
    assert [entry["output_tokens"] for entry in usage["iterations"]] == [5, 7, 9]
    parsed = anthropic.types.beta.BetaUsage.model_validate(usage)
    assert parsed.iterations is not None
    assert len(parsed.iterations) == 3


def test_a_reply_without_server_tools_has_no_iterations() -> None:
    usage = events_of([READ, text_piece("a"), finish()])[-2]["usage"]
    assert "iterations" not in usage
    assert usage["server_tool_use"] is None
    assert usage["output_tokens"] == OUTPUT_TOKENS
