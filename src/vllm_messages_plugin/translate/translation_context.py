"""What every step of the translation knows of the model and of the request, and blocks as plain text.

Made by `conversation` for each request; read by it and by `earlier_reply`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.media import documents
from vllm_messages_plugin.translate.tools.toolbox import Toolbox
from vllm_messages_plugin.translate.turns import stand_in
from vllm_messages_plugin.wire.blocks import (
    Block,
    ContentSource,
    DocumentBlockParam,
    PlainTextSource,
    TextBlockParam,
    ToolUseBlockParam,
)

ChatMessage = dict[str, Any]
"""A message in the form chat templates read: `{"role", "content", ...}`."""

Restore = Callable[[str], str | None]
"""Reads the reasoning out of a thinking block's signature."""


@dataclass(frozen=True, slots=True)
class TranslationContext:
    """`calls` maps the tool_use ids so far to (the call's place in its turn, its tool's name)."""

    traits: TemplateTraits
    box: Toolbox
    restore: Restore
    calls: dict[str, tuple[int, str]]

    def prompt_name(self, use: ToolUseBlockParam) -> str:
        """The name that a call's tool has in the prompt."""
        return self.box.prompt_name(use.name, use.toolset_name)


def block_text(block: Block) -> str:
    """A block that is to stand in a text."""
    if isinstance(block, DocumentBlockParam) and isinstance(block.source, PlainTextSource | ContentSource):
        return str(documents.document_parts(block, "", images=False)[0]["text"])
    return block.text if isinstance(block, TextBlockParam) else stand_in(block)
