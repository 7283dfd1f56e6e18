"""The official SDK's decoder reads back every event that was encoded."""

import json
from typing import Any

import httpx
import pytest
from anthropic._streaming import SSEDecoder
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_messages_plugin.wire.events import PING, ContentBlockDeltaEvent, StreamEvent
from vllm_messages_plugin.wire.sse import PING_FRAME, dump, frame

LINE_ENDS = "\r\n \n \x0b \x0c \x1c \x1d \x1e \x85 \u2028 \u2029"
TEXTS = ["Hello", "", LINE_ENDS, "data: a\n\nevent: b", "日本語 🎉", '"\\/\x00\x7f', "a" * 100_000]
NAMES = ["plain", "empty", "line-ends", "a-frame", "unicode", "quotes", "long"]


def text_delta(text: str) -> ContentBlockDeltaEvent:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def decoded(raw: bytes) -> list[tuple[str | None, Any]]:
    return [(each.event, each.json()) for each in SSEDecoder().iter_bytes(iter([raw]))]


def test_a_frame_is_an_event_line_a_data_line_and_a_blank_line() -> None:
    assert frame({"type": "message_stop"}) == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    assert frame(PING) == PING_FRAME == b'event: ping\ndata: {"type":"ping"}\n\n'


@pytest.mark.parametrize("text", TEXTS, ids=NAMES)
def test_the_sdk_reads_back_the_text(text: str) -> None:
    assert decoded(frame(text_delta(text)) + PING_FRAME) == [
        ("content_block_delta", text_delta(text)),
        ("ping", PING),
    ]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=4))
def test_the_sdk_reads_back_any_text(texts: list[str]) -> None:
    events: list[StreamEvent] = [text_delta(text) for text in texts]
    raw = b"".join(map(frame, events))
    assert decoded(raw) == [("content_block_delta", event) for event in events]


@pytest.mark.parametrize("text", TEXTS, ids=NAMES)
def test_readers_that_split_lines_as_python_does_read_it_too(text: str) -> None:
    lines = list(httpx.Response(200, content=frame(text_delta(text))).iter_lines())
    assert len(lines) == 3
    assert json.loads(lines[1].removeprefix("data: ")) == text_delta(text)


@pytest.mark.parametrize(
    ("text", "read"), [("a\ud83db", "a?b"), ("\udc80", "?"), ("\ud83c\udf89", "??")], ids=ascii
)
def test_a_lone_surrogate_does_not_raise(text: str, read: str) -> None:
    assert decoded(frame(text_delta(text))) == [("content_block_delta", text_delta(read))]
    assert json.loads(dump({text: text})) == {read: read}


def test_json_is_compact() -> None:
    assert dump({"a": [1, "ü"], "b": None}) == '{"a":[1,"ü"],"b":null}'.encode()


@pytest.mark.parametrize("text", TEXTS, ids=NAMES)
@pytest.mark.parametrize(
    ("kind", "key"),
    [("text_delta", "text"), ("thinking_delta", "thinking"), ("input_json_delta", "partial_json")],
)
def test_the_frame_of_a_text_is_what_the_encoder_writes(kind: str, key: str, text: str) -> None:
    event: Any = {"type": "content_block_delta", "index": 7, "delta": {"type": kind, key: text}}
    assert frame(event) == b"event: content_block_delta\ndata: " + dump(event) + b"\n\n"


def test_a_delta_with_more_than_a_text_keeps_every_field() -> None:
    delta = {"type": "thinking_delta", "thinking": "hm", "estimated_tokens": 3}
    event: Any = {"type": "content_block_delta", "index": 0, "delta": delta}
    assert decoded(frame(event)) == [("content_block_delta", event)]
