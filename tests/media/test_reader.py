"""The media of a request: read, refused in the newest user turn, replaced by a text in an earlier one."""

import base64
from typing import Any

import pytest

from request_table.image_file import bomb, image_file
from request_table.pdf_file import pdf
from translate.conversations import PNG_DATA, Json, assistant, image, result, system, text, use, user
from vllm_messages_plugin.media import pdf as pdf_reader
from vllm_messages_plugin.media import reader
from vllm_messages_plugin.media.allowance import MediaAllowance
from vllm_messages_plugin.media.encodings import MAX_PERCENT_ESCAPES
from vllm_messages_plugin.media.reader import UNREADABLE_IMAGE, MediaReader
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.field_sizes import MAX_NON_ASCII_BYTES
from vllm_messages_plugin.wire.request import CountTokensRequest

HI = user("Hi")
TEXT_ONLY = "Could not process image: the model served here reads text only"


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def document(source: Json, **fields: Any) -> Json:
    return {"type": "document", "source": source, **fields}


def base64_document(data: str, media_type: str = "application/pdf", **fields: Any) -> Json:
    return document({"type": "base64", "media_type": media_type, "data": data}, **fields)


def at_url(url: str) -> Json:
    return {"type": "image", "source": {"type": "url", "url": url}}


async def read(*messages: Json, images: bool = True) -> list[Json]:
    """The messages of a request whose media were read."""
    request = CountTokensRequest.model_validate({"model": "m", "messages": list(messages)})
    done = await MediaReader().read(request, images=images)
    found: list[Json] = done.model_dump(exclude_none=True)["messages"]
    return found


async def refusal(*messages: Json, images: bool = True) -> str:
    with pytest.raises(MessagesError) as refused:
        await read(*messages, images=images)
    assert refused.value.status == 400
    return refused.value.message


# Images.


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_the_media_type_is_that_of_the_data(kind: str) -> None:
    data = image_file(kind)
    [message] = await read(user(image(data, "image/bmp")))
    assert message["content"] == [image(data, f"image/{kind.lower()}")]


async def test_an_image_that_is_declared_rightly_stays_the_same() -> None:
    request = CountTokensRequest.model_validate({"model": "m", "messages": [user(image())]})
    assert await MediaReader().read(request, images=True) is request


@pytest.mark.parametrize("url", ["data:image/png;base64,", "DATA:image/jpeg;base64,"])
async def test_an_image_in_a_data_url_becomes_a_base64_image(url: str) -> None:
    [message] = await read(user(at_url(url + PNG_DATA)))
    assert message["content"] == [image(PNG_DATA)]


NOT_BASE64 = "Could not process image: its data is not base64"
BROKEN = "Could not process image: its data is broken, or no PNG, JPEG, GIF or WebP"
TOO_LARGE = "Could not process image: a side is longer than 8000 pixels"
BAD_URL = "Could not process image: it is not a valid data URL"
WHOLE = image_file("PNG", (400, 400))
REFUSED_IMAGES: dict[str, tuple[Json, str]] = {
    "not base64": (image("%%%%"), f"base64.data: {NOT_BASE64}"),
    "half base64": (image("abc"), f"base64.data: {NOT_BASE64}"),
    "not ASCII": (image("éééé"), f"base64.data: {NOT_BASE64}"),
    "a data URL as data": (image("data:image/png;base64," + PNG_DATA), f"base64.data: {NOT_BASE64}"),
    "a data URL that is not base64": (at_url("data:image/png;base64,%%%"), f"url: {BAD_URL}"),
    "a data URL of a long type": (at_url("data:" + "x" * 300 + ";base64," + PNG_DATA), f"url: {BAD_URL}"),
    "a data URL without data": (at_url("data:image/png"), f"url: {BAD_URL}"),
    "a data URL of text": (at_url("data:,hello"), f"url: {BROKEN}"),
    "nothing": (image(""), f"base64.data: {BROKEN}"),
    "a head without a body": (image("iVBORw0KGgo="), f"base64.data: {BROKEN}"),
    "a picture that is cut": (image(WHOLE[: len(WHOLE) // 8 * 4]), f"base64.data: {BROKEN}"),
    "another format": (image(image_file("BMP"), "image/bmp"), f"base64.data: {BROKEN}"),
    "a side too long": (image(image_file("PNG", (8_001, 1))), f"base64.data: {TOO_LARGE}"),
    "a decompression bomb": (image(bomb()), f"base64.data: {TOO_LARGE}"),
    "a file": (
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        "file_id: The Files API is not available on this server",
    ),
}


@pytest.mark.parametrize(("block", "message"), REFUSED_IMAGES.values(), ids=REFUSED_IMAGES.keys())
async def test_an_image_that_cannot_be_read_is_refused(block: Json, message: str) -> None:
    assert await refusal(user("See?", block)) == f"messages.0.content.1.image.source.{message}"


@pytest.mark.parametrize(("block", "message"), REFUSED_IMAGES.values(), ids=REFUSED_IMAGES.keys())
async def test_an_earlier_image_that_cannot_be_read_becomes_a_text(block: Json, message: str) -> None:
    first, *_ = await read(user("See?", block), assistant("No."), user("Why?"))
    assert first["content"] == [text("See?"), text(UNREADABLE_IMAGE)]


NOT_SEEN: dict[str, tuple[list[Json], str]] = {
    "in a turn": ([user("See?", image())], f"messages.0.content.1: {TEXT_ONLY}"),
    "elsewhere": ([user(at_url("https://a.invalid"))], f"messages.0.content.0: {TEXT_ONLY}"),
    "in a merged turn": ([user("a", image()), user("b")], f"messages.0.content.1: {TEXT_ONLY}"),
    "before a system message": ([user(image()), system("s")], f"messages.0.content.0: {TEXT_ONLY}"),
    "in a turn with a system message": (
        [HI, assistant("a"), user(image()), system("s"), user("b")],
        f"messages.2.content.0: {TEXT_ONLY}",
    ),
    "before a prefill": (
        [user(image()), assistant("I")],
        f"messages.0.content.0: {TEXT_ONLY}",
    ),
    "in a result": (
        [HI, assistant(use("a")), user("So:", result("a", [text("b"), image()]))],
        f"messages.2.content.1.tool_result.content.1: {TEXT_ONLY}",
    ),
}


@pytest.mark.parametrize(("messages", "message"), NOT_SEEN.values(), ids=NOT_SEEN.keys())
async def test_a_model_that_reads_text_only_refuses_a_new_image(messages: list[Json], message: str) -> None:
    assert await refusal(*messages, images=False) == message


async def test_a_model_that_reads_text_only_takes_an_earlier_image() -> None:
    messages = [user("See?", image()), assistant(use("a")), user(result("a", [image()])), assistant("b"), HI]
    assert await read(*messages, images=False) == await read(*messages)


async def test_an_image_in_a_document_is_no_reason_to_refuse_it() -> None:
    inner = document({"type": "content", "content": [text("a"), image()]})
    assert (await read(user(inner), images=False))[0]["content"] == [inner]


# Documents.

TEXTS: dict[str, tuple[Json, str]] = {
    "encoded text": (base64_document(encoded("# ü".encode()), "text/markdown"), "# ü"),
    "encoded text that is not UTF-8": (base64_document(encoded(b"a\xff"), "text/plain"), "a\ufffd"),
    "encoded text with a charset": (
        base64_document(encoded(b"n\xe9"), "text/plain; charset=iso-8859-1"),
        "né",
    ),
    "encoded text that names PDF": (
        base64_document(encoded(b"A file begins with %PDF-"), "text/plain"),
        "A file begins with %PDF-",
    ),
    "a data URL": (document({"type": "url", "url": "data:text/plain,Hello%20there"}), "Hello there"),
    "a base64 data URL": (document({"type": "url", "url": "data:text/plain;base64,SGk="}), "Hi"),
    "a PDF": (base64_document(pdf("Revenue rose.")), "[page 1]\nRevenue rose."),
    "a PDF in a data URL": (
        document({"type": "url", "url": f"data:application/pdf;base64,{pdf('Revenue rose.')}"}),
        "[page 1]\nRevenue rose.",
    ),
}


@pytest.mark.parametrize(("block", "words"), TEXTS.values(), ids=TEXTS.keys())
async def test_a_document_becomes_a_text_source(block: Json, words: str) -> None:
    [message] = await read(user(block | {"title": "T"}), images=False)
    source = {"type": "text", "media_type": "text/plain", "data": words}
    assert message["content"] == [document(source, title="T")]


async def test_the_pages_of_a_pdf_are_shown_to_a_model_that_sees() -> None:
    [message] = await read(user(base64_document(pdf("one", "two"))))
    words, *pages = message["content"][0]["source"]["content"]
    assert words == text("[page 1]\none\n\n[page 2]\ntwo")
    assert [page["source"]["media_type"] for page in pages] == ["image/jpeg", "image/jpeg"]


LONG_TEXT = "é" + "x" * (MAX_NON_ASCII_BYTES - 1)
TOO_LONG_TEXT = "Could not process document: its text is not ASCII and has more than 16000000 bytes"


async def test_a_long_text_is_read_if_it_is_ascii() -> None:
    ascii_text = "x" * (MAX_NON_ASCII_BYTES + 1)
    [message] = await read(user(base64_document(encoded(ascii_text.encode()), "text/plain")))
    assert message["content"][0]["source"]["data"] == ascii_text
    refused = await refusal(user(base64_document(encoded(LONG_TEXT.encode()), "text/plain")))
    assert refused == f"messages.0.content.0.document.source.base64.data: {TOO_LONG_TEXT}"
    refused = await refusal(user(document({"type": "url", "url": f"data:text/plain,{LONG_TEXT}"})))
    assert refused == f"messages.0.content.0.document.source.url: {TOO_LONG_TEXT}"


async def test_a_data_url_with_too_many_escapes_is_refused() -> None:
    url = "data:text/plain," + "%41" * (MAX_PERCENT_ESCAPES + 1)
    refused = await refusal(user(document({"type": "url", "url": url})))
    assert (
        refused
        == "messages.0.content.0.document.source.url: Could not process PDF: it is not a valid data URL"
    )


BROKEN_PDF = "document.source.base64.data: Could not process PDF: it is broken or is not a PDF"
NOT_TEXT = "document.source.base64.data: Could not process document: its data is not base64"
REFUSED_DOCUMENTS: dict[str, tuple[Json, str]] = {
    "a broken PDF": (base64_document(encoded(b"%PDF-1.7")), BROKEN_PDF),
    "a file": (
        document({"type": "file", "file_id": "file_1"}),
        "document.source.file_id: The Files API is not available on this server",
    ),
    "half base64": (base64_document("a", "text/plain"), NOT_TEXT),
    "not ASCII": (base64_document("é", "text/plain"), NOT_TEXT),
}


@pytest.mark.parametrize(("block", "message"), REFUSED_DOCUMENTS.values(), ids=REFUSED_DOCUMENTS.keys())
async def test_a_document_that_cannot_be_read_is_refused(block: Json, message: str) -> None:
    assert await refusal(user("a", block)) == f"messages.0.content.1.{message}"
    in_result = user(result("a", [block]))
    assert (
        await refusal(HI, assistant(use("a")), in_result)
        == f"messages.2.content.0.tool_result.content.0.{message}"
    )


@pytest.mark.parametrize(("block", "message"), REFUSED_DOCUMENTS.values(), ids=REFUSED_DOCUMENTS.keys())
async def test_an_earlier_document_that_cannot_be_read_becomes_a_text(block: Json, message: str) -> None:
    marked = block | {"title": "T", "cache_control": {"type": "ephemeral"}}
    first, *_ = await read(user(marked), assistant("No."), HI)
    [said] = first["content"]
    assert said == text("[A document T, which could not be read]") | {"cache_control": {"type": "ephemeral"}}


async def test_an_earlier_url_that_cannot_be_fetched_becomes_a_text() -> None:
    first, *_ = await read(user(at_url("http://127.0.0.1:1/a.png")), assistant("No."), HI)
    assert first["content"] == [text(UNREADABLE_IMAGE)]


# Limits.


async def test_the_error_for_a_too_large_image_names_the_limit() -> None:
    with pytest.raises(MessagesError) as refused:
        await read(user(image(bomb())))
    assert refused.value.details == {
        "error_code": "image_dimensions_too_large",
        "max_side_length_pixels": 8_000,
        "paths": ["messages.0.content.0.image.source.base64.data"],
    }


async def test_the_images_of_a_request_have_a_limit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MediaAllowance", lambda: MediaAllowance(pixels=100))
    small = [image(image_file("PNG", (10, n))) for n in (5, 4, 3)]
    assert await refusal(user(*small)) == (
        "messages.0.content.2.image.source.base64.data: "
        "Could not process image: the images of the request are too large together"
    )
    first, _, last = await read(user(*small[:2]), assistant("a"), user(small[2]))
    assert last["content"] == [small[2]], "the newest turn comes first"
    assert first["content"] == [small[0], text(UNREADABLE_IMAGE)]


async def test_an_image_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MediaAllowance", lambda: MediaAllowance(pixels=100))
    request = CountTokensRequest.model_validate(
        {"model": "m", "messages": [user(image(image_file("PNG", (10, 10))))]}
    )
    again = MediaReader()
    for _ in range(3):
        assert await again.read(request, images=True) is request
    assert (
        await again.read(request.model_copy(update={"messages": request.messages * 3}), images=True)
    ).messages


async def test_the_pdfs_of_a_request_have_limits_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MediaAllowance", lambda: MediaAllowance(pages=3, pdfs=2))
    one, two = base64_document(pdf("a", "b")), base64_document(pdf("c", "d"))
    path = "messages.0.content.{}.document.source.base64.data: Could not process PDF: "
    assert await refusal(user(one, two), images=False) == (
        f"{path.format(1)}A maximum of 600 PDF pages may be provided."
    )
    three = [base64_document(pdf(page)) for page in "abc"]
    assert await refusal(user(*three), images=False) == (
        f"{path.format(2)}A maximum of 100 PDF documents may be provided."
    )


async def test_pdfs_that_wait_too_long_are_refused_with_a_retry_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an earlier turn too: what is only late must not be left out of the prompt."""
    monkeypatch.setattr(pdf_reader, "MAX_CHILDREN", 0)
    monkeypatch.setattr(pdf_reader, "MAX_WAIT_SECONDS", 0)
    for messages in (
        [user(base64_document(pdf("a")))],
        [user(base64_document(pdf("a"))), assistant("a"), HI],
    ):
        with pytest.raises(MessagesError) as refused:
            await read(*messages)
        assert (refused.value.status, refused.value.retry_after) == (529, 5)
