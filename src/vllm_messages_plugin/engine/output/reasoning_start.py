"""Decides whether a reply begins with thinking, where the prompt leaves that to the model.

vLLM's reasoning parsers treat all output as reasoning until the closing tag; without this check, an answer
that skips thinking would be returned as reasoning only.
"""

MAX_BLANK_PARTS = 64
"""An output of white space alone is taken for an answer after this many parts."""


class ReasoningStartDetector:
    """Buffers the head of an output until it shows whether it is the opening tag."""

    def __init__(self, tag: str, token_ids: frozenset[int]) -> None:
        """Args are the opening tag, and the tag's token if it is one, which the text may leave out."""
        self._tag = tag
        self._token_ids = token_ids
        self._text: list[str] = []
        self._ids: list[int] = []

    def feed(self, text: str, token_ids: list[int], finished: bool) -> tuple[bool, str, list[int]] | None:
        """Take the next part of the output.

        Returns:
            Whether the output begins with thinking, and the buffered text and tokens; None while undecided.
        """
        self._text.append(text)
        self._ids += token_ids
        finished = finished or len(self._text) > MAX_BLANK_PARTS
        buffered = "".join(self._text)
        head = buffered.lstrip()
        if head.startswith(self._tag) or not self._token_ids.isdisjoint(self._ids):
            return True, buffered, self._ids
        if self._tag.startswith(head) and not finished:
            return None
        return False, buffered, self._ids
