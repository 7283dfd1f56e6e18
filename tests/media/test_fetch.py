"""URL sources: fetched once, by the rules, and never from where a client could not go itself."""

import asyncio
import base64
import datetime
import gzip
import ipaddress
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from request_table.image_file import image_bytes
from request_table.pdf_file import pdf
from vllm_messages_plugin.media import fetch, guard, reader
from vllm_messages_plugin.media.guard import FetchRules, Resolve, is_public, system_addresses
from vllm_messages_plugin.media.reader import MediaReader
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.request import CountTokensRequest, MessagesRequest, RequestT

PNG = image_bytes("PNG")
PDF = base64.b64decode(pdf("Revenue rose."))
PDF_SOURCE = {"type": "text", "media_type": "text/plain", "data": "[page 1]\nRevenue rose."}
LOOPBACK = FetchRules(allow_private=True, timeout=5)
Json = dict[str, Any]
Reply = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


# A web site to fetch from.


def ok(body: bytes, content_type: str = "", *headers: str) -> bytes:
    kind = [f"content-type: {content_type}"] if content_type else []
    head = "\r\n".join(["HTTP/1.1 200 OK", f"content-length: {len(body)}", *kind, *headers])
    return head.encode() + b"\r\n\r\n" + body


def moved(location: str, *headers: str) -> bytes:
    head = "\r\n".join(["HTTP/1.1 302 Found", f"location: {location}", "content-length: 0", *headers])
    return head.encode() + b"\r\n\r\n"


def status(code: int) -> bytes:
    return f"HTTP/1.1 {code} X\r\ncontent-length: 0\r\n\r\n".encode()


class Site:
    """Answers by path with canned bytes and keeps the heads of the requests it got."""

    def __init__(self) -> None:
        self.pages: dict[str, Reply] = {}
        self.heads: list[str] = []
        self.port = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def paths(self) -> list[str]:
        return [head.split(" ")[1] for head in self.heads]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            reply = self.pages.get(head.split(" ")[1], status(404))
            if isinstance(reply, bytes):
                writer.write(reply)
                await writer.drain()
            else:
                await reply(writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    served = Site()
    server = await asyncio.start_server(served.answer, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    async with server:
        yield served
        server.close()


def resolving(**hosts: str | Sequence[str]) -> Any:
    """A resolver that knows these hosts (`_` stands for a dot), and keeps what it was asked."""

    async def resolve(host: str, port: int) -> list[str]:
        resolve.asked.append(host)
        known = hosts.get(host.replace(".", "_").replace("-", "_"))
        if known is None:
            raise OSError("no such host")
        return [known] if isinstance(known, str) else list(known)

    resolve.asked = []
    return resolve


# Requests.


def image(url: str) -> Json:
    return {"type": "image", "source": {"type": "url", "url": url}}


def document(url: str) -> Json:
    return {"type": "document", "source": {"type": "url", "url": url}, "title": "T"}


def result(*content: Json) -> Json:
    return {"type": "tool_result", "tool_use_id": "t", "content": list(content)}


def text(said: str) -> Json:
    return {"type": "text", "text": said}


def request(*content: Json, role: str = "user") -> CountTokensRequest:
    return CountTokensRequest.model_validate(
        {"model": "m", "messages": [{"role": role, "content": list(content)}]}
    )


async def read(
    request: RequestT, rules: FetchRules = LOOPBACK, images: bool = True, resolve: Resolve = system_addresses
) -> RequestT:
    return await MediaReader(rules, resolve).read(request, images=images)


async def fetched(*content: Json, images: bool = True, **more: Any) -> list[Json]:
    """The content of one user message once its URLs are fetched."""
    done = await read(request(*content), images=images, **more)
    blocks: list[Json] = done.model_dump(exclude_none=True)["messages"][0]["content"]
    return blocks


async def refusal(*content: Json, **more: Any) -> str:
    with pytest.raises(MessagesError) as refused:
        await read(request(*content), **more)
    assert refused.value.status == 400
    return refused.value.message


async def reason(url: str, rules: FetchRules = LOOPBACK, **more: Any) -> str:
    """Why an image's URL is not fetched."""
    message = await refusal(image(url), rules=rules, **more)
    prefix = "messages.0.content.0.image.source.url: Could not process image: the URL can't be fetched ("
    assert message.startswith(prefix)
    return message.removeprefix(prefix).removesuffix(")")


def encoded(data: bytes, kind: str) -> Json:
    return {"type": "base64", "media_type": kind, "data": base64.b64encode(data).decode()}


# What comes in place of a URL.


async def test_an_image_comes_with_the_type_its_bytes_have(site: Site) -> None:
    site.pages["/a"] = ok(PNG, "image/jpeg")
    [block] = await fetched(image(site.url("/a")))
    assert block == {"type": "image", "source": encoded(PNG, "image/png")}


@pytest.mark.parametrize("kind", ["application/pdf", "application/octet-stream", "text/plain", ""])
async def test_a_pdf_is_recognised_by_its_bytes(site: Site, kind: str) -> None:
    site.pages["/a"] = ok(PDF, kind)
    [block] = await fetched(document(site.url("/a")), images=False)
    assert block == {"type": "document", "title": "T", "source": PDF_SOURCE}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("né".encode(), "text/plain"),
        ("né".encode(), "text/markdown; charset=UTF-8"),
        (b"\xef\xbb\xbfn\xc3\xa9", "Text/Plain"),
        (b"n\xe9", 'text/plain; charset="ISO-8859-1"'),
        ("né".encode(), "text/plain; charset=punycode"),
    ],
)
async def test_a_text_comes_as_a_text_source(site: Site, data: bytes, kind: str) -> None:
    site.pages["/a"] = ok(data, kind)
    [block] = await fetched(document(site.url("/a")), images=False)
    assert block["source"] == {"type": "text", "media_type": "text/plain", "data": "né"}


async def test_what_is_neither_an_image_nor_a_document_is_refused(site: Site) -> None:
    site.pages["/html"] = ok(b"<html>", "text/html")
    site.pages["/zip"] = ok(b"PK", "application/zip")
    assert await refusal(text("x"), image(site.url("/html"))) == (
        "messages.0.content.1.image.source.url: Could not process image: "
        "its data is broken, or no PNG, JPEG, GIF or WebP"
    )
    assert await refusal(document(site.url("/zip"))) == (
        "messages.0.content.0.document.source.url: Could not process PDF: "
        "the URL gives neither a PDF nor text"
    )


async def test_urls_are_found_wherever_they_stand(site: Site) -> None:
    site.pages |= {"/i": ok(PNG), "/d": ok(PDF)}
    inner = {"type": "document", "source": {"type": "content", "content": [image(site.url("/i")), text("c")]}}
    before, result_, after = await fetched(
        text("before"), result(text("r"), inner, document(site.url("/d"))), text("after")
    )
    assert (before, after) == (text("before"), text("after"))
    assert [block["type"] for block in result_["content"]] == ["text", "document", "document"]
    nested = result_["content"][1]["source"]["content"]
    assert nested == [{"type": "image", "source": encoded(PNG, "image/png")}, text("c")]
    assert result_["content"][2]["source"]["content"][0] == text(PDF_SOURCE["data"])


async def test_an_error_names_the_place_of_its_block(site: Site) -> None:
    inner = {"type": "document", "source": {"type": "content", "content": [text("c"), image(site.url("/x"))]}}
    assert (await refusal(text("a"), result(text("b"), inner))).startswith(
        "messages.0.content.1.tool_result.content.1.document.source.content.1.image.source.url: "
    )


async def test_other_blocks_fields_and_messages_stay_the_same_objects(site: Site) -> None:
    site.pages["/i"] = ok(PNG)
    asked = MessagesRequest.model_validate(
        {
            "model": "m",
            "max_tokens": 5,
            "seed": 3,
            "messages": [
                {"role": "user", "content": [text("a"), result(text("b"))]},
                {"role": "user", "content": [text("c"), image(site.url("/i"))]},
            ],
        }
    )
    done = await read(asked)
    assert isinstance(done, MessagesRequest)
    assert (done.max_tokens, done.extra) == (5, {"seed": 3})
    assert done.messages[0] is asked.messages[0]
    assert done.messages[1].content[0] is asked.messages[1].content[0]
    assert asked.messages[1].content[1].source.type == "url"
    assert done.messages[1].content[1].source.type == "base64"


@pytest.mark.parametrize(
    "asked",
    [
        request(text("a"), result(text("b"))),
        request(image("http://a.invalid"), document("http://a.invalid"), role="assistant"),
        CountTokensRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "a"}]}),
    ],
    ids=["nothing", "assistant", "string"],
)
async def test_a_request_with_nothing_to_fetch_is_the_same_object(asked: CountTokensRequest) -> None:
    assert await read(asked, images=False, resolve=resolving()) is asked


async def test_a_text_only_model_still_gets_its_documents(site: Site) -> None:
    site.pages["/d"] = ok(PDF)
    inner = {"type": "document", "source": {"type": "content", "content": [image(site.url("/i"))]}}
    pictures, paper = await fetched(inner, document(site.url("/d")), images=False)
    assert pictures["source"]["content"] == [image(site.url("/i"))]
    assert paper["source"] == PDF_SOURCE
    assert site.paths() == ["/d"]


async def test_a_url_is_fetched_once(site: Site) -> None:
    site.pages["/a"] = ok(PDF, "text/plain")
    blocks = await fetched(
        *[document(site.url("/a")) for _ in range(3)], result(document(site.url("/a"))), images=False
    )
    assert site.paths() == ["/a"]
    assert [block["source"] for block in blocks[:3]] == [PDF_SOURCE] * 3


async def test_urls_are_fetched_side_by_side(site: Site) -> None:
    together = asyncio.Barrier(fetch.MAX_AT_ONCE)

    async def wait(writer: asyncio.StreamWriter) -> None:
        await together.wait()
        writer.write(ok(PNG))

    paths = [f"/{number}" for number in range(fetch.MAX_AT_ONCE)]
    site.pages |= dict.fromkeys(paths, wait)
    await fetched(*[image(site.url(path)) for path in paths])
    assert sorted(site.paths()) == paths


async def test_too_many_urls_are_refused_before_any_is_fetched(site: Site) -> None:
    urls = [image(site.url(f"/{number}")) for number in range(reader.MAX_URLS + 1)]
    assert await refusal(*urls) == (
        "messages.0.content.100.image.source.url: A maximum of 100 different URLs may be provided."
    )
    assert site.heads == []


# How it is asked for.


async def test_the_connection_goes_to_the_address_that_was_checked(site: Site) -> None:
    site.pages["/a?b=c"] = ok(PNG)
    resolve = resolving(files_example="127.0.0.1")
    await fetched(image(site.url("/a?b=c#d", "Files.Example")), resolve=resolve)
    assert resolve.asked == ["files.example"]
    assert f"host: files.example:{site.port}" in site.heads[0].lower()


async def test_a_host_is_tried_at_its_next_address(site: Site) -> None:
    site.pages["/a"] = ok(PNG)
    resolve = resolving(files_example=["::1", "127.0.0.2", "127.0.0.1"])
    await fetched(image(site.url("/a", "files.example")), resolve=resolve)
    assert site.paths() == ["/a"]


async def test_no_cookie_no_proxy_no_credentials(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    site.pages |= {"/a": moved("/b", "set-cookie: a=b; path=/"), "/b": ok(PNG)}
    await fetched(image(site.url("/a")))
    names = {line.split(":")[0].lower() for line in site.heads[1].splitlines()[1:] if line}
    assert names == {"host", "accept", "accept-encoding", "user-agent"}


# The guard.

NOT_PUBLIC_IPV4 = """
    127.0.0.1 127.1.2.3 0.0.0.0 0.1.2.3 10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 169.254.169.254
    100.64.0.1 100.100.100.200 192.0.0.192 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1 203.0.113.1
    224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 168.63.129.16
"""
NOT_PUBLIC_IPV6 = """
    :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:7f00:1 fe80::1
    fe80::1%eth0 fc00::1 fd00:ec2::254 fec0::1 ff02::1 ff0e::1 100::1 2001:db8::1 2001::1 2002:7f00:1::
    2002:a9fe:a9fe:: 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 4000::1
"""
NOT_PUBLIC = [*NOT_PUBLIC_IPV4.split(), *NOT_PUBLIC_IPV6.split()]
PUBLIC = ["1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::808:808", "2002:808:808::"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_a_host_at_such_an_address_is_refused(address: str) -> None:
    resolve = resolving(host_example=address)
    assert await reason("http://host.example/a", FetchRules(), resolve=resolve) == NOT_A_PUBLIC_ONE


NOT_A_PUBLIC_ONE = "its address is not a public one"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:7f00:1]", "2130706433", "0x7f.1", "127.1", "0"]
)
async def test_every_notation_of_loopback_is_refused(site: Site, host: str) -> None:
    assert await reason(site.url("/a", host), FetchRules()) == NOT_A_PUBLIC_ONE
    assert site.heads == []


async def test_one_private_address_among_public_ones_is_enough() -> None:
    resolve = resolving(host_example=["1.1.1.1", "10.0.0.1"])
    assert await reason("http://host.example/", FetchRules(), resolve=resolve) == NOT_A_PUBLIC_ONE


@pytest.fixture
def public_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 counts as public, and no other such address."""
    monkeypatch.setattr(guard, "is_public", lambda asked: str(asked) == "127.0.0.1" or is_public(asked))


@pytest.mark.usefixtures("public_loopback")
@pytest.mark.parametrize(
    "target", ["http://10.0.0.1/", "http://[::1]/", "//169.254.169.254/", "http://inside.example"]
)
async def test_a_redirect_to_a_private_address_is_refused(site: Site, target: str) -> None:
    site.pages["/a"] = moved(target)

    async def resolve(host: str, port: int) -> list[str]:
        return ["192.168.1.1"] if host == "inside.example" else [host]

    assert await reason(site.url("/a"), FetchRules(), resolve=resolve) == NOT_A_PUBLIC_ONE


@pytest.mark.usefixtures("public_loopback")
async def test_an_address_that_changes_is_checked_each_time_it_is_connected_to(site: Site) -> None:
    site.pages["/a"] = moved("/b")
    answers = iter(["127.0.0.1", "10.0.0.1"])

    async def rebinding(host: str, port: int) -> list[str]:
        return [next(answers)]

    url = site.url("/a", "rebinding.example")
    assert await reason(url, FetchRules(), resolve=rebinding) == NOT_A_PUBLIC_ONE


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://host.example/a", "it is not an http or https URL"),
        ("file:///etc/passwd", "it is not an http or https URL"),
        ("http:///a", "it is not an http or https URL"),
        ("a.png", "it is not an http or https URL"),
        ("", "it is not an http or https URL"),
        ("http://user:word@host.example/", "it must not carry credentials"),
        ("http://user@host.example/", "it must not carry credentials"),
        ("http://[::1", "it is not a valid URL"),
        ("http://xn--/", "it is not a valid URL"),
        ("http://host.example:99999/", "it is not a valid URL"),
        ("http://gone.example/", "its host can't be found"),
        (f"http://{'a' * 64}.example/", "its host can't be found"),
    ],
)
async def test_urls_that_can_not_be_fetched(url: str, why: str) -> None:
    assert await reason(url, resolve=resolving(host_example="127.0.0.1")) == why


async def test_only_allowed_domains_are_fetched_from(site: Site) -> None:
    site.pages |= {"/a": ok(PNG), "/b": moved(site.url("/a", "other.example"))}
    rules = FetchRules(allow_private=True, allowed_domains=("Files.example", "bücher.example"))
    resolve = resolving(
        **dict.fromkeys(("files_example", "other_example", "xn__bcher_kva_example"), "127.0.0.1")
    )
    for host in ("files.example", "FILES.EXAMPLE.", "bücher.example"):
        await fetched(image(site.url("/a", host)), rules=rules, resolve=resolve)
    why = "its domain is not among those this server fetches from"
    for path, host in (("/a", "other.example"), ("/a", "a.files.example"), ("/b", "files.example")):
        assert await reason(site.url(path, host), rules, resolve=resolve) == why


# Redirects.


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(site: Site, code: int) -> None:
    site.pages |= {
        "/a": moved("/b").replace(b"302", b"%d" % code),
        "/b": moved(site.url("/c")),
        "/c": ok(PNG),
    }
    await fetched(image(site.url("/a")))
    assert site.paths() == ["/a", "/b", "/c"]


async def test_a_redirect_loop_ends(site: Site) -> None:
    site.pages["/a"] = moved("/a")
    assert await reason(site.url("/a")) == "more than 5 redirects"
    assert len(site.heads) == 6


async def test_redirects_may_be_forbidden(site: Site) -> None:
    site.pages["/a"] = moved("/b")
    rules = FetchRules(allow_private=True, allow_redirects=False)
    assert await reason(site.url("/a"), rules) == "HTTP 302, and this server follows no redirects"
    assert site.paths() == ["/a"]


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("file:///etc/passwd", "it is not an http or https URL"),
        ("http://user:word@127.0.0.1/", "it must not carry credentials"),
        ("http://a:b/", "it is not a valid URL"),
    ],
)
async def test_a_redirect_is_held_to_the_same_rules(site: Site, target: str, why: str) -> None:
    site.pages["/a"] = moved(target)
    assert await reason(site.url("/a")) == why


# Size, time and broken answers.

SMALL = FetchRules(allow_private=True, max_bytes=1024 * 1024, max_total_bytes=2 * 1024 * 1024, timeout=5)


@pytest.mark.parametrize("code", [204, 304, 403, 404, 500])
async def test_the_reason_names_the_http_status(site: Site, code: int) -> None:
    site.pages["/a"] = status(code)
    if code == 204:
        assert "or no PNG" in await refusal(image(site.url("/a")))
    else:
        assert await reason(site.url("/a")) == f"HTTP {code}"


async def test_a_large_body_is_cut_off(site: Site) -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"0" * 65536)
            await writer.drain()
            sent += 65536

    site.pages["/a"] = endless
    assert await reason(site.url("/a"), SMALL) == "it is larger than 1 MiB"
    assert sent < 32 * 1024 * 1024


async def test_all_bodies_together_have_a_limit(site: Site) -> None:
    site.pages |= dict.fromkeys(["/a", "/b", "/c"], ok(PNG + b"0" * 1_000_000))
    assert "all URLs together give more than 2 MiB" in await refusal(
        *[image(site.url(path)) for path in ("/a", "/b", "/c")], rules=SMALL
    )


async def test_a_body_of_just_the_limit_is_taken(site: Site) -> None:
    body = PNG.ljust(SMALL.max_bytes, b"0")
    site.pages |= {"/a": ok(body), "/b": ok(gzip.compress(body), "", "content-encoding: gzip")}
    blocks = await fetched(image(site.url("/a")), image(site.url("/b")), rules=SMALL)
    assert [block["source"] for block in blocks] == [encoded(body, "image/png")] * 2


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_packed_body_is_unpacked(site: Site, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    site.pages["/a"] = ok(pack(PNG), "image/png", f"content-encoding: {encoding}")
    [block] = await fetched(image(site.url("/a")))
    assert block["source"] == encoded(PNG, "image/png")


async def test_a_decompression_bomb_is_cut_off(site: Site) -> None:
    site.pages["/a"] = ok(gzip.compress(b"0" * 100_000_000), "", "content-encoding: gzip")
    assert await reason(site.url("/a"), SMALL) == "it is larger than 1 MiB"


@pytest.mark.parametrize(
    ("encoding", "why"),
    [("br", "its content encoding is not supported"), ("gzip", "its content encoding is broken")],
)
async def test_a_body_that_can_not_be_unpacked_is_refused(site: Site, encoding: str, why: str) -> None:
    site.pages["/a"] = ok(PNG, "", f"content-encoding: {encoding}")
    assert await reason(site.url("/a")) == why


async def _silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def _dripping(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"0")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("slow", [_silence, _dripping])
async def test_a_slow_server_is_not_waited_for(site: Site, slow: Reply) -> None:
    site.pages["/a"] = slow
    rules = FetchRules(allow_private=True, timeout=0.3)
    began = asyncio.get_running_loop().time()
    assert await reason(site.url("/a"), rules) == "no complete answer within 0.3 seconds"
    assert asyncio.get_running_loop().time() - began < 3


async def test_a_slow_resolver_is_not_waited_for() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.sleep(30)
        return []

    rules = FetchRules(timeout=0.1)
    assert (
        await reason("http://a.example/", rules, resolve=resolve) == "no complete answer within 0.1 seconds"
    )


async def test_the_first_failure_ends_the_other_fetches(site: Site) -> None:
    site.pages["/slow"] = _silence
    async with asyncio.timeout(3):
        message = await refusal(image(site.url("/slow")), image(site.url("/gone")))
    assert message.startswith("messages.0.content.1.image.source.url: ")


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"]
)
async def test_a_broken_answer_is_a_failed_connection(site: Site, answer: bytes) -> None:
    site.pages["/a"] = answer
    assert await reason(site.url("/a")) == "the connection failed"


async def test_a_closed_port_is_a_failed_connection() -> None:
    assert await reason("http://127.0.0.1:1/") == "the connection failed"


@given(st.one_of(st.text(), st.text().map("http://".__add__), st.from_regex(r"\Ahttps?://[^/]*(/.*)?\Z")))
@settings(max_examples=200, deadline=None)
def test_no_url_raises_anything_but_a_refusal(url: str) -> None:
    if url[:5].lower() != "data:":
        with pytest.raises(MessagesError, match="can't be fetched"):
            asyncio.run(read(request(image(url)), rules=FetchRules(), resolve=resolving()))


# TLS.


@pytest.fixture
async def secure_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A TLS server whose certificate is for `files.example`, and a client that trusts its maker."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    _certify("files.example", certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    fetch._tls.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    served = Site()
    served.pages["/a"] = ok(PNG)
    server = await asyncio.start_server(served.answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
        server.close()
    fetch._tls.cache_clear()


def _certify(host: str, certificate: Path, key: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


async def test_the_certificate_must_be_the_hosts(secure_port: int) -> None:
    resolve = resolving(files_example="127.0.0.1", other_example="127.0.0.1")
    [block] = await fetched(image(f"https://files.example:{secure_port}/a"), resolve=resolve)
    assert block["source"]["type"] == "base64"
    for host in ("other.example", "127.0.0.1"):
        resolve = resolving(other_example="127.0.0.1", **{"127_0_0_1": "127.0.0.1"})
        assert await reason(f"https://{host}:{secure_port}/a", resolve=resolve) == "the connection failed"
