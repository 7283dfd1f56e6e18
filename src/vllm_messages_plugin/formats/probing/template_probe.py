"""Learns how a chat template speaks by rendering it with sentinel conversations.

Called by `choose`, and through it by the engine room and the CLI. Names decide nothing here: what
the template renders is what the model was trained to read and write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vllm_messages_plugin.formats.probing import sentinels
from vllm_messages_plugin.formats.probing.detectors import detect_format, format_hinted_by_prompt
from vllm_messages_plugin.formats.probing.reasoning_probe import (
    ReasoningProbe,
    ThinkingProfile,
    probe_thinking,
)
from vllm_messages_plugin.formats.probing.renderer import NO_KWARGS, Message, Renderer
from vllm_messages_plugin.formats.probing.sandbox import RenderError

__all__ = ["TemplateProfile", "ThinkingProfile", "probe"]

REASONING_FIELDS: Final = ("reasoning_content", "reasoning", "thinking")
NO_TOKENS: Final[Mapping[str, str]] = {}

Fields = Mapping[str, object]
RenderingMode = tuple[Renderer, list[dict[str, Any]] | None]


@dataclass(frozen=True, slots=True)
class TemplateProfile:
    """What a chat template can say, and in which form it wants to be told."""

    lists_tools: bool
    call_format: str | None
    renders_results: bool
    arguments_as: str
    thinking: ThinkingProfile | None
    reasoning_field: str | None
    leading_system: bool
    inline_system: bool
    consecutive_users: bool
    leading_assistant: bool
    empty_call_content: object
    error: str | None = None
    hinted_format: str | None = None  # the markup the listing asks for, where no call is rendered


@dataclass(frozen=True, slots=True)
class _Call:
    """A tool call as the template renders it, and the input that made it do so."""

    segment: str
    arguments_as: str
    content: str | None


def probe(
    template: str,
    *,
    tool_template: str | None = None,
    special_tokens: Mapping[str, str] = NO_TOKENS,
) -> TemplateProfile:
    """Render a template with sentinels and report what it can do; never raises."""
    try:
        plain = _renderer_for(template, special_tokens)
        tooled = _renderer_for(tool_template, special_tokens) if tool_template else plain
        profile = _profile(plain, tooled)
        plain.check()
        tooled.check()
        return profile
    except RenderError as error:
        return _error_profile(str(error))


def _renderer_for(template: str, special_tokens: Mapping[str, str]) -> Renderer:
    """Compile a template and find out which form of content it takes."""
    renderer = Renderer(template, special_tokens)
    trouble = _failure(renderer)
    if trouble is None:
        return renderer
    renderer.use_parts()
    if _failure(renderer) is None:
        return renderer
    raise RenderError(trouble)


def _failure(renderer: Renderer) -> str | None:
    """Say why a template does not render a user's message, with tools or without; None if it does."""
    trouble = "the template does not render a user's message"
    for tools in (None, [sentinels.TOOL]):
        try:
            if sentinels.USER in renderer.render([sentinels.user()], tools):
                return None
        except RenderError as error:
            trouble = str(error)
    return trouble


def _error_profile(error: str) -> TemplateProfile:
    """Return the profile of a template that renders nothing."""
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


def _profile(plain: Renderer, tooled: Renderer) -> TemplateProfile:
    call = _rendered_call(tooled)
    listing = tooled.try_render([sentinels.user()], [sentinels.TOOL]) or ""
    ways = _rendering_modes(plain, tooled)
    field = _reasoning_field(tooled, call) or _reasoning_field(plain, None)
    return TemplateProfile(
        lists_tools=sentinels.NAME in listing,
        call_format=detect_format(call.segment) if call else None,
        renders_results=_renders_results(tooled, call),
        arguments_as=call.arguments_as if call else "object",
        thinking=probe_thinking(plain, _reasoning_probe(plain, tooled, call, field)),
        reasoning_field=field,
        leading_system=_renders_in_order(
            ways, [sentinels.system(), sentinels.user()], [sentinels.SYSTEM, sentinels.USER]
        ),
        inline_system=_inline_system(ways, call),
        consecutive_users=_renders_in_order(
            ways,
            [sentinels.user(), sentinels.user(sentinels.USER_AGAIN)],
            [sentinels.USER, sentinels.USER_AGAIN],
        ),
        leading_assistant=_renders_in_order(
            ways, [sentinels.assistant(), sentinels.user()], [sentinels.ANSWER, sentinels.USER]
        ),
        empty_call_content=_empty_content(tooled, call),
        hinted_format=None if call else format_hinted_by_prompt(listing),
    )


def _rendering_modes(plain: Renderer, tooled: Renderer) -> list[RenderingMode]:
    """List the ways in which a conversation can be rendered: without tools, if that works, and with them."""
    bare: list[RenderingMode] = (
        [(plain, None)] if sentinels.USER in (plain.try_render([sentinels.user()]) or "") else []
    )
    return [*bare, (tooled, [sentinels.TOOL])]


def _renders_in_order(ways: list[RenderingMode], messages: list[Message], words: list[str]) -> bool:
    """Tell whether messages render in order, in every way."""
    return all(sentinels.in_order(renderer.try_render(messages, tools), words) for renderer, tools in ways)


def _rendered_call(tooled: Renderer) -> _Call | None:
    """Find an input for which the template renders the sentinel call faithfully."""
    return next(_rendered_calls(tooled), None)


def _rendered_calls(tooled: Renderer) -> Iterator[_Call]:
    for arguments_as in ("object", "string"):
        for content in ("", None, sentinels.ANSWER):
            for answered in (True, False):
                messages = _tool_exchange(arguments_as, content, answered)
                segment = _segment(tooled.try_render(messages, [sentinels.TOOL], prompt=False))
                if segment and _is_faithful(segment):
                    yield _Call(segment, arguments_as, content)


def _tool_exchange(
    arguments_as: str, content: str | None, answered: bool = True, fields: Fields = NO_KWARGS
) -> list[Message]:
    messages = [sentinels.user(), sentinels.call(arguments_as, content, **fields)]
    return [*messages, sentinels.result()] if answered else messages


def _segment(text: str | None) -> str | None:
    """Cut the assistant's turn out of a rendered conversation: from the user's words to the result's."""
    argument = text.rfind(sentinels.VALUE) if text else -1
    if not text or argument < 0:
        return None
    start = text.rfind(sentinels.USER, 0, argument)
    end = text.find(sentinels.RESULT, argument)
    return text[start + len(sentinels.USER) if start >= 0 else 0 : end if end >= 0 else len(text)]


_PYTHON_DICT: Final = re.compile(rf"'{sentinels.KEY}'\s*:")


def _is_faithful(segment: str) -> bool:
    """Tell whether the arguments came out neither as a Python dict nor as JSON within JSON."""
    return not _PYTHON_DICT.search(segment) and rf"\"{sentinels.KEY}" not in segment


def _renders_results(tooled: Renderer, call: _Call | None) -> bool:
    messages = _tool_exchange(call.arguments_as if call else "object", call.content if call else "")
    return sentinels.RESULT in (tooled.try_render(messages, [sentinels.TOOL]) or "")


def _empty_content(tooled: Renderer, call: _Call | None) -> object:
    """Choose the content for a message that only calls: the one that leaves the least behind."""
    if call is None or call.content == sentinels.ANSWER:
        return ""
    found: dict[object, str] = {}
    for content in ("", None):
        text = tooled.try_render(_tool_exchange(call.arguments_as, content), [sentinels.TOOL]) or ""
        segment = _segment(text)
        if segment and "None" not in segment:
            found[content] = segment
    return min(found, key=lambda content: len(found[content]), default="")


def _inline_system(ways: list[RenderingMode], call: _Call | None) -> bool:
    """Tell whether a system message may stand after a user's turn and after a tool's result."""
    early = [
        sentinels.user(),
        sentinels.system(),
        sentinels.assistant(),
        sentinels.user(sentinels.USER_AGAIN),
    ]
    late = [sentinels.user(), sentinels.assistant(), sentinels.user(sentinels.USER_AGAIN), sentinels.system()]
    if not _renders_in_order(
        ways, early, [sentinels.USER, sentinels.SYSTEM, sentinels.ANSWER, sentinels.USER_AGAIN]
    ):
        return False
    if not _renders_in_order(
        ways, late, [sentinels.USER, sentinels.ANSWER, sentinels.USER_AGAIN, sentinels.SYSTEM]
    ):
        return False
    if call is None:
        return True
    messages = [*_tool_exchange(call.arguments_as, call.content), sentinels.system()]
    return _renders_in_order(
        ways, messages, [sentinels.USER, sentinels.VALUE, sentinels.RESULT, sentinels.SYSTEM]
    )


def _reasoning_probe(
    plain: Renderer, tooled: Renderer, call: _Call | None, field: str | None
) -> ReasoningProbe | None:
    """Return a conversation in which the template renders the reasoning field, and its renderer."""
    if field is None:
        return None
    reasoning = {field: sentinels.REASONING}
    if call:
        messages = _tool_exchange(call.arguments_as, call.content, fields=reasoning)
        if sentinels.REASONING in (tooled.try_render(messages, [sentinels.TOOL]) or ""):
            return tooled, messages, [sentinels.TOOL]
    return plain, [sentinels.user(), sentinels.assistant(**reasoning)], None


def _reasoning_field(renderer: Renderer, call: _Call | None) -> str | None:
    """Find the field whose text the template renders in the current tool loop, or in the last answer."""
    for field in REASONING_FIELDS:
        reasoning = {field: sentinels.REASONING}
        if call:
            messages = _tool_exchange(call.arguments_as, call.content, fields=reasoning)
            text = renderer.try_render(messages, [sentinels.TOOL])
        else:
            text = renderer.try_render([sentinels.user(), sentinels.assistant(**reasoning)], prompt=False)
        if sentinels.REASONING in (text or ""):
            return field
    return None
