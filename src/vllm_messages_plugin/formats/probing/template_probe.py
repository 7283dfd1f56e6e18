"""Finds out what a chat template can do by rendering sentinel conversations with it.

How it works: a sentinel conversation is an ordinary conversation whose texts, tool name and arguments are
made-up words (`sentinels`). It is rendered like a real request. Where the words come out, in which order and
with what around them shows what the template does:

- a tool is listed if its name stands in the prompt;
- a call is rendered if its argument does; the text between the user's words and the tool result is the
  assistant's turn, and its markup names the tool-call format (`detectors`). Templates differ in the input for
  which they render a call (arguments as an object or as JSON text; content empty, missing or text; with or
  without the result), so the inputs are tried in turn until one comes out unharmed;
- a system message may stand somewhere if its words come out there, in place and once;
- a template that refuses a conversation raises, which is an answer as well.

Why so: the model was trained on what its template renders. Names of models and comments in templates are
less reliable. A template is untrusted code, so it runs in a sandbox with limits on work and size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from vllm_messages_plugin.formats.probing import sentinels
from vllm_messages_plugin.formats.probing.detectors import detect_format, format_hinted_by_prompt
from vllm_messages_plugin.formats.probing.envelope_probe import probe_envelope
from vllm_messages_plugin.formats.probing.reasoning_probe import (
    ReasoningProbe,
    probe_thinking,
)
from vllm_messages_plugin.formats.probing.renderer import Renderer
from vllm_messages_plugin.formats.probing.role_probe import probe_roles
from vllm_messages_plugin.formats.probing.sandbox import RenderError
from vllm_messages_plugin.formats.probing.template_profile import (
    ArgumentsForm,
    TemplateProfile,
    ThinkingProfile,
    error_profile,
)
from vllm_messages_plugin.formats.template_traits import CallIdStyle

__all__ = ["TemplateProfile", "ThinkingProfile", "error_profile", "probe"]

ARGUMENTS_FORMS: Final[tuple[ArgumentsForm, ...]] = ("object", "string")
ANTHROPIC_CALL_ID: Final = "toolu_01AbCdEfGhIjKlMnOpQrStUv"
REASONING_FIELDS: Final = ("reasoning_content", "reasoning", "thinking")
NO_TOKENS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class _Call:
    """The assistant's turn with a rendered call, and the input for which the template renders it."""

    segment: str
    arguments_as: ArgumentsForm
    content: str | None
    answered: bool


def probe(
    template: str,
    *,
    tool_template: str | None = None,
    special_tokens: Mapping[str, str] = NO_TOKENS,
) -> TemplateProfile:
    """Render a template with sentinel conversations and return what it can do.

    A template that cannot be probed gives a profile with `error`. Nothing is raised but MemoryError, where
    the process has a limit on memory.

    Args:
        template: the chat template, in jinja.
        tool_template: a second template for requests with tools, if the model has one.
        special_tokens: special tokens by their name in the template, such as `bos_token`.
    """
    try:
        plain = _renderer_for(template, special_tokens)
        tooled = _renderer_for(tool_template, special_tokens) if tool_template else plain
        profile = _profile(plain, tooled)
        plain.check_budget()
        tooled.check_budget()
        return profile
    except RenderError as error:
        return error_profile(str(error))


def _renderer_for(template: str, special_tokens: Mapping[str, str]) -> Renderer:
    """Compile a template and find out whether it takes content as text or as parts."""
    renderer = Renderer(template, special_tokens)
    failure = _failure(renderer)
    if failure is None:
        return renderer
    renderer.use_parts()
    if _failure(renderer) is None:
        return renderer
    raise RenderError(failure)


def _failure(renderer: Renderer) -> str | None:
    """Return why a template does not render a user message, with tools or without; None if it does."""
    failure = "the template does not render a user's message"
    for tools in (None, [sentinels.TOOL]):
        try:
            if sentinels.USER in renderer.render([sentinels.user()], tools):
                return None
        except RenderError as error:
            failure = str(error)
    return failure


def _profile(plain: Renderer, tooled: Renderer) -> TemplateProfile:
    call = _rendered_call(tooled)
    listing = tooled.try_render([sentinels.user()], [sentinels.TOOL]) or ""
    with_system = tooled.try_render([sentinels.system(), sentinels.user()], [sentinels.TOOL]) or ""
    call_format, hinted_format = _formats(call, f"{listing}{with_system}")
    exchange = sentinels.tool_exchange(call.arguments_as, call.content) if call else None
    roles = probe_roles(plain, tooled, exchange)
    reasoning_field = _reasoning_field(tooled, call) or _reasoning_field(plain, None)
    thinking = probe_thinking(plain, _reasoning_probe(plain, tooled, call, reasoning_field))
    return TemplateProfile(
        lists_tools=sentinels.NAME in listing or sentinels.NAME in with_system,
        call_format=call_format,
        renders_results=_renders_results(tooled, call),
        arguments_as=call.arguments_as if call else "object",
        thinking=thinking,
        reasoning_field=reasoning_field,
        leading_system=roles.leading_system,
        inline_system=roles.inline_system,
        consecutive_users=roles.consecutive_users,
        leading_assistant=roles.leading_assistant,
        empty_call_content=_empty_content(tooled, call),
        hinted_format=hinted_format,
        call_id_style=_call_id_style(tooled, call) if call else "any",
        system_for_tools=sentinels.NAME in with_system and sentinels.NAME not in listing,
        results_behind_text=_results_behind_text(tooled),
        reply_envelope=probe_envelope(tooled, [sentinels.TOOL], thinking)
        or probe_envelope(plain, None, thinking),
    )


def _formats(call: _Call | None, listing: str) -> tuple[str | None, str | None]:
    """Return the format of the rendered call; where it is not known, the one that the listing asks for."""
    rendered = detect_format(call.segment) if call else None
    if rendered not in (None, "unknown"):
        return rendered, None
    hinted = format_hinted_by_prompt(listing)
    return (None if hinted else rendered), hinted


def _results_behind_text(tooled: Renderer) -> bool:
    messages = [sentinels.user(), sentinels.assistant(), sentinels.result()]
    words = [sentinels.USER, sentinels.ANSWER, sentinels.RESULT]
    return sentinels.in_order(tooled.try_render(messages, [sentinels.TOOL]), words)


def _rendered_call(tooled: Renderer) -> _Call | None:
    """Find an input for which the template renders the sentinel call unharmed."""
    return next(_rendered_calls(tooled), None)


def _rendered_calls(tooled: Renderer) -> Iterator[_Call]:
    for arguments_as in ARGUMENTS_FORMS:
        for content in ("", None, sentinels.ANSWER):
            for answered in (True, False):
                messages = sentinels.tool_exchange(arguments_as, content, answered)
                segment = _segment(tooled.try_render(messages, [sentinels.TOOL], prompt=False))
                if segment and _is_faithful(segment):
                    yield _Call(segment, arguments_as, content, answered)


def _segment(text: str | None) -> str | None:
    """Cut the assistant's turn out of a rendered conversation: from the user's words to the result."""
    argument = text.rfind(sentinels.VALUE) if text else -1
    if not text or argument < 0:
        return None
    start = text.rfind(sentinels.USER, 0, argument)
    end = text.find(sentinels.RESULT, argument)
    return text[start + len(sentinels.USER) if start >= 0 else 0 : end if end >= 0 else len(text)]


_NUMBERED_CALL: Final = re.compile(rf"functions\.{sentinels.NAME}:\d")
_PYTHON_DICT: Final = re.compile(rf"'{sentinels.KEY}'\s*:")


def _is_faithful(segment: str) -> bool:
    """Return whether the arguments came out neither as a Python dict nor as JSON within JSON."""
    return not _PYTHON_DICT.search(segment) and rf"\"{sentinels.KEY}" not in segment


def _renders_results(tooled: Renderer, call: _Call | None) -> bool:
    messages = sentinels.tool_exchange(call.arguments_as if call else "object", call.content if call else "")
    return sentinels.RESULT in (tooled.try_render(messages, [sentinels.TOOL]) or "")


def _call_id_style(tooled: Renderer, call: _Call) -> CallIdStyle:
    """Return the form of call ids that the template takes.

    The sentinel call's id has nine letters and digits, which every template takes; one that refuses the same
    call with an id of Anthropic's form wants nine. A template that prints the id before the arguments, where
    the tool's name should stand, or that composes `functions.NAME:N` itself, wants ids of that form.
    """
    messages = sentinels.tool_exchange(call.arguments_as, call.content, call.answered)
    if tooled.try_render(sentinels.with_call_id(messages, ANTHROPIC_CALL_ID), [sentinels.TOOL]) is None:
        return "nine_alphanumeric"
    before_arguments = call.segment.partition(sentinels.KEY)[0]
    if sentinels.CALL_ID in before_arguments and sentinels.NAME not in before_arguments:
        return "kimi"
    return "kimi" if _NUMBERED_CALL.search(before_arguments) else "any"


def _empty_content(tooled: Renderer, call: _Call | None) -> object:
    """Choose the content for a message that only calls: the one that adds the least text."""
    if call is None or call.content == sentinels.ANSWER:
        return ""
    found: dict[object, str] = {}
    for content in ("", None):
        text = tooled.try_render(sentinels.tool_exchange(call.arguments_as, content), [sentinels.TOOL]) or ""
        segment = _segment(text)
        if segment and "None" not in segment:
            found[content] = segment
    return min(found, key=lambda content: len(found[content]), default="")


def _reasoning_probe(
    plain: Renderer, tooled: Renderer, call: _Call | None, field: str | None
) -> ReasoningProbe | None:
    """Return a conversation in which the template renders the reasoning field."""
    if field is None:
        return None
    reasoning = {field: sentinels.REASONING}
    if call:
        messages = sentinels.tool_exchange(call.arguments_as, call.content, fields=reasoning)
        if sentinels.REASONING in (tooled.try_render(messages, [sentinels.TOOL]) or ""):
            return ReasoningProbe(tooled, messages, [sentinels.TOOL])
    return ReasoningProbe(plain, [sentinels.user(), sentinels.assistant(**reasoning)], None)


def _reasoning_field(renderer: Renderer, call: _Call | None) -> str | None:
    """Find the field whose text is rendered beside a call awaiting its result, or in the last reply."""
    for field in REASONING_FIELDS:
        reasoning = {field: sentinels.REASONING}
        if call:
            messages = sentinels.tool_exchange(call.arguments_as, call.content, fields=reasoning)
            text = renderer.try_render(messages, [sentinels.TOOL])
        else:
            text = renderer.try_render([sentinels.user(), sentinels.assistant(**reasoning)], prompt=False)
        if sentinels.REASONING in (text or ""):
            return field
    return None
