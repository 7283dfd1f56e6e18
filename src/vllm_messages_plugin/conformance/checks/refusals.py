"""Checks of the requests that a server refuses, and of the errors it returns."""

from typing import Any

from vllm_messages_plugin.conformance.checks.expectations import expect_error, expect_ok, single_turn
from vllm_messages_plugin.conformance.client import MESSAGES, Client
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed, skipped

HELLO = single_turn("Say hello.", 1)
NO_SUCH_MODEL = "no-such-model"
WRONG_KEY = "a-key-that-is-wrong"


def errors(client: Client) -> Outcome:
    """A missing field, an unknown model, a wrong method and an unknown route return Anthropic's errors."""
    no_limit = client.message({"messages": HELLO["messages"]})
    message = expect_error(no_limit, 400, "invalid_request_error", "no max_tokens")
    expect(message.startswith("max_tokens"), f"no max_tokens: the message does not start with it: {message}")
    unknown = client.message({**HELLO, "model": NO_SUCH_MODEL})
    message = expect_error(unknown, 404, "not_found_error", "an unknown model")
    expect(message.startswith(f"model: {NO_SUCH_MODEL}"), f"an unknown model: the message is {message!r}")
    expect_error(client.send("GET", MESSAGES), 405, "invalid_request_error", "GET /v1/messages")
    nowhere = f"{MESSAGES}/no/such/route"
    expect_error(client.send("POST", nowhere, {}), 404, "not_found_error", f"POST {nowhere}")
    return passed("400, 404 (model), 405 and 404 (route), each with its request id")


BAD_BODIES: tuple[tuple[str, dict[str, Any] | str, str], ...] = (
    ("a body that is not JSON", '{"model": ', ""),
    ("no messages", {"max_tokens": 1}, "messages"),
    ("messages of a wrong type", {"max_tokens": 1, "messages": "Hi"}, "messages"),
    (
        "a role that is not there",
        {"max_tokens": 1, "messages": [{"role": "robot", "content": "Hi"}]},
        "messages.0",
    ),
    ("max_tokens of a wrong type", HELLO | {"max_tokens": "many"}, "max_tokens"),
    ("a negative max_tokens", HELLO | {"max_tokens": -1}, "max_tokens"),
)


def bad_bodies(client: Client) -> Outcome:
    """An invalid body is a 400 whose message starts with the field."""
    for what, body, field in BAD_BODIES:
        full = body if isinstance(body, str) else {"model": client.model, **body}
        message = expect_error(client.send("POST", MESSAGES, full), 400, "invalid_request_error", what)
        expect(message.startswith(field), f"{what}: the message does not start with {field}: {message[:120]}")
    return passed(", ".join(what for what, *_ in BAD_BODIES))


def auth(client: Client) -> Outcome:
    """The key is accepted in either header; a wrong key is a 401 that clients do not retry."""
    if not client.key:
        return skipped("no --api-key was given")
    bearer = client.message(HELLO, x_api_key=None)
    expect_ok(bearer, "with authorization: Bearer alone")
    expect_ok(client.message(HELLO, authorization=None), "with x-api-key alone")
    wrong = client.message(HELLO, authorization=f"Bearer {WRONG_KEY}", x_api_key=WRONG_KEY)
    if wrong.status == 200:
        return passed("both headers are accepted; the server accepts any key")
    expect_error(wrong, 401, "authentication_error", "with a wrong key")
    retry = wrong.headers.get("x-should-retry")
    expect(retry == "false", f"with a wrong key: x-should-retry is {retry!r}, so clients retry for minutes")
    return passed("both headers are accepted, a wrong key is refused, and not to be retried")
