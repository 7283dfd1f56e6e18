"""The deltas of a reply as the engine package emits them: small pieces, independent of any protocol.

The deltas that come with nearly every token are not frozen, which would triple the cost of making one.
Nothing changes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vllm_messages_plugin.wire.errors import MessagesError


@dataclass(frozen=True, slots=True)
class PromptProcessed:
    """The engine has processed the prompt. Always the first delta.

    `cached_tokens` are those of `prompt_tokens` that the prefix cache held.
    """

    prompt_tokens: int
    cached_tokens: int


@dataclass(slots=True, unsafe_hash=True)
class EngineText:
    """A piece of the reply's text."""

    text: str


@dataclass(frozen=True, slots=True)
class CitedText:
    """The first piece of a statement with citations. Its text block ends at `CitedTextEnd`."""

    text: str
    citations: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class CitedTextEnd:
    """A statement with citations is complete: text that follows belongs to the next block."""


@dataclass(frozen=True, slots=True)
class EngineCitations:
    """Citations of the text before them, whose block they end."""

    citations: Sequence[Mapping[str, Any]]


@dataclass(slots=True, unsafe_hash=True)
class EngineThinking:
    """A piece of thinking, and how many tokens it was made of."""

    text: str
    tokens: int = 0


@dataclass(slots=True, unsafe_hash=True)
class EngineToolCall:
    """A piece of one tool call.

    Attributes:
        call: The call's number, counted from 0 in the order in which the model started the calls.
        name: The tool's name. Given once, at the latest with the call's last piece.
        arguments: The next piece of the JSON text.
    """

    call: int
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ServerToolUse:
    """A complete call of a tool that the server runs.

    Attributes:
        block: The block as the client reads it, with an empty `input`.
        input_json: The JSON text of the arguments.
    """

    block: Mapping[str, Any]
    input_json: str


@dataclass(frozen=True, slots=True)
class CompleteBlock:
    """A content block that is sent in one piece, such as the result of a server tool."""

    block: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CompactionSummary:
    """The summary that replaces a conversation, as the `compaction` block that the client reads."""

    block: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RoundUsage:
    """What one round of a reply used: its prompt, and the tokens that it generated."""

    prompt: PromptProcessed
    output_tokens: int
    kind: Literal["message", "compaction"] = "message"


EndReason = Literal[
    "stop", "incomplete_call", "stop_sequence", "length", "window", "refusal", "pause", "compaction"
]


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """The reply is complete.

    Attributes:
        reason: `incomplete_call` means that the model stopped on its own inside a tool call, `length`
            that `max_tokens` was reached, `window` that the context window was full
            before that, `pause` that the client may continue a turn of server tools,
            `compaction` that the reply is a summary of the conversation.
        output_tokens: Tokens generated, thinking included.
        thinking_tokens: How many of them were thinking; None if not counted.
        stop_sequence: The stop sequence that matched.
        rounds: Every round of a reply that used server tools or compacted its conversation, in order; empty
            for any other reply.
        server_tool_use: How often server tools were used, by the keys of `usage.server_tool_use`.
        token_ids: The generated tokens, where the caller of the engine asked for them.
    """

    reason: EndReason
    output_tokens: int
    thinking_tokens: int | None = None
    stop_sequence: str | None = None
    rounds: Sequence[RoundUsage] = ()
    server_tool_use: Mapping[str, int] | None = None
    token_ids: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The engine failed. No delta follows."""

    error: MessagesError


EngineDelta = (
    PromptProcessed
    | EngineText
    | CitedText
    | CitedTextEnd
    | EngineCitations
    | EngineThinking
    | EngineToolCall
    | ServerToolUse
    | CompleteBlock
    | CompactionSummary
    | ReplyFinished
    | ReplyFailed
)
