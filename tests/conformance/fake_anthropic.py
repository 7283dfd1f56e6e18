"""A right Messages server in a few lines, and the ways to break it. Tests of the smoke test call it.

Its model counts in words, one word a token, so stop sequences, limits and the cache behave as with a real
model; it thinks when asked to, and fills a schema with the first value that each field allows.
"""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

WORDS = "One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve."
THOUGHT, SIGNATURE = "Let me count.", "fake:1"
CAPABILITIES = {
    "thinking": {"supported": True},
    "effort": {"supported": True},
    "image_input": {"supported": False},
}
ENTRY = {
    "id": "tiny",
    "type": "model",
    "display_name": "tiny",
    "created_at": "2026-01-01T00:00:00Z",
    "object": "model",
    "created": 1,
    "owned_by": "vllm",
    "max_input_tokens": 8192,
    "capabilities": CAPABILITIES,
}
PAGE = {"object": "list", "data": [ENTRY], "has_more": False, "first_id": "tiny", "last_id": "tiny"}
ROLES = {"user", "assistant", "system"}
BILLING = "x-anthropic-billing-header:"
METRICS = 'vllm:num_requests_running{engine="0"} 0.0\n'


class RefusedError(Exception):
    """What the fake answers with a status."""

    def __init__(self, message: str, status: int = 400, details: dict[str, str] | None = None) -> None:
        self.status, self.details = status, details
        super().__init__(message)


@dataclass
class Fake:
    """A server as a function; `breaks` are applied to each of its answers."""

    key: str = ""
    window: int | None = 8192
    metrics: str = METRICS
    thinks: bool = True
    sees: bool = False
    keeps_threads: bool = False
    breaks: list[Callable[[httpx.Request, httpx.Response], httpx.Response]] = field(default_factory=list)
    seen: list[httpx.Request] = field(default_factory=list)
    _cached: list[list[str]] = field(default_factory=list)
    _threads: dict[str, Any] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        response = self._answer(request)
        for change in self.breaks:
            response = change(request, response)
        return response

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path, method = request.url.path, request.method
        if method == "HEAD":
            return self.reply(None)
        if self.key and not self._allowed(request):
            return self.error(401, "wrong key", {"x-should-retry": "false"})
        if (method, path) == ("GET", "/metrics"):
            return httpx.Response(200, text=self.metrics)
        if method == "GET" and path.startswith("/v1/models"):
            return self._models(path)
        if path not in {"/v1/messages", "/v1/messages/count_tokens"}:
            return self.error(404, "Not found")
        if method != "POST":
            return self.error(405, "Method not allowed")
        try:
            return self._post(path, read(request.content))
        except RefusedError as refused:
            return self.error(refused.status, str(refused), details=refused.details)

    def _models(self, path: str) -> httpx.Response:
        can = {**CAPABILITIES, "image_input": {"supported": self.sees}}
        entry = {**ENTRY, "max_input_tokens": self.window, "capabilities": can}
        if path == "/v1/models":
            return self.reply({**PAGE, "data": [entry]})
        return self.reply(entry) if path.endswith("/tiny") else self.error(404, "model: unknown")

    def _allowed(self, request: httpx.Request) -> bool:
        bearer, plain = request.headers.get("authorization"), request.headers.get("x-api-key")
        return bearer == f"Bearer {self.key}" or plain == self.key

    def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        refuse(body, sees=self.sees)
        if body["model"] != "tiny":
            raise RefusedError(f"model: {body['model']}", 404)
        self._continue_thread(body)
        prompt = render(body)
        if path.endswith("count_tokens"):
            return self.reply({"input_tokens": len(prompt)})
        if "max_tokens" not in body:
            raise RefusedError("max_tokens: Field required")
        if self.window and len(prompt) > self.window:
            raise RefusedError(f"prompt is too long: {len(prompt)} tokens > {self.window} maximum")
        message = self._message(body, prompt)
        if body.get("thread"):
            self._threads[message["id"]] = body
        return self._stream(message) if body.get("stream") else self.reply(message)

    def _continue_thread(self, body: dict[str, Any]) -> None:
        thread = body.get("thread")
        if thread and not self.keeps_threads:
            raise RefusedError("thread: no threads", details={"error_code": "thread_unsupported_request"})
        if thread and thread["type"] == "continue":
            whole = self._threads[thread["previous_message_id"]]
            body["messages"] = [*whole["messages"], *body["messages"]]
            body["system"] = whole.get("system")

    def _message(self, body: dict[str, Any], prompt: list[str]) -> dict[str, Any]:
        read = max((common(prompt, known) for known in self._cached), default=0)
        read = min(read, len(prompt) - 1)
        self._cached.append(prompt)
        content, stop, sequence, written = self._content(body)
        usage = {
            "input_tokens": len(prompt) - read,
            "cache_read_input_tokens": read,
            "output_tokens": written,
        }
        return {
            "id": f"msg_{next(self._ids)}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": stop,
            "stop_sequence": sequence,
            "usage": {**usage, "cache_creation_input_tokens": 0},
        }

    def _content(self, body: dict[str, Any]) -> tuple[list[dict[str, Any]], str, str | None, int]:
        limit = body["max_tokens"]
        if limit == 0:
            return [], "max_tokens", None, 0
        before = self._thoughts(body) if limit > 4 else []
        if tool := called(body):
            if limit < 20:
                return [_text("<call")], "max_tokens", None, limit
            return [*before, self._call(tool)], "tool_use", None, 9
        form = (body.get("output_config") or {}).get("format") or body.get("output_format")
        if form:
            return [*before, _text(json.dumps(fill(form["schema"])))], "end_turn", None, 9
        answer, stop, sequence, written = counted(body)
        return [*before, *answer], stop, sequence, written

    def _thoughts(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        asked = body.get("thinking") or {}
        if not self.thinks or asked.get("type") not in {"enabled", "adaptive"}:
            return []
        shown = "" if asked.get("display") == "omitted" else THOUGHT
        return [{"type": "thinking", "thinking": shown, "signature": SIGNATURE}]

    def _call(self, tool: dict[str, Any]) -> dict[str, Any]:
        given = {"command": "ls"} if "input_schema" not in tool else fill(tool["input_schema"])
        return {"type": "tool_use", "id": f"toolu_{next(self._ids)}", "name": tool["name"], "input": given}

    def reply(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Response:
        """JSON with a request id."""
        named = {"request-id": f"req_{next(self._ids)}", **(headers or {})}
        return httpx.Response(status, json=body, headers=named)

    def error(
        self,
        status: int,
        message: str,
        headers: dict[str, str] | None = None,
        details: dict[str, str] | None = None,
    ) -> httpx.Response:
        """An error in the envelope."""
        request_id = f"req_{next(self._ids)}"
        kind = {401: "authentication_error", 404: "not_found_error"}.get(status, "invalid_request_error")
        inner = {"type": kind, "message": message} | ({"details": details} if details else {})
        body = {"type": "error", "error": inner, "request_id": request_id}
        return self.reply(body, status, {"request-id": request_id, **(headers or {})})

    def _stream(self, message: dict[str, Any]) -> httpx.Response:
        headers = {"content-type": "text/event-stream; charset=utf-8", "request-id": f"req_{next(self._ids)}"}
        return httpx.Response(200, text=to_sse(events_of(message)), headers=headers)


def read(content: bytes) -> dict[str, Any]:
    """The body, if it is JSON."""
    try:
        body: dict[str, Any] = json.loads(content)
    except ValueError:
        raise RefusedError("The request body is not valid JSON") from None
    return body


def refuse(body: dict[str, Any], *, sees: bool) -> None:
    """Refuse what a right server without pictures and server tools refuses."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise RefusedError("messages: Input should be a list")
    for index, message in enumerate(messages):
        if message["role"] not in ROLES:
            raise RefusedError(f"messages.{index}.role: Input should be 'user' or 'assistant'")
    limit = body.get("max_tokens", 0)
    if not isinstance(limit, int) or limit < 0:
        raise RefusedError("max_tokens: Input should be a valid integer, 0 or more")
    refuse_tools(body)
    if body.get("compaction"):
        raise RefusedError("compaction: not supported by this server")
    text = json.dumps(messages)
    if '"image"' in text and not sees:
        raise RefusedError("messages.0.content.0: Could not process image")
    if "application/pdf" in text:
        raise RefusedError("messages.0.content.0: Could not process PDF")
    form = (body.get("output_config") or {}).get("format") or {}
    if form.get("schema", {}).get("type") == "not-a-type":
        raise RefusedError("output_config.format.schema: no such type")


def refuse_tools(body: dict[str, Any]) -> None:
    """Refuse tools that cannot be."""
    names = [tool["name"] for tool in body.get("tools") or []]
    if len(set(names)) < len(names):
        raise RefusedError("tools: Tool names must be unique.")
    for tool in body.get("tools") or []:
        if str(tool.get("type")).startswith(("web_search", "web_fetch", "tool_search")):
            raise RefusedError(f"tools.0: tool type '{tool['type']}' is not supported by this server")
    choice = body.get("tool_choice") or {}
    if choice.get("type") == "tool" and choice["name"] not in names:
        raise RefusedError(f"tool_choice: Tool '{choice['name']}' not found in provided tools")


def render(body: dict[str, Any]) -> list[str]:
    """The prompt in words: tools that are shown, system without the billing line, messages."""
    system = body.get("system") or []
    blocks = [{"text": system}] if isinstance(system, str) else system
    kept = [block for block in blocks if not block["text"].startswith(BILLING)]
    tools = [tool for tool in body.get("tools") or [] if not tool.get("defer_loading")]
    return json.dumps([tools, kept, *body["messages"]]).split()


def common(left: list[str], right: list[str]) -> int:
    """How many words two prompts have in common at their heads."""
    return next(
        (i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right))
    )


def called(body: dict[str, Any]) -> dict[str, Any] | None:
    """The tool that the choice demands, if it demands one."""
    choice, tools = body.get("tool_choice") or {}, body.get("tools") or []
    if choice.get("type") == "any":
        return dict(tools[0])
    return next((tool for tool in tools if tool["name"] == choice.get("name")), None)


def fill(schema: dict[str, Any]) -> Any:
    """The first value that a schema allows."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "array":
        return [fill(schema["items"])] * schema.get("minItems", 0)
    return {name: fill(inner) for name, inner in schema["properties"].items()}


def counted(body: dict[str, Any]) -> tuple[list[dict[str, Any]], str, str | None, int]:
    """The text: counting, as far as the limits let it."""
    words = WORDS.split()
    text, stop = " ".join(words[: body["max_tokens"]]), "end_turn"
    if body["max_tokens"] < len(words):
        stop = "max_tokens"
    for sequence in body.get("stop_sequences", ()):
        if sequence in text:
            return [_text(text.partition(sequence)[0])], "stop_sequence", sequence, 3
    return [_text(text)], stop, None, len(text.split())


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def events_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of the stream that carries a message."""
    start = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        events += _block_events(index, block)
    stop = {name: message[name] for name in ("stop_reason", "stop_sequence")}
    return [
        *events,
        {"type": "message_delta", "delta": stop, "usage": message["usage"]},
        {"type": "message_stop"},
    ]


def _block_events(index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    opened, deltas = _deltas(block)
    return [
        {"type": "content_block_start", "index": index, "content_block": opened},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def _deltas(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as its first event has it, and the deltas that follow."""
    if block["type"] == "text":
        return {**block, "text": ""}, [
            {"type": "text_delta", "text": part} for part in _halves(block["text"])
        ]
    if block["type"] == "thinking":
        parts = [{"type": "thinking_delta", "thinking": part} for part in _halves(block["thinking"])]
        signed = {"type": "signature_delta", "signature": block["signature"]}
        return {**block, "thinking": "", "signature": ""}, [*parts, signed]
    parts = [
        {"type": "input_json_delta", "partial_json": part}
        for part in ["", *_halves(json.dumps(block["input"]))]
    ]
    return {**block, "input": {}}, parts


def _halves(text: str) -> list[str]:
    return [part for part in (text[: len(text) // 2], text[len(text) // 2 :]) if part]


def to_sse(events: list[dict[str, Any]]) -> str:
    """Events as the text of a stream."""
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


class _Handler(BaseHTTPRequestHandler):
    def _handle(self) -> None:
        size = int(self.headers.get("content-length", 0))
        url = f"http://{self.headers['host']}{self.path}"
        request = httpx.Request(
            self.command, url, headers=list(self.headers.items()), content=self.rfile.read(size)
        )
        response = self.server.fake(request)  # type: ignore[attr-defined]
        self.send_response(response.status_code)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.content)

    do_GET = do_POST = do_HEAD = _handle  # noqa: N815

    def log_message(self, *args: Any) -> None:
        """Be quiet."""


@contextmanager
def listening(fake: Fake) -> Iterator[str]:
    """The fake on a loopback port; its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.fake = fake  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
