"""Detects thinking that repeats a short pattern of tokens without end.

How it works: text with a period of p tokens that has been repeated n times equals itself shifted by p, over
its last (n - 1) * p tokens. Every `STRIDE` tokens this is tried for each p up to `MAX_PERIOD`. A few tokens
are compared first, which rules out almost every period, so that the check costs well under a microsecond
per token. The number of tokens looked at has a fixed limit in any case.
"""

from collections.abc import Sequence
from typing import Final

MAX_PERIOD: Final = 64
"""The longest pattern, in tokens, whose repetition counts as a loop."""

STRIDE: Final = 8
"""Tokens between two checks."""

PROBE: Final = 4
"""Tokens that are compared first; at most half of STRIDE, so that there are as many before them."""


class ThinkingLoopDetector:
    """Follows the tokens of one stretch of thinking.

    Attributes:
        repeats: how many repetitions make a loop, at least 2.
        looping: whether the thinking repeats a pattern now.
    """

    def __init__(self, repeats: int) -> None:
        self.repeats = max(repeats, 2)
        self.looping = False
        self._tokens: list[int] = []
        self._unchecked = 0

    def add(self, tokens: Sequence[int]) -> None:
        """Add tokens of the thinking."""
        for start in range(0, len(tokens), STRIDE):
            part = tokens[start : start + STRIDE]
            self._tokens += part
            self._unchecked += len(part)
            if self._unchecked >= STRIDE and not self.looping:
                self._unchecked = 0
                self.looping = self._repeats_a_pattern()
        del self._tokens[: -MAX_PERIOD * self.repeats]

    def reset(self) -> None:
        """Forget the tokens: the thinking has ended."""
        self._tokens.clear()
        self._unchecked = 0
        self.looping = False

    def _repeats_a_pattern(self) -> bool:
        tokens = self._tokens
        for period in range(1, min(MAX_PERIOD, len(tokens) // self.repeats) + 1):
            if tokens[-PROBE:] == tokens[-PROBE - period : -period]:
                span = (self.repeats - 1) * period
                if tokens[-span:] == tokens[-span - period : -period]:
                    return True
        return False
