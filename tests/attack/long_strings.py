"""Long strings in every place of a request: each is refused or served, and stalls nobody.

`python -m attack --long-strings` puts several texts of 29 MB, and of just under the limit on a field, into
each place, and prints the longest stall of the event loop for each.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from attack.attacks import MB, Attack, assistant, user
from vllm_messages_plugin.http.json_size import MAX_ESCAPES
from vllm_messages_plugin.wire.field_sizes import MAX_FIELD_CHARACTERS, MAX_NON_ASCII_BYTES

PLACE: Final = "@@@"
"""Stands for the long string."""

TEXTS: Final = (
    *("x", "0", "a b ", ". ", "/", "A=", "{", "%41", "&amp;", "<think>", "<|im_start|>", "é"),
    *("\\n", '\\"'),
)
"""What the strings consist of, as JSON writes it."""

SIZES: Final = (29 * MB, MAX_FIELD_CHARACTERS - 1_000)
SPARE: Final = 100_000
"""What the rest of a request may take of a limit."""
STATUSES: Final = frozenset({200, 400, 404, 413})


def body(*messages: Any, **fields: Any) -> dict[str, Any]:
    """A request; without messages, that of a user who writes "Hi"."""
    return {"model": "tiny", "max_tokens": 1, "messages": list(messages) or [user("Hi")], **fields}


def text(value: str = PLACE, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **fields}


def replied(*blocks: Any) -> dict[str, Any]:
    """A request with these blocks in an earlier reply."""
    return body(user("Go"), assistant(list(blocks)), user("Go on"))


def called(call: Mapping[str, Any], result: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """A request with a call and its result."""
    use = {"type": "tool_use", "id": "c", "name": "n", "input": {}, **call}
    block = {"type": "tool_result", "tool_use_id": "c", "content": "x", **result}
    return body(user("Go"), assistant([use]), user([block]), **fields)


def searched(use: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """A request with a search that the server made, and what it found."""
    id_ = "srvtoolu_1"
    result = {
        "type": "web_search_result",
        "url": "http://a/",
        "title": "t",
        "encrypted_content": "x",
        **found,
    }
    return replied(
        {"type": "server_tool_use", "id": id_, "name": "web_search", "input": {"query": "q", **use}},
        {"type": "web_search_tool_result", "tool_use_id": id_, "content": [result]},
        text("x"),
    )


def document(source: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return body(user([{"type": "document", "source": source, **fields}, text("x")]))


def image(source: Mapping[str, Any]) -> dict[str, Any]:
    return body(user([{"type": "image", "source": source}]))


def found(**fields: Any) -> dict[str, Any]:
    """A request with a search result of the client's own."""
    result = {"type": "search_result", "source": "s", "title": "t", "content": [text("x")], **fields}
    return body(user([result]))


def tool(schema: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A request with one tool."""
    parameters = {"type": "object", "properties": {"a": schema or {}}}
    return body(tools=[{"name": "t", "input_schema": parameters, **fields}])


def reply_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A request whose reply must satisfy a schema."""
    whole = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    return body(output_config={"format": {"type": "json_schema", "schema": whole}})


def base64_source(media_type: str) -> dict[str, Any]:
    return {"type": "base64", "media_type": media_type, "data": PLACE}


CITED: Final = {"citations": {"enabled": True}}
PLAIN: Final = {"type": "text", "media_type": "text/plain"}
CLEARED: Final = {
    "type": "clear_tool_uses_20250919",
    "trigger": {"type": "input_tokens", "value": 1},
    "keep": {"type": "tool_uses", "value": 0},
}
THINKING: Final = {"type": "thinking", "thinking": "x", "signature": ""}

PLACES: Final[Mapping[str, Mapping[str, Any]]] = {
    "user": body(user(PLACE)),
    "user, text block": body(user([text()])),
    "user, beside a text block": body(user([text(), text("x")])),
    "system": body(system=PLACE),
    "system, text block": body(system=[text()]),
    "earlier reply": body(user("x"), assistant(PLACE), user("y")),
    "beginning of the reply": body(user("x"), assistant(PLACE)),
    "thinking": replied(THINKING | {"thinking": PLACE}, text("x")),
    "signature": replied(THINKING | {"signature": PLACE}, text("x")),
    "redacted thinking": replied({"type": "redacted_thinking", "data": PLACE}, text("x")),
    "name of a call": called({"name": PLACE}, {}),
    "id of a call": called({"id": PLACE}, {"tool_use_id": PLACE}),
    "id of a call without result": called({"id": PLACE}, {}),
    "key of an input": called({"input": {PLACE: 1}}, {}),
    "value of an input": called({"input": {"a": PLACE}}, {}),
    "tool result": called({}, {"content": PLACE}),
    "tool result, text block": called({}, {"content": [text()]}),
    "tool result, error": called({}, {"content": PLACE, "is_error": True}),
    "tool result, cleared": called({}, {"content": PLACE}, context_management={"edits": [CLEARED]}),
    "tool reference": called({}, {"content": [{"type": "tool_reference", "tool_name": PLACE}]}),
    "document, text": document({**PLAIN, "data": PLACE}),
    "document, cited text": document({**PLAIN, "data": PLACE}, **CITED),
    "document, cited content": document({"type": "content", "content": PLACE}, **CITED),
    "document, cited blocks": document({"type": "content", "content": [text()]}, **CITED),
    "document, title": document({**PLAIN, "data": "x"}, title=PLACE),
    "document, context": document({**PLAIN, "data": "x"}, context=PLACE),
    "document, base64 text": document(base64_source("text/plain")),
    "document, base64 PDF": document(base64_source("application/pdf")),
    "document, URL": document({"type": "url", "url": PLACE}),
    "document, http URL": document({"type": "url", "url": "http://localhost/" + PLACE}),
    "document, data URL": document({"type": "url", "url": "data:text/plain," + PLACE}),
    "document, base64 data URL": document({"type": "url", "url": "data:text/plain;base64," + PLACE}),
    "document, type of a data URL": document({"type": "url", "url": f"data:text/{PLACE},x"}),
    "document, media type": document({"type": "base64", "media_type": "text/" + PLACE, "data": "eA=="}),
    "document, file": document({"type": "file", "file_id": PLACE}),
    "search result": found(content=[text()], **CITED),
    "search result, title": found(title=PLACE),
    "search result, source": found(source=PLACE),
    "image, base64": image(base64_source("image/png")),
    "image, URL": image({"type": "url", "url": PLACE}),
    "image, data URL": image({"type": "url", "url": "data:image/png;base64," + PLACE}),
    "web search, query": searched({"query": PLACE}, {}),
    "web search, content": searched({}, {"encrypted_content": PLACE}),
    "compaction": replied({"type": "compaction", "content": PLACE}),
    "tool, name": tool(name=PLACE),
    "tool, description": tool(description=PLACE),
    "tool, type": tool(type=PLACE),
    "tool, example": tool(input_examples=[{"a": PLACE}]),
    "schema, key": tool(input_schema={"type": "object", "properties": {PLACE: {}}}),
    "schema, description": tool({"description": PLACE}),
    "schema, pattern": tool({"type": "string", "pattern": PLACE}),
    "schema, enum": tool({"enum": [PLACE]}),
    "schema, reference": tool({"$ref": "#/" + PLACE}),
    "schema, type": tool({"type": PLACE}),
    "schema, unknown keyword": tool({PLACE: 1}),
    "strict schema, pattern": tool({"type": "string", "pattern": PLACE}, strict=True),
    "reply's schema, description": reply_schema({"type": "string", "description": PLACE}),
    "reply's schema, pattern": reply_schema({"type": "string", "pattern": PLACE}),
    "reply's schema, enum": reply_schema({"enum": [PLACE]}),
    "reply's schema, reference": reply_schema({"$ref": "#/" + PLACE}),
    "tool choice": {**tool(), "tool_choice": {"type": "tool", "name": PLACE}},
    "stop sequence": body(stop_sequences=[PLACE]),
    "user id": body(metadata={"user_id": PLACE}),
    "model": {**body(), "model": PLACE},
    "cache control": body(user([text("x", cache_control={"type": "ephemeral", "ttl": PLACE})])),
    "MCP server": body(mcp_servers=[{"type": "url", "url": PLACE, "name": "m"}]),
    "container": body(container=PLACE),
    "context edit": body(context_management={"edits": [{"type": PLACE}]}),
    "effort": body(output_config={"effort": PLACE}),
    "earlier message": body(diagnostics={"previous_message_id": PLACE}),
    "role": body({"role": PLACE, "content": "x"}),
    "type of a block": body(user([{"type": PLACE}])),
    "unknown field": body(unknown=PLACE),
    "name of an unknown field": {**body(), PLACE: 1},
    "chat_template_kwargs": body(chat_template_kwargs={"a": PLACE}),
    "cache_salt": body(cache_salt=PLACE),
    "bad_words": body(bad_words=[PLACE]),
    "structured_outputs, regex": body(structured_outputs={"regex": PLACE}),
    "structured_outputs, grammar": body(structured_outputs={"grammar": PLACE}),
    "structured_outputs, JSON": body(structured_outputs={"json": PLACE}),
    "structured_outputs, choice": body(structured_outputs={"choice": [PLACE]}),
}


def long_string(place: str, unit: str, size: int) -> Attack:
    """A request with a string of about `size` bytes, or of those that the limits on the body allow."""
    if unit.startswith("\\"):
        size = min(size, (MAX_ESCAPES - SPARE) * len(unit))
    if not unit.isascii():
        size = min(size, MAX_NON_ASCII_BYTES - SPARE)
    value = (unit * (size // len(unit.encode()))).encode()
    whole = json.dumps(PLACES[place]).encode()
    return Attack(f"{place}: {unit}", lambda: whole.replace(PLACE.encode(), value), statuses=STATUSES)
