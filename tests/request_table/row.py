"""A row of the table of requests, and short ways to write its body."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
YES: Json = {"type": "text", "text": "Yes."}
EPHEMERAL = {"type": "ephemeral"}


@dataclass(frozen=True)
class Refused:
    """The error that a request is refused with.

    `late`: only the engine can refuse it, so that its prompt is rendered.
    """

    begins: str
    status: int = 400
    late: bool = False


@dataclass(frozen=True)
class Row:
    """A request, what its prompt must contain, and the reply.

    Attributes:
        contains: Texts that must stand in the prompt of every template, in this order.
        native_contains: Those for the template that renders tools, thinking and system messages itself.
        prompted_contains: Those for the template that renders none of these.
        lacks: Texts that may stand in no prompt.
        ends: The end of both prompts; None where they end at the start of the reply.
        native_ends: The same for the first template alone.
        refused: The error, for a request that is refused.
        with_images: Like `contains` or `refused`, for a model that sees images. The prompt shows an image
            as `<image URL>`.
        output: The text that the model generates.
        reply: The content blocks that come of it, without ids and signatures.
        stop_reason: The reply's stop reason.
    """

    name: str
    body: Json
    contains: Sequence[str] = ()
    native_contains: Sequence[str] = ()
    prompted_contains: Sequence[str] = ()
    lacks: Sequence[str] = ()
    ends: str | None = None
    native_ends: str | None = None
    refused: Refused | None = None
    with_images: Sequence[str] | Refused = ()
    output: str = "Yes."
    reply: Sequence[Json] = (YES,)
    stop_reason: str = "end_turn"


def body(*messages: Json, **fields: Any) -> Json:
    return {"model": "tiny", "max_tokens": 100, "messages": list(messages), **fields}


def ask(*blocks: Any, **fields: Any) -> Json:
    """A body with one user turn."""
    return body(user(*blocks), **fields)


# Messages.


def user(*blocks: Any, **fields: Any) -> Json:
    return _message("user", blocks, fields)


def assistant(*blocks: Any, **fields: Any) -> Json:
    return _message("assistant", blocks, fields)


def system(*blocks: Any, **fields: Any) -> Json:
    return _message("system", blocks, fields)


def said(role: str, content: Any) -> Json:
    return {"role": role, "content": content}


def _message(role: str, blocks: Sequence[Any], fields: Json) -> Json:
    return {
        "role": role,
        "content": [text(each) if isinstance(each, str) else each for each in blocks],
    } | fields


# Blocks.


def text(words: str, **fields: Any) -> Json:
    return {"type": "text", "text": words, **fields}


def thinking(thought: str, signature: str = "foreign") -> Json:
    return {"type": "thinking", "thinking": thought, "signature": signature}


def use(id_: str = "toolu_1", name: str = "get_weather", input_: Any = ..., **fields: Any) -> Json:
    given = {"city": "Oslo"} if input_ is ... else input_
    return {"type": "tool_use", "id": id_, "name": name, "input": given, **fields}


def result(content: Any = ..., id_: str = "toolu_1", **fields: Any) -> Json:
    given = {} if content is ... else {"content": content}
    return {"type": "tool_result", "tool_use_id": id_, **given, **fields}


def image(source: Json, **fields: Any) -> Json:
    return {"type": "image", "source": source, **fields}


def document(source: Json, **fields: Any) -> Json:
    return {"type": "document", "source": source, **fields}


def found(words: str, **fields: Any) -> Json:
    """A search result."""
    return {
        "type": "search_result",
        "source": "https://a.invalid/1",
        "title": "The first page",
        "content": [text(words)],
        **fields,
    }


def base64(data: str, media_type: str) -> Json:
    return {"type": "base64", "media_type": media_type, "data": data}


# Tools.


def tool(name: str = "get_weather", **fields: Any) -> Json:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"name": name, "description": f"Does {name}.", "input_schema": schema, **fields}


def reference(name: str) -> Json:
    """How a system message's tool change names a tool."""
    return {"type": "tool_reference", "name": name}


def change(kind: str, of: Json) -> Json:
    return {"type": f"tool_{kind}", "tool": of}


CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
WEATHER = tool()
CALLED: Json = {"type": "tool_use", "name": "get_weather", "input": {"city": "Oslo"}}


def loop(*results: Any, **fields: Any) -> Json:
    """A body in which one call is answered by these blocks."""
    return body(user("Weather?"), assistant(use()), user(*results), **{"tools": [WEATHER], **fields})
