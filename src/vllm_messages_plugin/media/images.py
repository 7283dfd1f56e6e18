"""Images as the engine can read them: base64 data whose media type is true."""

import base64
from typing import Final

from vllm_messages_plugin.wire.blocks import Base64Source
from vllm_messages_plugin.wire.errors import invalid

NOT_BASE64: Final = "Could not process image: its data is not base64"
TEXT_ONLY: Final = "Could not process image: the model served here reads text only"

_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


def checked_image(source: Base64Source, path: str) -> Base64Source:
    """The image with the media type that its data have; clients declare it wrongly.

    Args:
        source: The image as the request carries it.
        path: The JSON path of the data, for the error.

    Raises:
        MessagesError: 400, the data are not base64.
    """
    found = image_type(source.data, path) or source.media_type
    return source if found == source.media_type else source.model_copy(update={"media_type": found})


def image_type(data: str, path: str) -> str | None:
    """The media type of base64 `data` by its first bytes; None for a type that is not known.

    Raises:
        MessagesError: 400 about `path`, the data are not base64.
    """
    try:
        head = base64.b64decode(data[:24], validate=True)
    except ValueError:
        raise invalid(NOT_BASE64, path) from None
    if head.startswith(b"RIFF"):
        return "image/webp" if head[8:12] == b"WEBP" else None
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
