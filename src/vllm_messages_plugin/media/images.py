"""Images as the engine can read them: complete base64 data in a known format, of a true media type.

Every image is decoded once before the engine sees it. The engine's own errors name no block, and an image of
a few kilobytes can decode to gigabytes. Images checked lately are remembered by their digest, because a
conversation brings its images again with every turn.
"""

import hashlib
import io
import threading
from collections import OrderedDict
from typing import Final

from PIL import Image

from vllm_messages_plugin.media.allowance import ExceededError, MediaAllowance
from vllm_messages_plugin.media.encodings import decode_base64, encode_base64
from vllm_messages_plugin.wire.blocks import Base64Source
from vllm_messages_plugin.wire.errors import MessagesError, invalid

MAX_SIDE: Final = 8_000
"""Pixels of an image's longest side; the limit of Anthropic's API."""
REMEMBERED_IMAGES: Final = 4_096

TEXT_ONLY: Final = "Could not process image: the model served here reads text only"
NOT_BASE64: Final = "Could not process image: its data is not base64"
BROKEN: Final = "Could not process image: its data is broken, or no PNG, JPEG, GIF or WebP"
TOO_LARGE: Final = f"Could not process image: a side is longer than {MAX_SIDE} pixels"

_FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP")
_MEDIA_TYPES: Final = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # a JPEG with a second picture, as phones take them
    "GIF": "image/gif",
    "WEBP": "image/webp",
}


class ImageChecker:
    """Checks images. Its methods take as long as decoding does: call them in a thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self._lock = threading.Lock()

    def checked(self, source: Base64Source, path: str, allowance: MediaAllowance) -> Base64Source:
        """An image with its true media type; clients often declare it wrongly.

        Args:
            source: The image as the request carries it.
            path: The JSON path of its data, for the error.
            allowance: What the request may still cost.

        Raises:
            MessagesError: 400, the image can't be decoded or is too large.
        """
        try:
            data = decode_base64(source.data)
        except ValueError:
            raise invalid(NOT_BASE64, path) from None
        media_type = self._media_type(data, path, allowance)
        if media_type == source.media_type:
            return source
        return source.model_copy(update={"media_type": media_type})

    def encoded(self, data: bytes, path: str, allowance: MediaAllowance) -> Base64Source:
        """An image that a URL gave, as a base64 source.

        Raises:
            MessagesError: 400, the image can't be decoded or is too large.
        """
        media_type = self._media_type(data, path, allowance)
        return Base64Source(type="base64", media_type=media_type, data=encode_base64(data))

    def _media_type(self, data: bytes, path: str, allowance: MediaAllowance) -> str:
        digest = hashlib.sha256(data).digest()
        with self._lock:
            known = self._known.get(digest)
        if known is None:
            known = _decoded_type(data, path, allowance)
        with self._lock:
            self._known[digest] = known
            self._known.move_to_end(digest)
            if len(self._known) > REMEMBERED_IMAGES:
                self._known.popitem(last=False)
        return known


def _decoded_type(data: bytes, path: str, allowance: MediaAllowance) -> str:
    """The media type of an image that could be decoded whole."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_size(image.size, path, allowance)
            image.load()
            return _MEDIA_TYPES[image.format or ""]
    except MessagesError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(path) from None
    except Exception:  # noqa: BLE001 - a decoder may raise anything for broken data
        raise invalid(BROKEN, path) from None


def _check_size(size: tuple[int, int], path: str, allowance: MediaAllowance) -> None:
    if max(size) > MAX_SIDE:
        raise _too_large(path)
    try:
        allowance.take_pixels(size[0] * size[1])
    except ExceededError as reason:
        raise invalid(f"Could not process image: {reason}", path) from None


def _too_large(path: str) -> MessagesError:
    details = {
        "error_code": "image_dimensions_too_large",
        "max_side_length_pixels": MAX_SIDE,
        "paths": [path],
    }
    return MessagesError("invalid_request_error", TOO_LARGE, param=path, details=details)
