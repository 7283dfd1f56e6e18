"""Message threads: what is stored of a conversation, and the errors of a continue.

A thread is stored as what each of its requests added. `whole_body` puts the parts together again, so that a
continued conversation is the same request as one that was sent whole. The errors are those of
`anthropic.types.thread_*_error_details`; after the first three the SDKs send the whole conversation again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.json_reading import replace_lone_surrogates
from vllm_messages_plugin.wire.json_spans import Spans

START_FIELDS: Final[Sequence[str]] = ("system", "tools")
"""Fields that only the first request of a thread has; they hold for all of it."""
UNSUPPORTED: Final = "message threads are not supported by this server"
_PREVIOUS: Final = "thread.previous_message_id"


@dataclass(frozen=True, slots=True)
class ThreadStart:
    """What the first request of a thread settles.

    Attributes:
        fields: Its `system` and `tools`, as JSON text by name; null and absent ones are left out.
        fingerprint: Digests of the fields that every later request must repeat, by name.
    """

    fields: Mapping[str, bytes]
    fingerprint: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ThreadTurn:
    """What one request added to its thread.

    Attributes:
        message_id: The id of its reply.
        messages: Its messages, as JSON text without the brackets of the array; empty if it had none.
        reply: The reply as a message of the conversation, as JSON text.
    """

    message_id: str
    messages: bytes
    reply: bytes

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return len(self.messages) + len(self.reply)


@dataclass(frozen=True, slots=True)
class StoredThread:
    """A thread as it is stored: its number there, its start and its turns."""

    number: int
    start: ThreadStart
    turns: Sequence[ThreadTurn]


def body_members(body: bytes) -> dict[str, bytes]:
    """Return the JSON text of each member of a request body, which has been parsed before, by key."""
    return dict(_members(replace_lone_surrogates(body)))


def _members(text: bytes) -> Iterator[tuple[str, bytes]]:
    cursor = Spans(text)
    for key in cursor.members():
        start, end = cursor.value()
        yield key, text[start:end]


def messages_text(members: Mapping[str, bytes]) -> bytes:
    """Return the JSON text of a body's messages without the brackets around them."""
    return members["messages"].strip()[1:-1].strip()


def whole_body(members: Mapping[str, bytes], thread: StoredThread) -> bytes:
    """Return the body of a request that continues a thread, with the whole conversation in it.

    Args:
        members: The members of the body that was sent.
        thread: What is stored of the thread.
    """
    parts = [part for turn in thread.turns for part in (turn.messages, turn.reply)]
    parts.append(messages_text(members))
    kept = {key: value for key, value in members.items() if key not in ("thread", "messages")}
    kept |= thread.start.fields
    rest = b"".join(b",%b:%b" % (json.dumps(key).encode(), value) for key, value in kept.items())
    return b'{"messages":[%b]%b}' % (b",".join(filter(None, parts)), rest)


def unsupported(reason: str = UNSUPPORTED) -> MessagesError:
    """Return the error after which SDKs go on without threads."""
    return _error("thread_unsupported_request", reason, "thread")


def not_found() -> MessagesError:
    """Return the error of a thread that is unknown, expired, or someone else's."""
    details = {"error_code": "thread_not_found"}
    message = "No thread is held for this message. Send the whole conversation to start a new one"
    return MessagesError("not_found_error", message, param=_PREVIOUS, details=details)


def already_continued() -> MessagesError:
    """Return the error of a reply that was continued before: each is continued once."""
    return _error("thread_already_continued", "This message has been continued already", _PREVIOUS)


def continue_in_flight() -> MessagesError:
    """Return the error of a reply that another request is continuing."""
    message = "Another request is still continuing from this message"
    return _error("thread_continue_in_flight", message, _PREVIOUS)


def fingerprint_mismatch(fields: Sequence[str]) -> MessagesError:
    """Return the error of a request that changes fields which stay the same throughout a thread."""
    message = f"must be the same as in the thread's first request: {', '.join(fields)}"
    return _error("thread_fingerprint_mismatch", message, fields[0])


def _error(code: str, message: str, param: str) -> MessagesError:
    return MessagesError("invalid_request_error", message, param=param, details={"error_code": code})
