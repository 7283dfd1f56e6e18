"""Errors of the Messages API: types, HTTP statuses and the error body, as in `anthropic.types.shared`."""

import secrets
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import ValidationError

ErrorKind = Literal[
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "timeout_error",
    "api_error",
    "not_supported",
    "overloaded_error",
]

STATUS: Final[Mapping[ErrorKind, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "not_supported": 501,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""HTTP status of each error type."""

KIND_OF_STATUS: Final[Mapping[int, ErrorKind]] = {
    **{status: kind for kind, status in STATUS.items()},
    405: "invalid_request_error",
    408: "timeout_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    503: "overloaded_error",
}
"""Error type for a response of vLLM or Starlette, by its HTTP status."""

NO_RETRY: Final[frozenset[ErrorKind]] = frozenset({"authentication_error", "not_supported"})
"""Error types that a retry can't cure. Their responses carry `x-should-retry: false`."""


MAX_MESSAGE: Final = 8_000
"""Characters of an error's message."""


class MessagesError(Exception):
    """An error that is reported to the client.

    Args:
        kind: The error's `type` on the wire.
        message: The text for the client, without the field's path.
        param: Path of the invalid field (`messages.0.content`); the message begins with it.
        details: The error's optional `details` object, such as `{"error_code": ...}`.
        status: HTTP status, if it is not the usual one of `kind`.
        retry_after: Seconds after which a retry makes sense, sent as `retry-after`.
        headers: Further response headers.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        param: str | None = None,
        details: Mapping[str, Any] | None = None,
        status: int | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.kind: ErrorKind = kind
        self.message = _shortened(f"{param}: {message}" if param else message)
        self.param = param
        self.details = details
        self.status = status or STATUS[kind]
        self.retry_after = retry_after
        self.headers = headers or {}
        self.logged = False  # whether the error is in the log already
        super().__init__(self.message)


def _shortened(message: str) -> str:
    """A message that repeats some long value of the client's, without its end."""
    return message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + "…"


def internal_error(cause: BaseException, message: str = "Internal server error") -> MessagesError:
    """Return the `api_error` for an unexpected exception, which stays its `__cause__` for the log."""
    error = MessagesError("api_error", message)
    error.__cause__ = cause
    return error


def invalid(message: str, param: str | None = None) -> MessagesError:
    """Make an `invalid_request_error` (400) about the field `param`."""
    return MessagesError("invalid_request_error", message, param=param)


def kind_of_status(status: int) -> ErrorKind:
    """The error type for an HTTP status that came without one."""
    return KIND_OF_STATUS.get(status, "invalid_request_error" if status < 500 else "api_error")


def error_body(error: MessagesError, request_id: str) -> dict[str, Any]:
    """The response body: `{"type": "error", "error": {...}, "request_id": ...}`."""
    inner: dict[str, Any] = {"type": error.kind, "message": error.message}
    if error.details is not None:
        inner["details"] = dict(error.details)
    return {"type": "error", "error": inner, "request_id": request_id}


def new_request_id() -> str:
    """Make a random `req_...` id for the `request-id` header."""
    return "req_" + secrets.token_hex(12)


# Tags of unions; pydantic puts them into the path although the JSON has no such step.
_NOT_IN_PATH: Final = frozenset({"<text>", "<blocks>", "<custom>", "<other>"})


# What pydantic says of a value of the wrong type names types of Python.
_IN_JSON: Final[Mapping[str, str]] = {
    "dict_type": "Input should be an object",
    "model_type": "Input should be an object",
    "model_attributes_type": "Input should be an object",
    "list_type": "Input should be a valid array",
}


def _first_error(error: ValidationError) -> Any:
    return error.errors(include_url=False, include_context=False, include_input=False)[0]


def from_validation(error: ValidationError) -> MessagesError:
    """Turn the first validation error into a 400 whose message begins with the field's path."""
    first = _first_error(error)
    if not first["loc"]:
        return invalid("The request body must be a JSON object")
    path = ".".join(str(part) for part in first["loc"] if part not in _NOT_IN_PATH)
    if (
        first["type"] == "value_error"
    ):  # raised by a model in this package; its message begins with the field's name
        return invalid(f"{path}.{first['msg'].removeprefix('Value error, ')}")
    return invalid(_IN_JSON.get(first["type"], first["msg"]), path)
