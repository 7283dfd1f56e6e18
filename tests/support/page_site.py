"""A web site on loopback for `web_fetch`: pages, failures, redirects, and bodies that are too much."""

import base64
import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from request_table.image_file import image_bytes
from request_table.pdf_file import pdf
from support.loopback import QuietHandler, serving

ARTICLE = (
    "<html><head><title>Herons &amp; fish</title><script>track()</script></head><body><nav>"
    "<a href='/'>Home</a></nav><h1>Herons</h1><p>The heron waits in "
    "the <a href='/reeds'>reeds</a>.</p></body></html>"
)
Reply = tuple[int, dict[str, str], bytes]
MiB = 1024 * 1024


@dataclass
class PageSite:
    """Where the site listens and which paths were asked for."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)  # ends the path "/slow"

    @property
    def host(self) -> str:
        """Host and port, as the operator would list them."""
        return self.url.removeprefix("http://")


def _replies() -> dict[str, Reply]:
    html = {"content-type": "text/html; charset=utf-8"}
    return {
        "/": (200, {"content-type": "text/plain"}, b"A pond with birds."),
        "/heron": (200, html, ARTICLE.encode()),
        "/reeds": (200, {"content-type": "text/plain"}, b"The reeds stand in water."),
        "/data.json": (200, {"content-type": "application/json"}, b'{"legs": 2}'),
        "/report.pdf": (200, {"content-type": "application/pdf"}, base64.b64decode(pdf("Revenue rose."))),
        "/broken.pdf": (200, {"content-type": "application/pdf"}, b"%PDF-1.7 nothing"),
        "/image": (200, {"content-type": "image/png"}, b"\x89PNG"),
        "/heron.png": (200, {"content-type": "image/png"}, image_bytes("PNG")),
        "/latin": (200, {"content-type": "text/html"}, b"<meta charset=iso-8859-1><p>caf\xe9</p>"),
        "/long": (200, {"content-type": "text/plain"}, b"word " * 100_000),
        "/5mb": (200, html, b"<p>The heron waits.</p>" * (5 * MiB // 23)),
        "/huge": (200, html, b"a" * (11 * MiB)),
        "/bomb": (200, html | {"content-encoding": "gzip"}, gzip.compress(b" " * (40 * MiB))),
        "/403": (403, {}, b"no"),
        "/429": (429, {}, b"later"),
        "/moved": (302, {"location": "/heron"}, b""),
        "/inward": (302, {"location": "http://127.0.0.1:9/admin"}, b""),
        "/metadata": (302, {"location": "http://169.254.169.254/latest/"}, b""),
        "/file": (302, {"location": "file:///etc/passwd"}, b""),
        "/loop": (302, {"location": "/loop"}, b""),
    }


def _handler(site: PageSite) -> type[BaseHTTPRequestHandler]:
    replies = _replies()

    class Handler(QuietHandler, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            if self.path == "/slow":
                site.released.wait(10)
            path, _, target = self.path.partition("?")
            redirected = (302, {"location": target}, b"")
            status, headers, body = redirected if path == "/to" else replies.get(self.path, (404, {}, b""))
            self.reply(status, headers, body)

    return Handler


@contextmanager
def page_site() -> Iterator[PageSite]:
    """Serve the site on a loopback port until the block ends."""
    site = PageSite()
    with serving(_handler(site)) as site.url:
        try:
            yield site
        finally:
            site.released.set()
