"""A small language for tests of the state machine: deltas have short names, events become compact tuples.

A test reads `play(text_piece("Hello"), finish()) == [START, *text(0, "Hello"), *end("end_turn")]`. Every
function below that takes an index returns the events of one complete block.
"""

from collections.abc import Iterable
from itertools import count
from typing import Any

from vllm_messages_plugin.stream.deltas import (
    EndReason,
    EngineDelta,
    EngineText,
    EngineThinking,
    EngineToolCall,
    PromptProcessed,
    ReplyFailed,
    ReplyFinished,
)
from vllm_messages_plugin.stream.machine import Machine
from vllm_messages_plugin.stream.reply import ReplyContext
from vllm_messages_plugin.wire.errors import ErrorKind, MessagesError
from vllm_messages_plugin.wire.events import StreamEvent

Compact = tuple[Any, ...]

READ = PromptProcessed(prompt_tokens=100, cached_tokens=64)
OUTPUT_TOKENS = 7
MESSAGE_ID = "msg_1"
REQUEST_ID = "req_1"

# Deltas.

text_piece = EngineText
thinking_piece = EngineThinking
call_piece = EngineToolCall


def finish(reason: EndReason = "stop", stop_sequence: str | None = None) -> ReplyFinished:
    return ReplyFinished(reason, OUTPUT_TOKENS, stop_sequence=stop_sequence)


def failure(message: str = "engine died", kind: ErrorKind = "api_error") -> ReplyFailed:
    return ReplyFailed(MessagesError(kind, message))


# The play.


def sign(text: str) -> str:
    """A signature that shows what was signed."""
    return f"<{text}>"


def reply(**options: Any) -> ReplyContext:
    """A reply with ids that are the same on every run: `toolu_0`, `toolu_1` and so on."""
    numbers = count()
    fixed: dict[str, Any] = {
        "model": "m",
        "request_id": REQUEST_ID,
        "sign": sign,
        "message_id": MESSAGE_ID,
        "new_tool_id": lambda: f"toolu_{next(numbers)}",
    }
    return ReplyContext(**{**fixed, **options})


def events_of(deltas: Iterable[EngineDelta], **options: Any) -> list[StreamEvent]:
    """The machine's events, in full, for exactly these deltas."""
    machine = Machine(reply(**options))
    return [event for delta in deltas for event in machine.feed(delta)]


def play(*deltas: EngineDelta, **options: Any) -> list[Compact]:
    """The compact events of a reply whose prompt has been read."""
    return [compact(event) for event in events_of([READ, *deltas], **options)]


def compact(event: Any) -> Compact:
    """An event as a tuple that fits on a line."""
    match event["type"]:
        case "message_start":
            return START
        case "content_block_start":
            block = event["content_block"]
            named = (block["id"], block["name"]) if block["type"] == "tool_use" else ()
            return ("open", event["index"], block["type"], *named)
        case "content_block_delta":
            kind, *values = event["delta"].values()
            return (kind, event["index"], *values)
        case "content_block_stop":
            return ("close", event["index"])
        case "message_delta":
            delta = event["delta"]
            matched = () if delta["stop_sequence"] is None else (delta["stop_sequence"],)
            return ("end", delta["stop_reason"], *matched)
        case "error":
            return ("error", event["error"]["type"], event["error"]["message"], event["request_id"])
    return (event["type"],)


# What is expected, a block a word.

START: Compact = ("message_start",)


def text(index: int, *pieces: str) -> list[Compact]:
    deltas = [("text_delta", index, piece) for piece in pieces]
    return [("open", index, "text"), *deltas, ("close", index)]


def thinking(index: int, *pieces: str, signature: str | None = None) -> list[Compact]:
    deltas = [("thinking_delta", index, piece) for piece in pieces]
    signed = ("signature_delta", index, signature or sign("".join(pieces)))
    return [("open", index, "thinking"), *deltas, signed, ("close", index)]


def tool(index: int, number: int, name: str, *pieces: str) -> list[Compact]:
    """A call; like the real API's, its first delta is empty."""
    deltas = [("input_json_delta", index, piece) for piece in ("", *pieces)]
    return [("open", index, "tool_use", f"toolu_{number}", name), *deltas, ("close", index)]


def end(stop_reason: str, *stop_sequence: str) -> list[Compact]:
    return [("end", stop_reason, *stop_sequence), ("message_stop",)]


def error(message: str = "engine died", kind: str = "api_error") -> list[Compact]:
    return [("error", kind, message, REQUEST_ID)]
