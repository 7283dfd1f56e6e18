"""Image files in base64, made by Pillow."""

import base64
import io
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
