"""PDFs as text with page headings, and as page images for models that see.

The pages are read in a child process, which has a time and a memory limit and is killed when the request that
asked for it is cancelled. Pages read lately are kept, because a conversation brings its documents again with
every turn.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import sys
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, Final

from vllm_messages_plugin.media.pdf_pages import BROKEN, MAX_SECONDS, Page, UnreadableError

MAX_CHILDREN: Final = 4
CACHED_BYTES: Final = 64 * 1024 * 1024
"""What is kept of documents read lately, all together."""

PAGE_HEADING: Final = "[page {}]"
NO_TEXT: Final = "(this page has no text layer)"
TOO_SLOW: Final = f"reading it takes more than {MAX_SECONDS} seconds"
TOO_HARD: Final = "it is broken or needs too much memory to be read"

_MAGIC: Final = b"%PDF-"


def is_pdf(data: bytes) -> bool:
    """Whether PDFium would take the data for a PDF: its signature stands near the head."""
    return _MAGIC in data[:1024]


def pdf_text(pages: Sequence[Page]) -> str:
    """A document's text, each page under its heading."""
    return "\n\n".join(
        f"{PAGE_HEADING.format(page.number)}\n{page.text.strip() or NO_TEXT}" for page in pages
    )


class PdfReader:
    """Reads PDFs in child processes, a few at once."""

    def __init__(self, executor: Executor) -> None:
        """`executor` runs what would hold up the event loop: hashing and decoding."""
        self._executor = executor
        self._children = asyncio.Semaphore(MAX_CHILDREN)
        self._cache = PageCache(CACHED_BYTES)

    async def pages(self, data: bytes, images: bool) -> tuple[Page, ...]:
        """The pages of a PDF, with their images if `images`.

        Raises:
            UnreadableError: it can't be read, or not within the limits.
        """
        loop = asyncio.get_running_loop()
        key = ((await loop.run_in_executor(self._executor, hashlib.sha256, data)).digest(), images)
        pages = self._cache.get(key)
        if pages is None:
            if not is_pdf(data):
                raise UnreadableError(BROKEN)
            async with self._children:
                output = await _child_output(data, images)
            pages = await loop.run_in_executor(self._executor, _decoded, output)
            self._cache.put(key, pages)
        return pages


class PageCache:
    """The pages of documents read lately, the least recently used dropped first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._pages: OrderedDict[tuple[bytes, bool], tuple[Page, ...]] = OrderedDict()

    def get(self, key: tuple[bytes, bool]) -> tuple[Page, ...] | None:
        """The pages under a key, which now counts as the last used."""
        if key in self._pages:
            self._pages.move_to_end(key)
        return self._pages.get(key)

    def put(self, key: tuple[bytes, bool], pages: tuple[Page, ...]) -> None:
        """Keep pages, unless they alone are more than the cache holds."""
        if _size(pages) > self._max_bytes:
            return
        self._bytes += _size(pages) - _size(self._pages.pop(key, ()))
        self._pages[key] = pages
        while self._bytes > self._max_bytes:
            self._bytes -= _size(self._pages.popitem(last=False)[1])


def _size(pages: Sequence[Page]) -> int:
    return sum(sys.getsizeof(page.text) + len(page.image or b"") for page in pages)


async def _child_output(data: bytes, images: bool) -> bytes:
    """What the child process writes about a PDF; the child ends with this call, however that ends."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "vllm_messages_plugin.media.pdf_pages", str(int(images))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(MAX_SECONDS):
            output, _ = await child.communicate(data)
    except TimeoutError:
        raise UnreadableError(TOO_SLOW) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
    if child.returncode != 0:
        raise UnreadableError(TOO_HARD)
    return output


def _decoded(output: bytes) -> tuple[Page, ...]:
    found: dict[str, Any] = json.loads(output)
    if "unreadable" in found:
        raise UnreadableError(found["unreadable"])
    return tuple(
        Page(number, text, None if image is None else base64.b64decode(image))
        for number, (text, image) in enumerate(found["pages"], 1)
    )
