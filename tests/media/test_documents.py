"""Images and documents: shown, put into words, or refused in words that agents act upon."""

import base64
from typing import Any

import pytest

from translate.asking import (
    NATIVE,
    PNG_DATA,
    PROMPTED,
    VISION,
    Json,
    assistant,
    conversation,
    image,
    picture,
    result,
    says_user,
    text,
    told,
    use,
    user,
)
from vllm_messages_plugin.wire.errors import MessagesError

ASKED = user("Hi")


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def document(source: Json, **fields: Any) -> Json:
    return {"type": "document", "source": source, **fields}


# Images.

TYPES: dict[str, tuple[bytes, str, str]] = {
    "png": (b"\x89PNG\r\n\x1a\n0000000000", "image/jpeg", "image/png"),
    "jpeg": (b"\xff\xd8\xff\xe000000000000000", "image/png", "image/jpeg"),
    "gif": (b"GIF89a000000000000", "image/png", "image/gif"),
    "webp": (b"RIFF0000WEBPVP8 0000", "image/png", "image/webp"),
    "unknown": (b"BM0000000000000000", "image/bmp", "image/bmp"),
    "short": (b"BM", "image/bmp", "image/bmp"),
    "empty": (b"", "image/png", "image/png"),
}


@pytest.mark.parametrize(("raw", "declared", "found"), TYPES.values(), ids=TYPES.keys())
def test_the_media_type_is_told_by_the_first_bytes(raw: bytes, declared: str, found: str) -> None:
    [said] = told(user(image(encoded(raw), declared)), traits=VISION)
    assert said == says_user([picture(f"data:{found};base64,{encoded(raw)}")])


def test_an_image_may_be_elsewhere() -> None:
    url = "https://a.invalid/a.png"
    [said] = told(user({"type": "image", "source": {"type": "url", "url": url}}), traits=VISION)
    assert said == says_user([picture(url)])


BAD_IMAGE = "Could not process image: its data is not base64"
REFUSED_IMAGES: dict[str, tuple[Json, str]] = {
    "not base64": (image("%%%%"), f"messages.0.content.1.image.source.base64.data: {BAD_IMAGE}"),
    "half base64": (image("abc"), f"messages.0.content.1.image.source.base64.data: {BAD_IMAGE}"),
    "not ASCII": (image("éééé"), f"messages.0.content.1.image.source.base64.data: {BAD_IMAGE}"),
    "a data URL": (
        image("data:image/png;base64," + PNG_DATA),
        f"messages.0.content.1.image.source.base64.data: {BAD_IMAGE}",
    ),
    "a file": (
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        "messages.0.content.1.image.source.file_id: The Files API is not available on this server",
    ),
}


@pytest.mark.parametrize(("block", "message"), REFUSED_IMAGES.values(), ids=REFUSED_IMAGES.keys())
def test_an_image_that_cannot_be_read_is_refused(block: Json, message: str) -> None:
    with pytest.raises(MessagesError) as refused:
        told(user("See?", block), traits=VISION)
    assert (refused.value.status, refused.value.message) == (400, message)


TEXT_ONLY = "Could not process image: the model served here reads text only"
NOT_SEEN: dict[str, tuple[list[Json], str]] = {
    "in a turn": ([user("See?", image())], f"messages.0.content.1: {TEXT_ONLY}"),
    "elsewhere": (
        [user({"type": "image", "source": {"type": "url", "url": "https://a.invalid"}})],
        f"messages.0.content.0: {TEXT_ONLY}",
    ),
    "in a merged turn": ([user("a"), user("b", image())], f"messages.1.content.1: {TEXT_ONLY}"),
    "in a result": (
        [ASKED, assistant(use("a")), user("So:", result("a", [text("b"), image()]))],
        f"messages.2.content.1.tool_result.content.1: {TEXT_ONLY}",
    ),
}


@pytest.mark.parametrize(("messages", "message"), NOT_SEEN.values(), ids=NOT_SEEN.keys())
@pytest.mark.parametrize("traits", [NATIVE, PROMPTED], ids=["native", "prompted"])
def test_a_model_that_reads_text_only_refuses_images(traits: Any, messages: list[Json], message: str) -> None:
    with pytest.raises(MessagesError) as refused:
        conversation(*messages, traits=traits)
    assert (refused.value.status, refused.value.message) == (400, message)


def test_a_refusal_names_the_path_the_block_had_in_the_request() -> None:
    """Also where a summary stands for all that went before it."""
    compacted = assistant({"type": "compaction", "content": "So far so good."}, "Go on.")
    with pytest.raises(MessagesError) as refused:
        told(ASKED, assistant("a"), user("b"), compacted, user("See?", image()))
    assert refused.value.message == f"messages.4.content.1: {TEXT_ONLY}"


# Documents.

DOCUMENTS: dict[str, tuple[Json, str]] = {
    "text": (
        document({"type": "text", "media_type": "text/plain", "data": "a\nb"}),
        "<document>\na\nb\n</document>",
    ),
    "with title and context": (
        document({"type": "text", "data": "a"}, title="T", context="C", citations={"enabled": True}),
        '<document title="T">\n<context>C</context>\na\n</document>',
    ),
    "a string": (document({"type": "content", "content": "a"}), "<document>\na\n</document>"),
    "blocks": (
        document({"type": "content", "content": [text("a"), text("b")]}),
        "<document>\na\n\nb\n</document>",
    ),
    "blocks with an image": (
        document({"type": "content", "content": [text("a"), image()]}),
        "<document>\na\n\n[image]\n</document>",
    ),
    "encoded text": (
        document({"type": "base64", "media_type": "text/markdown", "data": encoded("# ü".encode())}),
        "<document>\n# ü\n</document>",
    ),
    "encoded text that is not UTF-8": (
        document({"type": "base64", "media_type": "text/plain", "data": encoded(b"a\xff")}),
        "<document>\na\ufffd\n</document>",
    ),
}


@pytest.mark.parametrize(("block", "words"), DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_a_document_is_text(block: Json, words: str) -> None:
    assert told(user(block, "Sum up.")) == [says_user(f"{words}\n\nSum up.")]


PDF = document({"type": "base64", "media_type": "application/pdf", "data": encoded(b"%PDF-1.7")})
BROKEN_PDF = "document.source.base64.data: Could not process PDF: it is broken or is not a PDF"
REFUSED_DOCUMENTS: dict[str, tuple[list[Json], str]] = {
    "a broken PDF": ([user("a", PDF)], f"messages.0.content.1.{BROKEN_PDF}"),
    "a URL that was not fetched": (
        [user(document({"type": "url", "url": "https://a.invalid/a.pdf"}))],
        "messages.0.content.0.document.source.url: Could not process PDF: its URL was not fetched",
    ),
    "a file": (
        [user(document({"type": "file", "file_id": "file_1"}))],
        "messages.0.content.0.document.source.file_id: The Files API is not available on this server",
    ),
    "a broken PDF in a result": (
        [ASKED, assistant(use("a")), user(result("a", [PDF]))],
        f"messages.2.content.0.tool_result.content.0.{BROKEN_PDF}",
    ),
}


@pytest.mark.parametrize(("messages", "message"), REFUSED_DOCUMENTS.values(), ids=REFUSED_DOCUMENTS.keys())
def test_a_document_that_cannot_be_read_is_refused(messages: list[Json], message: str) -> None:
    with pytest.raises(MessagesError) as refused:
        told(*messages)
    assert (refused.value.status, refused.value.message) == (400, message)


@pytest.mark.parametrize("data", ["a", "é"], ids=["half-base64", "not-ASCII"])
def test_encoded_text_that_cannot_be_decoded_is_refused(data: str) -> None:
    with pytest.raises(MessagesError) as refused:
        told(user(document({"type": "base64", "media_type": "text/plain", "data": data})))
    assert refused.value.status == 400
    assert refused.value.message.startswith("messages.0.content.0")


def test_a_search_result_is_text_with_its_source() -> None:
    found = {"type": "search_result", "source": "https://a", "title": "A", "content": [text("a"), text("b")]}
    assert told(user(found)) == [
        says_user('<search_result source="https://a" title="A">\na\n\nb\n</search_result>')
    ]
