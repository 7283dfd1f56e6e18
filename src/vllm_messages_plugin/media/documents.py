"""Images and documents: what the model can be shown of them.

Called by `conversation`. Images leave as the parts vLLM's renderer reads; documents as text.
"""

import base64
from typing import Any

from vllm_messages_plugin.media import pdf
from vllm_messages_plugin.wire.blocks import (
    Base64Source,
    ContentSource,
    DocumentBlockParam,
    FileSource,
    ImageBlockParam,
    PlainTextSource,
    SearchResultBlockParam,
    TextBlockParam,
    UrlSource,
)
from vllm_messages_plugin.wire.errors import invalid

CLOSING = "\n</document>"

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


def image_type(data: str, declared: str, path: str) -> str:
    """The media type of base64 `data` by its first bytes, for clients declare it wrongly."""
    try:
        head = base64.b64decode(data[:24], validate=True)
    except ValueError:
        raise invalid("Could not process image: its data is not base64", path) from None
    if head.startswith(b"RIFF"):
        return "image/webp" if head[8:12] == b"WEBP" else declared
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), declared)


def image_part(block: ImageBlockParam, path: str, images: bool) -> dict[str, Any]:
    """An image as a part of a chat message.

    Raises:
        MessagesError: 400, worded so that agents take the image out and go on.
    """
    if not images:
        raise invalid("Could not process image: the model served here reads text only", path)
    source = block.source
    if isinstance(source, FileSource):
        raise invalid("The Files API is not available on this server", f"{path}.image.source.file_id")
    if isinstance(source, UrlSource):
        return _image(source.url)
    kind = image_type(source.data, source.media_type, f"{path}.image.source.base64.data")
    return _image(f"data:{kind};base64,{source.data}")


def document_parts(block: DocumentBlockParam, path: str, images: bool) -> list[dict[str, Any]]:
    """A document as parts of a chat message: its text, and for a model that sees a PDF's pages too.

    Raises:
        MessagesError: 400, the document can't be read; worded so that agents take it out and go on.
    """
    source = block.source
    text = {"type": "text", "text": ""}
    if isinstance(source, ContentSource):
        return _content_parts(block, source, f"{path}.document.source.content", images)
    if not isinstance(source, Base64Source) or source.media_type.startswith("text/"):
        return [text | {"text": _document_text(block, path)}]
    where = f"{path}.document.source.base64.data"
    pages = pdf.pdf_pages(_bytes(source.data, where), images=images, path=where)
    shown = [
        _image(f"data:image/jpeg;base64,{base64.b64encode(page.image).decode()}")
        for page in pages
        if page.image
    ]
    return [text | {"text": _framed(block, pdf.pdf_text(pages, None))}, *shown]


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _document_text(block: DocumentBlockParam, path: str) -> str:
    source = block.source
    if isinstance(source, PlainTextSource):
        body = source.data
    elif isinstance(source, Base64Source) and source.media_type.startswith("text/"):
        body = _decoded(source.data, f"{path}.document.source.base64.data")
    elif isinstance(source, FileSource):
        raise invalid("The Files API is not available on this server", f"{path}.document.source.file_id")
    else:
        raise invalid("Could not process PDF: its URL was not fetched", f"{path}.document.source.url")
    return _framed(block, body)


def _framed(block: DocumentBlockParam, body: str) -> str:
    """A document's text under its title and context."""
    attributes = f' title="{block.title}"' if block.title else ""
    context = f"<context>{block.context}</context>\n" if block.context else ""
    return f"<document{attributes}>\n{context}{body}{CLOSING}"


def _decoded(data: str, path: str) -> str:
    return _bytes(data, path).decode("utf-8", "replace")


def _bytes(data: str, path: str) -> bytes:
    try:
        return base64.b64decode(data)
    except ValueError:
        raise invalid("Could not process document: its data is not base64", path) from None


def _content_parts(
    block: DocumentBlockParam, source: ContentSource, path: str, images: bool
) -> list[dict[str, Any]]:
    """A document of blocks, its images where they stand; to a model that sees none they are named."""
    opening, closing = _framed(block, "").removesuffix(CLOSING), CLOSING
    inside = source.content if isinstance(source.content, list) else []
    texts = [opening + (source.content if isinstance(source.content, str) else "")]
    parts: list[dict[str, Any]] = []
    for position, inner in enumerate(inside):
        if images and isinstance(inner, ImageBlockParam):
            parts += [
                {"type": "text", "text": "".join(texts)},
                image_part(inner, f"{path}.{position}", images),
            ]
            texts = []
        else:
            gap = "\n\n" if position else ""
            texts.append(gap + (inner.text if isinstance(inner, TextBlockParam) else f"[{inner.type}]"))
    return [*parts, {"type": "text", "text": "".join([*texts, closing])}]


def search_result_text(block: SearchResultBlockParam) -> str:
    """A search result as text, with its source and title."""
    body = "\n\n".join(text.text for text in block.content)
    return f'<search_result source="{block.source}" title="{block.title}">\n{body}\n</search_result>'
