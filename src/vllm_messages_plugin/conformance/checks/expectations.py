"""What every check needs: a question to ask, and what an answer must be. The check modules call it."""

from collections.abc import Mapping
from typing import Any

from vllm_messages_plugin.conformance.client import Client, Response
from vllm_messages_plugin.conformance.outcome import CannotTellError, expect
from vllm_messages_plugin.conformance.stream_rules import accumulate, first_violation

# Sampling at temperature 0 is not bit-exact on every machine: one disagreement proves nothing.
ATTEMPTS = 3
COUNTING_PROMPT = "Count from one to twenty in words, with commas between them."


def single_turn(text: str, limit: int, **fields: Any) -> dict[str, Any]:
    """A request with one question."""
    return {"max_tokens": limit, "messages": [{"role": "user", "content": text}], **fields}


def expect_ok(response: Response, what: str) -> dict[str, Any]:
    """The body of an answer that must be 200."""
    expect(response.status == 200, f"{what}: HTTP {response.status}: {response.excerpt()}")
    return response.json()


def text_of(message: dict[str, Any]) -> str:
    """An answer's text, without its other blocks."""
    blocks = message.get("content") or []
    return "".join(block.get("text", "") for block in blocks if block.get("type") == "text")


def calls_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """An answer's tool_use blocks."""
    return [block for block in message.get("content") or [] if block.get("type") == "tool_use"]


def input_total(usage: dict[str, Any]) -> int:
    """All input tokens: the protocol counts cached ones apart."""
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(usage.get(name) or 0 for name in names)


def expect_request_id(response: Response) -> None:
    """Every answer names itself in the request-id header."""
    request_id = response.headers.get("request-id", "")
    expect(request_id.startswith("req_"), f"no request-id header with req_..., but {request_id!r}")


def stream_message(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    """The message that a stream tells, once its grammar is proven."""
    response = client.stream(body)
    expect(response.status == 200, f"the stream: HTTP {response.status}: {response.excerpt()}")
    content_type = response.headers.get("content-type", "")
    expect(content_type.startswith("text/event-stream"), f"the content-type is {content_type!r}")
    broken = first_violation(response.events())
    expect(broken is None, str(broken))
    return accumulate(response.events())


def require_finished(body: dict[str, Any], message: dict[str, Any], kind: str) -> dict[str, Any]:
    """An answer that came to its end; a grammar allows blanks, and a poor model writes them without end."""
    limit = body["max_tokens"]
    written = (message.get("usage") or {}).get("output_tokens") or 0
    if message.get("stop_reason") == "max_tokens" and written >= limit:
        raise CannotTellError(f"{kind}: the model wrote {written} tokens and came to no end")
    return message


def expect_accepted(client: Client, body: dict[str, Any], what: str) -> None:
    """A request is answered with a stream that begins as it should."""
    response = client.open(body)
    expect(response.status == 200, f"{what}: HTTP {response.status}: {response.excerpt()}")
    kinds = [event.kind for event in response.events() if event.kind != "ping"]
    expect(kinds[:1] == ["message_start"], f"{what}: the stream starts with {kinds[:1] or 'nothing'}")
    expect("error" not in kinds, f"{what}: the stream carries an error")


def expect_error(response: Response, status: int, error_type: str, what: str) -> str:
    """An error in Anthropic's envelope; its message."""
    expect(response.status == status, f"{what}: HTTP {response.status}, not {status}: {response.excerpt()}")
    body = response.json()
    expect(body.get("type") == "error", f"{what}: no envelope with `type: error`: {response.excerpt()}")
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
