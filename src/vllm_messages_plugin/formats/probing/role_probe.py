"""Finds out which orders of roles a chat template renders: where system messages may stand, who may begin.

Every order is rendered without tools, if the template can, and with them: requests reach it in both modes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from vllm_messages_plugin.formats.probing import sentinels
from vllm_messages_plugin.formats.probing.renderer import Renderer
from vllm_messages_plugin.formats.probing.sentinels import Message

RenderingMode = tuple[Renderer, list[dict[str, Any]] | None]
"""A renderer and the tools to render with."""


@dataclass(frozen=True, slots=True)
class RoleOrders:
    """The orders of roles that a template renders with every text once, in order; see `TemplateProfile`."""

    leading_system: bool
    inline_system: bool
    consecutive_users: bool
    leading_assistant: bool


def probe_roles(plain: Renderer, tooled: Renderer, exchange: Sequence[Message] | None) -> RoleOrders:
    """Return the orders of roles that a template renders.

    Args:
        plain: the renderer for requests without tools.
        tooled: the renderer for requests with tools.
        exchange: a user message, a call and its result as the template renders them; None without calls.
    """
    modes = _rendering_modes(plain, tooled)
    user, again = sentinels.user(), sentinels.user(sentinels.USER_AGAIN)
    return RoleOrders(
        leading_system=_in_order(modes, [sentinels.system(), user]),
        inline_system=_inline_system(modes, exchange),
        consecutive_users=_in_order(modes, [user, again]),
        leading_assistant=_in_order(modes, [sentinels.assistant(), user]),
    )


def _rendering_modes(plain: Renderer, tooled: Renderer) -> list[RenderingMode]:
    renders_plain = sentinels.USER in (plain.try_render([sentinels.user()]) or "")
    bare: list[RenderingMode] = [(plain, None)] if renders_plain else []
    return [*bare, (tooled, [sentinels.TOOL])]


def _in_order(modes: list[RenderingMode], messages: Sequence[Message]) -> bool:
    """Return whether every message's text comes out once and in order, in every mode."""
    words = [message["content"] for message in messages]
    return all(sentinels.in_order(renderer.try_render(messages, tools), words) for renderer, tools in modes)


def _inline_system(modes: list[RenderingMode], exchange: Sequence[Message] | None) -> bool:
    """Return whether a system message may stand behind a user message and a tool result, set off by markup.

    Without markup between them, its words would run into the user's.
    """
    user, again, system = sentinels.user(), sentinels.user(sentinels.USER_AGAIN), sentinels.system()
    orders = [[user, system, sentinels.assistant(), again], [user, sentinels.assistant(), again, system]]
    if not all(_in_order(modes, order) and _set_off(modes, order) for order in orders):
        return False
    if exchange is None:
        return True
    words = [sentinels.USER, sentinels.VALUE, sentinels.RESULT, sentinels.SYSTEM]
    after_result = [*exchange, system]
    rendered = [renderer.try_render(after_result, tools) for renderer, tools in modes]
    return all(sentinels.in_order(text, words) for text in rendered) and _set_off(modes, after_result)


def _set_off(modes: list[RenderingMode], messages: Sequence[Message]) -> bool:
    """Return whether more than whitespace stands between the system message and the message before it."""
    before = next(first for first, second in pairwise(messages) if second["role"] == "system")
    for renderer, tools in modes:
        text = renderer.try_render(messages, tools) or ""
        start = text.find(before["content"]) + len(before["content"])
        if not text[start : text.find(sentinels.SYSTEM)].strip():
            return False
    return True
