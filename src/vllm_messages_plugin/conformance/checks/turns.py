"""Checks of the forms a conversation can take: turns, blocks, images, documents."""

import re
import struct
import zlib
from base64 import b64encode
from typing import Any

from vllm_messages_plugin.conformance.checks.expectations import (
    expect_accepted,
    expect_error,
    expect_ok,
    single_turn,
    text_of,
)
from vllm_messages_plugin.conformance.checks.tools import RESULTS, TURNS, WEATHER
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed

Turn = dict[str, Any]
Case = tuple[str, list[Turn]]


def user(content: Any, **fields: Any) -> Turn:
    """Return a user turn."""
    return {"role": "user", "content": content, **fields}


def assistant(content: Any) -> Turn:
    """Return an assistant turn."""
    return {"role": "assistant", "content": content}


def system(content: Any, **fields: Any) -> Turn:
    """Return a system message within the conversation."""
    return {"role": "system", "content": content, **fields}


def text(words: str) -> dict[str, Any]:
    """Return a text block."""
    return {"type": "text", "text": words}


HI, HELLO = user("Say hello."), assistant("Hello.")
ADDED = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": WEATHER["name"]}}

SYSTEMS: tuple[Case, ...] = (
    ("first", [system("Be brief."), HI]),
    ("after the user", [HI, system("Be brief.")]),
    ("after a tool result", [*TURNS[:2], user(list(RESULTS)), system("Be brief.")]),
    ("between turns", [HI, system([text("Be brief.")]), HELLO, user("Again.")]),
    ("twice in a row", [HI, system("Be brief."), system("Be kind.")]),
    ("with clear_at", [HI, system("Be brief.", clear_at="next_user_message"), HELLO, user("Again.")]),
    ("with an effort", [HI, system([], output_config={"effort": "low"})]),
    ("with a tool_addition", [HI, system([ADDED])]),
)
TURN_SHAPES: tuple[Case, ...] = (
    ("two users in a row", [HI, user([text("And goodbye.")])]),
    ("two assistants in a row", [HI, HELLO, assistant([text("Hello again.")]), user("Again.")]),
    ("an assistant first", [assistant("Welcome."), HI]),
    ("an assistant that only calls", [TURNS[0], assistant(TURNS[1]["content"][1:]), TURNS[2]]),
    ("an empty text block", [user([text(""), text("Say hello.")]), assistant([text("")]), user("Again.")]),
    ("content: []", [HI, assistant([]), user("Again.")]),
    ('content: ""', [HI, assistant(""), user("Again.")]),
    (
        "cache_control on blocks",
        [user([text("Hi.") | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}])],
    ),
)


def system_places(client: Client) -> Outcome:
    """A system message is accepted at any place."""
    return _accept(client, SYSTEMS, "a system message ", tools=[WEATHER])


def turn_shapes(client: Client) -> Outcome:
    """Turns in the orders and forms that agents send are accepted."""
    return _accept(client, TURN_SHAPES, "", tools=[WEATHER], tool_choice={"type": "none"})


def _accept(client: Client, cases: tuple[Case, ...], what: str, **fields: Any) -> Outcome:
    for name, turns in cases:
        expect_accepted(client, {"max_tokens": 2, "messages": turns, **fields}, what + name)
    return passed(", ".join(name for name, _ in cases))


PREFILL = '{"the_answer": "'


def prefill(client: Client) -> Outcome:
    """A reply that the request has started is continued, and its start is not repeated."""
    body = {"max_tokens": 8, "messages": [user("Where is the Louvre? Answer in JSON."), assistant(PREFILL)]}
    text_after = text_of(expect_ok(client.message(body), "with a prefill"))
    expect(not text_after.startswith(PREFILL), f"the reply repeats its prefill: {text_after[:60]!r}")
    return passed(f"continued with {text_after[:30]!r}")


def _call(kind: str, name: str, given: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "id": f"srvtoolu_{name}", "name": name, "input": given}


SEARCHED = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_web_search",
    "content": [
        {"type": "web_search_result", "url": "https://a.example", "title": "A", "encrypted_content": "x"}
    ],
}
FAILED = {"type": "code_execution_tool_result_error", "error_code": "unavailable"}
HISTORY: tuple[Case, ...] = (
    ("a web search", [HI, assistant([_call("server_tool_use", "web_search", {"query": "a"}), SEARCHED]), HI]),
    (
        "a failed code execution",
        [
            HI,
            assistant(
                [
                    _call("server_tool_use", "code_execution", {"code": "1"}),
                    {
                        "type": "code_execution_tool_result",
                        "tool_use_id": "srvtoolu_code_execution",
                        "content": FAILED,
                    },
                ]
            ),
            HI,
        ],
    ),
    (
        "an MCP call",
        [
            HI,
            assistant(
                [
                    _call("mcp_tool_use", "find", {}) | {"server_name": "files"},
                    {
                        "type": "mcp_tool_result",
                        "tool_use_id": "srvtoolu_find",
                        "is_error": False,
                        "content": "one",
                    },
                ]
            ),
            HI,
        ],
    ),
    ("a compaction", [assistant([{"type": "compaction", "content": "They said hello."}]), HI]),
    ("an unknown block", [HI, assistant([text("Hello."), {"type": "not_invented", "yet": {"a": [1]}}]), HI]),
    ("an unknown block of the user", [user([text("Hi."), {"type": "not_invented", "data": "x"}])]),
    ("a tool that is gone", [HI, assistant([_call("tool_use", "no_such_tool", {"a": 1})]), HI]),
    (
        "a tool_reference",
        [
            TURNS[0],
            assistant([_call("tool_use", "ToolSearch", {"query": "weather"})]),
            user(
                [
                    {
                        "type": "tool_result",
                        "tool_use_id": "srvtoolu_ToolSearch",
                        "content": [{"type": "tool_reference", "tool_name": WEATHER["name"]}],
                    }
                ]
            ),
        ],
    ),
    ("citations", [HI, assistant([text("Hello.") | {"citations": None}]), HI]),
)


def history(client: Client) -> Outcome:
    """No block in the history fails a request: a session that contains one could never continue."""
    return _accept(client, HISTORY, "a history with ", tools=[WEATHER | {"defer_loading": True}])


def png(side: int = 64) -> str:
    """Return a plain blue image, in base64."""
    rows = b"".join(b"\x00" + b"\x20\x40\xc0" * side for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png()}}
IMAGE_REFUSAL = re.compile("could not process image", re.IGNORECASE)


def image(client: Client) -> Outcome:
    """An image is accepted, or refused with the message after which agents continue without it."""
    result = {"type": "tool_result", "tool_use_id": "toolu_first", "content": [IMAGE]}
    calls = assistant([TURNS[1]["content"][1]])
    places = (
        ("an image", [user([IMAGE, text("What is it?")])]),
        ("an image in a result", [TURNS[0], calls, user([result])]),
    )
    for what, turns in places:
        body = {"max_tokens": 4, "messages": turns, "tools": [WEATHER]}
        response = client.message(body)
        if response.status == 200:
            expect(client.images is not False, f"{what}: the model has no image_input, yet it is accepted")
            continue
        expect(
            not client.images,
            f"{what}: the model has image_input, yet HTTP {response.status}: {response.excerpt()}",
        )
        message = expect_error(response, 400, "invalid_request_error", what)
        expect(
            IMAGE_REFUSAL.search(message),
            f"{what}: the message is not `Could not process image`: {message[:120]}",
        )
    return passed("accepted" if response.status == 200 else "refused with `Could not process image`")


def _document(source: dict[str, Any]) -> list[Turn]:
    return [user([{"type": "document", "title": "Notes", "source": source}, text("What does it say?")])]


PDF = b64encode(b"%PDF-1.4\nnot a whole one").decode()
PDF_REFUSAL = re.compile("could not process pdf|does not support pdf", re.IGNORECASE)


def document(client: Client) -> Outcome:
    """A text document is accepted; a PDF is accepted, or refused with a message that names it."""
    sources = (
        ("text", {"type": "text", "media_type": "text/plain", "data": "The heron stands in the reeds."}),
        ("content", {"type": "content", "content": [text("The heron stands.")]}),
    )
    for what, source in sources:
        body = {"max_tokens": 2, "messages": _document(source)}
        expect_ok(client.message(body), f"a document of {what}")
    broken = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    response = client.message(single_turn("", 2) | {"messages": _document(broken)})
    message = expect_error(response, 400, "invalid_request_error", "a broken PDF")
    expect(PDF_REFUSAL.search(message), f"a broken PDF: the message names no PDF: {message[:120]}")
    return passed("text and content; a broken PDF is refused by name")
