"""Images and documents at URLs are fetched and rendered like those in the request."""

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest

from request_table.blocks import PDF, PNG, SEEN, SHOWN_PAGES
from request_table.checks import assert_in_order
from request_table.rendering import TEMPLATES, rendered
from request_table.row import ask, document, image, loop, result
from vllm_messages_plugin.media.guard import FetchRules

PAGES = {
    "/cat": ("image/png", base64.b64decode(PNG)),
    "/report": ("application/pdf", base64.b64decode(PDF["data"])),
    "/notes": ("text/plain", b"Revenue rose."),
}
LOOPBACK = FetchRules(allow_private=True, timeout=5)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    path = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1]
    kind, content = PAGES[path]
    writer.write(
        f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n\r\n".encode()
    )
    writer.write(content)
    await writer.drain()
    writer.close()


@pytest.fixture
async def site() -> AsyncIterator[str]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("template", TEMPLATES)
async def test_documents_at_urls_stand_in_the_prompt(template: str, site: str) -> None:
    report = document({"type": "url", "url": f"{site}/report"}, title="The report")
    notes = document({"type": "url", "url": f"{site}/notes"})
    prompt = (await rendered(ask(report, notes, "Why?"), template, rules=LOOPBACK)).text
    assert_in_order(prompt, ["The report", *SHOWN_PAGES, "Revenue rose.", "Why?"])
    prompt = (await rendered(loop(result([report])), template, rules=LOOPBACK)).text
    assert_in_order(prompt, ["<tool_response>", "The report", *SHOWN_PAGES, "</tool_response>"])


@pytest.mark.parametrize("template", TEMPLATES)
async def test_an_image_at_a_url_is_shown_to_a_vision_model(template: str, site: str) -> None:
    cat = image({"type": "url", "url": f"{site}/cat"})
    for asked in (ask(cat), loop(result([cat]))):
        prompt = (await rendered(asked, template, images=True, rules=LOOPBACK)).text
        assert_in_order(prompt, [SEEN])
