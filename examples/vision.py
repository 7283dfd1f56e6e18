"""Send the model an image.

    python vision.py photo.jpg "What is on this picture?"

The server must run a model that accepts images, such as `vllm serve Qwen/Qwen2.5-VL-3B-Instruct`.
Without an argument this sends a red square, which it draws itself.
"""

import base64
import mimetypes
import os
import struct
import sys
import zlib
from pathlib import Path

import anthropic

client = anthropic.Anthropic(
    base_url=os.environ.get("ANTHROPIC_BASE_URL", "http://localhost:8000"),
    api_key=os.environ.get("ANTHROPIC_API_KEY", "none"),
)
model = os.environ.get("MODEL") or next(iter(client.models.list())).id


def red_square(side: int = 64) -> bytes:
    """Draw a PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)  # 8 bits a colour, RGB
    pixels = zlib.compress((b"\0" + b"\xff\0\0" * side) * side)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


path = sys.argv[1] if len(sys.argv) > 1 else None
question = " ".join(sys.argv[2:]) or "Which colour is this picture?"
data = Path(path).read_bytes() if path else red_square()
kind = mimetypes.guess_type(path)[0] if path else "image/png"

picture = {
    "type": "image",
    "source": {"type": "base64", "media_type": kind, "data": base64.b64encode(data).decode()},
}
try:
    message = client.messages.create(
        model=model,
        max_tokens=300,
        messages=[{"role": "user", "content": [picture, {"type": "text", "text": question}]}],
    )
except anthropic.BadRequestError as refusal:  # most often a model that reads text only
    sys.exit(f"{model} did not take the picture: {refusal.body['error']['message']}")
print("".join(block.text for block in message.content if block.type == "text"))
