"""Images, documents and search results as parts of a message, once their sources have been read."""

from typing import Any

import pytest

from translate.conversations import (
    NATIVE,
    PROMPTED,
    VISION,
    Json,
    assistant,
    chat_messages,
    image,
    picture,
    result,
    text,
    tool_message,
    use,
    user,
    user_message,
)
from vllm_messages_plugin.translate.documents import UNSEEN_IMAGE


def document(source: Json, **fields: Any) -> Json:
    return {"type": "document", "source": source, **fields}


# Images.

DATA_URL = "data:image/png;base64,AAAA"
NOT_READ: dict[str, Json] = {
    "elsewhere": {"type": "image", "source": {"type": "url", "url": "https://a.invalid/a.png"}},
    "a file": {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
}


def test_an_image_is_a_part_of_its_message() -> None:
    assert chat_messages(user(image()), traits=VISION) == [user_message([picture()])]


def test_an_image_in_a_data_url_is_passed_on() -> None:
    block = {"type": "image", "source": {"type": "url", "url": DATA_URL}}
    assert chat_messages(user(block), traits=VISION) == [user_message([picture(DATA_URL)])]


@pytest.mark.parametrize("block", NOT_READ.values(), ids=NOT_READ.keys())
def test_an_image_that_was_not_read_is_named(block: Json) -> None:
    assert chat_messages(user(block, "See?"), traits=VISION) == [user_message(f"{UNSEEN_IMAGE}\n\nSee?")]


@pytest.mark.parametrize("traits", [NATIVE, PROMPTED], ids=["native", "prompted"])
def test_an_image_is_named_to_a_model_that_reads_text_only(traits: Any) -> None:
    assert chat_messages(user(image(), "See?"), traits=traits) == [user_message(f"{UNSEEN_IMAGE}\n\nSee?")]


def test_an_image_in_a_result_is_named_to_a_model_that_reads_text_only() -> None:
    [*_, last] = chat_messages(user("Hi"), assistant(use("a")), user(result("a", [text("b"), image()])))
    assert last == tool_message("a", f"b\n\n{UNSEEN_IMAGE}")


# Documents.

PDF = document({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjc="})
DOCUMENTS: dict[str, tuple[Json, str]] = {
    "text": (
        document({"type": "text", "media_type": "text/plain", "data": "a\nb"}),
        "<document>\na\nb\n</document>",
    ),
    "with title and context": (
        document({"type": "text", "data": "a"}, title="T", context="C", citations={"enabled": False}),
        '<document title="T">\n<context>C</context>\na\n</document>',
    ),
    "a string": (document({"type": "content", "content": "a"}), "<document>\na\n</document>"),
    "blocks": (
        document({"type": "content", "content": [text("a"), text("b")]}),
        "<document>\na\n\nb\n</document>",
    ),
    "blocks with an image": (
        document({"type": "content", "content": [text("a"), image()]}),
        f"<document>\na\n\n{UNSEEN_IMAGE}\n</document>",
    ),
    "a PDF that was not read": (PDF, "[document]"),
    "a PDF that was not read, with a title": (PDF | {"title": "T"}, "[document: T]"),
    "a file": (document({"type": "file", "file_id": "file_1"}), "[document]"),
}


@pytest.mark.parametrize(("block", "words"), DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_a_document_is_text(block: Json, words: str) -> None:
    assert chat_messages(user(block, "Sum up.")) == [user_message(f"{words}\n\nSum up.")]


def test_the_images_of_a_document_stand_inside_it() -> None:
    block = document({"type": "content", "content": [text("a"), image(), text("b")]}, title="T")
    [said] = chat_messages(user(block), traits=VISION)
    opening = {"type": "text", "text": '<document title="T">\na'}
    assert said == user_message([opening, picture(), {"type": "text", "text": "\n\nb\n</document>"}])


def test_a_search_result_is_text_with_its_source() -> None:
    found = {"type": "search_result", "source": "https://a", "title": "A", "content": [text("a"), text("b")]}
    assert chat_messages(user(found)) == [
        user_message('<search_result source="https://a" title="A">\na\n\nb\n</search_result>')
    ]
