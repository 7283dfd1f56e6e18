"""What is known about a chat template once it is probed: `TemplateProfile` and `ThinkingProfile`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vllm_messages_plugin.formats.template_traits import CallIdStyle

ArgumentsForm = Literal["object", "string"]
"""How a message carries the arguments of a call: as an object, or as JSON text."""
Evidence = Literal["prompt", "field", "history", "system"]
"""Where the tags were found; "history" and "system" only hint that the model thinks."""


@dataclass(frozen=True, slots=True)
class ThinkingProfile:
    """How a chat template makes its model think.

    Attributes:
        kwarg: the template kwarg that switches thinking; None without a switch.
        on: the kwarg's value that turns thinking on.
        off: the kwarg's value that turns it off.
        default_on: the model thinks if the kwarg is not set.
        open_tag: the tag before thinking; None if the template never shows it.
        close_tag: the tag after thinking.
        prompt_opens: with thinking on, the prompt ends with the opening tag.
        prompt_closes: with thinking off, the prompt ends with the closing tag.
        effort_kwarg: the template kwarg that sets the effort.
        budget_kwarg: the template kwarg that sets the largest number of thinking tokens.
        off_words: words in the system prompt that turn thinking off, for a template without a switch.
        efforts: the values that `effort_kwarg` takes.
        evidence: where the tags were found.
    """

    kwarg: str | None
    on: object
    off: object
    default_on: bool
    open_tag: str | None
    close_tag: str | None
    prompt_opens: bool
    prompt_closes: bool
    effort_kwarg: str | None = None
    budget_kwarg: str | None = None
    off_words: str | None = None
    efforts: tuple[str, ...] = ()
    evidence: Evidence = "prompt"


@dataclass(frozen=True, slots=True)
class TemplateProfile:
    """What a chat template can do, and in which form it takes a conversation.

    Attributes:
        lists_tools: the offered tools come out in the prompt, with or without a system message.
        system_for_tools: they come out only if there is a system message.
        call_format: the tool-call format in which it renders earlier calls: "unknown" if no detector knows
            it, None if it renders no calls.
        renders_results: tool results come out in the prompt, behind a call or, if the template renders none,
            behind a reply's text.
        arguments_as: whether it takes the arguments of a call as an object or as JSON text.
        thinking: how it makes its model think; None if it does not.
        reasoning_field: the message field whose text it renders as earlier thinking.
        leading_system: it renders a system message at the head of the conversation.
        inline_system: it renders a system message in a later place where it stands, with markup between it
            and the words before.
        consecutive_users: it takes two user messages in a row.
        leading_assistant: it takes an assistant message before the first user message.
        empty_call_content: the content for an assistant message that only calls: "" or None.
        error: why the template could not be probed; then every other field claims nothing.
        hinted_format: the tool-call format that its tool listing asks for, if it renders no calls in a format
            that is known.
        results_behind_text: tool results come out behind a reply's text too, without a call.
        call_id_style: the form that the ids of tool calls must have for it.
        reply_envelope: the tags that it writes around the text of a reply.
    """

    lists_tools: bool
    call_format: str | None
    renders_results: bool
    arguments_as: ArgumentsForm
    thinking: ThinkingProfile | None
    reasoning_field: str | None
    leading_system: bool
    inline_system: bool
    consecutive_users: bool
    leading_assistant: bool
    empty_call_content: object
    error: str | None = None
    hinted_format: str | None = None
    call_id_style: CallIdStyle = "any"
    system_for_tools: bool = False
    results_behind_text: bool = False
    reply_envelope: tuple[str, str] | None = None


def error_profile(error: str) -> TemplateProfile:
    """Return the profile of a template that could not be probed."""
    return TemplateProfile(
        lists_tools=False,
        call_format=None,
        renders_results=False,
        arguments_as="object",
        thinking=None,
        reasoning_field=None,
        leading_system=False,
        inline_system=False,
        consecutive_users=False,
        leading_assistant=False,
        empty_call_content="",
        error=error,
    )
