"""Refuses requests of an overloaded server before anything of HTTP is parsed.

A request that the error middleware refuses has cost the server's HTTP parser, a task and a dozen objects
before. When a thousand arrive at once, most of the time until the last refusal goes there. So `arrivals` asks
here first, with the first bytes of a connection. The reply, its headers, what is counted and what is logged
are those of the error middleware; only the connection is closed after it, so that it does not matter how the
bytes would have been parsed.

Only a request whose form leaves no doubt is refused here: all of it has arrived, its length is given, no
other origin waits for the headers of CORS. Everything else takes the usual way.
"""

import logging
import re
from typing import Any, Final

from vllm_messages_plugin.access.accounting import Accounting
from vllm_messages_plugin.http.admission import Admission
from vllm_messages_plugin.http.errors import error_headers
from vllm_messages_plugin.http.records import begin_record
from vllm_messages_plugin.wire.errors import error_body
from vllm_messages_plugin.wire.sse import dump

access_log = logging.getLogger("uvicorn.access")

_REQUEST_LINE: Final = re.compile(rb"POST ((/v1/messages(?:/count_tokens)?)(?:\?[!-~]*)?) HTTP/1\.1\r\n")
_FIELDS: Final = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r\n)+(?=\r\n)")
_END: Final = len(b"\r\n")
_NEEDS_THE_APP: Final = frozenset({b"origin", b"transfer-encoding", b"expect", b"upgrade"})


class EarlyRefusal:
    """Refuses what `Admission` does not admit, from the bytes of a request."""

    def __init__(self, admission: Admission, accounting: Accounting) -> None:
        """Create it.

        Args:
            admission: Decides which requests are admitted.
            accounting: Counts and logs the refused ones.
        """
        self._admission = admission
        self._accounting = accounting

    def __call__(self, data: bytes, address: str) -> bytes | None:
        """Return the reply to a request that is refused; None for all others.

        Args:
            data: What arrived first on a connection.
            address: The client's address, for the access log.
        """
        line = _REQUEST_LINE.match(data)
        if line is None:
            return None
        path = line[2].decode()
        refusal = self._admission.refusal(path)
        if refusal is None or (headers := _headers_of_whole_request(data, line.end())) is None:
            return None
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "headers": headers}
        record = begin_record(scope, path)
        record.refusal = self._admission.cause
        record.status, record.error = refusal.status, refusal.kind
        self._accounting.write(record)
        access_log.info('%s - "%s %s HTTP/%s" %d', address, "POST", line[1].decode(), "1.1", refusal.status)
        body = dump(error_body(refusal, record.request_id))
        fields = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            **error_headers(refusal, record.request_id),
            "connection": "close",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {refusal.status} \r\n{head}\r\n".encode() + body


def _headers_of_whole_request(data: bytes, start: int) -> list[tuple[bytes, bytes]] | None:
    """The header fields of a request that is complete and needs nothing of the app; else None."""
    block = _FIELDS.match(data, start)
    if block is None:
        return None
    pairs = (line.partition(b":") for line in block[0].splitlines())
    headers = [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]
    if not _NEEDS_THE_APP.isdisjoint(name for name, _ in headers):
        return None
    lengths = [value for name, value in headers if name == b"content-length"]
    if len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > 9:
        return None
    return headers if len(data) == block.end() + _END + int(lengths[0]) else None
