"""The record of each request, in its scope from the outermost middleware to the route."""

from typing import Final

from fastapi import Request
from starlette.types import Scope

from vllm_messages_plugin.access.keys import ANYBODY
from vllm_messages_plugin.access.request_record import RequestRecord
from vllm_messages_plugin.http.access_control import CALLER_KEY
from vllm_messages_plugin.wire.errors import new_request_id

RECORD_KEY: Final = "messages_record"
SESSION_HEADERS: Final = (b"x-claude-code-session-id", b"x-session-id")
TRACE_HEADERS: Final = (b"traceparent", b"tracestate")
"""W3C's headers, by which a client names the span that a request belongs to."""
SESSION_LENGTH: Final = 128
"""The longest session id that is used, in characters; others are ignored."""

ROUTES: Final = frozenset({"/v1/messages", "/v1/messages/count_tokens", "/v1/models"})
OTHER_ROUTE: Final = "other"
"""How metrics call every further path: paths are the client's choice, and labels must not be."""

UNLIMITED_PATHS: Final = (
    "/v1/messages/count_tokens",
    "/v1/messages/batches",
    "/v1/files",
    "/tokenize",
    "/detokenize",
)


def begin_record(scope: Scope, path: str) -> RequestRecord:
    """Begin the record of a request and store it in the scope."""
    state = scope.setdefault("state", {})
    route = path if path in ROUTES else OTHER_ROUTE
    record = RequestRecord(new_request_id(), route, state.get(CALLER_KEY, ANYBODY))
    record.session = session_of(scope)
    record.trace_headers = {
        name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in TRACE_HEADERS
    }
    state[RECORD_KEY] = record
    return record


def record_of(request: Request) -> RequestRecord:
    """Return the request's record; one that nobody reads if no middleware began it."""
    found: RequestRecord | None = getattr(request.state, RECORD_KEY, None)
    return found or RequestRecord("", OTHER_ROUTE)


def session_of(scope: Scope) -> str:
    """Return the session id that the client names, Claude Code's before others; "" without a usable one."""
    given = {name: value for name, value in reversed(scope["headers"]) if name in SESSION_HEADERS}
    values = (given.get(name, b"").decode("latin-1") for name in SESSION_HEADERS)
    return next((value for value in values if 0 < len(value) <= SESSION_LENGTH and value.isprintable()), "")


def is_limited(method: str, path: str) -> bool:
    """Whether a request counts for the limits of its key: what generates does, what only reads does not."""
    return method == "POST" and not path.startswith(UNLIMITED_PATHS)
