"""Checks of requests that belong together: threads, and the turns of a session in the cache."""

import uuid
from typing import Any

from vllm_messages_plugin.conformance.checks.acceptance import SENTENCE, cache_is_off
from vllm_messages_plugin.conformance.checks.expectations import expect_ok, input_total, single_turn
from vllm_messages_plugin.conformance.checks.tools import WEATHER
from vllm_messages_plugin.conformance.client import Client, Response
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed, skipped
from vllm_messages_plugin.conformance.structure import ERROR, expect_fit

NO_THREADS = "thread_unsupported_request"
BETA = "message-threads-2026-08-12"


def threads(client: Client) -> Outcome:
    """A thread is kept, or refused with the code after which SDKs send the whole conversation.

    A server that ignores `thread` would answer the second turn from one message, with HTTP 200.
    """
    first = single_turn("My number is 17. " * 8, 4, thread={"type": "create"}, system="Be brief.")
    created = client.message(first, anthropic_beta=BETA)
    if created.status != 200:
        return _refused(created, "thread create")
    created_message = expect_ok(created, "thread create")
    more = {"type": "continue", "previous_message_id": created_message["id"]}
    continued = client.message(single_turn("Which?", 4, thread=more), anthropic_beta=BETA)
    second = expect_ok(continued, "thread continue")
    before, now = input_total(created_message["usage"]), input_total(second["usage"])
    expect(now > before, f"the thread was not kept: {before} input tokens, then {now}")
    return passed(f"kept: {before} input tokens, then {now}")


def _refused(response: Response, what: str) -> Outcome:
    expect(
        response.status == 400, f"{what}: HTTP {response.status}, neither 200 nor 400: {response.excerpt()}"
    )
    body = response.json()
    expect_fit(body, ERROR, what)
    details = (body.get("error") or {}).get("details") or {}
    code = details.get("error_code")
    expect(code == NO_THREADS, f"{what}: the error_code is {code!r}, not {NO_THREADS}: SDKs then give up")
    return passed(f"refused with {NO_THREADS}, so SDKs send the whole conversation")


TURNS = 4
FACT = "Note {} of this run: " + SENTENCE * 3
# vLLM caches whole blocks, and the newest one may be incomplete: that much need not be found again.
OPEN_BLOCKS = 2
USUAL_BLOCK = 128


def growing_session(client: Client) -> Outcome:
    """Each turn finds the previous turn in the cache: nothing at the start of the prompt changes."""
    run, read, before = uuid.uuid4().hex, 0, 0
    for turn in range(1, TURNS + 1):
        usage = expect_ok(client.message(_session(run, turn, "")), f"turn {turn}")["usage"]
        read = usage.get("cache_read_input_tokens") or 0
        if before:
            missing = before - read
            if not read and (why := cache_is_off(client, input_total(usage))):
                return skipped(why)
            expect(
                missing <= OPEN_BLOCKS * USUAL_BLOCK,
                f"turn {turn} reads {read} of the {before} tokens before it",
            )
        before = input_total(usage)
    return passed(f"turn {TURNS} reads {read} of {before} tokens from the cache")


def billing_line(client: Client) -> Outcome:
    """The line that makes Claude Code's first system block differ per session leaves the rest cached."""
    run = uuid.uuid4().hex
    usages = []
    for session in ("572", "ab1"):
        line = f"x-anthropic-billing-header: cc_version=2.1.332.{session}; cc_entrypoint=cli;"
        usages.append(expect_ok(client.message(_session(run, 1, line)), "with a billing line")["usage"])
    read = usages[1].get("cache_read_input_tokens") or 0
    if not read and (why := cache_is_off(client, input_total(usages[1]))):
        return skipped(why)
    expect(read, "the second session reads nothing from the cache: the line is part of the prompt")
    return passed(f"the second session reads {read} of {input_total(usages[1])} tokens")


def _session(run: str, turns: int, first_block: str) -> dict[str, Any]:
    """Return an agent's request at its n-th turn; the run's id keeps earlier runs out of the cache."""
    system = [
        {"type": "text", "text": words} for words in (first_block, f"Run {run}. {SENTENCE * 20}") if words
    ]
    messages: list[dict[str, Any]] = [{"role": "user", "content": FACT.format(0)}]
    for turn in range(1, turns):
        call = {"type": "tool_use", "id": f"toolu_{turn}", "name": WEATHER["name"], "input": {"city": "Oslo"}}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{turn}", "content": FACT.format(turn)}
        messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    return {
        "max_tokens": 1,
        "system": system,
        "messages": messages,
        "tools": [WEATHER],
        "tool_choice": {"type": "none"},
    }
