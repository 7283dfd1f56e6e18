"""PDFs as text with page headings, and as page images for models that see.

The pages are read in a child process, which has a time and a memory limit and is killed when the request that
asked for it is cancelled. What was found in a PDF is kept, be it pages or why it can't be read, because a
conversation brings its documents again with every turn.
"""

import asyncio
import contextlib
import hashlib
import json
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import IO, Final

from vllm_messages_plugin.media.allowance import ExceededError, MediaAllowance
from vllm_messages_plugin.media.encodings import decode_base64
from vllm_messages_plugin.media.pdf_pages import BROKEN, MAX_SECONDS, Page, UnreadableError
from vllm_messages_plugin.wire.errors import MessagesError

MAX_CHILDREN: Final = 4
MAX_WAIT_SECONDS: Final = 30.0
"""How long a PDF waits for its turn before its request is answered 529."""
RETRY_SECONDS: Final = 5
CACHED_BYTES: Final = 64 * 1024 * 1024
"""What is kept of documents read lately, all together."""

PAGE_HEADING: Final = "[page {}]"
PAGE_GAP: Final = "\n\n"
NO_TEXT: Final = "(this page has no text layer)"
TOO_SLOW: Final = f"reading it takes more than {MAX_SECONDS} seconds"
TOO_HARD: Final = "it is broken or needs too much memory to be read"

_MAGIC: Final = b"%PDF-"


def is_pdf(data: bytes) -> bool:
    """Whether PDFium would take the data for a PDF: its signature stands near the head."""
    return _MAGIC in data[:1024]


def pdf_text(pages: Sequence[Page]) -> str:
    """A document's text, each page under its heading."""
    return paged_text(pages)[0]


def paged_text(pages: Sequence[Page]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A document's text and its pages.

    Returns:
        The text, and where in it the text of each page begins and ends.
    """
    texts: list[str] = []
    spans: list[tuple[int, int]] = []
    length = 0
    for page in pages:
        heading, body = f"{PAGE_HEADING.format(page.number)}\n", page.text.strip()
        start = length + len(heading)
        spans.append((start, start + len(body)))
        texts.append(heading + (body or NO_TEXT))
        length += len(texts[-1]) + len(PAGE_GAP)
    return PAGE_GAP.join(texts), tuple(spans)


class PdfReader:
    """Reads PDFs in child processes, a few at once."""

    def __init__(self, executor: Executor) -> None:
        """`executor` runs what would hold up the event loop: hashing and decoding."""
        self._executor = executor
        self._talkers = ThreadPoolExecutor(thread_name_prefix="messages-pdf")
        self._children = asyncio.Semaphore(MAX_CHILDREN)
        self._cache = PageCache(CACHED_BYTES)

    async def pages(self, data: bytes, images: bool, allowance: MediaAllowance) -> tuple[Page, ...]:
        """The pages of a PDF.

        Args:
            data: The PDF.
            images: Whether to draw the pages too.
            allowance: What the request may still cost.

        Raises:
            UnreadableError: it can't be read, or not within the limits.
            MessagesError: 529, too many other PDFs are being read.
        """
        try:
            allowance.take_pdf()
            pages = await self._cached_pages(data, images, allowance)
            allowance.take_pages(len(pages))
        except ExceededError as reason:
            raise UnreadableError(str(reason)) from None
        return pages

    async def _cached_pages(self, data: bytes, images: bool, allowance: MediaAllowance) -> tuple[Page, ...]:
        loop = asyncio.get_running_loop()
        key = ((await loop.run_in_executor(self._executor, hashlib.sha256, data)).digest(), images)
        found = self._cache.get(key)
        if found is None:
            try:
                found = await self._read(data, images, allowance)
            except UnreadableError as reason:
                found = reason
            if allowance.pdf_seconds > 0:  # else another request may have more time for it
                self._cache.put(key, found)
        if isinstance(found, UnreadableError):
            raise UnreadableError(str(found))
        return found

    async def _read(self, data: bytes, images: bool, allowance: MediaAllowance) -> tuple[Page, ...]:
        if not is_pdf(data):
            raise UnreadableError(BROKEN)
        await self._wait_for_turn()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            lines = await self._child_lines(data, images, min(MAX_SECONDS, allowance.pdf_seconds))
        finally:
            self._children.release()
            allowance.pdf_seconds -= loop.time() - begun
        return await loop.run_in_executor(self._executor, _decoded, lines)

    async def _child_lines(self, data: bytes, images: bool, seconds: float) -> list[bytes]:
        """What the child process writes about a PDF; the child ends with this call, however that ends."""
        child = _Child()
        loop = asyncio.get_running_loop()
        reading = loop.run_in_executor(self._talkers, child.read, data, images, seconds)
        try:
            return await asyncio.shield(reading)
        finally:
            child.kill()
            await asyncio.gather(reading, return_exceptions=True)

    async def _wait_for_turn(self) -> None:
        try:
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                await self._children.acquire()
        except TimeoutError:
            message = "this server is reading too many PDFs at once; try again in a moment"
            raise MessagesError("overloaded_error", message, retry_after=RETRY_SECONDS) from None


Found = tuple[Page, ...] | UnreadableError
"""The pages of a PDF, or why it can't be read."""


class PageCache:
    """What was found in documents read lately, the least recently used dropped first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._pages: OrderedDict[tuple[bytes, bool], Found] = OrderedDict()

    def get(self, key: tuple[bytes, bool]) -> Found | None:
        """What was found under a key, which now counts as the last used."""
        if key in self._pages:
            self._pages.move_to_end(key)
        return self._pages.get(key)

    def put(self, key: tuple[bytes, bool], pages: Found) -> None:
        """Keep what was found, unless it alone is more than the cache holds."""
        if _size(pages) > self._max_bytes:
            return
        self._bytes += _size(pages) - _size(self._pages.pop(key, ()))
        self._pages[key] = pages
        while self._bytes > self._max_bytes:
            self._bytes -= _size(self._pages.popitem(last=False)[1])


def _size(pages: Found) -> int:
    if isinstance(pages, UnreadableError):
        return sys.getsizeof(str(pages))
    return sum(sys.getsizeof(page.text) + len(page.image or b"") for page in pages)


class _Child:
    """The process that reads one PDF.

    A thread starts it and talks to it: uvloop would fork on the event loop, which takes 20 ms in a process of
    gigabytes.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._is_late = False
        self._lock = threading.Lock()

    def read(self, data: bytes, images: bool, seconds: float) -> list[bytes]:
        """Run the process and return the lines that it writes about a PDF.

        Raises:
            UnreadableError: It took too long or failed.
        """
        with self._start(images) as process:
            timer = threading.Timer(seconds, self._expire)
            timer.start()
            try:
                assert process.stdin is not None, "it is a pipe"
                assert process.stdout is not None, "it is a pipe"
                _write(process.stdin, data)
                lines = process.stdout.readlines()
                process.wait()
            finally:
                timer.cancel()
                process.kill()
        if self._is_late:
            raise UnreadableError(TOO_SLOW)
        if process.returncode != 0:
            raise UnreadableError(TOO_HARD)
        return lines

    def _expire(self) -> None:
        self._is_late = True
        self.kill()

    def _start(self, images: bool) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._killed:
                raise UnreadableError(TOO_SLOW)
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with arguments of our own
                (sys.executable, "-P", "-m", "vllm_messages_plugin.media.pdf_pages", str(int(images))),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            return self._process

    def kill(self) -> None:
        """End the process, or keep it from being started. May be called in any thread."""
        with self._lock:
            self._killed = True
            if self._process is not None:
                self._process.kill()


def _write(stdin: IO[bytes], data: bytes) -> None:
    """Give the process its PDF; it reads all before it writes. One that was killed reads nothing."""
    with contextlib.suppress(BrokenPipeError):
        stdin.write(data)
    with contextlib.suppress(BrokenPipeError):
        stdin.close()


def _decoded(lines: list[bytes]) -> tuple[Page, ...]:
    """The pages that stand in the lines of the child process. Empties the list."""
    lines.reverse()
    pages: list[Page] = []
    while lines:
        found = json.loads(lines.pop())
        if isinstance(found, str):
            raise UnreadableError(found)
        text, image = found
        pages.append(Page(len(pages) + 1, text, None if image is None else decode_base64(image)))
    return tuple(pages)
