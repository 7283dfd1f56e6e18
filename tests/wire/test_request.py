"""Which request bodies are refused, with which message, and which must be accepted."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.request import (
    CountTokensRequest,
    MessagesRequest,
    parse,
)
from wire.bodies import Json, assistant, body, read, user

TOOL = {"name": "f", "input_schema": {"type": "object"}}
SCHEMA = {"type": "json_schema", "schema": {"type": "object"}}
PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
CACHED = {"type": "ephemeral", "ttl": "1h", "scope": "global"}


# Refused, in words that begin with the path of the field at fault.

BROKEN = {
    "empty": (b"", "EOF while parsing a value at line 1 column 0"),
    "cut": (b'{"model":', "EOF while parsing a value at line 1 column 9"),
    "not JSON": (b"model=m", "expected value at line 1 column 1"),
    "not UTF-8": (b'{"model": "\xff"}', "invalid unicode code point at line 1 column 12"),
}


@pytest.mark.parametrize(("raw", "why"), BROKEN.values(), ids=BROKEN.keys())
def test_a_body_that_is_not_json_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(MessagesError) as refused:
        parse(raw, MessagesRequest)
    assert refused.value.status == 400
    assert refused.value.message == f"The request body is not valid JSON: {why}"


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"Hi"', b"1"])
def test_a_body_that_is_not_an_object_is_refused(raw: bytes) -> None:
    with pytest.raises(MessagesError) as refused:
        parse(raw, MessagesRequest)
    assert refused.value.message == "The request body must be a JSON object"


FIELD = "Field required"
STRING = "Input should be a valid string"
INTEGER = "Input should be a valid integer"
OBJECT = "Input should be an object"
CONTENT = "Input should be a string or a list of content blocks"
BLOCK = "Input should be an object with a `type`"
SOURCES = "does not match any of the expected tags: 'base64', 'url', 'file'"

REFUSED: dict[str, tuple[Json, str]] = {
    # Fields of the body.
    "no model": (body(model=...), f"model: {FIELD}"),
    "null model": (body(model=None), f"model: {STRING}"),
    "empty model": (body(model=""), "model: String should have at least 1 character"),
    "no max_tokens": (body(max_tokens=...), f"max_tokens: {FIELD}"),
    "null max_tokens": (body(max_tokens=None), f"max_tokens: {INTEGER}"),
    "max_tokens as text": (body(max_tokens="10"), f"max_tokens: {INTEGER}"),
    "max_tokens as a truth": (body(max_tokens=True), f"max_tokens: {INTEGER}"),
    "negative max_tokens": (body(max_tokens=-1), "max_tokens: Input should be greater than or equal to 0"),
    "hot": (body(temperature=2.1), "temperature: Input should be less than or equal to 2"),
    "cold": (body(temperature=-1), "temperature: Input should be greater than or equal to 0"),
    "temperature as text": (body(temperature="1"), "temperature: Input should be a valid number"),
    "top_p": (body(top_p=1.5), "top_p: Input should be less than or equal to 1"),
    "top_k": (body(top_k=1.5), f"top_k: {INTEGER}"),
    "stream as text": (body(stream="true"), "stream: Input should be a valid boolean"),
    "stop as text": (body(stop_sequences="END"), "stop_sequences: Input should be a valid array"),
    "stop as number": (body(stop_sequences=["a", 1]), f"stop_sequences.1: {STRING}"),
    "thinking type": (
        body(thinking={"type": "hard"}),
        "thinking.type: Input should be 'enabled', 'adaptive', 'disabled' or 'between_tools'",
    ),
    "thinking budget": (
        body(thinking={"type": "enabled", "budget_tokens": "1024"}),
        f"thinking.budget_tokens: {INTEGER}",
    ),
    "format without schema": (
        body(output_config={"format": {"type": "json_schema"}}),
        f"output_config.format.schema: {FIELD}",
    ),
    "format type": (
        body(output_config={"format": {"type": "regex", "schema": {}}}),
        "output_config.format.type: Input should be 'json_schema'",
    ),
    "older format": (body(output_format={"type": "json_schema"}), f"output_format.schema: {FIELD}"),
    # The system prompt.
    "system as number": (body(system=1), "system: Input should be a string or a list of text blocks"),
    "system with an image": (
        body(system=[{"type": "text", "text": "a"}, {"type": "image", "source": PNG}]),
        "system.1.type: Input should be 'text'",
    ),
    "system without text": (body(system=[{"type": "text"}]), f"system.0.text: {FIELD}"),
    # Messages.
    "no messages": (body(messages=...), f"messages: {FIELD}"),
    "messages as text": (body(messages="Hi"), "messages: Input should be a valid array"),
    "empty messages": (
        body(messages=[]),
        "messages: List should have at least 1 item after validation, not 0",
    ),
    "message as text": (body("Hi"), f"messages.0: {OBJECT}"),
    "no role": (body(user(), {"content": "Hi"}), f"messages.1.role: {FIELD}"),
    "unknown role": (
        body({"role": "tool", "content": "Hi"}),
        "messages.0.role: Input should be 'user', 'assistant' or 'system'",
    ),
    "null content": (body({"role": "user", "content": None}), f"messages.0.content: {CONTENT}"),
    "content as an object": (body({"role": "user", "content": {}}), f"messages.0.content: {CONTENT}"),
    # Blocks.
    "block as text": (body(user("Hi")), f"messages.0.content.0: {BLOCK}"),
    "null block": (body(user({"type": "text", "text": "a"}, None)), f"messages.0.content.1: {BLOCK}"),
    "no type": (body(user({"text": "Hi"})), f"messages.0.content.0.type: {FIELD}"),
    "null type": (body(user({"type": None})), f"messages.0.content.0.type: {STRING}"),
    "type as number": (body(user({"type": 1})), f"messages.0.content.0.type: {STRING}"),
    "type as a list": (body(user({"type": []})), f"messages.0.content.0.type: {STRING}"),
    "type as an object": (body(user({"type": {}})), f"messages.0.content.0.type: {STRING}"),
    "no text": (body(user({"type": "text"})), f"messages.0.content.0.text.text: {FIELD}"),
    "null text": (body(user({"type": "text", "text": None})), f"messages.0.content.0.text.text: {STRING}"),
    "no source": (body(user({"type": "image"})), f"messages.0.content.0.image.source: {FIELD}"),
    "source as text": (
        body(user({"type": "image", "source": "a"})),
        f"messages.0.content.0.image.source: {OBJECT}",
    ),
    "unknown source": (
        body(user({"type": "image", "source": {"type": "ftp"}})),
        f"messages.0.content.0.image.source: Input tag 'ftp' found using 'type' {SOURCES}",
    ),
    "no media type": (
        body(user({"type": "image", "source": {"type": "base64", "data": ""}})),
        f"messages.0.content.0.image.source.base64.media_type: {FIELD}",
    ),
    "no document data": (
        body(user({"type": "document", "source": {"type": "text"}})),
        f"messages.0.content.0.document.source.text.data: {FIELD}",
    ),
    "document content": (
        body(user({"type": "document", "source": {"type": "content", "content": 1}})),
        f"messages.0.content.0.document.source.content.content: {CONTENT}",
    ),
    "document content block": (
        body(user({"type": "document", "source": {"type": "content", "content": [{"type": "text"}]}})),
        f"messages.0.content.0.document.source.content.content.0.text.text: {FIELD}",
    ),
    "search result": (
        body(user({"type": "search_result", "source": "s", "title": "t"})),
        f"messages.0.content.0.search_result.content: {FIELD}",
    ),
    "no thinking": (
        body(user(), assistant({"type": "thinking"})),
        f"messages.1.content.0.thinking.thinking: {FIELD}",
    ),
    "no tool name": (
        body(assistant({"type": "tool_use", "id": "a", "input": {}})),
        f"messages.0.content.0.tool_use.name: {FIELD}",
    ),
    "no tool_use_id": (
        body(user({"type": "tool_result"})),
        f"messages.0.content.0.tool_result.tool_use_id: {FIELD}",
    ),
    "result as number": (
        body(user({"type": "tool_result", "tool_use_id": "a", "content": 1})),
        f"messages.0.content.0.tool_result.content: {CONTENT}",
    ),
    "block in a result": (
        body(user({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text"}]})),
        f"messages.0.content.0.tool_result.content.0.text.text: {FIELD}",
    ),
    "is_error as text": (
        body(user({"type": "tool_result", "tool_use_id": "a", "is_error": "yes"})),
        "messages.0.content.0.tool_result.is_error: Input should be a valid boolean",
    ),
    # Tools.
    "tools as an object": (body(tools={}), "tools: Input should be a valid array"),
    "tool as text": (body(tools=[TOOL, "g"]), f"tools.1: {OBJECT}"),
    "no name": (body(tools=[{"input_schema": {}}]), f"tools.0.name: {FIELD}"),
    "no schema": (body(tools=[TOOL, {"name": "g"}]), f"tools.1.input_schema: {FIELD}"),
    "custom without schema": (
        body(tools=[{"type": "custom", "name": "g"}]),
        f"tools.0.input_schema: {FIELD}",
    ),
    "null schema": (body(tools=[{"name": "g", "input_schema": None}]), f"tools.0.input_schema: {FIELD}"),
    "schema as text": (body(tools=[{"name": "g", "input_schema": "{}"}]), f"tools.0.input_schema: {OBJECT}"),
    "name as number": (body(tools=[{**TOOL, "name": 1}]), f"tools.0.name: {STRING}"),
    "same names": (body(tools=[TOOL, TOOL]), "tools: Tool names must be unique."),
    "choice as text": (body(tools=[TOOL], tool_choice="auto"), f"tool_choice: {OBJECT}"),
    "choice without type": (body(tools=[TOOL], tool_choice={}), f"tool_choice.type: {FIELD}"),
    "unknown choice": (
        body(tools=[TOOL], tool_choice={"type": "required"}),
        "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'",
    ),
    "nameless choice": (body(tools=[TOOL], tool_choice={"type": "tool"}), f"tool_choice.name: {FIELD}"),
    # What this server can't do, and must not pretend to do.
    "unknown thread": (body(thread={"type": "fork"}), "thread.type: Input should be 'create' or 'continue'"),
    "a thread continued from nowhere": (
        body(thread={"type": "continue"}),
        f"thread.previous_message_id: {FIELD}",
    ),
    "MCP server without url": (
        body(mcp_servers=[{"type": "url", "name": "a"}]),
        f"mcp_servers.0.url: {FIELD}",
    ),
    "MCP server without name": (
        body(mcp_servers=[{"type": "url", "url": "https://a.invalid"}]),
        f"mcp_servers.0.name: {FIELD}",
    ),
    "MCP server of another type": (
        body(mcp_servers=[{"type": "stdio", "name": "a", "url": "https://a.invalid"}]),
        "mcp_servers.0.type: Input should be 'url'",
    ),
    "MCP tools that are no list": (
        body(
            mcp_servers=[
                {"type": "url", "name": "a", "url": "b", "tool_configuration": {"allowed_tools": "all"}}
            ]
        ),
        "mcp_servers.0.tool_configuration.allowed_tools: Input should be a valid array",
    ),
    "edit without type": (
        body(context_management={"edits": [{"keep": "all"}]}),
        f"context_management.edits.0.type: {FIELD}",
    ),
    "edit type as a list": (
        body(context_management={"edits": [{"type": ["a"]}]}),
        f"context_management.edits.0.type: {STRING}",
    ),
    # Fields of vLLM's that are read before vLLM checks them.
    "template switches": (body(chat_template_kwargs=1.5), f"chat_template_kwargs: {OBJECT}"),
    "processor switches": (body(mm_processor_kwargs=["a"]), f"mm_processor_kwargs: {OBJECT}"),
    "salt": (body(cache_salt=1), "cache_salt: Input should be a string of at least one character"),
    "empty salt": (body(cache_salt=""), "cache_salt: Input should be a string of at least one character"),
    "compaction": (
        body(compaction={"type": "drop"}),
        "compaction.type: Input should be 'summarize'",
    ),
}


@pytest.mark.parametrize(("request_body", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_body_is_refused_by_the_path_of_the_field(request_body: Json, message: str) -> None:
    with pytest.raises(MessagesError) as refused:
        read(request_body)
    assert refused.value.message == message
    assert (refused.value.kind, refused.value.status) == ("invalid_request_error", 400)


def test_only_a_continued_thread_may_have_no_messages() -> None:
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    assert read(body(thread=thread) | {"messages": []}).continued_message == "msg_1"
    with pytest.raises(MessagesError, match=r"^messages: List should have at least 1 item"):
        read(body(thread={"type": "create"}) | {"messages": []})


def test_skills_are_refused_by_name() -> None:
    skill = {"type": "anthropic", "skill_id": "pptx"}
    with pytest.raises(MessagesError, match=r"^container\.skills: .*not supported"):
        read(body(container={"id": None, "skills": [skill]}))


CALL = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
INCOMPLETE: dict[str, tuple[Json, str]] = {
    "a user turn without content": ({"role": "user"}, "content: Field required"),
    "a reply without content": ({"role": "assistant"}, "content: Field required"),
    **{
        f"a call without {field}": (
            assistant({key: value for key, value in CALL.items() if key != field}),
            f"content.0.tool_use.{field}: Field required",
        )
        for field in ("id", "name", "input")
    },
    **{
        f"a call with {value!r} for input": (
            assistant({**CALL, "input": value}),
            "content.0.tool_use.input: Input should be an object",
        )
        for value in (None, "x", [1], 7)
    },
}


@pytest.mark.parametrize(("message", "reason"), INCOMPLETE.values(), ids=INCOMPLETE.keys())
def test_an_incomplete_message_is_refused_by_its_field(message: Json, reason: str) -> None:
    with pytest.raises(MessagesError) as refused:
        read(body(user(), message))
    assert (refused.value.status, refused.value.message) == (400, f"messages.1.{reason}")


# Accepted.

ACCEPTED: dict[str, Json] = {
    "plain": body(),
    "empty content": body(user(), {"role": "user", "content": ""}),
    "the assistant first": body(assistant({"type": "text", "text": "a"})),
    "a system message": body({"role": "system", "content": "a"}, user(), {"role": "system", "content": []}),
    "no token": body(max_tokens=0),
    "whole temperature": body(temperature=1),
    "hot": body(temperature=2),
    "no top_k": body(top_k=-1),
    "nulls": body(
        system=None,
        tools=None,
        tool_choice=None,
        thinking=None,
        stop_sequences=None,
        temperature=None,
        top_p=None,
        top_k=None,
        output_config=None,
        output_format=None,
        metadata=None,
        container=None,
        context_management=None,
        cache_control=None,
        thread=None,
        compaction=None,
        mcp_servers=None,
        diagnostics=None,
        speed=None,
    ),
    "null stream": body(stream=None),
    "nulls inside": body(
        output_config={"effort": None, "format": None, "task_budget": {"type": "tokens", "total": 20000}},
        thinking={"type": "adaptive", "display": None, "budget_tokens": None},
        tools=[{**TOOL, "type": None, "description": None, "strict": None, "defer_loading": None}],
        tool_choice={"type": "auto", "disable_parallel_tool_use": None},
        metadata={"user_id": None},
    ),
    "empty lists": body(system=[], tools=[], stop_sequences=[], mcp_servers=[], betas=[]),
    "fields we don't know": body(
        service_tier="auto",
        inference_geo="eu",
        speed="fast",
        fallbacks="default",
        safeguards=[{"type": "x"}],
        tags=["a"],
        anthropic_version="2023-06-01",
        container="container_1",
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        never_heard_of={"a": [1]},
    ),
    "thinking": body(thinking={"type": "enabled", "budget_tokens": 500, "block_binding": {}}),
    "thinking between tools": body(thinking={"type": "between_tools"}),
    "thinking, shown as updates": body(thinking={"type": "adaptive", "display": "updates"}),
    "any effort": body(output_config={"effort": "tremendous"}),
    "twenty stop sequences": body(stop_sequences=[str(number) for number in range(20)] + [" "]),
    "a long tool name": body(tools=[{**TOOL, "name": "mcp__" + "x" * 200}]),
    "a tool with everything": body(
        tools=[
            {
                **TOOL,
                "type": "custom",
                "description": "d",
                "strict": True,
                "defer_loading": False,
                "eager_input_streaming": True,
                "input_examples": [{}],
                "allowed_callers": ["direct"],
                "cache_control": CACHED,
            }
        ]
    ),
    "a tool of a type we don't know": body(tools=[{"type": "web_search_20250305", "name": "web_search"}]),
    "toolsets have no name": body(tools=[{"type": "computer_toolset_20260801"}, {"type": "mcp_toolset"}]),
    "cached everywhere": body(
        user(
            {"type": "text", "text": "a", "cache_control": CACHED},
            {"type": "image", "source": PNG, "cache_control": None},
            {"type": "tool_result", "tool_use_id": "a", "cache_control": CACHED},
        ),
        system=[{"type": "text", "text": "a", "cache_control": CACHED}],
        cache_control={"type": "ephemeral"},
    ),
    "citations": body(
        user(
            {"type": "text", "text": "a", "citations": None},
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "a"},
                "title": None,
                "context": None,
                "citations": {"enabled": True},
            },
        ),
        assistant({"type": "text", "text": "a", "citations": [{"type": "char_location"}]}),
    ),
    "a call with nulls": body(
        assistant(
            {"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": None, "toolset_name": None}
        ),
        user({"type": "tool_result", "tool_use_id": "a", "content": None, "is_error": None}),
    ),
    "a call by code": body(
        assistant(
            {
                "type": "tool_use",
                "id": "a",
                "name": "f",
                "input": {},
                "caller": {"type": "code_execution_20250825", "tool_id": "b"},
                "toolset_name": "computer",
            }
        )
    ),
    "every source": body(
        user(
            {"type": "image", "source": {"type": "url", "url": "https://a.invalid/a.png"}},
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "image", "source": PNG, "transformations": {"oversized_image": "downsize"}},
            {"type": "document", "source": {"type": "url", "url": "https://a.invalid/a.pdf"}},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "document", "source": {"type": "content", "content": "a"}},
            {
                "type": "document",
                "source": {
                    "type": "content",
                    "content": [{"type": "text", "text": "a"}, {"type": "image", "source": PNG}],
                },
            },
        )
    ),
    "a rich result": body(
        user(
            {
                "type": "tool_result",
                "tool_use_id": "a",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image", "source": PNG},
                    {"type": "tool_reference", "tool_name": "g"},
                    {"type": "search_result", "source": "s", "title": "t", "content": [], "citations": {}},
                    {"type": "browser_state", "tabs": [{"tab_id": 1, "title": "a", "url": "b"}]},
                    {"type": "never_heard_of", "a": {"b": None}},
                ],
            }
        )
    ),
    "tool changes": body(
        {
            "role": "system",
            "content": [
                {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "f"}},
                {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": TOOL}},
                {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "f"}},
            ],
            "clear_at": None,
            "output_config": {"effort": "low"},
        },
        {"role": "system", "clear_at": "next_user_message", "output_config": {}},
    ),
    "blocks we don't know": body(
        user({"type": "container_upload", "file_id": "file_1"}, {"type": "?", "a": [None]}),
        assistant({"type": "never_heard_of", "model_config": 1, "model_dump_json": 2, "copy": None}),
    ),
    # Other servers' replies, given back as history.
    "thinking without a signature": body(assistant({"type": "thinking", "thinking": "a"})),
    "thinking with a null signature": body(
        assistant({"type": "thinking", "thinking": "a", "signature": None})
    ),
    "redacted thinking without data": body(assistant({"type": "redacted_thinking", "data": None})),
}


@pytest.mark.parametrize("request_body", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_an_odd_but_legal_body_is_accepted(request_body: Json) -> None:
    assert len(read(request_body).messages) == len(request_body["messages"])


HIGH, LOW = "\\ud83d", "\\ude00"


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (HIGH, "\ufffd"),
        (LOW, "\ufffd"),
        (HIGH.upper().replace("U", "u"), "\ufffd"),
        (HIGH + LOW, "\U0001f600"),
        (HIGH + HIGH + LOW, "\ufffd\U0001f600"),
        (LOW + HIGH, "\ufffd\ufffd"),
        (HIGH + "n" + LOW, "\ufffdn\ufffd"),
        (HIGH + "\\n" + LOW, "\ufffd\n\ufffd"),
        (HIGH + "\\" + HIGH, "\ufffd\\ud83d"),
        (HIGH + "\\" * 4 + "ud83d", "\ufffd\\\\ud83d"),
    ],
)
def test_half_a_surrogate_pair_is_read_as_the_replacement_character(escaped: str, text: str) -> None:
    encoded = json.dumps(body()).replace("Hi", f"a{escaped}b").encode()
    assert parse(encoded, MessagesRequest).messages[0].content == f"a{text}b"


def test_half_a_surrogate_pair_in_raw_utf_8_is_read_as_the_replacement_character() -> None:
    encoded = json.dumps(body()).replace("Hi", "a\ud83db\ud7ff").encode("utf-8", "surrogatepass")
    assert parse(encoded, MessagesRequest).messages[0].content == "a\ufffdb\ud7ff"


@given(st.text(st.characters()))
def test_a_text_with_lone_surrogates_is_accepted_and_the_rest_of_it_is_kept(text: str) -> None:
    found = read(body({"role": "user", "content": text})).messages[0].content
    assert found == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_invalid_json_with_half_a_surrogate_pair_is_still_refused() -> None:
    with pytest.raises(MessagesError, match="not valid JSON"):
        parse(f'{{"model": "{HIGH}", '.encode(), MessagesRequest)


EVERY_KIND = body(
    user({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}),
    assistant({"type": "thinking", "thinking": "a", "signature": "b"}, {"type": "redacted_thinking"}),
    assistant({"type": "tool_use", "id": "c", "name": "f", "input": {"a": [{"b": 1}]}}),
    user({"type": "tool_result", "tool_use_id": "c", "content": [{"type": "image", "source": PNG}]}),
    user({"type": "document", "source": {"type": "content", "content": "a"}, "citations": {"enabled": True}}),
    user({"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "a"}]}),
    {"role": "system", "content": [{"type": "tool_removal", "tool": {}}], "output_config": {"effort": "low"}},
    user({"type": "other", "a": {}}),
    system=[{"type": "text", "text": "a"}],
    tools=[TOOL, {"type": "web_search_20250305", "name": "web_search"}],
    tool_choice={"type": "tool", "name": "f"},
    thinking={"type": "enabled", "budget_tokens": 1024},
    output_config={"format": SCHEMA},
    context_management={"edits": [{"type": "clear_thinking_20251015"}]},
    mcp_servers=[{"type": "url", "url": "https://a", "name": "n", "tool_configuration": {}}],
    stop_sequences=["a"],
    diagnostics={"previous_message_id": "a"},
    **{"temperature": 1.0, "top_p": 1, "top_k": 1, "stream": True, "seed": 1},
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a value with each of its keys or places."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


@pytest.mark.parametrize(
    "wrong", [None, 1, 1.5, True, "a", [], {}, [1], [[]], [{}], {"type": "text"}], ids=repr
)
def test_a_wrong_value_is_refused_in_the_terms_of_json(wrong: Any) -> None:
    changed = copy.deepcopy(EVERY_KIND)
    for container, key in places(changed):
        kept, container[key] = container[key], wrong
        encoded = json.dumps(changed).encode()
        try:
            MessagesRequest.model_validate_json(encoded)
        except ValidationError as error:
            first = error.errors(include_context=False)[0]
            with pytest.raises(MessagesError) as refused:
                parse(encoded, MessagesRequest)
            assert refused.value.message.endswith(first["msg"].removeprefix("Value error, "))
        container[key] = kept


def test_a_count_needs_no_max_tokens() -> None:
    assert parse(json.dumps(body(max_tokens=...)).encode(), CountTokensRequest).model == "m"


def test_an_integer_is_a_temperature() -> None:
    assert read(body(temperature=1)).temperature == 1.0


def test_fields_of_vllm_are_kept() -> None:
    request_body = read(body(seed=1, chat_template_kwargs={"enable_thinking": False}, system="a"))
    assert dict(request_body.extra) == {"seed": 1, "chat_template_kwargs": {"enable_thinking": False}}


def test_a_body_without_more_has_no_more() -> None:
    assert dict(read(body()).extra) == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"output_config": {"effort": "low"}}, None),
        ({"output_config": {"format": SCHEMA}}, {"type": "object"}),
        ({"output_format": SCHEMA}, {"type": "object"}),
        ({"output_config": {"format": {**SCHEMA, "schema": {}}}, "output_format": SCHEMA}, {}),
    ],
    ids=["none", "effort-only", "new-name", "old-name", "both"],
)
def test_a_schema_is_read_under_both_its_names(fields: Json, expected: Any) -> None:
    assert read(body(**fields)).requested_schema == expected


def test_an_unknown_block_keeps_all_its_fields() -> None:
    unknown = {"type": "never_heard_of", "a": {"b": [1, None]}, "model_fields": 1}
    block = read(body(user(unknown))).messages[0].content[0]
    assert json.loads(block.model_dump_json()) == unknown  # type: ignore[union-attr]


def test_at_most_256_stop_sequences_are_accepted() -> None:
    assert len(read(body(stop_sequences=["x"] * 256)).stop_sequences or ()) == 256
    with pytest.raises(MessagesError, match=r"^stop_sequences: .*at most 256 items"):
        read(body(stop_sequences=["x"] * 257))
