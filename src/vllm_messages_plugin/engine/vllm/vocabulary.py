"""Spares vLLM the check that no token id of a prompt is out of the vocabulary, where none can be.

vLLM looks at each id of each prompt, on the event loop: 5 ms for 190,000 tokens. Ids that the tokenizer
itself made of a text need no look.
"""

from collections.abc import Sequence
from typing import Any


def trust(kind: type, renderer: Any) -> None:
    """Make a renderer of vLLM accept token ids of one kind unseen, if it has the check.

    Args:
        kind: The class of sequences that hold only ids of the vocabulary.
        renderer: vLLM's renderer of the served model.
    """
    check = getattr(renderer, "validate_token_ids", None)
    if check is None:
        return

    def validate_token_ids(token_ids: Sequence[int], **options: Any) -> None:
        if not isinstance(token_ids, kind):
            check(token_ids, **options)

    renderer.validate_token_ids = validate_token_ids
