"""What is inside a document's source: PDF or text, as bytes become the sources that translation reads."""

import base64
from collections.abc import Sequence
from typing import Final

from vllm_messages_plugin.media.pdf import paged_text
from vllm_messages_plugin.media.pdf_pages import Page
from vllm_messages_plugin.wire.blocks import (
    Base64Source,
    ContentSource,
    ImageBlockParam,
    PagedTextBlockParam,
    PagedTextSource,
    PlainTextSource,
)
from vllm_messages_plugin.wire.errors import invalid

NOT_BASE64: Final = "Could not process document: its data is not base64"

_CHARSETS: Final = ("big5", "euc-jp", "euc-kr", "gb18030", "iso-8859-1", "shift_jis", "windows-1252")
"""Text is read in one of these, else as UTF-8: some of Python's codecs take quadratic time."""


def decoded(data: str, path: str) -> bytes:
    """The bytes of base64 `data`.

    Raises:
        MessagesError: 400 about `path`, the data are not base64.
    """
    try:
        return base64.b64decode(data)
    except ValueError:
        raise invalid(NOT_BASE64, path) from None


def text_source(data: bytes, content_type: str) -> PlainTextSource:
    """A text as the source of a document; its charset is that of the content type, if that is known."""
    named = next((name for name in _CHARSETS if name in content_type.lower()), "utf-8-sig")
    return PlainTextSource(type="text", data=data.decode(named, "replace"))


def pdf_source(pages: Sequence[Page]) -> PlainTextSource | ContentSource:
    """The pages of a PDF as the source of a document: their text, then the images of those that have one."""
    text, spans = paged_text(pages)
    images = [_page_image(page.image) for page in pages if page.image]
    if not images:
        return PagedTextSource(type="text", data=text, page_spans=spans)
    block = PagedTextBlockParam(type="text", text=text, page_spans=spans)
    return ContentSource(type="content", content=[block, *images])


def _page_image(image: bytes) -> ImageBlockParam:
    data = base64.b64encode(image).decode()
    return ImageBlockParam(
        type="image", source=Base64Source(type="base64", media_type="image/jpeg", data=data)
    )
