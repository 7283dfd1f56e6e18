"""Learns how a chat template speaks by rendering it with sentinel conversations.

Called by `choose`, and through it by the engine room and the CLI. Names decide nothing here: what
the template renders is what the model was trained to read and write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vllm_messages_plugin.formats.probing import sentinels as say
from vllm_messages_plugin.formats.probing.detectors import detect_format, format_hinted_by_prompt
from vllm_messages_plugin.formats.probing.reasoning_probe import ThinkingProfile, Thought, probe_thinking
from vllm_messages_plugin.formats.probing.renderer import NO_KWARGS, Message, Renderer
from vllm_messages_plugin.formats.probing.sandbox import RenderError

__all__ = ["TemplateProfile", "ThinkingProfile", "probe"]

REASONING_FIELDS: Final = ("reasoning_content", "reasoning", "thinking")
NO_TOKENS: Final[Mapping[str, str]] = {}

Fields = Mapping[str, object]
Way = tuple[Renderer, list[dict[str, Any]] | None]


@dataclass(frozen=True, slots=True)
class TemplateProfile:
    """What a chat template can say, and in which form it wants to be told."""

    lists_tools: bool
    call_shape: str | None
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
        plain = _opened(template, special_tokens)
        tooled = _opened(tool_template, special_tokens) if tool_template else plain
        profile = _profile(plain, tooled)
        plain.check()
        tooled.check()
        return profile
    except RenderError as error:
        return _mute(str(error))


def _opened(template: str, special_tokens: Mapping[str, str]) -> Renderer:
    """Compile a template and find out which form of content it takes."""
    renderer = Renderer(template, special_tokens)
    trouble = _trouble(renderer)
    if trouble is None:
        return renderer
    renderer.use_parts()
    if _trouble(renderer) is None:
        return renderer
    raise RenderError(trouble)


def _trouble(renderer: Renderer) -> str | None:
    """Say why a template does not render a user's message, with tools or without; None if it does."""
    trouble = "the template does not render a user's message"
    for tools in (None, [say.TOOL]):
        try:
            if say.USER in renderer.render([say.user()], tools):
                return None
        except RenderError as error:
            trouble = str(error)
    return trouble


def _mute(error: str) -> TemplateProfile:
    """Return the profile of a template that renders nothing."""
    return TemplateProfile(
        lists_tools=False,
        call_shape=None,
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
    listing = tooled.attempt([say.user()], [say.TOOL]) or ""
    ways = _ways(plain, tooled)
    field = _reasoning_field(tooled, call) or _reasoning_field(plain, None)
    return TemplateProfile(
        lists_tools=say.NAME in listing,
        call_shape=detect_format(call.segment) if call else None,
        renders_results=_renders_results(tooled, call),
        arguments_as=call.arguments_as if call else "object",
        thinking=probe_thinking(plain, _thought(plain, tooled, call, field)),
        reasoning_field=field,
        leading_system=_tells(ways, [say.system(), say.user()], [say.SYSTEM, say.USER]),
        inline_system=_inline_system(ways, call),
        consecutive_users=_tells(ways, [say.user(), say.user(say.USER_AGAIN)], [say.USER, say.USER_AGAIN]),
        leading_assistant=_tells(ways, [say.assistant(), say.user()], [say.ANSWER, say.USER]),
        empty_call_content=_empty_content(tooled, call),
        hinted_format=None if call else format_hinted_by_prompt(listing),
    )


def _ways(plain: Renderer, tooled: Renderer) -> list[Way]:
    """List the ways in which a conversation can be rendered: without tools, if that works, and with them."""
    bare: list[Way] = [(plain, None)] if say.USER in (plain.attempt([say.user()]) or "") else []
    return [*bare, (tooled, [say.TOOL])]


def _tells(ways: list[Way], messages: list[Message], words: list[str]) -> bool:
    """Tell whether messages render in order, in every way."""
    return all(say.in_order(renderer.attempt(messages, tools), words) for renderer, tools in ways)


def _rendered_call(tooled: Renderer) -> _Call | None:
    """Find an input for which the template renders the sentinel call faithfully."""
    return next(_rendered_calls(tooled), None)


def _rendered_calls(tooled: Renderer) -> Iterator[_Call]:
    for arguments_as in ("object", "string"):
        for content in ("", None, say.ANSWER):
            for answered in (True, False):
                messages = _loop(arguments_as, content, answered)
                segment = _segment(tooled.attempt(messages, [say.TOOL], prompt=False))
                if segment and _is_faithful(segment):
                    yield _Call(segment, arguments_as, content)


def _loop(
    arguments_as: str, content: str | None, answered: bool = True, fields: Fields = NO_KWARGS
) -> list[Message]:
    messages = [say.user(), say.call(arguments_as, content, **fields)]
    return [*messages, say.result()] if answered else messages


def _segment(text: str | None) -> str | None:
    """Cut the assistant's turn out of a rendered conversation: from the user's words to the result's."""
    argument = text.rfind(say.VALUE) if text else -1
    if not text or argument < 0:
        return None
    start = text.rfind(say.USER, 0, argument)
    end = text.find(say.RESULT, argument)
    return text[start + len(say.USER) if start >= 0 else 0 : end if end >= 0 else len(text)]


_PYTHON_DICT: Final = re.compile(rf"'{say.KEY}'\s*:")


def _is_faithful(segment: str) -> bool:
    """Tell whether the arguments came out neither as a Python dict nor as JSON within JSON."""
    return not _PYTHON_DICT.search(segment) and rf"\"{say.KEY}" not in segment


def _renders_results(tooled: Renderer, call: _Call | None) -> bool:
    messages = _loop(call.arguments_as if call else "object", call.content if call else "")
    return say.RESULT in (tooled.attempt(messages, [say.TOOL]) or "")


def _empty_content(tooled: Renderer, call: _Call | None) -> object:
    """Choose the content for a message that only calls: the one that leaves the least behind."""
    if call is None or call.content == say.ANSWER:
        return ""
    found: dict[object, str] = {}
    for content in ("", None):
        text = tooled.attempt(_loop(call.arguments_as, content), [say.TOOL]) or ""
        segment = _segment(text)
        if segment and "None" not in segment:
            found[content] = segment
    return min(found, key=lambda content: len(found[content]), default="")


def _inline_system(ways: list[Way], call: _Call | None) -> bool:
    """Tell whether a system message may stand after a user's turn and after a tool's result."""
    early = [say.user(), say.system(), say.assistant(), say.user(say.USER_AGAIN)]
    late = [say.user(), say.assistant(), say.user(say.USER_AGAIN), say.system()]
    if not _tells(ways, early, [say.USER, say.SYSTEM, say.ANSWER, say.USER_AGAIN]):
        return False
    if not _tells(ways, late, [say.USER, say.ANSWER, say.USER_AGAIN, say.SYSTEM]):
        return False
    if call is None:
        return True
    messages = [*_loop(call.arguments_as, call.content), say.system()]
    return _tells(ways, messages, [say.USER, say.VALUE, say.RESULT, say.SYSTEM])


def _thought(plain: Renderer, tooled: Renderer, call: _Call | None, field: str | None) -> Thought | None:
    """Return a conversation in which the template renders the reasoning field, and its renderer."""
    if field is None:
        return None
    reasoning = {field: say.REASONING}
    if call:
        messages = _loop(call.arguments_as, call.content, fields=reasoning)
        if say.REASONING in (tooled.attempt(messages, [say.TOOL]) or ""):
            return tooled, messages, [say.TOOL]
    return plain, [say.user(), say.assistant(**reasoning)], None


def _reasoning_field(renderer: Renderer, call: _Call | None) -> str | None:
    """Find the field whose text the template renders in the current tool loop, or in the last answer."""
    for field in REASONING_FIELDS:
        reasoning = {field: say.REASONING}
        if call:
            messages = _loop(call.arguments_as, call.content, fields=reasoning)
            text = renderer.attempt(messages, [say.TOOL])
        else:
            text = renderer.attempt([say.user(), say.assistant(**reasoning)], prompt=False)
        if say.REASONING in (text or ""):
            return field
    return None
