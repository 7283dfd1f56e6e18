"""The official SDK's own accumulator, fed with our bytes without a network: what clients make of a stream."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import anthropic
import httpx2

from vllm_messages_plugin.wire.events import StreamEvent
from vllm_messages_plugin.wire.sse import frame

_answer = b""


def _serve(request: httpx2.Request) -> httpx2.Response:
    assert json.loads(request.content)["stream"] is True
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=_answer)


@cache
def _client() -> anthropic.Anthropic:
    transport = httpx2.Client(transport=httpx2.MockTransport(_serve))
    return anthropic.Anthropic(
        base_url="http://oracle.invalid", api_key="x", max_retries=0, http_client=transport
    )


def final_message(events: Sequence[StreamEvent]) -> dict[str, Any]:
    """The whole message as the SDK builds it from our stream.

    Raises:
        anthropic.APIStatusError: the stream ended with an `error`.
    """
    global _answer  # the one mock server answers what was put here last
    _answer = b"".join(map(frame, events))
    asked: Any = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    with _client().messages.stream(**asked) as stream:
        return stream.get_final_message().to_dict()
