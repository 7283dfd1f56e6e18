"""Error types, statuses and bodies."""

import re
from typing import Any, get_args

import pytest
from anthropic.types import ErrorResponse

from vllm_messages_plugin.wire.errors import (
    KIND_OF_STATUS,
    NO_RETRY,
    STATUS,
    ErrorKind,
    MessagesError,
    error_body,
    invalid,
    kind_of_status,
    new_request_id,
)

KINDS: dict[ErrorKind, int] = {
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


@pytest.mark.parametrize(("kind", "status"), KINDS.items(), ids=KINDS.keys())
def test_every_kind_has_its_status(kind: ErrorKind, status: int) -> None:
    assert MessagesError(kind, "no").status == status
    assert kind_of_status(status) == kind


def test_the_table_is_complete() -> None:
    assert dict(STATUS) == KINDS
    assert set(get_args(ErrorKind)) == set(STATUS)
    assert set(KIND_OF_STATUS.values()) <= set(STATUS)
    assert set(STATUS) >= NO_RETRY


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (405, "invalid_request_error"),
        (408, "timeout_error"),
        (415, "invalid_request_error"),
        (418, "invalid_request_error"),
        (422, "invalid_request_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (599, "api_error"),
    ],
)
def test_a_status_without_a_kind_gets_one(status: int, kind: str) -> None:
    assert kind_of_status(status) == kind


def test_the_path_of_the_field_heads_the_message() -> None:
    error = invalid("Field required", "messages.0.content")
    assert str(error) == error.message == "messages.0.content: Field required"
    assert (error.kind, error.status, error.param) == ("invalid_request_error", 400, "messages.0.content")


def test_an_error_may_have_a_status_of_its_own() -> None:
    error = MessagesError("invalid_request_error", "no", status=405, retry_after=3)
    assert (error.status, error.retry_after) == (405, 3)


@pytest.mark.parametrize(
    ("error", "inner"),
    [
        (invalid("no"), {"type": "invalid_request_error", "message": "no"}),
        (invalid("no", "system"), {"type": "invalid_request_error", "message": "system: no"}),
        (
            MessagesError("api_error", "no", details={"error_code": "a"}, status=503, retry_after=3),
            {"type": "api_error", "message": "no", "details": {"error_code": "a"}},
        ),
    ],
    ids=["plain", "with-a-path", "with-details"],
)
def test_the_envelope_has_no_keys_beyond_the_protocols(error: MessagesError, inner: Any) -> None:
    body = error_body(error, "req_1")
    assert body == {"type": "error", "error": inner, "request_id": "req_1"}
    assert ErrorResponse.model_validate(body).request_id == "req_1"


def test_request_ids_are_fresh() -> None:
    ids = {new_request_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"req_[0-9a-f]{24}", found) for found in ids)
