"""The states of the machine that turns deltas into events."""

from enum import IntEnum, auto
from typing import Final


class State(IntEnum):  # integers hash faster than other enums, and each delta looks its state up
    """What a reply has sent so far."""

    BEFORE = auto()  # message_start not sent yet
    BETWEEN = auto()  # message_start sent, no block open
    TEXT = auto()
    THINKING = auto()
    TOOL_USE = auto()
    ENDED = auto()


STARTED: Final = (State.BETWEEN, State.TEXT, State.THINKING, State.TOOL_USE)
"""The states of a reply that has begun and not ended."""
