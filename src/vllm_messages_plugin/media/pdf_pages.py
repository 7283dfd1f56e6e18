"""The pages of a PDF as text and images, read by PDFium in this process.

Run as a program, it is the child process that `pdf` starts: it reads a PDF from stdin, writes its pages as
JSON to stdout, and limits its own memory and time. PDFium is C++: a page of a few kilobytes can keep it busy
for ever (forms nested twelve deep), and neither a loop nor a crash in it can be caught from within.
"""

import base64
import contextlib
import io
import json
import sys
from dataclasses import dataclass
from typing import Any, Final

MAX_PAGES: Final = 600
MAX_PAGE_CHARS: Final = 100_000
MAX_SIDE: Final = 1568
"""The longest side of a page image, in pixels: a letter page at 143 dpi."""
MAX_ASPECT: Final = 100
"""A page longer than so many times its width has no image: vision models refuse such a format."""
MAX_IMAGE_BYTES: Final = 256 * 1024 * 1024
"""All page images of one document together."""
MAX_SECONDS: Final = 60
MAX_MEMORY: Final = 2 * 1024**3
JPEG_QUALITY: Final = 90

UNREADABLE_PAGE: Final = "(this page could not be read)"
TEXT_CUT: Final = "\n(the rest of this page is left out: {} characters)"

BROKEN: Final = "it is broken or is not a PDF"
PASSWORD: Final = "it is protected by a password"  # noqa: S105
PROTECTED: Final = "it is protected in a way this server can't read"
NO_PAGES: Final = "it has no pages"
TOO_MANY_PAGES: Final = f"A maximum of {MAX_PAGES} PDF pages may be provided."
TOO_LARGE: Final = "its page images are too large"

_ANYWHERE: Final = (-1e9, -1e9, 1e9, 1e9)
"""Bounds that hold every character; PDFium's own default loses the text of rotated pages."""
_HYPHEN_AT_LINE_END: Final = "\x02"
_DROPPED: Final = dict.fromkeys([*range(9), 11, *range(13, 32), 0x7F, 0xFFFE, 0xFFFF])
"""Control characters and non-characters; tab, line feed and form feed stay."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its number from 1 on, its text, and its image as JPEG if that was requested."""

    number: int
    text: str
    image: bytes | None


class UnreadableError(Exception):
    """Why a PDF can't be read, in words that follow `Could not process PDF: `."""


def _serve() -> None:
    """Read a PDF from stdin and write its pages to stdout; with argument 1 pages are drawn too.

    Each page is a line of JSON, its text and its image, so that nobody has to parse them all in one call. The
    only line for a PDF that can't be read is the reason, a string.
    """
    _limit_resources()
    try:
        pages = read_pages(sys.stdin.buffer.read(), images=sys.argv[1] == "1")
    except UnreadableError as reason:
        lines: list[Any] = [str(reason)]
    else:
        lines = [(page.text, _encoded(page.image)) for page in pages]
    for line in lines:
        sys.stdout.write(f"{json.dumps(line)}\n")


def _encoded(image: bytes | None) -> str | None:
    return None if image is None else base64.b64encode(image).decode()


def _limit_resources() -> None:
    """Limits that hold even when the parent is gone; what a system doesn't know or allow is left out."""
    import resource

    for kind, most in (
        (resource.RLIMIT_AS, MAX_MEMORY),
        (resource.RLIMIT_CPU, MAX_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def read_pages(data: bytes, images: bool) -> list[Page]:
    """The pages of a PDF, read in this process: without a limit to its time and memory.

    Raises:
        UnreadableError: it can't be read.
    """
    import pypdfium2 as pdfium  # type: ignore[import-untyped]  # 0.1 s, in the child alone
    from pypdfium2 import raw

    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        reasons = {raw.FPDF_ERR_PASSWORD: PASSWORD, raw.FPDF_ERR_SECURITY: PROTECTED}
        raise UnreadableError(reasons.get(error.err_code, BROKEN)) from None
    try:
        return _pages_of(document, images)
    finally:
        document.close()


def _pages_of(document: Any, images: bool) -> list[Page]:
    count = len(document)
    if count > MAX_PAGES:
        raise UnreadableError(TOO_MANY_PAGES)
    has_form = document.get_formtype() != 0
    if has_form:
        document.init_forms()
    pages: list[Page] = []
    drawn = 0
    for index in range(count):
        page = _page(document, index, images, has_form)
        drawn += len(page.image or b"")
        if drawn > MAX_IMAGE_BYTES:
            raise UnreadableError(TOO_LARGE)
        pages.append(page)
    if all(page.text == UNREADABLE_PAGE for page in pages):
        raise UnreadableError(BROKEN if pages else NO_PAGES)
    return pages


def _page(document: Any, index: int, images: bool, has_form: bool) -> Page:
    """A page; one that is broken among whole ones does not spoil the document."""
    from pypdfium2 import PdfiumError

    try:
        if has_form:
            _flatten(document, index)
        page = document[index]
    except PdfiumError:
        return Page(index + 1, UNREADABLE_PAGE, None)
    try:
        return Page(index + 1, _text_of(page), _image_of(page) if images else None)
    except PdfiumError:
        return Page(index + 1, UNREADABLE_PAGE, None)
    finally:
        page.close()


def _flatten(document: Any, index: int) -> None:
    """Make what was filled into the fields of a page part of its text."""
    from pypdfium2 import raw

    page = document[index]
    try:
        raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY)
    finally:
        page.close()


def _text_of(page: Any) -> str:
    reader = page.get_textpage()
    try:
        return _clean(reader.get_text_bounded(*_ANYWHERE))
    finally:
        reader.close()


def _clean(text: str) -> str:
    """PDFium's text with `\\n` as line end, hyphens at line ends kept, cut to `MAX_PAGE_CHARS`."""
    rest = len(text) - MAX_PAGE_CHARS
    bare = text[:MAX_PAGE_CHARS].replace("\r\n", "\n").replace(_HYPHEN_AT_LINE_END, "-\n")
    bare = bare.translate(_DROPPED)
    return bare + TEXT_CUT.format(rest) if rest > 0 else bare


def _image_of(page: Any) -> bytes | None:
    width, height = page.get_size()
    longest, shortest = max(width, height), min(width, height)
    if not 0 < longest < shortest * MAX_ASPECT:
        return None
    bitmap = page.render(scale=(MAX_SIDE - 0.5) / longest)  # the library rounds up
    try:
        drawn = io.BytesIO()
        bitmap.to_pil().convert("RGB").save(drawn, format="JPEG", quality=JPEG_QUALITY)
        return drawn.getvalue()
    finally:
        bitmap.close()


if __name__ == "__main__":
    _serve()
