"""A request's messages as turns: same-role messages merged, system messages put where they can stand."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.translate.documents import UNSEEN_IMAGE
from vllm_messages_plugin.translate.tools.request_tools import ReferredTools, RequestTools
from vllm_messages_plugin.translate.tools.tool_changes import change_text
from vllm_messages_plugin.wire.blocks import (
    Block,
    DocumentBlockParam,
    ImageBlockParam,
    OtherBlockParam,
    TextBlockParam,
    ToolChangeBlockParam,
    ToolResultBlockParam,
    ToolUseBlockParam,
)
from vllm_messages_plugin.wire.request import MessageParam

_BILLING_LINE = re.compile(r"\Ax-anthropic-billing-header:[^\n]*\n*")
"""Claude Code's attribution line: differs from session to session, so it would move the prompt's head."""

REMINDER = "<system-reminder>\n{}\n</system-reminder>"
"""How a system message stands in a user turn; the form Claude Code itself falls back to."""

SUMMARY = "<summary>\n{}\n</summary>"
"""How the summary of a compacted conversation stands in a user turn."""

STAND_IN_LENGTH = 4_000  # characters


class Reminder(TextBlockParam):
    """A system message in the markup in which it is folded into a user turn."""


@dataclass(slots=True)
class Turn:
    """Adjoining messages of one role."""

    role: Literal["user", "assistant", "system"]
    blocks: list[Block] = field(default_factory=list)


@dataclass(slots=True)
class UserTurnPart:
    """Adjoining blocks of a user turn: tool results with the reminders folded into them, or other blocks."""

    results: list[ToolResultBlockParam] = field(default_factory=list)
    reminders: list[str] = field(default_factory=list)
    others: list[Block] = field(default_factory=list)


def without_billing(texts: Iterable[str]) -> list[str]:
    """The texts without a billing header at their head, and without blank ones."""
    bare = (_BILLING_LINE.sub("", text) for text in texts)
    return [text for text in bare if text.strip()]


def _since_compaction(messages: Sequence[MessageParam]) -> list[MessageParam]:
    """The conversation from its last compaction block on: its summary stands for all that went before."""
    for position in range(len(messages) - 1, -1, -1):
        content = messages[position].content
        content = content if isinstance(content, list) else []
        for place in range(len(content) - 1, -1, -1):
            summary = _summary(content[place])
            if summary is not None:
                opening = MessageParam(role="user", content=SUMMARY.format(summary))
                rest = messages[position].model_copy(update={"content": content[place + 1 :]})
                return [opening, rest, *messages[position + 1 :]]
    return list(messages)


def _summary(block: Block) -> str | None:
    if not isinstance(block, OtherBlockParam) or block.type != "compaction":
        return None
    content = (block.model_extra or {}).get("content")
    return content if isinstance(content, str) else None


def turns(messages: Sequence[MessageParam], tools: RequestTools, traits: TemplateTraits) -> list[Turn]:
    """The conversation's turns in their order, without empty ones."""
    merged: list[Turn] = []
    for turn in _single_turns(messages, ReferredTools(tools), traits):
        if merged and merged[-1].role == turn.role:
            merged[-1].blocks.extend(turn.blocks)
        elif turn.blocks:
            merged.append(turn)
    return merged


def parts_of_user_turn(blocks: Iterable[Block]) -> list[UserTurnPart]:
    """The parts of a user turn. A reminder that stands before or behind tool results goes into them.

    So no user message comes between a call and its results, and none behind the results that templates would
    take for a new question: many drop the thinking of a tool loop when they see one.
    """
    parts: list[UserTurnPart] = []
    for block in blocks:
        last = parts[-1] if parts else UserTurnPart()
        if isinstance(block, ToolResultBlockParam):
            if not last.results:
                parts.append(UserTurnPart(reminders=_taken_reminders(parts)))
            parts[-1].results.append(block)
        elif isinstance(block, Reminder) and last.results:
            last.reminders.append(block.text)
        else:
            if not last.others:
                parts.append(UserTurnPart())
            parts[-1].others.append(block)
    return parts


def _taken_reminders(parts: list[UserTurnPart]) -> list[str]:
    """The texts of the last part, which is removed, if it has nothing but reminders."""
    if not parts or not all(isinstance(block, Reminder) for block in parts[-1].others):
        return []
    return [block.text for block in parts.pop().others if isinstance(block, Reminder)]


def _single_turns(
    messages: Sequence[MessageParam], referred: ReferredTools, traits: TemplateTraits
) -> Iterator[Turn]:
    messages = _since_compaction(messages)
    last_user = max((i for i, message in enumerate(messages) if message.role == "user"), default=-1)
    at_head, called = True, False
    for position, (message, answered) in enumerate(zip(messages, _results_follow(messages), strict=True)):
        if message.role != "system":
            at_head, called = False, _holds(message, ToolUseBlockParam)
            yield Turn(message.role, _shown_blocks(message))
        elif not (message.clear_at == "next_user_message" and position < last_user):
            in_place = traits.inline_system and not (called and answered)  # nothing parts calls and results
            yield _system_turn(_system_text(message, referred), in_place or at_head)


def _results_follow(messages: Sequence[MessageParam]) -> list[bool]:
    """For each message whether the next one that is no system message holds tool results."""
    found: list[bool] = []
    follow = False
    for message in reversed(messages):
        found.append(follow)
        follow = follow if message.role == "system" else _holds(message, ToolResultBlockParam)
    return found[::-1]


def _holds(message: MessageParam, kind: type[Block]) -> bool:
    content = message.content
    return isinstance(content, list) and any(isinstance(block, kind) for block in content)


def _shown_blocks(message: MessageParam) -> list[Block]:
    content = message.content
    blocks = [TextBlockParam(type="text", text=content)] if isinstance(content, str) else content
    return [block for block in blocks if not _is_silent(block)]


def _is_silent(block: Block) -> bool:
    """True for blank text and for `fallback` and `compaction` blocks, which the model is not shown."""
    if isinstance(block, TextBlockParam):
        return not block.text.strip()
    return isinstance(block, OtherBlockParam) and block.type in ("fallback", "compaction")


def _system_turn(text: str, in_place: bool) -> Turn:
    if not text:
        return Turn("system")
    if in_place:
        return Turn("system", [TextBlockParam(type="text", text=text)])
    return Turn("user", [Reminder(type="text", text=REMINDER.format(text))])


def _system_text(message: MessageParam, referred: ReferredTools) -> str:
    if isinstance(message.content, str):
        return "\n\n".join(without_billing([message.content]))
    return "\n\n".join(without_billing(_system_block(block, referred) for block in message.content))


def _system_block(block: Block, referred: ReferredTools) -> str:
    if isinstance(block, TextBlockParam):
        return block.text
    if isinstance(block, ToolChangeBlockParam):
        return change_text(block, referred)
    return stand_in(block)


def stand_in(block: Block) -> str:
    """A short text in the place of a block that can't be rendered: history must never fail a request."""
    if isinstance(block, ImageBlockParam):
        return UNSEEN_IMAGE
    if isinstance(block, DocumentBlockParam):
        return f"[document: {block.title}]" if block.title else "[document]"
    readable = _readable(block.model_dump(exclude_none=True))
    content = json.dumps(readable, ensure_ascii=False, separators=(",", ":"))
    return f"[{block.type[:STAND_IN_LENGTH]}: {content[:STAND_IN_LENGTH]}]"


def _readable(value: Any) -> Any:
    """A block's content, its strings cut, without what only Anthropic's servers can read."""
    if isinstance(value, str):
        return value[:STAND_IN_LENGTH]
    if isinstance(value, dict):
        kept = {key: inner for key, inner in value.items() if not key.startswith("encrypted_")}
        return {key[:STAND_IN_LENGTH]: _readable(inner) for key, inner in kept.items()}
    return [_readable(inner) for inner in value] if isinstance(value, list) else value
