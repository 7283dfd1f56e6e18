"""Per-request context for translation (template traits, tools, earlier tool_use ids), and `block_text`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.translate.calls import EarlierCalls
from vllm_messages_plugin.translate.citations import NO_CITATIONS, Citations
from vllm_messages_plugin.translate.documents import document_text
from vllm_messages_plugin.translate.tools.request_tools import ReferredTools, RequestTools
from vllm_messages_plugin.translate.turns import stand_in
from vllm_messages_plugin.wire.blocks import Block, DocumentBlockParam, TextBlockParam, ToolUseBlockParam

Restore = Callable[[str], str | None]
"""Reads the reasoning out of a thinking block's signature."""


MAX_RESTORED_CHARACTERS: Final = 8 * 1024 * 1024
"""What the signatures of one request may restore, all together: more than the largest window holds."""


class LimitedRestore:
    """Restores reasoning up to a limit for the whole request: a signature is far shorter than its text."""

    def __init__(self, restore: Restore) -> None:
        self._restore = restore
        self._left = MAX_RESTORED_CHARACTERS

    def __call__(self, signature: str) -> str | None:
        """The reasoning of a signature; None for a foreign one, or above the limit."""
        thinking = self._restore(signature) if self._left > 0 else None
        self._left -= len(thinking or "")
        return thinking if self._left >= 0 else None


@dataclass(frozen=True, slots=True)
class TranslationContext:
    """What every step of the translation needs to know of the model and of the request.

    `restore` reads reasoning out of signatures, within the limit of one request.
    `calls` are those of the turns so far, `referred` writes the tools that the conversation refers to,
    `citations` are the numbered passages.
    """

    traits: TemplateTraits
    tools: RequestTools
    restore: Restore
    calls: EarlierCalls
    referred: ReferredTools
    citations: Citations

    def prompt_name(self, use: ToolUseBlockParam) -> str:
        """The name that a call's tool has in the prompt."""
        return self.tools.prompt_name(use.name, use.toolset_name)


def translation_context(
    traits: TemplateTraits, tools: RequestTools, restore: Restore, citations: Citations = NO_CITATIONS
) -> TranslationContext:
    """The context of a request's translation, before its first turn."""
    calls = EarlierCalls(traits.call_id_style)
    return TranslationContext(traits, tools, LimitedRestore(restore), calls, ReferredTools(tools), citations)


def block_text(block: Block) -> str:
    """A block as text, or a short text in its place."""
    if isinstance(block, DocumentBlockParam):
        text = document_text(block)
        return stand_in(block) if text is None else text
    return block.text if isinstance(block, TextBlockParam) else stand_in(block)
