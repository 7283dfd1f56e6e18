"""A minimal client of the Messages API that records what it sends."""

import json
import re
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import httpx

from vllm_messages_plugin.conformance.outcome import MismatchError
from vllm_messages_plugin.conformance.stream_rules import Event, parse_events
from vllm_messages_plugin.conformance.structure import parse_json

MESSAGES = "/v1/messages"
VERSION = "2023-06-01"
KEY_IN_SHELL = "$VLLM_API_KEY"
FIRST_DELTA = re.compile(r"^event: ?(content_block_delta|message_delta|error)\r?\n.*\r?\n\r?\n", re.MULTILINE)


class UnreachableError(Exception):
    """No Messages server can be reached; the text says what to do."""


@dataclass(frozen=True)
class SentRequest:
    """One request, as it was sent."""

    method: str
    url: str
    body: Mapping[str, Any] | str | None
    headers: Mapping[str, str]

    def text(self) -> str:
        """Return the body as text: as it is if it is a string, else as JSON."""
        return self.body if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False)


@dataclass(frozen=True)
class Response:
    """One response, read completely or up to its first delta, with the request it belongs to."""

    sent: SentRequest
    status: int
    headers: httpx.Headers
    text: str

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object.

        Raises:
            MismatchError: The body is not a JSON object.
        """
        try:
            value = parse_json(self.text)
        except ValueError:
            raise MismatchError(
                f"HTTP {self.status} with a body that is not JSON: {self.excerpt()}"
            ) from None
        if not isinstance(value, dict):
            raise MismatchError(f"HTTP {self.status} with a body that is no JSON object: {self.excerpt()}")
        return value

    def events(self) -> list[Event]:
        """Return the body as server-sent events."""
        return parse_events(self.text)

    def excerpt(self) -> str:
        """Return the start of the body, on one line."""
        line = " ".join(self.text.split())
        return line if len(line) <= 160 else line[:157] + "..."


@dataclass(frozen=True)
class TimedResponse:
    """The start of a stream, and the seconds after which each chunk arrived."""

    response: Response
    times: list[float]

    @property
    def longest_silence(self) -> float:
        """The longest time without a byte, in seconds."""
        return max((later - now for now, later in pairwise([0.0, *self.times])), default=0.0)


@dataclass
class Client:
    """Sends requests to one server, for one model."""

    http: httpx.Client
    model: str
    window: int | None = None
    key: str | None = None
    images: bool | None = None
    thinking: bool | None = None
    last_request: SentRequest | None = field(default=None, init=False)

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | str | None = None, **headers: str | None
    ) -> Response:
        """Send any request.

        Args:
            method: The HTTP method.
            path: The path, with its query.
            body: A JSON object, or the raw text of a body; None for no body.
            **headers: Headers, with underscores for hyphens; None omits a default header.
        """
        sent = self._record(method, path, body, headers)
        with self._exchange(sent) as response:
            response.read()
            return Response(sent, response.status_code, response.headers, response.text)

    def message(self, body: Mapping[str, Any], path: str = MESSAGES, **headers: str | None) -> Response:
        """POST /v1/messages and read the whole response."""
        return self.send("POST", path, {"model": self.model, **body}, **headers)

    def stream(self, body: Mapping[str, Any]) -> Response:
        """POST /v1/messages with `stream: true` and read the whole stream."""
        return self.message({**body, "stream": True})

    def open(self, body: Mapping[str, Any], path: str = MESSAGES, **headers: str | None) -> Response:
        """Open a stream and close it at its first delta, which shows that the request is accepted."""
        return self.open_timed(body, path, **headers).response

    def open_timed(
        self, body: Mapping[str, Any], path: str = MESSAGES, **headers: str | None
    ) -> TimedResponse:
        """Do the same as `open`, and record when each chunk arrived."""
        return self._timed(body, path, headers, until=FIRST_DELTA)

    def stream_timed(self, body: Mapping[str, Any]) -> TimedResponse:
        """Read a whole stream, and record when each chunk arrived."""
        return self._timed(body, MESSAGES, {}, until=None)

    def _timed(
        self,
        body: Mapping[str, Any],
        path: str,
        headers: Mapping[str, str | None],
        until: re.Pattern[str] | None,
    ) -> TimedResponse:
        sent = self._record("POST", path, {"model": self.model, **body, "stream": True}, headers)
        start, times = time.perf_counter(), []
        with self._exchange(sent) as response:
            text = ""
            for chunk in response.iter_text():
                times.append(time.perf_counter() - start)
                text += chunk
                if until is not None and until.search(text):
                    break
            return TimedResponse(Response(sent, response.status_code, response.headers, text), times)

    def send_unrecorded(self, method: str, path: str) -> Response:
        """Send a request that is not the check's own: `last_request` stays as it was."""
        kept = self.last_request
        try:
            return self.send(method, path)
        finally:
            self.last_request = kept

    def _record(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | str | None,
        headers: Mapping[str, str | None],
    ) -> SentRequest:
        usual = {"anthropic-version": VERSION, **auth_headers(self.key)}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in {**usual, **named}.items() if value is not None}
        self.last_request = SentRequest(method, str(self.http.base_url).rstrip("/") + path, body, kept)
        return self.last_request

    @contextmanager
    def _exchange(self, sent: SentRequest) -> Iterator[httpx.Response]:
        """Yield the response as it arrives; leaving the block early closes the connection."""
        headers = dict(sent.headers)
        if sent.body is not None:
            headers["content-type"] = "application/json"
        content = sent.text().encode() if sent.body is not None else None
        with self.http.stream(sent.method, sent.url, content=content, headers=headers) as response:
            yield response


def auth_headers(key: str | None) -> dict[str, str]:
    """Return both headers in which clients send the key."""
    return {"authorization": f"Bearer {key}", "x-api-key": key} if key else {}


def is_loopback(url: str) -> bool:
    """Whether the URL is on this machine, where no proxy must be used."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def base_url(url: str) -> str:
    """Return the server's URL with a scheme, and without a trailing slash and /v1."""
    url = url if "://" in url else f"http://{url}"
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def http_client(url: str, timeout: float) -> httpx.Client:
    """Return an httpx client for a server."""
    limits = httpx.Timeout(timeout, connect=min(timeout, 10.0))
    return httpx.Client(base_url=base_url(url), timeout=limits, trust_env=not is_loopback(base_url(url)))


def curl(sent: SentRequest, key: str | None, body_file: str | None = None) -> str:
    """Return the curl command that repeats a request; the key is left to a shell variable."""
    parts = ["curl", "-sS", "-i"]
    parts += [] if sent.method in {"GET", "POST"} else ["-X", sent.method]
    parts.append(shlex.quote(sent.url))
    for name, value in sent.headers.items():
        parts += ["-H", _quoted_header(f"{name}: {value}", key)]
    if sent.body is not None:
        parts += ["-H", "'content-type: application/json'", "-d"]
        parts.append(f"@{shlex.quote(body_file)}" if body_file else shlex.quote(sent.text()))
    elif sent.method == "POST":
        parts += ["-d", "''"]
    return " ".join(parts)


def _quoted_header(header: str, key: str | None) -> str:
    if key and header.endswith(key):
        return '"' + header.removesuffix(key) + KEY_IN_SHELL + '"'
    return shlex.quote(header)
