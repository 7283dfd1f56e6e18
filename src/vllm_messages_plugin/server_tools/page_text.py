"""A fetched page as text: HTML as Markdown, PDF as its text, text as it is.

html-to-markdown (Rust, of the extra `search`) converts HTML: it drops navigation and scripts, and takes
0.1 s for a page of 1.6 MB. Where it is not installed or finds nothing, the standard library's parser
collects the text. Both run in a thread. Links become absolute, so that the model can fetch them as they are.
"""

import asyncio
import html
import logging
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin

from vllm_messages_plugin.media.allowance import MediaAllowance
from vllm_messages_plugin.media.documents import document_text
from vllm_messages_plugin.media.fetch import FetchedUrl
from vllm_messages_plugin.media.pdf import PdfReader, is_pdf, pdf_text
from vllm_messages_plugin.media.pdf_pages import UnreadableError
from vllm_messages_plugin.wire.errors import MessagesError

log = logging.getLogger("vllm.messages")

MAX_FALLBACK_CHARACTERS: Final = 500_000
"""What the standard library's parser is given of a page; it takes about 0.1 s for it."""
HEAD_BYTES: Final = 1024
HTML_TYPES: Final = ("text/html", "application/xhtml+xml")
TEXT_TYPES: Final = re.compile(
    r"text/.*|application/(json|xml|javascript|x-yaml|yaml|toml|x-ndjson)|.*\+(json|xml)"
)

_TITLE: Final = re.compile(r"<title[^>]{0,200}>([^<]{1,500})", re.IGNORECASE)
_RELATIVE_LINK: Final = re.compile(r"\]\(<?(?![a-z][a-z0-9+.-]{0,20}:|#)([^)\s>]{1,2000})>?", re.IGNORECASE)
_UNSHOWN: Final = frozenset({"script", "style", "noscript", "template", "svg", "head", "nav"})
_BLOCKS: Final = frozenset({"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "table"})


class UnsupportedContentError(Exception):
    """A page is of a type that has no text."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page as the model reads it."""

    url: str
    title: str | None
    text: str


async def page_of(fetched: FetchedUrl, pdfs: PdfReader) -> Page:
    """The text of what a URL gave.

    Raises:
        UnsupportedContentError: It is of a type that has no text, or a PDF that can't be read.
    """
    kind = fetched.content_type.partition(";")[0].strip().lower()
    if is_pdf(fetched.data):
        return await _pdf_page(fetched, pdfs)
    if kind in HTML_TYPES or (not kind and b"<html" in fetched.data[:HEAD_BYTES].lower()):
        return await asyncio.to_thread(_html_page, fetched)
    if TEXT_TYPES.fullmatch(kind or "text/plain"):
        text = await asyncio.to_thread(_decoded, fetched)
        return Page(fetched.url, None, text)
    raise UnsupportedContentError(f"the content type {kind}")


async def _pdf_page(fetched: FetchedUrl, pdfs: PdfReader) -> Page:
    try:
        pages = await pdfs.pages(fetched.data, False, MediaAllowance())
    except (UnreadableError, MessagesError) as reason:
        raise UnsupportedContentError(f"a PDF that can't be read: {reason}") from None
    return Page(fetched.url, None, pdf_text(pages))


def _decoded(fetched: FetchedUrl) -> str:
    declared = fetched.content_type
    if "charset" not in declared.lower():
        declared = fetched.data[:HEAD_BYTES].decode("ascii", "replace")
        declared = declared if "charset" in declared.lower() else ""
    return document_text(fetched.data, declared)


def _html_page(fetched: FetchedUrl) -> Page:
    source = _decoded(fetched)
    found = _TITLE.search(source)
    title = " ".join(html.unescape(found[1]).split()) if found else None
    text = markdown(source) or plain_text(source)
    absolute = _RELATIVE_LINK.sub(lambda link: f"]({_joined(fetched.url, link[1])}", text)
    return Page(fetched.url, title or None, absolute.strip())


def _joined(base: str, link: str) -> str:
    try:
        return urljoin(base, link)
    except ValueError:
        return link


def markdown(source: str) -> str:
    """HTML as Markdown; empty where html-to-markdown is not installed or can't read it."""
    try:
        import html_to_markdown as library
    except ImportError:
        return ""
    options = library.ConversionOptions(
        extract_metadata=False,
        skip_images=True,
        preprocessing=library.PreprocessingOptions(enabled=True),
    )
    try:
        return (library.convert(source, options).content or "").strip()
    except library.ConversionError as error:
        log.info("html-to-markdown can't read a page, which is read as plain text: %s", error)
        return ""


def plain_text(source: str) -> str:
    """The text of HTML by the standard library's parser, its links as Markdown."""
    parser = _TextParser()
    parser.feed(source[:MAX_FALLBACK_CHARACTERS])
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.parts).splitlines())
    return "\n".join(line for line in lines if line)


@dataclass(eq=False)
class _TextParser(HTMLParser):
    """Collects the text of a page outside the elements that are not shown."""

    parts: list[str] = field(default_factory=list)
    _unshown: int = 0
    _links: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSHOWN:
            self._unshown += 1
        elif tag in _BLOCKS:
            self.parts.append("\n")
        elif tag == "a":
            self._links.append(next((value for name, value in attrs if name == "href" and value), ""))
            self._add("[")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSHOWN:
            self._unshown = max(0, self._unshown - 1)
        elif tag in _BLOCKS:
            self.parts.append("\n")
        elif tag == "a" and self._links:
            self._add(f"]({self._links.pop()})")

    def handle_data(self, data: str) -> None:
        self._add(data)

    def _add(self, text: str) -> None:
        if not self._unshown:
            self.parts.append(text)
