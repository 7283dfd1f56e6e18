"""What most checks need: a request to send, and what a response must be."""

from collections.abc import Mapping
from typing import Any

from vllm_messages_plugin.conformance.client import Client, Response
from vllm_messages_plugin.conformance.outcome import CannotTellError, expect
from vllm_messages_plugin.conformance.stream_rules import accumulate, first_violation
from vllm_messages_plugin.conformance.structure import ERROR, MESSAGE, expect_fit

# Sampling at temperature 0 is not bit-exact on every machine: one disagreement proves nothing.
ATTEMPTS = 3
COUNTING_PROMPT = "Count from one to twenty in words, with commas between them."


def single_turn(text: str, limit: int, **fields: Any) -> dict[str, Any]:
    """Return a request body with one user turn."""
    return {"max_tokens": limit, "messages": [{"role": "user", "content": text}], **fields}


def expect_ok(response: Response, what: str) -> dict[str, Any]:
    """Return the body of a response that must be a 200."""
    expect(response.status == 200, f"{what}: HTTP {response.status}: {response.excerpt()}")
    body = response.json()
    expect_fit(body, MESSAGE, what)
    return body


def text_of(message: dict[str, Any]) -> str:
    """Return the text of a message, without its other blocks."""
    blocks = message.get("content") or []
    return "".join(block.get("text") or "" for block in blocks if block.get("type") == "text")


def calls_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tool_use blocks of a message."""
    return [block for block in message.get("content") or [] if block.get("type") == "tool_use"]


def input_total(usage: dict[str, Any]) -> int:
    """Return all input tokens of a usage object, which counts cached ones separately."""
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(usage.get(name) or 0 for name in names)


def expect_request_id(response: Response) -> None:
    """Require a request-id header."""
    request_id = response.headers.get("request-id", "")
    expect(request_id.startswith("req_"), f"no request-id header with req_..., but {request_id!r}")


def stream_message(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    """Stream a reply, require that the stream is valid, and return its message."""
    response = client.stream(body)
    expect(response.status == 200, f"the stream: HTTP {response.status}: {response.excerpt()}")
    content_type = response.headers.get("content-type", "")
    expect(content_type.startswith("text/event-stream"), f"the content-type is {content_type!r}")
    broken = first_violation(response.events())
    expect(broken is None, str(broken))
    return accumulate(response.events())


def require_finished(body: dict[str, Any], message: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a message that reached its end; without one the check has no verdict.

    A grammar allows white space, and a weak model may write it until max_tokens.
    """
    limit = body["max_tokens"]
    written = (message.get("usage") or {}).get("output_tokens") or 0
    if message.get("stop_reason") == "max_tokens" and written >= limit:
        raise CannotTellError(f"{kind}: the model wrote {written} tokens without reaching an end")
    return message


def expect_accepted(client: Client, body: dict[str, Any], what: str) -> None:
    """Require that a request is answered with a stream that starts as it should."""
    response = client.open(body)
    expect(response.status == 200, f"{what}: HTTP {response.status}: {response.excerpt()}")
    kinds = [event.kind for event in response.events() if event.kind != "ping"]
    expect(kinds[:1] == ["message_start"], f"{what}: the stream starts with {kinds[:1] or 'nothing'}")
    expect("error" not in kinds, f"{what}: the stream carries an error")


def expect_error(response: Response, status: int, error_type: str, what: str) -> str:
    """Require an error in Anthropic's format, and return its message."""
    expect(response.status == status, f"{what}: HTTP {response.status}, not {status}: {response.excerpt()}")
    body = response.json()
    expect(body.get("type") == "error", f"{what}: no error object with `type: error`: {response.excerpt()}")
    expect_fit(body, ERROR, what)
    error: Mapping[str, Any] = body.get("error") or {}
    expect(
        error.get("type") == error_type, f"{what}: the error type is {error.get('type')!r}, not {error_type}"
    )
    expect(isinstance(error.get("message"), str), f"{what}: the error has no message")
    expect_request_id(response)
    request_id = body.get("request_id")
    expect(
        request_id == response.headers["request-id"], f"{what}: request_id {request_id!r} is not the header's"
    )
    return str(error["message"])
