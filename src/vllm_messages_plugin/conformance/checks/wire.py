"""Checks of the wire: headers, request ids, and limits at their ends."""

import re

from vllm_messages_plugin.conformance.checks.expectations import (
    expect_error,
    expect_ok,
    expect_request_id,
    single_turn,
)
from vllm_messages_plugin.conformance.client import MESSAGES, Client
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed

HELLO = single_turn("Say hello.", 1)
SEQUENCES = [f"zq{index}zq" for index in range(20)]
VERSIONS = ("2023-06-01", "2026-10-21", None)
BETAS = "claude-code-20250219,interleaved-thinking-2025-05-14,not-invented-2030-01-01"


def versions(client: Client) -> Outcome:
    """Every version of the API is accepted, and a missing one; so are known and unknown betas."""
    for version in VERSIONS:
        expect_ok(
            client.message(HELLO, anthropic_version=version), f"anthropic-version {version or 'absent'}"
        )
    expect_ok(client.message(HELLO, path=f"{MESSAGES}?beta=true", anthropic_beta=BETAS), "many betas")
    return passed("2023-06-01, 2026-10-21, none; known and unknown betas")


def request_ids(client: Client) -> Outcome:
    """Every response has its own request id in its header, whatever its status."""
    responses = [
        client.message(HELLO),
        client.open(HELLO),
        client.message(HELLO, path=f"{MESSAGES}/count_tokens"),
        client.send("GET", "/v1/models"),
        client.message({"messages": HELLO["messages"]}),
        client.send("GET", MESSAGES),
        client.send("POST", f"{MESSAGES}/no/such/route", {}),
    ]
    for response in responses:
        expect_request_id(response)
    ids = [response.headers["request-id"] for response in responses]
    expect(len(set(ids)) == len(ids), f"two responses share a request id: {ids}")
    statuses = ", ".join(str(response.status) for response in responses)
    return passed(f"{len(responses)} responses with the status {statuses}")


def many_sequences(client: Client) -> Outcome:
    """Twenty stop sequences are accepted."""
    expect_ok(client.message({**HELLO, "stop_sequences": SEQUENCES}), "twenty stop sequences")
    return passed(f"{len(SEQUENCES)} sequences")


def no_tokens(client: Client) -> Outcome:
    """max_tokens 0 fills the cache and returns no content, or is refused by name."""
    response = client.message(single_turn("Say hello.", 0))
    if response.status != 200:
        message = expect_error(response, 400, "invalid_request_error", "max_tokens 0")
        expect(
            re.match("max_tokens", message), f"max_tokens 0: the message does not name it: {message[:120]}"
        )
        return passed("refused by name")
    empty = expect_ok(response, "max_tokens 0")
    expect(empty.get("content") == [], f"max_tokens 0: the content is {empty.get('content')!r}")
    stop = empty.get("stop_reason")
    expect(stop == "max_tokens", f"max_tokens 0: stop_reason {stop}")
    return passed("an empty message that ends with max_tokens")


PROBES = (("HEAD", "/"), ("HEAD", "/api/hello"))


def probes(client: Client) -> Outcome:
    """The requests with which Claude Code opens its connection are answered, and cause no failure."""
    found = [
        (path, client.send(method, path, authorization=None, x_api_key=None).status)
        for method, path in PROBES
    ]
    for path, status in found:
        expect(status < 500 and status not in {401, 403}, f"HEAD {path}: HTTP {status}")
    return passed(", ".join(f"HEAD {path} {status}" for path, status in found))
