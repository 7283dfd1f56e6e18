"""Limits that the context window sets to a prompt and its reply. All counts are tokens."""

from vllm_messages_plugin.wire.errors import MessagesError, invalid


def prompt_too_long(prompt_tokens: int, window: int) -> MessagesError | None:
    """Return the error for a prompt that leaves no room for a reply; None if there is room.

    Agents recognise the message's wording and compact their conversation.
    """
    maximum = window - 1
    if prompt_tokens <= maximum:
        return None
    return invalid(f"prompt is too long: {prompt_tokens} tokens > {maximum} maximum")


def clamp_max_tokens(max_tokens: int, prompt_tokens: int, window: int) -> int:
    """Return the most tokens that the reply may have: `max_tokens`, or what the window leaves."""
    return min(max_tokens, window - prompt_tokens)
