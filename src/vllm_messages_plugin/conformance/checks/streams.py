"""Checks of a stream over time: its first byte, its silences, and a client that disconnects."""

import re
import time
import uuid

from vllm_messages_plugin.conformance.checks.acceptance import SENTENCE, SENTENCE_TOKENS
from vllm_messages_plugin.conformance.checks.expectations import COUNTING_PROMPT, expect_ok, single_turn
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed, skipped

FIRST_BYTE_SECONDS = 15.0
SILENCE_SECONDS = 30.0
LONG_PROMPT = 16_000  # tokens
DISCONNECT_SECONDS = 15.0
POLL_SECONDS = 0.25
SETTLE_SECONDS = 1.0  # the metrics lag behind by a step of the engine
RUNNING = re.compile(r"^vllm:num_requests_running(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)


def first_byte(client: Client) -> Outcome:
    """A long prompt keeps the connection alive: a byte within 15 s, and no silence of over 30 s."""
    tokens = min(LONG_PROMPT, (client.window or 2 * LONG_PROMPT) // 2)
    words = f"Run {uuid.uuid4().hex}. " + SENTENCE * (tokens // SENTENCE_TOKENS)
    timed = client.open_timed(single_turn(words, 4))
    expect(
        timed.response.status == 200,
        f"a long prompt: HTTP {timed.response.status}: {timed.response.excerpt()}",
    )
    expect(timed.times, "a long prompt: the stream carries nothing")
    first, silence = timed.times[0], timed.longest_silence
    expect(
        first <= FIRST_BYTE_SECONDS,
        f"the first byte came after {first:.1f} s, which is when clients time out",
    )
    expect(silence <= SILENCE_SECONDS, f"{silence:.1f} s without a ping")
    return passed(
        f"about {tokens} tokens: first byte after {first:.2f} s, the longest silence {silence:.2f} s"
    )


def disconnect(client: Client) -> Outcome:
    """When a client disconnects, the server stops generating."""
    before = _running(client)
    if before is None:
        return skipped("the server has no vLLM metrics, which would show it")
    opened = client.open(single_turn(COUNTING_PROMPT, (client.window or 8192) // 2))
    expect(opened.status == 200, f"a stream: HTTP {opened.status}: {opened.excerpt()}")
    start = time.monotonic()
    time.sleep(SETTLE_SECONDS)
    while (now := _running(client)) is not None and now > before:
        if time.monotonic() - start > DISCONNECT_SECONDS:
            expect(False, f"{DISCONNECT_SECONDS:.0f} s after the client disconnected the request still runs")
        time.sleep(POLL_SECONDS)
    return passed(f"ended within {time.monotonic() - start:.1f} s")


def _running(client: Client) -> float | None:
    """Return how many requests are running, according to vLLM's metrics."""
    response = client.send_unrecorded("GET", "/metrics")
    found = RUNNING.findall(response.text) if response.status == 200 else []
    return sum(map(float, found)) if found else None


def both_modes(client: Client) -> Outcome:
    """`stream: false` is the same as no `stream`, and returns JSON."""
    response = client.message(single_turn("Say hello.", 2, stream=False))
    expect_ok(response, "stream: false")
    kind = response.headers.get("content-type", "")
    expect(kind.startswith("application/json"), f"stream: false: the content-type is {kind!r}")
    return passed(kind)
