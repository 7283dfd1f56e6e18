"""An earlier reply of the model, as the message that its template reads.

Calls go into the template's own field, or into the text where the model once wrote them, if the template does
not render the calls of earlier turns.
"""

import json
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Literal

from vllm_messages_plugin.formats import prompted
from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.translate.chat_message import CalledFunction, ChatMessage, ToolCall
from vllm_messages_plugin.translate.tools.tool_changes import found_tool_names
from vllm_messages_plugin.translate.translation_context import TranslationContext, block_text
from vllm_messages_plugin.wire.blocks import (
    Block,
    RedactedThinkingBlockParam,
    TextBlockParam,
    ThinkingBlockParam,
    ToolUseBlockParam,
)

Kind = Literal["text", "call", "thinking", "other"]
"""The kind of a run of adjoining blocks."""

BETWEEN_RUNS = "\n\n"
BESIDE_CALLS = "\n"
"""Separators as models write them: between two runs of a reply, and between calls and text."""


def earlier_reply(blocks: Sequence[Block], context: TranslationContext) -> ChatMessage:
    """The message of one assistant turn."""
    runs = [(kind, list(run)) for kind, run in groupby(blocks, _kind)]
    message = _with_thinking(_text(runs, context), _thinking(blocks, context), context.traits)
    uses = [block for block in blocks if isinstance(block, ToolUseBlockParam)]
    if not uses or _calls_are_text(context.traits):
        return message
    content = message["content"] or context.traits.empty_call_content
    return {**message, "content": content, "tool_calls": [_call(use, context) for use in uses]}


def _calls_are_text(traits: TemplateTraits) -> bool:
    return not traits.native_tools or traits.render_calls is not None


def _kind(block: Block) -> Kind:
    if isinstance(block, ThinkingBlockParam | RedactedThinkingBlockParam):
        return "thinking"
    if isinstance(block, ToolUseBlockParam):
        return "call"
    return "text" if isinstance(block, TextBlockParam) else "other"


def _thinking(blocks: Sequence[Block], context: TranslationContext) -> str:
    thinking = (
        block.thinking or context.restore(block.signature or "")
        for block in blocks
        if isinstance(block, ThinkingBlockParam)
    )
    return "\n".join(filter(None, thinking))


def _with_thinking(text: str, thinking: str, traits: TemplateTraits) -> ChatMessage:
    if thinking and traits.thinking_tags is not None:
        opening, closing = traits.thinking_tags
        return {"role": "assistant", "content": f"{opening}\n{thinking}\n{closing}\n\n{text}"}
    message: ChatMessage = {"role": "assistant", "content": text}
    if thinking:
        message["reasoning"] = thinking
    return message


def _text(runs: Sequence[tuple[Kind, Sequence[Block]]], context: TranslationContext) -> str:
    """The text of a reply: adjoining text blocks without a gap, other runs with a separator."""
    texts: list[str] = []
    before: Kind = "text"
    for kind, run in runs:
        if text := _TEXT_OF[kind](run, context):
            gap = BESIDE_CALLS if "call" in (before, kind) else BETWEEN_RUNS
            texts += [gap, text] if texts else [text]
            before = kind
    return "".join(texts)


def _calls_text(uses: Sequence[Block], context: TranslationContext) -> str:
    """Calls as text, where the template does not write them."""
    if not _calls_are_text(context.traits):
        return ""
    calls = [(context.prompt_name(use), use.input) for use in uses if isinstance(use, ToolUseBlockParam)]
    if context.traits.render_calls is not None:
        return context.traits.render_calls(calls)
    return "\n".join(prompted.call_text(name, arguments) for name, arguments in calls)


def _others_text(blocks: Sequence[Block], context: TranslationContext) -> str:
    """Blocks of server tools, and the definitions of the tools that a server's search found."""
    return BETWEEN_RUNS.join(
        text
        for block in blocks
        for text in (block_text(block), *(context.referred.text(name) for name in found_tool_names(block)))
    )


_TEXT_OF: dict[Kind, Callable[[Sequence[Block], TranslationContext], str]] = {
    "text": lambda run, context: "".join(
        context.citations.tagged(block) for block in run if isinstance(block, TextBlockParam)
    ),
    "call": _calls_text,
    "thinking": lambda _run, _context: "",
    "other": _others_text,
}


def _call(use: ToolUseBlockParam, context: TranslationContext) -> ToolCall:
    arguments = json.dumps(use.input, ensure_ascii=False)
    function: CalledFunction = {"name": context.prompt_name(use), "arguments": arguments}
    return {"id": context.calls.prompt_id(use.id), "type": "function", "function": function}
