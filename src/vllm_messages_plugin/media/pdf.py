"""PDFs as text, with page marks, and as page images for models that see.

Called by `media`; bytes in, values out. The work is done in a child process: PDFium is C++, a page of a
few kilobytes can keep it busy for ever (forms nested twelve deep), and neither a loop nor a crash in it
can be caught from within. The child runs this very module, has a time and a memory limit, and answers in
JSON. What it read is remembered, for a conversation brings its documents again with every turn.

Blocks until the child is done: call it in a thread.
"""

import base64
import contextlib
import hashlib
import io
import json
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from vllm_messages_plugin.wire.errors import invalid

MAX_PAGES: Final = 600
MAX_PAGE_CHARS: Final = 100_000
MAX_SIDE: Final = 1568
"""The longest side of a page image, in pixels: a letter page at 143 dpi."""
MAX_ASPECT: Final = 100
"""A page longer than so many times its width has no image: vision models refuse such a shape."""
MAX_IMAGE_BYTES: Final = 256 * 1024 * 1024
"""All page images of one document together."""
MAX_SECONDS: Final = 60
MAX_MEMORY: Final = 2 * 1024**3
MAX_CHILDREN: Final = 4
JPEG_QUALITY: Final = 90
REMEMBERED_BYTES: Final = 64 * 1024 * 1024
"""What is kept of documents read lately, all together."""

PAGE_MARK: Final = "[page {}]"
NO_TEXT: Final = "(this page has no text layer)"
UNREADABLE_PAGE: Final = "(this page could not be read)"
TEXT_CUT: Final = "\n(the rest of this page is left out: {} characters)"

BROKEN: Final = "it is broken or is not a PDF"
PASSWORD: Final = "it is protected by a password"  # noqa: S105
PROTECTED: Final = "it is protected in a way this server can't read"
NO_PAGES: Final = "it has no pages"
TOO_MANY_PAGES: Final = f"A maximum of {MAX_PAGES} PDF pages may be provided."
TOO_LARGE: Final = "its page images are too large"
TOO_SLOW: Final = f"reading it takes more than {MAX_SECONDS} seconds"
TOO_HARD: Final = "it is broken or needs too much memory to be read"

_ANYWHERE: Final = (-1e9, -1e9, 1e9, 1e9)
"""Bounds that hold every character; PDFium's own default loses the text of rotated pages."""
_HYPHEN_AT_LINE_END: Final = "\x02"
_DROPPED: Final = dict.fromkeys([*range(9), 11, *range(13, 32), 0x7F, 0xFFFE, 0xFFFF])
"""Control characters and non-characters; tab, line feed and form feed stay."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its number from 1 on, its text, and its image as JPEG if that was asked for."""

    number: int
    text: str
    image: bytes | None


class UnreadableError(Exception):
    """Why a PDF can't be read, in words that follow `Could not process PDF: `."""


def pdf_pages(data: bytes, *, images: bool, path: str) -> list[Page]:
    """The pages of a PDF, with their images if `images`.

    Raises:
        MessagesError: 400 about `path`, worded so that agents take the document out and go on.
    """
    key = (hashlib.sha256(data).digest(), images)
    pages = _MEMORY.get(key)
    if pages is None:
        try:
            pages = tuple(_read_in_child(data, images))
        except UnreadableError as reason:
            raise invalid(f"Could not process PDF: {reason}", path) from None
        _MEMORY.put(key, pages)
    return list(pages)


def pdf_text(pages: Sequence[Page], title: str | None) -> str:
    """A document's text: its title, then each page under its mark."""
    marked = [f"{PAGE_MARK.format(page.number)}\n{page.text.strip() or NO_TEXT}" for page in pages]
    return "\n\n".join([title, *marked] if title else marked)


# Documents read lately.


class _Memory:
    """The pages of documents read lately, the longest unused forgotten first."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held = 0
        self._pages: OrderedDict[tuple[bytes, bool], tuple[Page, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[bytes, bool]) -> tuple[Page, ...] | None:
        with self._lock:
            if key in self._pages:
                self._pages.move_to_end(key)
            return self._pages.get(key)

    def put(self, key: tuple[bytes, bool], pages: tuple[Page, ...]) -> None:
        if _size(pages) > self._most:
            return
        with self._lock:
            self._held += _size(pages) - _size(self._pages.pop(key, ()))
            self._pages[key] = pages
            while self._held > self._most:
                self._held -= _size(self._pages.popitem(last=False)[1])


def _size(pages: Sequence[Page]) -> int:
    return sum(sys.getsizeof(page.text) + len(page.image or b"") for page in pages)


_MEMORY: Final = _Memory(REMEMBERED_BYTES)
_CHILDREN: Final = threading.BoundedSemaphore(MAX_CHILDREN)


# The parent's side of the child.


def _read_in_child(data: bytes, images: bool) -> list[Page]:
    if b"%PDF-" not in data[:1024]:  # what PDFium itself asks for
        raise UnreadableError(BROKEN)
    command = [sys.executable, "-P", "-m", "vllm_messages_plugin.media.pdf", str(int(images))]
    with _CHILDREN:
        try:
            ran = subprocess.run(command, input=data, capture_output=True, timeout=MAX_SECONDS)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise UnreadableError(TOO_SLOW) from None
    if ran.returncode != 0:
        raise UnreadableError(TOO_HARD)
    answer: dict[str, Any] = json.loads(ran.stdout)
    if "unreadable" in answer:
        raise UnreadableError(answer["unreadable"])
    return [
        Page(number, text, None if image is None else base64.b64decode(image))
        for number, (text, image) in enumerate(answer["pages"], 1)
    ]


# The child.


def _serve() -> None:
    """Read a PDF from stdin and write its pages to stdout; argument 1 tells whether to draw them."""
    _limit_resources()
    try:
        pages = read_pages(sys.stdin.buffer.read(), images=sys.argv[1] == "1")
    except UnreadableError as reason:
        answer: dict[str, Any] = {"unreadable": str(reason)}
    else:
        answer = {"pages": [(page.text, _encoded(page.image)) for page in pages]}
    json.dump(answer, sys.stdout)


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
    """PDFium's text with our line ends, its hyphens at line ends as they stood, and not too long."""
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
