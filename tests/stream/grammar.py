"""The grammar of a stream, written independently of the state machine: what every client may rely on."""

from collections.abc import Sequence
from typing import Any

DELTAS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
    "server_tool_use": {"input_json_delta"},
    "web_search_tool_result": set(),
    "tool_search_tool_result": set(),
    "compaction": {"compaction_delta"},
    "mcp_tool_use": {"input_json_delta"},
    "mcp_tool_result": set(),
}


def check(events: Sequence[Any], *, continues: bool = False) -> None:
    """Fail unless the events are one complete, legal reply. A reply that never started is one `error`."""
    kinds = [event["type"] for event in events]
    if kinds == ["error"]:
        return
    assert kinds[0] == "message_start"
    assert events[0]["message"]["content"] == []
    assert kinds.count("message_start") == 1
    body = events[1:-1] if kinds[-1] == "error" else _before_the_end(events)
    blocks = _blocks(body)
    for block in blocks:
        _check_block(block, continues=continues)
    if kinds[-1] != "error":
        _check_stop(events[-2], [block[0]["content_block"]["type"] for block in blocks])


def _before_the_end(events: Sequence[Any]) -> Sequence[Any]:
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    return events[1:-2]


def _blocks(events: Sequence[Any]) -> list[list[Any]]:
    """The events of each block; they must follow one another without overlap, numbered from 0."""
    blocks: list[list[Any]] = []
    is_open = False
    for event in events:
        if event["type"] == "content_block_start":
            assert not is_open, "two blocks are open"
            blocks.append([])
        else:
            assert event["type"] in ("content_block_delta", "content_block_stop"), event["type"]
            assert is_open, "no block is open"
        assert event["index"] == len(blocks) - 1
        blocks[-1].append(event)
        is_open = event["type"] != "content_block_stop"
    assert not is_open, "a block was left open"
    return blocks


def _check_block(block: list[Any], *, continues: bool) -> None:
    kind = block[0]["content_block"]["type"]
    deltas = [event["delta"] for event in block[1:-1]]
    assert {delta["type"] for delta in deltas} <= DELTAS[kind]
    if kind == "text":
        pieces = [delta["text"] for delta in deltas if delta["type"] == "text_delta"]
        assert all(pieces), "an empty text delta"
        assert "".join(pieces).strip() or (continues and pieces), "an empty text block"
    if kind == "thinking":
        signed = [delta["type"] == "signature_delta" for delta in deltas]
        assert signed.count(True) == 1
        assert signed[-1], "the signature comes right before the stop"
    if kind == "tool_use":
        assert block[0]["content_block"]["input"] == {}
        assert deltas[0]["partial_json"] == ""


def _check_stop(event: Any, kinds: list[str]) -> None:
    stop = event["delta"]
    assert stop["stop_reason"] is not None
    assert (stop["stop_reason"] == "stop_sequence") == (stop["stop_sequence"] is not None)
    assert (stop["stop_reason"] == "refusal") == (stop["stop_details"] is not None)
    if stop["stop_reason"] == "tool_use":
        assert "tool_use" in kinds, "a call is announced that is not there"
    if stop["stop_reason"] == "end_turn":
        assert "tool_use" not in kinds, "a call is not announced"
