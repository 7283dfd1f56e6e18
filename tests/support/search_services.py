"""Search services on loopback: each answers in its own format, or fails in a way that a test names."""

import gzip
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.loopback import QuietHandler, serving

PAGES = (
    {
        "url": "https://docs.example.com/guide/install",
        "title": "Install guide",
        "text": "Run pip install.",
        "date": "2026-11-20",
    },
    {"url": "https://blog.example.org/release", "title": "Release notes", "text": "Version 2 is out."},
    {"url": "https://sub.docs.example.com/api", "title": "API", "text": "The reference."},
)


@dataclass
class SearchServices:
    """Where the services listen, what they were asked, and how they are to answer."""

    url: str = ""
    mode: str = "ok"
    asked: list[dict[str, Any]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)  # ends the mode "slow"

    @property
    def queries(self) -> list[str]:
        """The query of each request."""
        return [request["query"] for request in self.asked]


def _fields(title: str, text: str, date: str) -> list[dict[str, str]]:
    names = {"url": "url", "title": title, "text": text, "date": date}
    return [{names[key]: value for key, value in page.items()} for page in PAGES]


def _answer(path: str) -> Mapping[str, Any]:
    if path.startswith("/res/v1/web/search"):
        return {"web": {"results": _fields("title", "description", "page_age")}}
    if path.startswith("/tavily"):
        return {"results": _fields("title", "content", "published_date")}
    if path.startswith("/exa"):
        return {"results": _fields("title", "text", "publishedDate")}
    return {"results": _fields("title", "content", "publishedDate")}


def _handler(services: SearchServices) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve({})

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            self._serve(json.loads(self.rfile.read(length)))

        def _serve(self, body: Mapping[str, Any]) -> None:
            parameters = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            query = parameters.get("q") or body.get("query")
            services.asked.append(
                {"path": self.path, "query": query, "body": body, "headers": dict(self.headers)} | parameters
            )
            status, content, headers = 200, json.dumps(_answer(self.path)).encode(), {}
            match services.mode:
                case "forbidden":
                    status, content = 403, b"Forbidden"
                case "busy":
                    status, content = 429, b"{}"
                case "broken":
                    status = 500
                case "html":
                    content = b"<html><body>Sign in</body></html>"
                case "empty":
                    content = b'{"results": []}'
                case "odd":
                    content = b'{"results": [7, {"title": "no address"}, {"url": "ftp://x/y", "title": "t"}]}'
                case "no list":
                    content = b'{"results": {"a": 1}, "web": {"results": 7}}'
                case "deep":
                    content = b"[" * 100_000
                case "bomb":
                    content, headers = gzip.compress(b" " * 6_000_000), {"content-encoding": "gzip"}
                case "redirect":
                    status, headers = 302, {"location": "http://127.0.0.1:1/"}
                case "slow":
                    services.released.wait(10)
            self.reply(status, headers, content)

    return Handler


@contextmanager
def search_services() -> Iterator[SearchServices]:
    """Serve all services on one loopback port until the block ends."""
    services = SearchServices()
    with serving(_handler(services)) as services.url:
        try:
            yield services
        finally:
            services.released.set()
