"""What fits into the context window.

Called by `http.messages` once the prompt has been tokenised. All counts are tokens.
"""

from vllm_messages_plugin.wire.errors import MessagesError, invalid


def prompt_too_long(prompt_tokens: int, window: int) -> MessagesError | None:
    """The 400 for a prompt that leaves no room for a reply, in the words agents compact upon."""
    maximum = window - 1
    if prompt_tokens <= maximum:
        return None
    return invalid(f"prompt is too long: {prompt_tokens} tokens > {maximum} maximum")


def clamp_max_tokens(asked: int, prompt_tokens: int, window: int) -> int:
    """The most tokens the reply may have: what was asked, or what the window leaves."""
    return min(asked, window - prompt_tokens)
