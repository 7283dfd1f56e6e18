"""A request's messages as turns: same-role messages merged, system messages put where they can stand.

The first half of `conversation`. Every block keeps the path it had in the request, for errors.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.translate.tools.toolbox import Toolbox, changed_tool
from vllm_messages_plugin.wire.blocks import (
    Block,
    DocumentBlockParam,
    ImageBlockParam,
    OtherBlockParam,
    TextBlockParam,
    ToolChangeBlockParam,
)
from vllm_messages_plugin.wire.request import MessageParam

_BILLING_LINE = re.compile(r"\Ax-anthropic-billing-header:[^\n]*\n*")
"""Claude Code's attribution line: differs from session to session, so it would move the prompt's head."""

REMINDER = "<system-reminder>\n{}\n</system-reminder>"
"""How a system message stands in a user turn; the form Claude Code itself falls back to."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A block and the path it had in the request."""

    path: str
    block: Block


@dataclass(slots=True)
class Turn:
    role: Literal["user", "assistant", "system"]
    blocks: list[Placed] = field(default_factory=list)


def without_billing(texts: Iterable[str]) -> list[str]:
    """The texts without a billing header at their head, and without blank ones."""
    bare = (_BILLING_LINE.sub("", text) for text in texts)
    return [text for text in bare if text.strip()]


SUMMARY = "<summary>\n{}\n</summary>"
"""How the summary of a compacted conversation stands in a user turn."""


def _since_compaction(messages: Sequence[MessageParam]) -> tuple[Sequence[MessageParam], int]:
    """The conversation from its last compaction block on: its summary stands for all that went before.

    What went before is blank, not gone, so that later blocks keep their paths; the number says how many
    messages were put before the first.
    """
    for position in range(len(messages) - 1, -1, -1):
        content = messages[position].content
        content = content if isinstance(content, list) else []
        for place in range(len(content) - 1, -1, -1):
            summary = _summary(content[place])
            if summary is not None:
                opening = MessageParam(role="user", content=SUMMARY.format(summary))
                blank = [message.model_copy(update={"content": ""}) for message in messages[:position]]
                rest = [_BLANK] * (place + 1) + list(content[place + 1 :])
                kept = messages[position].model_copy(update={"content": rest})
                return [opening, *blank, kept, *messages[position + 1 :]], 1
    return messages, 0


_BLANK = TextBlockParam(type="text", text="")


def _summary(block: Block) -> str | None:
    if not isinstance(block, OtherBlockParam) or block.type != "compaction":
        return None
    content = (block.model_extra or {}).get("content")
    return content if isinstance(content, str) else None


def turns(messages: Sequence[MessageParam], box: Toolbox, traits: TemplateTraits) -> list[Turn]:
    """The conversation's turns in their order, without empty ones."""
    merged: list[Turn] = []
    for turn in _single_turns(messages, box, traits):
        if merged and merged[-1].role == turn.role:
            merged[-1].blocks.extend(turn.blocks)
        elif turn.blocks:
            merged.append(turn)
    return merged


def _single_turns(messages: Sequence[MessageParam], box: Toolbox, traits: TemplateTraits) -> Iterator[Turn]:
    messages, shift = _since_compaction(messages)
    last_user = max((i for i, message in enumerate(messages) if message.role == "user"), default=-1)
    at_head = True
    for position, message in enumerate(messages):
        path = f"messages.{position - shift}.content"
        if message.role != "system":
            at_head = False
            yield Turn(message.role, _placed(message, path))
        elif not (message.clear_at == "next_user_message" and position < last_user):
            yield _system_turn(_system_text(message, box), path, traits.inline_system or at_head)


def _placed(message: MessageParam, path: str) -> list[Placed]:
    if isinstance(message.content, str):
        return (
            [Placed(path, TextBlockParam(type="text", text=message.content))]
            if message.content.strip()
            else []
        )
    return [
        Placed(f"{path}.{position}", block)
        for position, block in enumerate(message.content)
        if not _says_nothing(block)
    ]


def _says_nothing(block: Block) -> bool:
    """Blank text, and what only tells of the API's own doings."""
    if isinstance(block, TextBlockParam):
        return not block.text.strip()
    return isinstance(block, OtherBlockParam) and block.type in ("fallback", "compaction")


def _system_turn(text: str, path: str, in_place: bool) -> Turn:
    if not text:
        return Turn("system")
    block = TextBlockParam(type="text", text=text if in_place else REMINDER.format(text))
    return Turn("system" if in_place else "user", [Placed(path, block)])


def _system_text(message: MessageParam, box: Toolbox) -> str:
    if isinstance(message.content, str):
        return "\n\n".join(without_billing([message.content]))
    return "\n\n".join(without_billing(_system_block(block, box) for block in message.content))


def _system_block(block: Block, box: Toolbox) -> str:
    if isinstance(block, TextBlockParam):
        return block.text
    if isinstance(block, ToolChangeBlockParam):
        if block.type == "tool_addition":
            return box.addition(block)
        return f"The tool {changed_tool(block)} is no longer available."
    return stand_in(block)


def stand_in(block: Block) -> str:
    """A short text in the place of a block that can't be rendered: history must never fail a request."""
    if isinstance(block, ImageBlockParam):
        return "[image]"
    if isinstance(block, DocumentBlockParam):
        return f"[document: {block.title}]" if block.title else "[document]"
    content = json.dumps(
        _readable(block.model_dump(mode="json", exclude_none=True)), ensure_ascii=False, separators=(",", ":")
    )
    return f"[{block.type}: {content[:STAND_IN_LENGTH]}]"


def _readable(value: Any) -> Any:
    """A block's content without what only Anthropic's servers can read."""
    if isinstance(value, dict):
        return {key: _readable(inner) for key, inner in value.items() if not key.startswith("encrypted_")}
    return [_readable(inner) for inner in value] if isinstance(value, list) else value


STAND_IN_LENGTH = 4_000  # characters
