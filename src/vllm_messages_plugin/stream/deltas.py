"""What the engine side hands the machine: a reply in small pieces, in no protocol's words.

Made by `engine.generate` (and by `testing.fake_engine`), consumed by `machine`.
"""

from dataclasses import dataclass
from typing import Literal

from vllm_messages_plugin.wire.errors import MessagesError


@dataclass(frozen=True, slots=True)
class PromptProcessed:
    """The engine has read the prompt. Always first. Counts are tokens; `cached` is part of `prompt`."""

    prompt_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class EngineText:
    text: str


@dataclass(frozen=True, slots=True)
class EngineThinking:
    text: str
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class EngineToolCall:
    """A piece of the tool call number `call` (from 0, in the order the model began them).

    The name comes once, at the latest with the call's end; `arguments` is a piece of JSON text.
    """

    call: int
    name: str | None = None
    arguments: str = ""


EndReason = Literal["stop", "stop_sequence", "length", "window", "refusal"]


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """The reply is complete. `thinking_tokens` is part of `output_tokens`.

    `length` says that max_tokens was reached, `window` that the context was full before it.
    """

    reason: EndReason
    output_tokens: int
    thinking_tokens: int | None = None
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The engine failed or gave up; nothing follows."""

    error: MessagesError


EngineDelta = PromptProcessed | EngineText | EngineThinking | EngineToolCall | ReplyFinished | ReplyFailed
