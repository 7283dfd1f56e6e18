"""A right Messages server in a few lines, and the ways to break it. Tests of the smoke test call it.

Its model counts in words, one word a token, so stop sequences and limits behave as with a real model.
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
ENTRY = {
    "id": "tiny",
    "type": "model",
    "display_name": "tiny",
    "created_at": "2026-01-01T00:00:00Z",
    "object": "model",
    "created": 1,
    "owned_by": "vllm",
    "max_input_tokens": 8192,
}
PAGE = {"object": "list", "data": [ENTRY], "has_more": False, "first_id": "tiny", "last_id": "tiny"}
CALL = {"city": "Paris", "unit": "celsius"}


@dataclass
class Fake:
    """A server as a function; `breaks` are applied to each of its answers."""

    key: str = ""
    window: int | None = 8192
    metrics: str = ""
    breaks: list[Callable[[httpx.Request, httpx.Response], httpx.Response]] = field(default_factory=list)
    seen: list[httpx.Request] = field(default_factory=list)
    _cached: set[str] = field(default_factory=set)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        response = self._answer(request)
        for change in self.breaks:
            response = change(request, response)
        return response

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path, method = request.url.path, request.method
        if self.key and not self._allowed(request):
            return self.error(401, "authentication_error", "wrong key", {"x-should-retry": "false"})
        if (method, path) == ("GET", "/v1/models"):
            entry = {**ENTRY, "max_input_tokens": self.window}
            return self.reply({**PAGE, "data": [entry]})
        if (method, path) == ("GET", "/metrics"):
            return httpx.Response(200, text=self.metrics)
        if path not in {"/v1/messages", "/v1/messages/count_tokens"}:
            return self.error(404, "not_found_error", "Not found")
        if method != "POST":
            return self.error(405, "invalid_request_error", "Method not allowed")
        return self._post(path, json.loads(request.content))

    def _allowed(self, request: httpx.Request) -> bool:
        bearer, plain = request.headers.get("authorization"), request.headers.get("x-api-key")
        return bearer == f"Bearer {self.key}" or plain == self.key

    def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        tokens = len(json.dumps([body.get("system"), body.get("tools"), body["messages"]]).split())
        if path.endswith("count_tokens"):
            return self.reply({"input_tokens": tokens})
        if body["model"] != "tiny":
            return self.error(404, "not_found_error", f"model: {body['model']}")
        if "max_tokens" not in body:
            return self.error(400, "invalid_request_error", "max_tokens: Field required")
        if self.window and tokens > self.window:
            words = f"prompt is too long: {tokens} tokens > {self.window} maximum"
            return self.error(400, "invalid_request_error", words)
        message = self._message(body, tokens)
        return self._stream(message) if body.get("stream") else self.reply(message)

    def _message(self, body: dict[str, Any], tokens: int) -> dict[str, Any]:
        prompt = json.dumps([body.get("system"), body["messages"]])
        read = tokens // 2 if prompt in self._cached else 0
        self._cached.add(prompt)
        content, stop, sequence, written = self._content(body)
        usage = {"input_tokens": tokens - read, "cache_read_input_tokens": read, "output_tokens": written}
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
        choice = body.get("tool_choice", {})
        if choice.get("type") == "tool":
            call = {
                "type": "tool_use",
                "id": f"toolu_{next(self._ids)}",
                "name": choice["name"],
                "input": CALL,
            }
            return [call], "tool_use", None, 9
        words = WORDS.split()
        text, stop = " ".join(words[: body["max_tokens"]]), "end_turn"
        if body["max_tokens"] < len(words):
            stop = "max_tokens"
        for sequence in body.get("stop_sequences", ()):
            if sequence in text:
                return [_text(text.partition(sequence)[0])], "stop_sequence", sequence, 3
        return [_text(text)], stop, None, len(text.split())

    def reply(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Response:
        """JSON with a request id."""
        named = {"request-id": f"req_{next(self._ids)}", **(headers or {})}
        return httpx.Response(status, json=body, headers=named)

    def error(
        self, status: int, kind: str, message: str, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """An error in the envelope."""
        request_id = f"req_{next(self._ids)}"
        body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
        return self.reply(body, status, {"request-id": request_id, **(headers or {})})

    def _stream(self, message: dict[str, Any]) -> httpx.Response:
        headers = {"content-type": "text/event-stream; charset=utf-8", "request-id": f"req_{next(self._ids)}"}
        return httpx.Response(200, text=to_sse(events_of(message)), headers=headers)


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def events_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The events that tell a message."""
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
    if block["type"] == "text":
        opened = {**block, "text": ""}
        deltas = [{"type": "text_delta", "text": part} for part in _halves(block["text"]) if part]
    else:
        opened = {**block, "input": {}}
        parts = ["", *_halves(json.dumps(block["input"]))]
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
    return [
        {"type": "content_block_start", "index": index, "content_block": opened},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def _halves(text: str) -> list[str]:
    return [text[: len(text) // 2], text[len(text) // 2 :]]


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
        self.wfile.write(response.content)

    do_GET = do_POST = _handle  # noqa: N815

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
