"""Whether a reply begins with thinking, where the prompt leaves that to the model.

Used by `generate`. vLLM's reasoning parsers take a reply for reasoning until its end tag comes; a model
that answers straight away would be heard by nobody.
"""

LONGEST = 64
"""Deltas after which a reply of nothing but white space is taken not to think."""


class ReasoningStartDetector:
    """Holds the head of a reply back until it shows whether it is the opening tag."""

    def __init__(self, tag: str, token_ids: frozenset[int]) -> None:
        """`token_ids`: the tag as a token of its own, which the text may leave out."""
        self._tag = tag
        self._token_ids = token_ids
        self._text: list[str] = []
        self._ids: list[int] = []

    def take(self, text: str, token_ids: list[int], finished: bool) -> tuple[bool, str, list[int]] | None:
        """Whether the reply thinks, and all that was held back; None while that can't be told."""
        self._text.append(text)
        self._ids += token_ids
        if len(self._text) > LONGEST:
            finished = True
        held = "".join(self._text)
        said = held.lstrip()
        if said.startswith(self._tag) or not self._token_ids.isdisjoint(self._ids):
            return True, held, self._ids
        if self._tag.startswith(said) and not finished:
            return None
        return False, held, self._ids
