"""An earlier reply of the model's, as the message that its template reads.

Called by `conversation` for each assistant turn. Calls go into the template's own field, or stand in the
text where the model once wrote them, if the template does not write the calls of earlier turns.
"""

import json
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Literal

from vllm_messages_plugin.formats import prompted
from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.translate.tools.toolbox import found_tools
from vllm_messages_plugin.translate.translation_context import ChatMessage, TranslationContext, block_text
from vllm_messages_plugin.wire.blocks import (
    Block,
    RedactedThinkingBlockParam,
    TextBlockParam,
    ThinkingBlockParam,
    ToolUseBlockParam,
)

Kind = Literal["text", "call", "thought", "other"]
"""What a run of adjoining blocks is."""

BETWEEN = "\n\n"
BESIDE_CALLS = "\n"
"""What parts two runs of a reply, and what parts calls from text; the model wrote them so."""


def earlier_reply(blocks: Sequence[Block], reader: TranslationContext) -> ChatMessage:
    """The message of one assistant turn."""
    runs = [(kind, list(run)) for kind, run in groupby(blocks, _kind)]
    message = _thoughtful(_text(runs, reader), _thought(blocks, reader), reader.traits)
    uses = [block for block in blocks if isinstance(block, ToolUseBlockParam)]
    if not uses or _calls_in_text(reader.traits):
        return message
    content = message["content"] or reader.traits.empty_call_content
    return message | {"content": content, "tool_calls": [_call(use, reader) for use in uses]}


def _calls_in_text(traits: TemplateTraits) -> bool:
    return not traits.native_tools or traits.render_calls is not None


def _kind(block: Block) -> Kind:
    if isinstance(block, ThinkingBlockParam | RedactedThinkingBlockParam):
        return "thought"
    if isinstance(block, ToolUseBlockParam):
        return "call"
    return "text" if isinstance(block, TextBlockParam) else "other"


def _thought(blocks: Sequence[Block], reader: TranslationContext) -> str:
    thoughts = (
        block.thinking or reader.restore(block.signature or "")
        for block in blocks
        if isinstance(block, ThinkingBlockParam)
    )
    return "\n".join(filter(None, thoughts))


def _thoughtful(text: str, thought: str, traits: TemplateTraits) -> ChatMessage:
    if thought and traits.thinking_tags is not None:
        opening, closing = traits.thinking_tags
        return {"role": "assistant", "content": f"{opening}\n{thought}\n{closing}\n\n{text}"}
    message: ChatMessage = {"role": "assistant", "content": text}
    return message | {"reasoning": thought} if thought else message


def _text(runs: Sequence[tuple[Kind, Sequence[Block]]], reader: TranslationContext) -> str:
    """The text of a reply: as it ran on where texts adjoin, parted where something else stood."""
    told: list[str] = []
    before: Kind = "text"
    for kind, run in runs:
        if text := _TOLD[kind](run, reader):
            gap = BESIDE_CALLS if "call" in (before, kind) else BETWEEN
            told += [gap, text] if told else [text]
            before = kind
    return "".join(told)


def _told_calls(uses: Sequence[Block], reader: TranslationContext) -> str:
    """Calls as text, where the template does not write them."""
    if not _calls_in_text(reader.traits):
        return ""
    calls = [(reader.prompt_name(use), _input(use)) for use in uses if isinstance(use, ToolUseBlockParam)]
    if reader.traits.render_calls is not None:
        return reader.traits.render_calls(calls)
    return "\n".join(prompted.call_text(name, arguments) for name, arguments in calls)


def _told_others(blocks: Sequence[Block], reader: TranslationContext) -> str:
    """Blocks that only have a stand-in, and the tools that a server's search found."""
    return BETWEEN.join(
        text
        for block in blocks
        for text in (block_text(block), *(reader.box.definition(name) for name in found_tools(block)))
    )


_TOLD: dict[Kind, Callable[[Sequence[Block], TranslationContext], str]] = {
    "text": lambda run, _: "".join(block_text(block) for block in run),
    "call": _told_calls,
    "thought": lambda _run, _reader: "",
    "other": _told_others,
}


def _input(use: ToolUseBlockParam) -> dict[str, Any]:
    """A call's arguments; what a client sends in the place of an object is kept under a name."""
    if isinstance(use.input, dict):
        return use.input
    return {} if use.input is None else {"input": use.input}


def _call(use: ToolUseBlockParam, reader: TranslationContext) -> dict[str, Any]:
    arguments = json.dumps(_input(use), ensure_ascii=False)
    function = {"name": reader.prompt_name(use), "arguments": arguments}
    return {"id": use.id, "type": "function", "function": function}
