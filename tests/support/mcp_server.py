"""MCP servers on loopback: one of the official package, and HTTP servers that answer in odd ways."""

import gzip
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult, ImageContent, TextContent

from support.loopback import HOST, QuietHandler, free_port, serving, wait_until_it_listens

HUGE_CHARACTERS = 3_000_000
LONG_CHARACTERS = 400_000
WEATHER = "It is 7 degrees in {city}, with a westerly wind."

FOUND = [
    {"url": "https://docs.example.com/guide", "title": "Guide", "content": "Run pip install."},
    {"url": "https://blog.example.org/release", "title": "Release notes", "content": "Version 2 is out."},
]


@dataclass
class McpSite:
    """A server of the official package, and what it was asked.

    Attributes:
        url: Its endpoint.
        token: The bearer token that it demands; empty for none.
        legacy: Whether it knows only the protocol with a handshake and sessions.
        calls: The name and the arguments of each tool that ran.
        methods: The JSON-RPC method of each request.
        headers: The headers of each request.
        released: Ends the tool `slow`.
    """

    url: str = ""
    token: str = ""
    legacy: bool = False
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def reset(self) -> None:
        """Forget what was asked, and go back to the usual ways."""
        self.token, self.legacy = "", False
        for seen in (self.calls, self.methods, self.headers):
            seen.clear()
        self.released.clear()


def _server(site: McpSite) -> MCPServer:
    server = MCPServer("loopback", log_level="CRITICAL")

    def weather(city: str) -> str:
        """Say what the weather in a city is."""
        site.calls.append(("weather", {"city": city}))
        return WEATHER.format(city=city)

    def count() -> str:
        """Count the calls of this tool."""
        site.calls.append(("count", {}))
        return f"call {len(site.calls)}"

    def fail() -> CallToolResult:
        """Fail."""
        return CallToolResult(
            content=[TextContent(type="text", text="the barometer is broken")], is_error=True
        )

    async def slow() -> str:
        """Answer when the test lets it."""
        site.calls.append(("slow", {}))
        while not site.released.is_set():
            await _pause()
        return "late"

    def huge() -> str:
        """Return more than a client takes."""
        return "x" * HUGE_CHARACTERS

    def long() -> str:
        """Return more than the model is shown."""
        return "word " * (LONG_CHARACTERS // 5)

    def picture() -> CallToolResult:
        """Return a picture beside a text."""
        image = ImageContent(type="image", data="aGk=", mime_type="image/png")
        return CallToolResult(content=[TextContent(type="text", text="A chart:"), image])

    def find(query: str) -> list[dict[str, str]]:
        """Search the web."""
        site.calls.append(("find", {"query": query}))
        return FOUND

    def run_python(code: str) -> dict[str, Any]:
        """Run Python code in a sandbox that keeps nothing."""
        site.calls.append(("run_python", {"code": code}))
        if "sleep" in code:
            return {"timed_out": True}
        return {"stdout": "42\n", "stderr": "", "return_code": 0}

    def run_bash(command: str) -> str:
        """Run a shell command."""
        site.calls.append(("run_bash", {"command": command}))
        return "a.txt"

    for tool in (find, run_python):
        server.add_tool(tool)
    server.add_tool(run_bash, structured_output=False)
    for tool in (weather, count, fail, slow, huge, long, picture):
        server.add_tool(tool, structured_output=False)
    server.add_tool(weather, name="weather.read", structured_output=False)
    return server


async def _pause() -> None:
    import anyio

    await anyio.sleep(0.01)


App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


def _watched(app: App, site: McpSite) -> App:
    """The app, noting each request, and refusing those without the token."""

    async def watched(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        site.headers.append(headers)
        body = await _body(receive) if scope["method"] == "POST" else b""
        method = json.loads(body).get("method", "") if body else scope["method"]
        site.methods.append(method)
        if site.token and headers.get("authorization") != f"Bearer {site.token}":
            await _answer(send, 401)
        elif site.legacy and method == "server/discover":
            await _answer(send, 404)
        else:
            await app(scope, _replayed(body, receive), send)

    return watched


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _replayed(body: bytes, receive: Any) -> Any:
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return pending.pop() if pending else await receive()

    return again


async def _answer(send: Any, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@contextmanager
def mcp_site() -> Iterator[McpSite]:
    """Serve the official package's server in a thread until the block ends."""
    site = McpSite()
    port = free_port()
    app = _watched(_server(site).streamable_http_app(), site)
    config = uvicorn.Config(app, HOST, port, log_level="critical", timeout_graceful_shutdown=1, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until_it_listens(port)
    site.url = f"http://{HOST}:{port}/mcp"
    try:
        yield site
    finally:
        site.released.set()
        server.should_exit = True
        thread.join(20)


@dataclass
class OddSite:
    """An HTTP server that is no proper MCP server.

    Attributes:
        url: Its endpoint.
        mode: How it answers.
        asked: The path of each request.
        released: Ends the mode `slow`.
    """

    url: str = ""
    mode: str = "html"
    asked: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


def _odd_answer(site: OddSite) -> tuple[int, dict[str, str], bytes]:
    page = {"content-type": "application/json"}
    match site.mode:
        case "forbidden":
            return 401, {}, b""
        case "broken":
            return 200, page, b'{"jsonrpc": "2.0", "id":'
        case "huge":
            return 200, page, b'"' + b"x" * HUGE_CHARACTERS + b'"'
        case "many values":
            return 200, page, b"[" + b"{}," * 60_000 + b"{}]"
        case "endless event":
            return 200, {"content-type": "text/event-stream"}, b"data: " + b"x" * HUGE_CHARACTERS
        case "bomb":
            return 200, {**page, "content-encoding": "gzip"}, gzip.compress(b" " * HUGE_CHARACTERS)
        case "redirect":
            return 307, {"location": "http://127.0.0.1:1/mcp"}, b""
        case "redirect inward":
            return 307, {"location": "http://169.254.169.254/latest/meta-data"}, b""
        case "slow":
            site.released.wait(60)
    return 200, {"content-type": "text/html"}, b"<html>Sign in</html>"


def _handler(site: OddSite) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            site.asked.append(self.path)
            self.reply(*_odd_answer(site))

        def do_GET(self) -> None:
            self.do_POST()

        def do_DELETE(self) -> None:
            self.do_POST()

    return Handler


@contextmanager
def odd_site() -> Iterator[OddSite]:
    """Serve an odd server until the block ends."""
    site = OddSite()
    with serving(_handler(site)) as base:
        site.url = f"{base}/mcp"
        try:
            yield site
        finally:
            site.released.set()


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: It does not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition does not hold in time"
        time.sleep(0.01)
