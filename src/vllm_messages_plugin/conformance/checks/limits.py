"""Checks of where a reply ends: stop sequences, max_tokens and the window."""

import re
from typing import Any

from vllm_messages_plugin.conformance.checks.expectations import (
    ATTEMPTS,
    COUNTING_PROMPT,
    expect_accepted,
    expect_error,
    expect_ok,
    single_turn,
    stream_message,
    text_of,
)
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import MismatchError, Outcome, expect, passed, skipped

LARGEST_PROMPT = 200_000
UNKNOWN_WINDOW = 1_000_000
TOO_LONG = re.compile(r"prompt is too long: (\d+) tokens > (\d+) maximum")


def stop_sequences(client: Client) -> Outcome:
    """A word taken from a first reply stops the second one, and is not in its text."""
    body = single_turn(COUNTING_PROMPT, 48, temperature=0)
    for attempt in range(1, ATTEMPTS + 1):
        text = text_of(expect_ok(client.message(body), "a plain message"))
        sequence = pick_sequence(text)
        if sequence is None:
            return skipped(f"the first reply has no second word to stop at: {text[:40]!r}")
        try:
            return _stopped_at(client, {**body, "stop_sequences": [sequence]}, sequence)
        except MismatchError:
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _stopped_at(client: Client, body: dict[str, Any], sequence: str) -> Outcome:
    plain = expect_ok(client.message(body), "with stop_sequences")
    for mode, message in (("plain", plain), ("streamed", stream_message(client, body))):
        stop = message.get("stop_reason")
        expect(stop == "stop_sequence", f"{mode}: stop_reason {stop}, not stop_sequence, for {sequence!r}")
        stop_sequence = message.get("stop_sequence")
        expect(stop_sequence == sequence, f"{mode}: stop_sequence is {stop_sequence!r}, not {sequence!r}")
        expect(sequence not in text_of(message), f"{mode}: the text still has {sequence!r}")
    return passed(f"stopped at {sequence!r}, which is not in the text")


def pick_sequence(text: str) -> str | None:
    """Return a word from inside a text that does not occur earlier in it."""
    words = re.findall(r"[^\W_]{3,}", text)
    return next((word for word in words[1:] if text.index(word) > 0 and not text.startswith(word)), None)


def max_tokens(client: Client) -> Outcome:
    """A small max_tokens cuts the reply; one larger than the window is accepted."""
    cut = expect_ok(client.message(single_turn(COUNTING_PROMPT, 4)), "max_tokens 4")
    expect(cut.get("stop_reason") == "max_tokens", f"max_tokens 4: stop_reason {cut.get('stop_reason')}")
    written = cut.get("usage", {}).get("output_tokens", 0)
    expect(0 < written <= 4, f"max_tokens 4: {written} output tokens")
    large = 10 * (client.window or UNKNOWN_WINDOW)
    expect_accepted(client, single_turn("Say hello.", large), f"max_tokens {large}")
    return passed(f"cut after {written} tokens; {large} is accepted")


def too_long(client: Client) -> Outcome:
    """A prompt longer than the window is a 400 with the message that clients compact on, streamed or not."""
    if client.window is None:
        return skipped("the server does not report its window (max_input_tokens)")
    if client.window > LARGEST_PROMPT:
        return skipped(f"a window of {client.window} tokens is too large to overfill here")
    prompt = single_turn("one two three four five " * (client.window // 4 + 1), 16)
    for stream in (False, True):
        response = client.message({**prompt, "stream": stream})
        message = expect_error(response, 400, "invalid_request_error", "a prompt that is too long")
        found = TOO_LONG.match(message)
        expect(found, f"the message is not `prompt is too long: N tokens > M maximum`: {message[:120]}")
        tokens, maximum = map(int, found.groups() if found else (0, 0))
        expect(tokens > maximum, f"{tokens} tokens are not more than {maximum}")
        expect(maximum <= client.window, f"the maximum is {maximum}, but the window {client.window}")
    return passed(f"{tokens} tokens > {maximum} maximum, before the stream opens")
