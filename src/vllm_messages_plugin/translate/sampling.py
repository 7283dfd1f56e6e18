"""How the reply is to be sampled, in plain values.

Made by `http.messages` from the request, read by `engine.generate`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vllm_messages_plugin.wire.request import MessagesRequest


@dataclass(frozen=True, slots=True)
class Sampling:
    """None leaves a value to the server's defaults. `asked_tokens` is max_tokens before clamping.

    `extra` holds the body fields that Anthropic's API does not define: those that vLLM knows apply.
    """

    max_tokens: int
    asked_tokens: int
    temperature: float | None
    top_p: float | None
    top_k: int | None
    stop_sequences: tuple[str, ...]
    extra: Mapping[str, Any]


def sampling(request: MessagesRequest, max_tokens: int) -> Sampling:
    """The sampling a request asks for, with `max_tokens` already clamped to what fits."""
    return Sampling(
        max_tokens=max_tokens,
        asked_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p or None,  # vLLM takes no 0, which leaves the likeliest token alone
        top_k=1 if request.top_p == 0 else request.top_k,
        stop_sequences=tuple(sequence for sequence in request.stop_sequences or () if sequence),
        extra=request.extra,
    )
