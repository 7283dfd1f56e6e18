"""Per-request context for translation (template traits, tools, earlier tool_use ids), and `block_text`."""

from collections.abc import Callable
from dataclasses import dataclass

from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.translate.calls import EarlierCalls
from vllm_messages_plugin.translate.documents import document_text
from vllm_messages_plugin.translate.tools.request_tools import RequestTools
from vllm_messages_plugin.translate.turns import stand_in
from vllm_messages_plugin.wire.blocks import Block, DocumentBlockParam, TextBlockParam, ToolUseBlockParam

Restore = Callable[[str], str | None]
"""Reads the reasoning out of a thinking block's signature."""


@dataclass(frozen=True, slots=True)
class TranslationContext:
    """What every step of the translation needs to know of the model and of the request.

    `calls` are those of the turns so far.
    """

    traits: TemplateTraits
    tools: RequestTools
    restore: Restore
    calls: EarlierCalls

    def prompt_name(self, use: ToolUseBlockParam) -> str:
        """The name that a call's tool has in the prompt."""
        return self.tools.prompt_name(use.name, use.toolset_name)


def block_text(block: Block) -> str:
    """A block as text, or a short text in its place."""
    if isinstance(block, DocumentBlockParam):
        text = document_text(block)
        return stand_in(block) if text is None else text
    return block.text if isinstance(block, TextBlockParam) else stand_in(block)
