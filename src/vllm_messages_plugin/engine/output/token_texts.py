"""Splits the text of several output tokens into the texts of each.

vLLM joins the outputs of one request that nobody has read yet. Where a reply ends in the midst of such an
output, at a stop sequence, the tokens behind the end must not be counted; so its tokens are read one by one.
"""

from collections.abc import Callable, Sequence
from typing import Final

Decode = Callable[[Sequence[int]], str]
"""Returns the text of tokens."""

CONTEXT: Final = 4
"""Tokens before a token that are decoded with it: spaces and characters depend on them."""


def token_texts(text: str, token_ids: Sequence[int], decode: Decode) -> list[str]:
    """Return the text of each token.

    Args:
        text: The text of all tokens.
        token_ids: The tokens.
        decode: Returns the text of tokens.

    Returns:
        As many texts as there are tokens; joined they are `text`. A character of several tokens is in the
        text of one of them.
    """
    ends: list[int] = []
    end = 0
    for place in range(len(token_ids) - 1):
        context = token_ids[max(0, place - CONTEXT) : place]
        length = len(decode([*context, token_ids[place]])) - (len(decode(context)) if context else 0)
        end = min(end + max(length, 0), len(text))
        ends.append(end)
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]
