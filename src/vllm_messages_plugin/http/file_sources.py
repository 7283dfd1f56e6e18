"""Puts the bytes of stored files into the image and document blocks that name them.

A file of an earlier turn that is gone stays as it is, and media reading puts a short text in its place: a
client sends its history whole with every request.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from vllm_messages_plugin.http.ports import AppContext
from vllm_messages_plugin.http.storage import Files
from vllm_messages_plugin.media.encodings import encode_base64
from vllm_messages_plugin.media.visitor import MediaBlock, media_blocks, replace_media
from vllm_messages_plugin.wire.blocks import Base64Source, Block, FileSource, ImageBlockParam
from vllm_messages_plugin.wire.errors import MessagesError, invalid
from vllm_messages_plugin.wire.request import RequestT

MiB: Final = 1 << 20
TOTAL_FACTOR: Final = 4
"""All files of a request together may have this multiple of the limit on one."""
TEXT_TYPES: Final = frozenset(
    {"application/json", "application/xml", "application/yaml", "application/x-ndjson", "application/toml"}
)


async def with_file_sources(request: RequestT, context: AppContext, owner: str, large: bool) -> RequestT:
    """Return the request with its file sources as base64 sources; the same request if it has none.

    Args:
        request: The request as it was parsed.
        context: The app's context.
        owner: Whose files the request may name.
        large: Whether walking over its blocks would block the event loop.

    Raises:
        MessagesError: A file of the newest user turn can't be read.
    """
    found = (
        await asyncio.to_thread(media_blocks, request.messages) if large else media_blocks(request.messages)
    )
    named = [media for media in found if _is_read(media, context)]
    if not named or context.storage is None:
        return request
    sources: dict[str, Base64Source | None] = {}
    left = TOTAL_FACTOR * context.settings.max_body_mb * MiB
    for media in sorted(named, key=lambda media: not media.newest):  # whose missing files are refused
        id_ = _file_id(media)
        if id_ not in sources:
            source = await _source(media, context.storage.files, owner, min(left, left // TOTAL_FACTOR))
            left -= 0 if source is None else len(source.data)
            sources[id_] = source
    messages = await asyncio.to_thread(replace_media, request.messages, lambda media: _block(media, sources))
    return request.model_copy(update={"messages": messages})


def _is_read(media: MediaBlock, context: AppContext) -> bool:
    """True if a block names a file, and the model can be shown what is in it."""
    is_shown = context.backend.traits.images or not isinstance(media.block, ImageBlockParam)
    return is_shown and isinstance(media.block.source, FileSource)


async def _source(media: MediaBlock, files: Files, owner: str, limit: int) -> Base64Source | None:
    """The file of a block; None for one of an earlier turn that can't be read."""
    path = f"{media.path}.{media.block.type}.source.file_id"
    try:
        file = await files.get(owner, _file_id(media))
        if file.size > limit:
            raise invalid("The file is too large to be read in a message", path)
        data = await files.data(file)
    except MessagesError as error:
        if not media.newest and error.status < 500:
            return None
        if error.kind == "not_found_error":
            raise MessagesError(error.kind, error.message, param=path, details=error.details) from None
        raise
    kind = "text/plain" if file.mime_type in TEXT_TYPES else file.mime_type
    encoded = await asyncio.to_thread(encode_base64, data)
    return Base64Source(type="base64", media_type=kind, data=encoded)


def _file_id(media: MediaBlock) -> str:
    assert isinstance(media.block.source, FileSource), "only blocks with file sources come here"
    return media.block.source.file_id


def _block(media: MediaBlock, sources: Mapping[str, Base64Source | None]) -> Block:
    source = media.block.source
    read = sources.get(source.file_id) if isinstance(source, FileSource) else None
    return media.block if read is None else media.block.model_copy(update={"source": read})
