"""Reads a `multipart/form-data` body as it arrives, so that a file of any size never is in memory.

python-multipart's parser is fed each chunk of the body; its callbacks queue events, and `parts` yields them
before the next chunk is read. So the client is slowed down to the speed at which its bytes are stored.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fastapi import Request

from vllm_messages_plugin.http.body import arriving
from vllm_messages_plugin.wire.errors import MessagesError, invalid

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_HEADER_BYTES: Final = 16 * 1024
MAX_PARTS: Final = 100
NOT_MULTIPART: Final = "The request body must be multipart/form-data with a part named `file`"


@dataclass(frozen=True, slots=True)
class PartStart:
    """The head of a part: its name in the form, and a file's name and declared type."""

    name: str
    filename: str | None
    content_type: str | None


@dataclass(frozen=True, slots=True)
class PartData:
    """Some bytes of the part that began last."""

    data: bytes


PartEvent = PartStart | PartData


class _Events:
    """The callbacks of the parser; `waiting` holds what it found since the last look."""

    def __init__(self) -> None:
        self.waiting: list[PartEvent] = []
        self.ended = False
        self._headers: dict[bytes, bytes] = {}
        self._name = b""
        self._value = b""
        self._header_bytes = 0
        self._parts = 0

    def callbacks(self) -> "MultipartCallbacks":
        """Return the callbacks by the names that the parser gives them."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._start,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._headers, self._header_bytes = {}, 0
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise invalid(f"The form has more than {MAX_PARTS} parts")

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES:
            raise invalid("The headers of a part of the form are too long")

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _start(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        filename, kind = options.get(b"filename"), self._headers.get(b"content-type")
        self.waiting.append(
            PartStart(
                name=options.get(b"name", b"").decode("utf-8", "replace"),
                filename=None if filename is None else filename.decode("utf-8", "replace"),
                content_type=None if kind is None else kind.decode("latin-1"),
            )
        )

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.waiting.append(PartData(data[start:end]))

    def _end(self) -> None:
        self.ended = True


async def parts(request: Request, grace_seconds: float) -> AsyncIterator[PartEvent]:
    """Yield the parts of a form as they arrive.

    Args:
        request: The request, whose body has not been read.
        grace_seconds: How long the body may take at any rate; 0 for no limit on its time.

    Raises:
        MessagesError: 400, the body is no form or ends too early; 408, it arrives too slowly.
        ClientDisconnect: The client closed the connection before the body was complete.
    """
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    kind, options = parse_options_header(request.headers.get("content-type", "").encode("latin-1"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise invalid(NOT_MULTIPART)
    events = _Events()
    try:
        parser = MultipartParser(boundary, events.callbacks())
        async for chunk in arriving(request, grace_seconds):
            parser.write(chunk)
            found, events.waiting = events.waiting, []
            for event in found:
                yield event
    except FormParserError as error:
        raise _broken(str(error)) from None
    if not events.ended:
        raise _broken("it ends too early")


def _broken(reason: str) -> MessagesError:
    return invalid(f"The request body is not valid multipart/form-data: {reason}")
