"""How the output of a model is to be read: its tool-call format and the tags of its thinking."""

from __future__ import annotations

from vllm_messages_plugin.formats.probing.parser_selection import (
    ModelFacts,
    ParserChoice,
    choose_parsers,
    reply_format,
    scanner_format,
)
from vllm_messages_plugin.formats.scanning.scanner import ThinkingTags
from vllm_messages_plugin.formats.scanning.syntax import ToolCallFormat
from vllm_messages_plugin.probe_process import probe_in_child


class UnreadableModelError(ValueError):
    """The scanner has no format for the model; the text names vLLM's parser for it."""


def output_format(
    facts: ModelFacts, starts_open: bool | None = None
) -> tuple[ToolCallFormat, ThinkingTags | None]:
    """Return the tool-call format of a model and the tags of its thinking.

    Args:
        facts: what the model's files say.
        starts_open: whether the prompt ends inside thinking; None: as the template does by default.

    Raises:
        UnreadableModelError: only vLLM's own parser reads this model.
    """
    choice = choose_parsers(facts, probe_in_child)
    call_format = scanner_format(choice)
    if call_format is None:
        raise UnreadableModelError(
            f"The scanner does not read this model's format: on the server vLLM's {choice.tool_parser} does"
        )
    return reply_format(call_format, choice.profile), _thinking_tags(choice, starts_open)


def _thinking_tags(choice: ParserChoice, starts_open: bool | None) -> ThinkingTags | None:
    thinking = choice.profile.thinking if choice.profile else None
    if thinking is None or not thinking.open_tag or not thinking.close_tag:
        return None
    if starts_open is None:
        starts_open = thinking.prompt_opens and thinking.default_on
    return ThinkingTags(thinking.open_tag, thinking.close_tag, starts_open)
