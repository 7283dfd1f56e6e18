"""Writes requests and their replies to files, for `vllm-messages parse` and `render` and for bug reports.

Off unless VLLM_MESSAGES_RECORD names a directory. A file holds the request, the prompt, the model's raw
output and the reply. Media and keys are left out. Files are written in a thread; a failing write is logged
once and changes no reply.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from vllm_messages_plugin.stream.collect import Collector
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.events import StreamEvent

log = logging.getLogger("vllm.messages")


SECRET_NAMES: Final = frozenset(
    {"authorization_token", "authorization", "api_key", "x-api-key", "token", "password"}
)
LEFT_OUT: Final = "(left out)"


class Recorder:
    """Writes the records of one server process into a directory."""

    def __init__(self, directory: Path) -> None:
        """Announce that requests are recorded.

        Args:
            directory: where the files go; it is made when the first one is written.
        """
        self._directory = directory
        self._writes: set[asyncio.Task[None]] = set()
        self._failed = False
        log.warning("VLLM_MESSAGES_RECORD is set: requests and replies are written to %s", directory)

    def write(self, name: str, record: Mapping[str, Any]) -> None:
        """Write a record in a thread.

        Args:
            name: the id of the reply, which becomes part of the file's name.
            record: what is written, as JSON.
        """
        task = asyncio.create_task(asyncio.to_thread(self._write, name, record))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def flush(self) -> None:
        """Wait for the writes under way."""
        await asyncio.gather(*self._writes)

    def _write(self, name: str, record: Mapping[str, Any]) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self._directory / f"{time.strftime('%Y%m%dT%H%M%S')}-{name}.json"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(record, file, ensure_ascii=False, indent=1)
        except (OSError, ValueError) as error:
            if not self._failed:
                self._failed = True
                log.error("Requests can't be recorded (VLLM_MESSAGES_RECORD): %s", error)


class Recording:
    """Gathers the record of one request; `write` is called when its reply has ended, however it ended."""

    def __init__(self, recorder: Recorder, name: str, request: Any, fields: Mapping[str, Any]) -> None:
        """Begin with what is known before the reply.

        Args:
            recorder: writes the record.
            name: the id of the reply.
            request: the body of the request, as JSON values.
            fields: further fields of the record, such as `prompt`.
        """
        self._recorder = recorder
        self._name = name
        self._fields = {"request": without_secrets(request), **fields}
        self._output: list[str] = []
        self._collector = Collector()
        self._error: MessagesError | None = None

    def add_output(self, text: str) -> None:
        """Add raw output of the model."""
        self._output.append(text)

    def observe(self, batch: list[StreamEvent]) -> None:
        """Collect the reply from its events."""
        try:
            for event in batch:
                self._collector.feed(event)
        except MessagesError as error:
            self._error = error

    def write(self) -> None:
        """Write the record."""
        error = self._error
        self._recorder.write(
            self._name,
            {
                **self._fields,
                "output_text": "".join(self._output),
                "reply": self._collector.message,
                "error": None if error is None else {"type": error.kind, "message": error.message},
            },
        )


def without_secrets(value: Any) -> Any:
    """Return JSON values without media and keys."""
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    if not isinstance(value, Mapping):
        return value
    kept = {name: without_secrets(inner) for name, inner in value.items()}
    for name, inner in kept.items():
        if name.lower() in SECRET_NAMES and isinstance(inner, str):
            kept[name] = LEFT_OUT
    if kept.get("type") == "base64" and isinstance(kept.get("data"), str):
        kept["data"] = LEFT_OUT
    if kept.get("type") == "url" and str(kept.get("url")).startswith("data:"):
        kept["url"] = LEFT_OUT
    return kept
