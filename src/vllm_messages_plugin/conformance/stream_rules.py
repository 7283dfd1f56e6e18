"""The rules of a Messages stream, checked on the raw text. Pure.

This module shares no code with the one that writes streams: only an independent parser can be a test of it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vllm_messages_plugin.conformance.structure import BLOCK, TEXT, USAGE, Template, misfit, parse_json

# Delta type -> how the type of the block it belongs to ends, and the field it adds to.
DELTAS_OF = {
    "text_delta": ("text", "text"),
    "citations_delta": ("text", "citation"),
    "input_json_delta": ("tool_use", ""),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("thinking", "signature"),
    "compaction_delta": ("compaction", "content"),
}
DELTA_FIELDS = {name: field for name, (_, field) in DELTAS_OF.items() if field}
DELTA_FIELDS["input_json_delta"] = "partial_json"
ANYWHERE = {"ping"}
# The structure of each event's data, for the rules and `accumulate` to rely on.
DELTA = {"type": str, "text": str, "thinking": str, "signature": str, "partial_json": str}
EVENT_STRUCTURE: dict[str, dict[str, Template]] = {
    "message_start": {"message": {"usage": USAGE}},
    "content_block_start": {"index": int, "content_block": {**BLOCK, "signature": TEXT}},
    "content_block_delta": {"index": int, "delta": DELTA},
    "content_block_stop": {"index": int},
    "message_delta": {"delta": {"stop_reason": TEXT, "stop_sequence": TEXT}, "usage": USAGE},
}
# Reported by a rule of their own.
MAY_BE_ABSENT = {"message_start", "message_delta"}


@dataclass(frozen=True)
class Event:
    """One server-sent event: its name, its raw data, and the data as JSON."""

    name: str | None
    raw: str
    data: dict[str, Any]

    @property
    def kind(self) -> str:
        """The type in its JSON."""
        return str(self.data.get("type"))


def parse_events(text: str) -> list[Event]:
    """Return all events of a stream's text, without comments."""
    frames = text.replace("\r\n", "\n").split("\n\n")
    return [event for event in map(_parse_event, frames) if event is not None]


def _parse_event(frame: str) -> Event | None:
    fields = [line.partition(":") for line in frame.split("\n") if line and not line.startswith(":")]
    if not fields:
        return None
    name = next((value.strip() for field, _, value in fields if field == "event"), None)
    raw = "\n".join(value.removeprefix(" ") for field, _, value in fields if field == "data")
    return Event(name, raw, _object(raw))


def _object(raw: str) -> dict[str, Any]:
    try:
        value = parse_json(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def first_violation(events: Sequence[Event]) -> str | None:
    """Return the first rule of the protocol that these events break, or None.

    The rules run in order and lazily: a later rule may rely on what an earlier one has established.
    """
    return next((broken for rule in RULES for broken in rule(events)), None)


def _names(events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        if event.raw == "[DONE]":
            yield "the stream ends with OpenAI's data: [DONE]"
        elif not event.data:
            yield f"an event's data is not a JSON object: {event.raw[:80]!r}"
        elif event.name is None:
            yield f"the {event.kind} event has no `event:` line, so the SDKs skip it"
        elif event.name != event.kind:
            yield f"the event named {event.name} carries the type {event.kind}"


def _no_error(events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        if event.kind == "error":
            yield f"the stream carries an error: {_get(event.data, 'error', 'message')}"


def _frame(events: Sequence[Event]) -> Iterator[str]:
    kinds = [event.kind for event in events if event.kind not in ANYWHERE]
    if not kinds:
        yield "the stream carries no events"
        return
    if kinds[0] != "message_start":
        yield f"the first event is {kinds[0]}, not message_start"
    if kinds[-1] != "message_stop":
        yield f"the last event is {kinds[-1]}, not message_stop"
    for once in ("message_start", "message_stop"):
        if kinds.count(once) != 1:
            yield f"{once} comes {kinds.count(once)} times"


def _start(events: Sequence[Event]) -> Iterator[str]:
    message = next(_get(event.data, "message") for event in events if event.kind == "message_start")
    if _get(message, "content") != []:
        yield "message_start has no empty `content` list"
    if not isinstance(_get(message, "usage", "input_tokens"), int):
        yield "message_start has no usage.input_tokens"
    if not isinstance(_get(message, "usage", "output_tokens"), int):
        yield "message_start has no usage.output_tokens"
    if _get(message, "stop_reason") is not None:
        yield "message_start already has a stop_reason"


def _structure(events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        template = EVENT_STRUCTURE.get(event.kind, {})
        for name in template:
            if name not in event.data and event.kind not in MAY_BE_ABSENT:
                yield f"a {event.kind} event has no `{name}`"
        if found := misfit(event.data, template):
            yield f"a {event.kind} event: {found}"


def _delta_fields(events: Sequence[Event]) -> Iterator[str]:
    for delta in (event.data["delta"] for event in events if event.kind == "content_block_delta"):
        field = DELTA_FIELDS.get(delta.get("type"))
        if field and field not in delta:
            yield f"a {delta['type']} has no `{field}`"


def _blocks(events: Sequence[Event]) -> Iterator[str]:
    opened, block = 0, None
    for event in events:
        match event.kind:
            case "content_block_start":
                if block is not None:
                    yield f"block {event.data.get('index')} starts while block {opened - 1} is open"
                block = event.data.get("content_block") or {}
                yield from _block_start(event, opened, block)
                opened += 1
            case "content_block_delta":
                yield from _delta(event, opened - 1, block)
            case "content_block_stop":
                if block is None or event.data.get("index") != opened - 1:
                    yield f"content_block_stop {event.data.get('index')} closes no open block"
                block = None
            case "message_delta" | "message_stop" if block is not None:
                yield f"block {opened - 1} is still open at {event.kind}"


def _block_start(event: Event, expected: int, block: dict[str, Any]) -> Iterator[str]:
    if event.data.get("index") != expected:
        yield f"block {expected} starts with the index {event.data.get('index')}"
    if block.get("type") == "text" and block.get("text") != "":
        yield 'a text block starts without `"text": ""`'


def _delta(event: Event, index: int, block: dict[str, Any] | None) -> Iterator[str]:
    kind = str(_get(event.data, "delta", "type"))
    if block is None or event.data.get("index") != index:
        yield f"a delta for block {event.data.get('index')}, which is not open"
    elif kind in DELTAS_OF and not str(block.get("type")).endswith(DELTAS_OF[kind][0]):
        yield f"a {kind} in a {block.get('type')} block"


def _last_delta(events: Sequence[Event]) -> Iterator[str]:
    deltas = [event for event in events if event.kind == "message_delta"]
    if not deltas:
        yield "there is no message_delta"
        return
    if not isinstance(_get(deltas[-1].data, "usage", "output_tokens"), int):
        yield "message_delta has no usage.output_tokens"
    if not isinstance(_get(deltas[-1].data, "delta", "stop_reason"), str):
        yield "message_delta has no stop_reason"


RULES: tuple[Callable[[Sequence[Event]], Iterator[str]], ...] = (
    _names,
    _no_error,
    _frame,
    _start,
    _structure,
    _blocks,
    _delta_fields,
    _last_delta,
)


def accumulate(events: Sequence[Event]) -> dict[str, Any]:
    """Return the Message that a valid stream describes, as a client's accumulator builds it."""
    message: dict[str, Any] = {}
    for event in events:
        match event.kind:
            case "message_start":
                message = {**event.data["message"], "content": []}
            case "content_block_start":
                message["content"].append(dict(event.data["content_block"]))
            case "content_block_delta":
                _append_delta(message["content"][event.data["index"]], event.data["delta"])
            case "content_block_stop":
                _parse_input(message["content"][event.data["index"]])
            case "message_delta":
                usage = event.data.get("usage") or {}
                reported = {name: value for name, value in usage.items() if value is not None}
                message |= {**event.data.get("delta", {}), "usage": {**message["usage"], **reported}}
    return message


def _append_delta(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if delta["type"] == "input_json_delta":
        block["json"] = block.get("json", "") + delta["partial_json"]
    elif delta["type"] == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    elif delta["type"] == "compaction_delta":
        block["content"] = delta["content"]
    elif field := DELTA_FIELDS.get(delta["type"]):
        block[field] = (block.get(field) or "") + delta[field]


def _parse_input(block: dict[str, Any]) -> None:
    """Set a call's input from its JSON; the input of a call that was cut stays text."""
    if text := block.pop("json", ""):
        try:
            block["input"] = json.loads(text)
        except ValueError:
            block["input"] = text


def _get(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
