"""A tool call of a reply while its arguments arrive."""

import json

from vllm_messages_plugin.stream.deltas import EngineToolCall
from vllm_messages_plugin.stream.json_progress import JsonProgress


class StreamedCall:
    """Collects the arguments of one call until they are sent.

    Attributes:
        name: The tool's name; None until it is known.
        started: Arguments have begun.
        progress: How far the arguments are a complete JSON object.
    """

    __slots__ = ("name", "pending", "progress", "sent", "started")

    def __init__(self) -> None:
        self.started = False
        self.name: str | None = None
        self.progress = JsonProgress()
        self.pending: list[str] = []
        self.sent: list[str] = []

    @property
    def incomplete(self) -> bool:
        """Whether this is a call whose arguments have begun and are not complete."""
        return bool(self.name) and self.started and not self.progress.complete

    def add(self, piece: EngineToolCall) -> None:
        """Add what arrived."""
        self.name = self.name or piece.name
        # SDKs fail on JSON text that is only whitespace, so leading whitespace is dropped.
        arguments = piece.arguments if self.started else piece.arguments.lstrip()
        if arguments:
            self.started = True
            self.pending.append(arguments)
            self.progress.feed(arguments)

    def is_continued_by(self, piece: EngineToolCall) -> bool:
        """Whether a piece only adds arguments, to a call that has sent all it has, and can't complete it."""
        is_open = self.started and not self.pending and not self.progress.complete
        return is_open and piece.name is None and bool(piece.arguments) and "}" not in piece.arguments

    def pass_on(self, arguments: str) -> None:
        """Add arguments that are sent at once."""
        self.progress.feed(arguments)
        self.sent.append(arguments)

    def take_pending(self) -> str:
        """Return the arguments that are not sent yet, and count them as sent."""
        text = "".join(self.pending)
        self.pending.clear()
        self.sent.append(text)
        return text

    def closing_text(self) -> str:
        """Return the text that completes arguments which end inside a string; empty if none can."""
        closing = self.progress.closing_text()
        try:
            json.loads("".join((*self.sent, *self.pending, closing)), strict=False)
        except ValueError:
            return ""
        return closing
