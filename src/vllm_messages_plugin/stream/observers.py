"""Protocols of those who learn how the tool calls of a reply were read, and how many tokens it took."""

from __future__ import annotations

from typing import Protocol


class CallObserver(Protocol):
    """Receives what became of calls that were not written as their format wants."""

    def add_repair(self, note: str) -> None:
        """Note that a call was repaired.

        Args:
            note: The call's number and name, a colon, and what was repaired.
        """
        ...

    def add_raw_call(self) -> None:
        """Note that markup of a call could not be read, so that it stayed in the reply as text."""
        ...


class RunObserver(CallObserver, Protocol):
    """Also receives how many tokens the engine generated."""

    def add_tokens(self, tokens: int) -> None:
        """Note how many tokens an engine request generated, when it ends: by itself or because it is aborted.

        Args:
            tokens: Their number.
        """
        ...
