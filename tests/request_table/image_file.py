"""Image files in base64, made by Pillow."""

import base64
import io
import struct
import zlib
from typing import Any

from PIL import Image


def image_bytes(kind: str, size: tuple[int, int] = (2, 2), mode: str = "RGB", **options: Any) -> bytes:
    """A plain image of a format that Pillow writes: PNG, JPEG, GIF, WEBP, BMP."""
    written = io.BytesIO()
    Image.new(mode, size).save(written, format=kind, **options)
    return written.getvalue()


def image_file(kind: str, size: tuple[int, int] = (2, 2)) -> str:
    """The same in base64."""
    return base64.b64encode(image_bytes(kind, size)).decode()


def bomb() -> str:
    """A PNG of 109 bytes that says it is 30000 pixels wide and high: 3.6 GB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 6, 0, 0, 0))
    whole = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    return base64.b64encode(whole).decode()
