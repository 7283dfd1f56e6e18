"""Finds the tags that a chat template writes around the text of a reply.

Some families write their reply text in an envelope (`<|START_RESPONSE|>`, `<answer>`). The generation prompt
ends before the opening tag, so the model writes the tags itself. They show in an earlier reply: a tag right
before its text that the generation prompt does not have, with a closing tag of the same name behind the text,
or alone behind the generation prompt.
"""

from __future__ import annotations

import re
from typing import Final

from vllm_messages_plugin.formats.probing import sentinels
from vllm_messages_plugin.formats.probing.renderer import Renderer
from vllm_messages_plugin.formats.probing.sentinels import Tools
from vllm_messages_plugin.formats.probing.template_profile import ThinkingProfile

Envelope = tuple[str, str]

_OPENING: Final = re.compile(r"(<[^<>\s]{2,40}>)\s*\Z")
_CLOSING: Final = re.compile(r"\s*(<[^<>\s]{2,40}>)")


def probe_envelope(
    renderer: Renderer, tools: Tools | None, thinking: ThinkingProfile | None
) -> Envelope | None:
    """Return the opening and the closing tag around reply text; None if the template writes none."""
    turns = [sentinels.user(), sentinels.assistant(), sentinels.user(sentinels.USER_AGAIN)]
    text = renderer.try_render(turns, tools) or ""
    prompt = renderer.try_render([sentinels.user()], tools) or ""
    if not sentinels.in_order(text, [sentinels.USER, sentinels.ANSWER, sentinels.USER_AGAIN]):
        return None
    generation = prompt[prompt.rfind(sentinels.USER) + len(sentinels.USER) :].rstrip()
    before = text[text.find(sentinels.USER) + len(sentinels.USER) : text.find(sentinels.ANSWER)]
    opening = _OPENING.search(before)
    closing = _CLOSING.match(text, text.find(sentinels.ANSWER) + len(sentinels.ANSWER))
    if not opening or not closing or opening[1] in generation:
        return None
    envelope = (opening[1], closing[1])
    return envelope if _is_pair(envelope) or _is_alone(envelope, before, generation, thinking) else None


def _is_pair(envelope: Envelope) -> bool:
    opening, closing = envelope
    return closing in (opening.replace("<", "</", 1), opening.replace("START", "END")) and opening != closing


def _is_alone(envelope: Envelope, before: str, generation: str, thinking: ThinkingProfile | None) -> bool:
    """Return whether the opening tag is all that the template adds to the generation prompt."""
    opening = envelope[0]
    if opening.startswith("</") or (thinking is not None and opening == thinking.close_tag):
        return False
    return bool(generation) and before.startswith(generation) and before[len(generation) :].strip() == opening
