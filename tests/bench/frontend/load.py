"""Many streams at once over plain sockets, read without looking into them."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

READ_BYTES = 1 << 16
TAIL_BYTES = 1 << 12
LAST_CHUNK = b"\r\n0\r\n\r\n"
TIMEOUT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Reply:
    """The status of a reply, the end of its body and its size.

    Attributes:
        first_byte: Seconds from the request to the first byte of the reply.
        first_data: When the first bytes of the body came, on the clock `time.perf_counter`.
    """

    status: int
    tail: bytes
    size: int
    first_byte: float
    first_data: float


async def _send(port: int, path: str, body: bytes, headers: Sequence[str]) -> Reply:
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        lines = [
            f"POST {path} HTTP/1.1",
            "host: bench",
            "connection: close",
            "content-type: application/json",
        ]
        lines += [f"content-length: {len(body)}", *headers]
        writer.write("\r\n".join((*lines, "", "")).encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        first_byte = time.perf_counter() - begun
        tail, size, first_data = b"", 0, 0.0
        while data := await reader.read(READ_BYTES):
            first_data = first_data or time.perf_counter()
            size += len(data)
            tail = (tail + data)[-TAIL_BYTES:]
            if tail.endswith(LAST_CHUNK):  # not every server closes the connection, though it is asked to
                break
    finally:
        writer.close()
    return Reply(int(head.split(b" ", 2)[1]), tail, size, first_byte, first_data)


async def send_all(port: int, path: str, bodies: Sequence[bytes]) -> list[Reply]:
    """Send requests at the same time and wait for their replies."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        return await asyncio.gather(*(_send(port, path, body, ()) for body in bodies))


def post(port: int, path: str, bodies: Sequence[bytes]) -> list[Reply]:
    """Send requests at the same time and wait for their replies.

    Raises:
        RuntimeError: a reply's status is not 200.
    """
    replies = asyncio.run(send_all(port, path, bodies))
    for reply in replies:
        if reply.status != 200:
            raise RuntimeError(f"{path} answered {reply.status}: {reply.tail.decode(errors='replace')}")
    return replies
