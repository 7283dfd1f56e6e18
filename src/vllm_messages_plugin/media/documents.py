"""What is inside a document's source: PDF or text, as bytes become the sources that translation reads."""

from collections.abc import Sequence
from typing import Final

from vllm_messages_plugin.media.encodings import decode_base64, decode_text, encode_base64
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
from vllm_messages_plugin.wire.field_sizes import MAX_NON_ASCII_BYTES

NOT_BASE64: Final = "Could not process document: its data is not base64"
TOO_LONG: Final = (
    f"Could not process document: its text is not ASCII and has more than {MAX_NON_ASCII_BYTES} bytes"
)

_CHARSETS: Final = ("big5", "euc-jp", "euc-kr", "gb18030", "iso-8859-1", "shift_jis", "windows-1252")
"""Text is read in one of these, else as UTF-8: some of Python's codecs take quadratic time."""


def decoded(data: str, path: str) -> bytes:
    """The bytes of base64 `data`.

    Raises:
        MessagesError: 400 about `path`, the data are not base64.
    """
    try:
        return decode_base64(data, white_space=True)
    except ValueError:
        raise invalid(NOT_BASE64, path) from None


def text_source(data: bytes, content_type: str, path: str) -> PlainTextSource:
    """A text as the source of a document.

    Raises:
        MessagesError: 400 about `path`, the text has more than MAX_NON_ASCII_BYTES and is not ASCII.
    """
    if len(data) > MAX_NON_ASCII_BYTES and not data.isascii():
        raise invalid(TOO_LONG, path)
    return PlainTextSource(type="text", data=document_text(data, content_type))


def document_text(data: bytes, content_type: str) -> str:
    """A text in the charset of its content type; in UTF-8, if that names none that is known."""
    named = next((name for name in _CHARSETS if name in content_type.lower()), "utf-8-sig")
    return decode_text(data, named)


def pdf_source(pages: Sequence[Page]) -> PlainTextSource | ContentSource:
    """The pages of a PDF as the source of a document: their text, then the images of those that have one."""
    text, spans = paged_text(pages)
    images = [_page_image(page.image) for page in pages if page.image]
    if not images:
        return PagedTextSource(type="text", data=text, page_spans=spans)
    block = PagedTextBlockParam(type="text", text=text, page_spans=spans)
    return ContentSource(type="content", content=[block, *images])


def _page_image(image: bytes) -> ImageBlockParam:
    source = Base64Source(type="base64", media_type="image/jpeg", data=encode_base64(image))
    return ImageBlockParam(type="image", source=source)
