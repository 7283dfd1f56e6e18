"""The attacks: hostile requests and the statuses they may get. Each body is made when the attack runs."""

import base64
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
MB = 1_000_000


def ask(*messages: Mapping[str, Any], **fields: Any) -> bytes:
    """A request body; without messages, that of a user who writes "Hi"."""
    turns = list(messages) or [{"role": "user", "content": "Hi"}]
    return json.dumps({"model": "tiny", "max_tokens": 1, "messages": turns} | fields).encode()


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


@dataclass(frozen=True)
class Attack:
    """Some copies of one request, sent at the same time.

    Attributes:
        name: What the table calls it.
        body: Makes the request body.
        statuses: The statuses that a server may give it; an attack is refused or served, and never a 5xx that
            looks like a fault of the server.
        path: Where it is sent.
        copies: How many are sent at once.
        native: Whether vLLM's own route takes a request of this kind, for comparison.
        native_body: Makes the body for vLLM's own route, if the same body is another prompt there.
        raw: Whether `body` is all that is sent on the connection, head included. The status is 0 if
            the server closes the connection without a reply.
    """

    name: str
    body: Callable[[], bytes]
    statuses: frozenset[int] = frozenset({200, 400, 413, 529})
    path: str = MESSAGES
    copies: int = 1
    native: bool = True
    native_body: Callable[[], bytes] | None = None
    raw: bool = False


def looping_template() -> bytes:
    loop = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"
    return ask(chat_template_kwargs={"chat_template": loop})


def custom_tools(count: int, **fields: Any) -> bytes:
    tools = [{"name": f"t{n}", "input_schema": {}} for n in range(count)]
    return ask(tools=tools, **fields)


def memory_tools(count: int) -> bytes:
    return ask(tools=[{"type": "memory_20250818", "name": f"memory{n}"} for n in range(count)])


def same_names(count: int) -> bytes:
    return ask(tools=[{"name": "t", "input_schema": {"type": "object"}}] * count)


def tool_session(uses: int, **fields: Any) -> bytes:
    calls = [{"type": "tool_use", "id": f"c{n}", "name": f"n{n}", "input": {}} for n in range(uses)]
    results = [{"type": "tool_result", "tool_use_id": f"c{n}", "content": "x"} for n in range(uses)]
    return ask(user("Go"), assistant(calls), user(results), **fields)


def excluded_names(names: int, uses: int) -> bytes:
    edit = {
        "type": "clear_tool_uses_20250919",
        "trigger": {"type": "tool_uses", "value": 0},
        "exclude_tools": [f"x{n}" for n in range(names)],
        "clear_tool_inputs": [f"x{n}" for n in range(names)],
    }
    return tool_session(uses, context_management={"edits": [edit]})


def many_edits(count: int) -> bytes:
    edit = {"type": "clear_tool_uses_20250919", "trigger": {"type": "tool_uses", "value": 0}}
    edits = [edit | {"keep": {"type": "tool_uses", "value": count - n}} for n in range(count)]
    return tool_session(count, context_management={"edits": edits})


def long_text(size: int, **fields: Any) -> bytes:
    return ask(user(words(size)), **fields)


def words(size: int) -> str:
    return "the quick brown fox jumps over it " * (size // 35)


def half_a_pair(size: int) -> bytes:
    return long_text(size).replace(b"fox", b"f\\ud83d", 1)


def tool_result(size: int) -> bytes:
    """A text of a tool's, with one emoji."""
    call = {"type": "tool_use", "id": "c", "name": "n", "input": {}}
    content = [{"type": "text", "text": words(size)}]
    result = {"type": "tool_result", "tool_use_id": "c", "content": content}
    return ask(user("Go"), assistant([call]), user([result])).replace(b"fox", "🦊".encode(), 1)


def earlier_reply(content: Any) -> bytes:
    return ask(user("Go"), assistant(content), user("Go on"))


def earlier_thinking(size: int) -> bytes:
    return earlier_reply([{"type": "thinking", "thinking": words(size), "signature": ""}])


def earlier_call(size: int) -> bytes:
    call = {"type": "tool_use", "id": "c", "name": "n", "input": {"text": words(size)}}
    result = {"type": "tool_result", "tool_use_id": "c", "content": "x"}
    return ask(user("Go"), assistant([call]), user([result]))


def escapes(size: int) -> bytes:
    return ask(user("\n" * (size // 2)))


def tiny_blocks(size: int, between: str = "") -> bytes:
    block = '{"type":"text","text":"x"}'
    texts = [f"x{between}"] * (size // (len(block) + 1) - 1) + ["x"]
    blocks = ",".join(f'{{"type":"text","text":{json.dumps(text)}}}' for text in texts)
    return f'{{"model":"tiny","max_tokens":1,"messages":[{{"role":"user","content":[{blocks}]}}]}}'.encode()


def tiny_messages(count: int) -> bytes:
    turns = ",".join(['{"role":"user","content":"x"}', '{"role":"assistant","content":"y"}'] * (count // 2))
    return f'{{"model":"tiny","max_tokens":1,"messages":[{turns},{{"role":"user","content":"x"}}]}}'.encode()


def empty_objects(size: int) -> bytes:
    values = ",".join(["{}"] * (size // 3))
    call = f'{{"type":"tool_use","id":"c","name":"n","input":{{"a":[{values}]}}}}'
    messages = f'[{{"role":"user","content":"x"}},{{"role":"assistant","content":[{call}]}}]'
    return f'{{"model":"tiny","max_tokens":1,"messages":{messages}}}'.encode()


def with_field(field: str) -> bytes:
    messages = '[{"role":"user","content":"x"}]'
    return f'{{{field},"model":"tiny","max_tokens":1,"messages":{messages}}}'.encode()


def many_numbers(size: int) -> bytes:
    return with_field('"x":[' + ",".join(["1"] * (size // 2)) + "]")


def many_fields(size: int) -> bytes:
    return with_field(",".join(f'"{n:x}":0' for n in range(size // 10)))


def deep_schema(depth: int) -> bytes:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return ask(tools=[{"name": "t", "input_schema": schema}])


def schema(schema: Mapping[str, Any]) -> bytes:
    properties = {"a": schema}
    reply = {"type": "object", "properties": properties, "required": ["a"], "additionalProperties": False}
    return ask(output_config={"format": {"type": "json_schema", "schema": reply}})


def stop_strings(count: int) -> bytes:
    return ask(stop_sequences=[f"stop{n}" for n in range(count)], max_tokens=16)


def pdf(pages: int) -> bytes:
    """A small PDF with so many pages."""
    import pypdfium2

    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(600, 800)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def documents(count: int, pages: int) -> bytes:
    source = {
        "type": "base64",
        "media_type": "application/pdf",
        "data": base64.b64encode(pdf(pages)).decode(),
    }
    return ask(user([{"type": "document", "source": source}] * count + [{"type": "text", "text": "Hi"}]))


def large_integers() -> bytes:
    return ask(top_k=2**64, chat_template_kwargs={"n": 2**80})


def cache_breakpoints(count: int, between: str = "") -> bytes:
    texts = [f"x{n}{between}" for n in range(count - 1)] + [f"x{count - 1}"]
    return ask(
        user([{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}} for text in texts])
    )


def nested_schema(depth: int) -> bytes:
    opening, closing = '{"properties":{"a":' * depth, "}}" * depth
    return with_field(f'"tools":[{{"name":"t","input_schema":{opening}{{}}{closing}}}]')


HEAD = b"POST /v1/messages HTTP/1.1\r\nhost: server\r\ncontent-type: application/json\r\n"

LINE_BREAK = "\n"
"""vLLM joins text blocks by one line break and the plugin by two, so that vLLM gets one more behind each."""

LONG_PATTERN = {"type": "string", "pattern": "^[\\u0000-\\uffff]{1,5000}$"}

ATTACKS = (
    Attack("the request's own looping chat template", looping_template),
    Attack("7,000 tools", lambda: custom_tools(7_000)),
    Attack("10,000 tools, a call demanded", lambda: custom_tools(10_000, tool_choice={"type": "any"})),
    Attack("100,000 tools", lambda: custom_tools(100_000)),
    Attack("5,000 memory tools", lambda: memory_tools(5_000), native=False),
    Attack("20,000 tools of one name", lambda: same_names(20_000)),
    Attack("context edit: 20,000 names, 10,000 uses", lambda: excluded_names(20_000, 10_000)),
    Attack("1,500 context edits", lambda: many_edits(1_500)),
    Attack("10,000 tool uses", lambda: tool_session(10_000)),
    Attack("a prompt of 3 MB", lambda: long_text(3 * MB)),
    Attack("a prompt of 29 MB", lambda: long_text(29 * MB)),
    Attack("29 MB in the reply of an earlier turn", lambda: earlier_reply(words(29 * MB))),
    Attack("29 MB of thinking", lambda: earlier_thinking(29 * MB)),
    Attack("29 MB as the argument of a call", lambda: earlier_call(29 * MB)),
    Attack("count_tokens of 3 MB", lambda: long_text(3 * MB), path=COUNT_TOKENS),
    Attack("count_tokens of 29 MB", lambda: long_text(29 * MB), path=COUNT_TOKENS),
    Attack("29 MB of text and a wrong field", lambda: long_text(29 * MB, max_tokens="x")),
    Attack("29 MB of text and half a surrogate pair", lambda: half_a_pair(29 * MB)),
    Attack("29 MB of text and an emoji", lambda: long_text(29 * MB).replace(b"fox", "🦊".encode(), 1)),
    Attack("29 MB of text and an emoji in a tool result", lambda: tool_result(29 * MB)),
    Attack("15 MB of text and half a surrogate pair", lambda: half_a_pair(15 * MB)),
    Attack("15 MB of text and an emoji", lambda: long_text(15 * MB).replace(b"fox", "🦊".encode(), 1)),
    Attack("29 MB of escapes", lambda: escapes(29 * MB)),
    Attack("30 MB of text blocks", lambda: tiny_blocks(30 * MB)),
    Attack("1 MB of text blocks", lambda: tiny_blocks(MB), native_body=lambda: tiny_blocks(MB, LINE_BREAK)),
    Attack("100,000 messages", lambda: tiny_messages(99_998)),
    Attack("8,000 messages", lambda: tiny_messages(8_000)),
    Attack("30 MB of empty objects", lambda: empty_objects(30 * MB)),
    Attack("30 MB of numbers in an unknown field", lambda: many_numbers(30 * MB)),
    Attack("30 MB of unknown fields", lambda: many_fields(30 * MB)),
    Attack("a schema 200 levels deep", lambda: deep_schema(200)),
    Attack("a schema 100,000 levels deep", lambda: nested_schema(100_000)),
    Attack(
        "a pattern with a long repetition",
        lambda: schema(LONG_PATTERN),
    ),
    Attack("an enum of 100,000", lambda: schema({"enum": [f"value{n}" for n in range(100_000)]})),
    Attack("24 requests with a PDF of 100 pages", lambda: documents(1, 100), copies=24, native=False),
    Attack("50 PDFs in one request", lambda: documents(50, 100), native=False),
    Attack("100,000 stop sequences", lambda: stop_strings(100_000)),
    Attack("integers of 80 bits", large_integers),
    Attack(
        "10,000 cache breakpoints",
        lambda: cache_breakpoints(10_000),
        native_body=lambda: cache_breakpoints(10_000, LINE_BREAK),
    ),
    Attack("1,000 requests at once", ask, copies=1_000),
    Attack(
        "300 connections whose headers never end",
        lambda: HEAD,
        statuses=frozenset({0}),
        copies=300,
        native=False,
        raw=True,
    ),
    Attack(
        "300 bodies that never end",
        lambda: HEAD + b"content-length: 100\r\n\r\n{",
        statuses=frozenset({408, 529}),
        copies=300,
        native=False,
        raw=True,
    ),
)
