"""Results of MCP tools as the client and the model read them."""

from typing import Any

import pytest
from mcp_types import CallToolResult

from vllm_messages_plugin.server_tools.mcp.history import restored_content
from vllm_messages_plugin.server_tools.mcp.results import CUT, bounded, failed, tool_result


def result(*content: dict[str, Any], **fields: Any) -> CallToolResult:
    return CallToolResult.model_validate({"content": list(content), **fields})


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def texts(of: CallToolResult, **limit: int) -> list[str]:
    return [block["text"] for block in tool_result(of, **limit).block["content"]]


def test_texts_stay_blocks() -> None:
    found = tool_result(result(text("a"), text("b")))
    assert found.block == {"type": "mcp_tool_result", "is_error": False, "content": [text("a"), text("b")]}
    assert found.text == "a\nb"
    assert found.counted is None


def test_a_tool_that_fails_is_an_error() -> None:
    assert tool_result(result(text("no"), isError=True)).block["is_error"] is True


@pytest.mark.parametrize(
    ("block", "shown"),
    [
        ({"type": "image", "data": "aGk=", "mimeType": "image/png"}, "[image: image/png, not shown]"),
        ({"type": "audio", "data": "aGk=", "mimeType": "audio/wav"}, "[audio: audio/wav, not shown]"),
        (
            {"type": "resource_link", "name": "log", "uri": "file:///log"},
            "[resource: log, file:///log]",
        ),
        ({"type": "resource", "resource": {"uri": "file:///a", "text": "inside"}}, "inside"),
        (
            {"type": "resource", "resource": {"uri": "file:///a", "blob": "aGk="}},
            "[resource: file:///a, binary, not shown]",
        ),
    ],
)
def test_what_is_no_text_is_named(block: dict[str, Any], shown: str) -> None:
    assert texts(result(block)) == [shown]


def test_a_structured_value_stands_for_missing_content() -> None:
    assert texts(result(structuredContent={"a": "ü"})) == ['{"a": "ü"}']
    assert texts(result(text("b"), structuredContent={"a": 1})) == ["b"]
    assert texts(result()) == []


def test_a_long_result_is_cut_and_says_so() -> None:
    assert texts(result(text("abcd" * 3), text("x")), max_tokens=2) == [f"abcdabcd{CUT}"]
    assert bounded(["üü", "more"], 1) == ["üü", CUT]
    assert bounded(["aüü"], 1) == [f"aü{CUT}"]


def test_a_refused_call_says_why() -> None:
    assert failed("invalid_tool_input").text == "The arguments of the call are no JSON object."
    assert failed("The tool failed: down.").block["content"] == [text("The tool failed: down.")]


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ("plain", "plain"),
        ([text("a"), {"type": "image"}, 7, {"text": 7}], [text("a")]),
        (None, []),
        ({}, []),
    ],
)
def test_a_result_in_a_history_is_read_whatever_it_is(content: Any, read: Any) -> None:
    assert restored_content(content) == read
