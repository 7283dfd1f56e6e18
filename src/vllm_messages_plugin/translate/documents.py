"""Images, documents and search results as parts of a chat message.

`media` has read their sources before: images are base64 data, documents are text or blocks. A source that was
not read has no parts, and the caller puts a short text in its place.
"""

from collections.abc import Sequence
from typing import Final

from vllm_messages_plugin.translate.chat_message import ImagePart, Part, text_part
from vllm_messages_plugin.translate.citations import CitableSource
from vllm_messages_plugin.wire.blocks import (
    Base64Source,
    Block,
    ContentSource,
    DocumentBlockParam,
    ImageBlockParam,
    PlainTextSource,
    SearchResultBlockParam,
    TextBlockParam,
    UrlSource,
    WebResultBlockParam,
)

CLOSING: Final = "\n</document>"
UNSEEN_IMAGE: Final = "[An image, which this model cannot see]"


def image_part(block: ImageBlockParam) -> ImagePart | None:
    """An image as the part that vLLM's renderer reads; None for one whose source was not read."""
    source = block.source
    if isinstance(source, Base64Source):
        url = f"data:{source.media_type};base64,{source.data}"
    elif isinstance(source, UrlSource) and source.url[:5].lower() == "data:":
        url = source.url
    else:
        return None
    return {"type": "image_url", "image_url": {"url": url}}


def document_parts(
    block: DocumentBlockParam, images: bool, citable: CitableSource | None = None
) -> list[Part]:
    """A document as text under its title and context, with its images where they stand if `images`.

    Args:
        block: The document.
        images: Whether the model sees images.
        citable: Its numbered passages; None if it is not to be cited.

    Returns:
        The parts; none for a document whose source was not read.
    """
    opening = (citable.instructions if citable else "") + _opening(block)
    if isinstance(block.source, PlainTextSource):
        data = block.source.data
        return [text_part(opening + (citable.numbered(data) if citable else data) + CLOSING)]
    if not isinstance(block.source, ContentSource):
        return []
    content = block.source.content
    if isinstance(content, str):
        return [text_part(opening + (citable.numbered(content) if citable else content) + CLOSING)]
    return _content_parts(opening, content, images, citable)


def document_text(block: DocumentBlockParam) -> str | None:
    """A document as text alone; None for one whose source was not read."""
    parts = document_parts(block, images=False)
    return "".join(part["text"] for part in parts if part["type"] == "text") if parts else None


def _opening(block: DocumentBlockParam) -> str:
    title = f' title="{block.title}"' if block.title else ""
    context = f"<context>{block.context}</context>\n" if block.context else ""
    return f"<document{title}>\n{context}"


def _content_parts(
    opening: str, content: Sequence[Block], images: bool, citable: CitableSource | None
) -> list[Part]:
    texts = [opening]
    parts: list[Part] = []
    paged = citable is not None and citable.kind == "page_location"
    tags = citable.number_tags() if citable is not None and not paged else {}
    for position, inner in enumerate(content):
        picture = image_part(inner) if images and isinstance(inner, ImageBlockParam) else None
        if picture is not None:
            parts += [text_part("".join(texts)), picture]
            texts = []
        else:
            text = _inner_text(inner)
            if citable is not None and paged and position == 0:
                text = citable.numbered(text)
            texts.append(("\n\n" if position else "") + tags.get(position, "") + text)
    return [*parts, text_part("".join([*texts, CLOSING]))]


def _inner_text(block: Block) -> str:
    if isinstance(block, ImageBlockParam):
        return UNSEEN_IMAGE
    return block.text if isinstance(block, TextBlockParam) else f"[{block.type}]"


def search_result_text(block: SearchResultBlockParam, citable: CitableSource | None = None) -> str:
    """A search result as text, with its source and title.

    Args:
        block: The result.
        citable: Its numbered passages; None if it is not to be cited.
    """
    instructions = citable.instructions if citable else ""
    if isinstance(block, WebResultBlockParam):
        text = "".join(inner.text for inner in block.content)
        lines = (block.heading, citable.numbered(text) if citable else text)
        return instructions + "\n".join(filter(None, lines))
    tags = citable.number_tags() if citable else {}
    body = "\n\n".join(tags.get(place, "") + text.text for place, text in enumerate(block.content))
    opening = f'<search_result source="{block.source}" title="{block.title}">'
    return f"{instructions}{opening}\n{body}\n</search_result>"
