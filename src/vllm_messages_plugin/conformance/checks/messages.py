"""Checks of the basic responses: the model list, a message, a stream."""

import re
from datetime import datetime
from typing import Any

from vllm_messages_plugin.conformance.checks.expectations import (
    ATTEMPTS,
    COUNTING_PROMPT,
    expect_error,
    expect_ok,
    expect_request_id,
    input_total,
    single_turn,
    stream_message,
    text_of,
)
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed, skipped
from vllm_messages_plugin.conformance.structure import MODEL_LIST, expect_fit

STOP_REASONS = {
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
}


def models(client: Client) -> Outcome:
    """GET /v1/models lists the model with all of Anthropic's fields, and with all or none of OpenAI's."""
    response = client.send("GET", "/v1/models")
    body = expect_ok(response, "GET /v1/models")
    entries = body.get("data")
    expect(isinstance(entries, list), "the list has no `data`")
    expect(all(isinstance(entry, dict) for entry in entries or []), "an entry of the list is not an object")
    for name in ("has_more", "first_id", "last_id"):
        expect(name in body, f"the list has no `{name}`")
    both = "object" in body
    for entry in entries or []:
        _expect_model(entry, both)
    names = [entry["id"] for entry in entries or []]
    expect(client.model in names, f"the model {client.model} is not among {', '.join(names) or 'none'}")
    fields = "Anthropic's and OpenAI's fields" if both else "Anthropic's fields"
    return passed(f"{fields}, {len(names)} name{'s' * (len(names) != 1)}")


def one_model(client: Client) -> Outcome:
    """GET /v1/models/{id} returns the same model as the list does; an unknown model is a 404."""
    listed = expect_ok(client.send("GET", "/v1/models?limit=1000"), "GET /v1/models?limit=1000")
    expect_fit(listed, MODEL_LIST, "GET /v1/models?limit=1000")
    wanted = next((entry for entry in listed.get("data") or [] if entry.get("id") == client.model), None)
    expect(wanted, f"the model {client.model} is not listed")
    found = expect_ok(client.send("GET", f"/v1/models/{client.model}"), f"GET /v1/models/{client.model}")
    for name in ("id", "type", "display_name"):
        expect(
            found.get(name) == (wanted or {}).get(name), f"`{name}` is {found.get(name)!r}, not the list's"
        )
    expect_error(client.send("GET", "/v1/models/no-such-model"), 404, "not_found_error", "an unknown model")
    window = found.get("max_input_tokens")
    return passed(f"a window of {window} tokens" if window else "no window is reported")


def _expect_model(entry: dict[str, Any], both: bool) -> None:
    name = entry.get("id")
    expect(isinstance(name, str), "an entry has no `id`")
    expect(entry.get("type") == "model", f"{name} has no `type: model`")
    expect(isinstance(entry.get("display_name"), str), f"{name} has no display_name")
    expect(_is_date(entry.get("created_at")), f"{name} has no RFC 3339 created_at")
    if both:
        expect(entry.get("object") == "model", f"{name} lacks OpenAI's `object: model`")
        expect(isinstance(entry.get("created"), int), f"{name} lacks OpenAI's `created`")


def _is_date(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def message(client: Client) -> Outcome:
    """A message has every field that clients read."""
    responses = [client.message(single_turn("Say hello.", 16)) for _ in range(2)]
    bodies = [expect_ok(response, "a plain message") for response in responses]
    for response, body in zip(responses, bodies, strict=True):
        _expect_message(body, client.model)
        expect_request_id(response)
    expect(bodies[0]["id"] != bodies[1]["id"], f"two messages share the id {bodies[0]['id']}")
    usage = bodies[0]["usage"]
    return passed(f"{bodies[0]['stop_reason']}, {input_total(usage)} tokens in, {usage['output_tokens']} out")


def _expect_message(body: dict[str, Any], model: str) -> None:
    expect(re.fullmatch(r"msg_\w+", str(body.get("id"))), f"the id is {body.get('id')!r}, not msg_...")
    expect(body.get("type") == "message", f"the type is {body.get('type')!r}, not message")
    expect(body.get("role") == "assistant", f"the role is {body.get('role')!r}, not assistant")
    expect(body.get("model") == model, f"the model is {body.get('model')!r}, not the one asked for")
    expect(isinstance(body.get("content"), list), "`content` is not a list")
    expect(body.get("stop_reason") in STOP_REASONS, f"the stop_reason is {body.get('stop_reason')!r}")
    expect("stop_sequence" in body, "there is no `stop_sequence`")
    _expect_usage(body.get("usage") or {})


def _expect_usage(usage: dict[str, Any]) -> None:
    for name in ("input_tokens", "output_tokens"):
        expect(isinstance(usage.get(name), int), f"there is no usage.{name}")
    expect(input_total(usage) > 0, "usage counts no input tokens")
    expect(usage["output_tokens"] > 0, "usage counts no output tokens")


def stream_grammar(client: Client) -> Outcome:
    """A stream's events are named, ordered and closed, and carry usage at both ends."""
    body = single_turn(COUNTING_PROMPT, 32)
    streamed = stream_message(client, body)
    _expect_message(streamed, client.model)
    expect_request_id(client.open(body))
    kinds = ", ".join(block.get("type", "?") for block in streamed["content"])
    return passed(
        f"{kinds or 'no block'}; {streamed['stop_reason']}, {streamed['usage']['output_tokens']} tokens out"
    )


def same_text(client: Client) -> Outcome:
    """At temperature 0 a streamed reply has the same text as one that is not streamed."""
    body = single_turn(COUNTING_PROMPT, 24, temperature=0)
    for _ in range(ATTEMPTS):
        plain, streamed = (
            expect_ok(client.message(body), "a plain message"),
            stream_message(client, body),
        )
        if text_of(plain) == text_of(streamed) and plain.get("stop_reason") == streamed.get("stop_reason"):
            break
    expect(
        text_of(plain) == text_of(streamed),
        f"plain {text_of(plain)[:40]!r}, streamed {text_of(streamed)[:40]!r} in each of {ATTEMPTS} tries",
    )
    expect(
        plain.get("stop_reason") == streamed.get("stop_reason"),
        f"plain stops with {plain.get('stop_reason')}, streamed with {streamed.get('stop_reason')}",
    )
    if not text_of(plain):
        return skipped("neither reply has text within 24 tokens")
    return passed(f"{len(text_of(plain))} characters alike")
