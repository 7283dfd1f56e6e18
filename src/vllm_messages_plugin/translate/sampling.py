"""The sampling values of a request, independent of vLLM's own types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vllm_messages_plugin.wire.request import MessagesRequest


@dataclass(frozen=True, slots=True)
class Sampling:
    """The sampling values of one request; None leaves a value to the server's default.

    Attributes:
        max_tokens: The most tokens that the reply may have, clamped to what fits.
        asked_tokens: The `max_tokens` of the request.
        temperature: As in the request.
        top_p: As in the request, except 0, which becomes a `top_k` of 1.
        top_k: As in the request.
        stop_sequences: As in the request, without empty ones.
        extra: The fields of the body that Anthropic's API does not define; vLLM's own apply.
        streamed: Whether the client reads the reply while it is generated.
    """

    max_tokens: int
    asked_tokens: int
    temperature: float | None
    top_p: float | None
    top_k: int | None
    stop_sequences: tuple[str, ...]
    extra: Mapping[str, Any]
    streamed: bool = True


def sampling(request: MessagesRequest, max_tokens: int) -> Sampling:
    """Return the sampling values of a request.

    Args:
        request: The request.
        max_tokens: Its `max_tokens`, clamped to what fits.
    """
    return Sampling(
        max_tokens=max_tokens,
        asked_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p or None,  # vLLM takes no 0, which leaves the likeliest token alone
        top_k=1 if request.top_p == 0 else request.top_k,
        stop_sequences=tuple(sequence for sequence in request.stop_sequences or () if sequence),
        extra=request.extra,
        streamed=bool(request.stream),
    )
