"""Runs the official SDK's accumulator over the bytes of a stream, without a network."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import anthropic
import httpx2

from vllm_messages_plugin.wire.events import StreamEvent
from vllm_messages_plugin.wire.sse import frame

_stream_bytes = b""


def _serve(request: httpx2.Request) -> httpx2.Response:
    assert json.loads(request.content)["stream"] is True
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=_stream_bytes)


@cache
def _client() -> anthropic.Anthropic:
    transport = httpx2.Client(transport=httpx2.MockTransport(_serve))
    return anthropic.Anthropic(
        base_url="http://oracle.invalid", api_key="x", max_retries=0, http_client=transport
    )


def final_message(events: Sequence[StreamEvent]) -> dict[str, Any]:
    """Return the message that the SDK builds from the stream.

    Raises:
        anthropic.APIStatusError: the stream ended with an `error`.
    """
    global _stream_bytes  # the mock server sends what was put here last
    _stream_bytes = b"".join(map(frame, events))
    parameters: Any = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    with _client().messages.stream(**parameters) as stream:
        return stream.get_final_message().to_dict()
