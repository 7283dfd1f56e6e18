"""Skips vLLM's check that each token id of a prompt is in the vocabulary, where the tokenizer made the ids.

The check runs on the event loop and takes 5 ms for 190,000 tokens.
"""

from collections.abc import Sequence
from typing import Any


def skip_check(kind: type, renderer: Any) -> None:
    """Make a renderer of vLLM accept token ids of one class without the check. Older vLLM has it elsewhere.

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
