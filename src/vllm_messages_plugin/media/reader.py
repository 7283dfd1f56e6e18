"""Reads the images and documents of a request, so that translation gets them as plain values.

URLs are fetched, PDFs become text and page images, and images are checked. What can't be read is refused in
the newest user turn, in words that agents act upon. In an earlier turn it becomes a short text instead: a
client sends its history whole with every request, so a refusal there would end the session for good.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from vllm_messages_plugin.media.allowance import MediaAllowance
from vllm_messages_plugin.media.documents import decoded, pdf_source, text_source
from vllm_messages_plugin.media.encodings import decode_base64, decode_percent
from vllm_messages_plugin.media.fetch import FetchedUrl, RequiredUrlError, fetch_all
from vllm_messages_plugin.media.guard import FetchError, FetchRules, Resolve, system_addresses
from vllm_messages_plugin.media.images import TEXT_ONLY, ImageChecker
from vllm_messages_plugin.media.pdf import PdfReader, is_pdf
from vllm_messages_plugin.media.pdf_pages import UnreadableError
from vllm_messages_plugin.media.visitor import MediaBlock, media_blocks, replace_media
from vllm_messages_plugin.wire.blocks import (
    MAX_MEDIA_TYPE,
    Block,
    ContentSource,
    DocumentBlockParam,
    FileSource,
    ImageBlockParam,
    PlainTextSource,
    TextBlockParam,
    UrlSource,
)
from vllm_messages_plugin.wire.errors import MessagesError, invalid
from vllm_messages_plugin.wire.request import RequestT

MAX_URLS: Final = 100
PDF: Final = "application/pdf"
BLOCKS_AT_ONCE: Final = 256
"""Blocks after which other requests get their turn."""
LARGE: Final = 32 * 1024
"""Characters of base64 from which on data are decoded in a thread."""

NO_FILES: Final = "The Files API is not available on this server"
UNREADABLE_IMAGE: Final = "[An image, which could not be read]"
UNREADABLE_DOCUMENT: Final = "[A document{}, which could not be read]"

Result = TypeVar("Result")
Fetched = Mapping[str, FetchedUrl | FetchError]


@dataclass(frozen=True, slots=True)
class _Work:
    """What the blocks of one request share: what its URLs gave, whether the model sees images, the limits."""

    fetched: Fetched
    images: bool
    allowance: MediaAllowance


@dataclass(frozen=True, slots=True)
class MediaReader:
    """Reads the media of requests under one server's rules."""

    rules: FetchRules = field(default_factory=FetchRules)
    resolve: Resolve = system_addresses
    executor: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(4, thread_name_prefix="messages-media")
    )
    images: ImageChecker = field(default_factory=ImageChecker)
    pdfs: PdfReader = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pdfs", PdfReader(self.executor))

    async def read(self, request: RequestT, *, images: bool, large: bool = False) -> RequestT:
        """The request with its media read; the very same request if nothing had to change.

        Every image of its user turns is a base64 source whose media type is true, and every document a text
        or a list of blocks. Where the model sees no images, those of earlier turns are left as they are.

        Args:
            request: The request as it was parsed.
            images: Whether the model sees images.
            large: Whether the request has so many blocks that walking over them would block the event loop.

        Raises:
            MessagesError: 400 about a block of the newest user turn, which can't be read or shown.
        """
        walk = asyncio.to_thread if large else _call
        found = await walk(media_blocks, request.messages)
        if not found:
            return request
        fetched = await self._fetch([media for media in found if images or not _is_image(media)])
        work = _Work(fetched, images, MediaAllowance())
        blocks: dict[str, Block] = {}
        for count, media in enumerate(sorted(found, key=lambda media: not media.newest)):
            if count % BLOCKS_AT_ONCE == 0:
                await asyncio.sleep(0)  # most blocks take no time, and then nothing else lets others run
            blocks[media.path] = await self._readable(media, work)
        if all(blocks[media.path] is media.block for media in found):
            return request
        messages = await walk(replace_media, request.messages, lambda media: blocks[media.path])
        return request.model_copy(update={"messages": messages})

    async def _readable(self, media: MediaBlock, work: _Work) -> Block:
        """A block that was read, or a text in its place."""
        try:
            if isinstance(media.block, ImageBlockParam):
                return await self._image(media.block, media, work)
            return await self._document(media.block, media.path, work)
        except MessagesError as error:
            if media.newest or error.kind != "invalid_request_error":
                raise
            return _stand_in(media.block)

    async def _image(self, block: ImageBlockParam, media: MediaBlock, work: _Work) -> Block:
        if not work.images:
            if media.newest and not media.nested:
                raise invalid(TEXT_ONLY, media.path)
            return block
        source = block.source
        path = f"{media.path}.image.source"
        if isinstance(source, FileSource):
            raise invalid(NO_FILES, f"{path}.file_id")
        if isinstance(source, UrlSource):
            content = await self._content_of(source.url, "image", work.fetched, f"{path}.url")
            source = await self._in_thread(self.images.encoded, content.data, f"{path}.url", work.allowance)
        else:
            source = await self._in_thread(self.images.checked, source, f"{path}.base64.data", work.allowance)
        return block if source is block.source else block.model_copy(update={"source": source})

    async def _document(self, block: DocumentBlockParam, path: str, work: _Work) -> Block:
        source = block.source
        if isinstance(source, PlainTextSource | ContentSource):
            return block
        if isinstance(source, FileSource):
            raise invalid(NO_FILES, f"{path}.document.source.file_id")
        if isinstance(source, UrlSource):
            path = f"{path}.document.source.url"
            data, kind, _ = await self._content_of(source.url, "PDF", work.fetched, path)
            kind = PDF if is_pdf(data) else kind  # servers declare the type of a PDF wrongly
            if kind != PDF and not kind.lower().startswith("text/"):
                raise invalid("Could not process PDF: the URL gives neither a PDF nor text", path)
        else:
            path = f"{path}.document.source.base64.data"
            data, kind = await self._run(len(source.data), decoded, source.data, path), source.media_type
        if kind.lower().startswith("text/"):
            text = await self._run(len(data), text_source, data, kind, path)
            return block.model_copy(update={"source": text})
        pages = await self._pdf(data, path, work)
        return block.model_copy(update={"source": pages})

    async def _pdf(self, data: bytes, path: str, work: _Work) -> PlainTextSource | ContentSource:
        try:
            pages = await self.pdfs.pages(data, work.images, work.allowance)
        except UnreadableError as reason:
            raise invalid(f"Could not process PDF: {reason}", path) from None
        return await self._in_thread(pdf_source, pages)

    async def _content_of(
        self, url: str, kind: Literal["image", "PDF"], fetched: Fetched, path: str
    ) -> FetchedUrl:
        """What a URL gives: fetched, or written in the URL itself."""
        if _is_data(url):
            return await self._run(len(url), _data_content, url, kind, path)
        found = fetched.get(url)
        if isinstance(found, FetchedUrl):
            return found
        raise invalid(
            f"Could not process {kind}: the URL can't be fetched ({found or 'too many URLs'})", path
        )

    async def _in_thread(self, work: Callable[..., Result], *values: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self.executor, work, *values)

    async def _run(self, size: int, work: Callable[..., Result], *values: Any) -> Result:
        """Do work in a thread, if it is large."""
        if size <= LARGE:
            return work(*values)
        return await self._in_thread(work, *values)

    async def _fetch(self, found: Sequence[MediaBlock]) -> Fetched:
        """What the URLs of these blocks give. More of them than are allowed are left out of earlier turns."""
        urls = [(url, media) for media in found if (url := _url(media)) is not None]
        newest = {url: media for url, media in reversed(urls) if media.newest}
        earlier = dict.fromkeys(url for url, _ in urls if url not in newest)
        required = list(reversed(newest))
        if len(required) > MAX_URLS:
            path = _url_path(newest[required[MAX_URLS]])
            raise invalid(f"A maximum of {MAX_URLS} different URLs may be provided.", path)
        if not urls:
            return {}
        allowed = [*required, *earlier][:MAX_URLS]
        try:
            return await fetch_all(allowed, newest.keys(), self.rules, self.resolve)
        except RequiredUrlError as error:
            media = newest[error.url]
            kind = "image" if _is_image(media) else "PDF"
            raise invalid(
                f"Could not process {kind}: the URL can't be fetched ({error.reason})", _url_path(media)
            ) from None


async def _call(function: Callable[..., Result], *arguments: Any) -> Result:
    return function(*arguments)


def _is_image(media: MediaBlock) -> bool:
    return isinstance(media.block, ImageBlockParam)


def _url(media: MediaBlock) -> str | None:
    """The URL of a block that has to be fetched."""
    source = media.block.source
    return source.url if isinstance(source, UrlSource) and not _is_data(source.url) else None


def _is_data(url: str) -> bool:
    return url[:5].lower() == "data:"


def _url_path(media: MediaBlock) -> str:
    return f"{media.path}.{media.block.type}.source.url"


def _data_content(url: str, kind: str, path: str) -> FetchedUrl:
    """The content of a `data:` URL (RFC 2397), base64 or percent-encoded."""
    head, comma, body = url[len("data:") :].partition(",")
    media_type, _, encoding = head.rpartition(";")
    try:
        if len(head) > MAX_MEDIA_TYPE:
            raise ValueError("the media type is too long")
        if encoding.strip().lower() != "base64":
            data = decode_percent(body)
        else:
            data, head = decode_base64(decode_percent(body).decode("ascii")), media_type
    except ValueError:
        comma = ""
    if not comma:
        raise invalid(f"Could not process {kind}: it is not a valid data URL", path)
    return FetchedUrl(data, head or "text/plain")


def _stand_in(block: ImageBlockParam | DocumentBlockParam) -> TextBlockParam:
    """A text in the place of a block of an earlier turn; a cache breakpoint stays where it was."""
    text = UNREADABLE_IMAGE
    if isinstance(block, DocumentBlockParam):
        text = UNREADABLE_DOCUMENT.format(f" {block.title}" if block.title else "")
    return TextBlockParam(type="text", text=text, cache_control=block.cache_control)
