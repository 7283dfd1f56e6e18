"""Reads off a rendered prompt whether its reply begins inside thinking, after it or before it.

A template's default says nothing of one request: switches, tools and a prefilled reply change how the
prompt ends. The prompt itself shows it, because the reply is its continuation.
"""

from typing import Final, Literal

ThinkingState = Literal["open", "closed", "free"]
"""How a prompt leaves thinking: `open`, the reply begins inside it; `closed`, the reply begins after it;
`free`, the model decides whether to think."""

PROMPT_TAIL: Final = 64
"""Tokens at the end of a prompt that show its state, where only tokens are known."""

END_CHARACTERS: Final = 1_000
"""Characters at the end of a prompt that usually show its state: copying a long prompt takes milliseconds."""


def thinking_state(prompt: str, open_tag: str, close_tag: str, prefill: str = "") -> ThinkingState:
    """Return how a prompt leaves thinking.

    Args:
        prompt: the rendered prompt, or enough of its end.
        open_tag: the tag that opens thinking.
        close_tag: the tag that closes it.
        prefill: the beginning of the reply, if the prompt ends with it.
    """
    opened, closed = prefill.rfind(open_tag), prefill.rfind(close_tag)
    if opened != closed:
        return "open" if opened > closed else "closed"
    end = prompt[-END_CHARACTERS:].rstrip()
    if prefill.strip() or len(end) < max(len(open_tag), len(close_tag)):
        end = prompt.rstrip()
    if prefill.strip():
        end = end.removesuffix(prefill.rstrip()).rstrip()
    if end.endswith(open_tag):
        return "open"
    return "closed" if end.endswith(close_tag) else "free"
