"""Diagnoses whether a reply arrives while it is generated, or is held back by something on the way."""

from collections.abc import Iterator

import httpx

from vllm_messages_plugin.cli.doctor.line import Line, ok, warn
from vllm_messages_plugin.conformance.client import Client

QUESTION = "Count from one to thirty in words."
TOKENS = 48
ENOUGH_DELTAS = 16
AT_ONCE_SECONDS = 0.005
"""No engine generates sixteen tokens of one reply in this time."""
UNBUFFERED = (
    "a proxy on the way buffers replies: let it pass text/event-stream at once (nginx: proxy_buffering off)"
)


def diagnose_streaming(client: Client) -> Iterator[Line]:
    """Yield a line about how a streamed reply arrives; none for a reply too short to tell.

    Args:
        client: The client of the server.
    """
    body = {"max_tokens": TOKENS, "messages": [{"role": "user", "content": QUESTION}]}
    try:
        timed = client.stream_timed(body)
    except httpx.HTTPError as error:
        yield warn(
            "streaming", f"the stream broke off: {error or type(error).__name__}", "see the server's log"
        )
        return
    deltas = sum(event.name == "content_block_delta" for event in timed.response.events())
    if deltas < ENOUGH_DELTAS:
        return
    seconds = timed.times[-1] - timed.times[0]
    if seconds < AT_ONCE_SECONDS:
        yield warn("streaming", f"{deltas} deltas of a reply arrived at once, at its end", UNBUFFERED)
    else:
        yield ok("streaming", f"{deltas} deltas of a reply arrived over {seconds:.2f} s")
