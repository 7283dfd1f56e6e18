"""Bounds the characters of a request's fields.

Tools, the inputs of tool calls and most other fields are copied, compared or written as JSON by single calls
that hold the interpreter's lock, in a time that follows their length. The texts of messages and of the system
prompt are not bounded here: whether they are too long depends on the model's context window.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from vllm_messages_plugin.wire.errors import invalid

MAX_NON_ASCII_BYTES: Final = 16_000_000
"""Bytes of a request's strings that have a character beyond ASCII. Python keeps a string in which one
character needs four bytes with four bytes for each, so that it takes up to 35 ms to make so many."""
MAX_FIELD_CHARACTERS: Final = 4_000_000
"""Characters of one field, or of the input of one tool call."""
MAX_WORD_CHARACTERS: Final = 10_000
"""Characters of all stop sequences, and of vLLM's `bad_words`. Each takes a microsecond of the event loop."""

MAX_BAD_WORDS: Final = 256
"""Items of vLLM's `bad_words`; it tokenizes each of them in the event loop."""
MAX_TOKEN_IDS: Final = {"allowed_token_ids": 100_000, "stop_token_ids": 1_000}
"""The most ids in vLLM's lists of tokens; it looks at each of them in the event loop."""

_TEXT_FIELDS: Final = frozenset({"messages", "system"})


def check_words(words: Sequence[str], path: str) -> None:
    """Refuse words, such as stop sequences, that are too long together.

    Args:
        words: The words.
        path: The field that holds them.

    Raises:
        MessagesError: 400, begins with the path.
    """
    if sum(map(len, words)) > MAX_WORD_CHARACTERS:
        raise invalid(f"at most {MAX_WORD_CHARACTERS} characters in all are allowed", path)


def check_engine_fields(extra: Mapping[str, Any]) -> None:
    """Refuse fields of vLLM's that would keep it busy for long: words and lists of tokens.

    Args:
        extra: The request's fields beyond Anthropic's.

    Raises:
        MessagesError: 400, begins with the name of the field.
    """
    for name, limit in MAX_TOKEN_IDS.items():
        if isinstance(ids := extra.get(name), list) and len(ids) > limit:
            raise invalid(f"List should have at most {limit} items", name)
    words = extra.get("bad_words")
    if isinstance(words, list):
        if len(words) > MAX_BAD_WORDS:
            raise invalid(f"List should have at most {MAX_BAD_WORDS} items", "bad_words")
        check_words([word for word in words if isinstance(word, str)], "bad_words")


def check_field_sizes(request: BaseModel, messages: Sequence[BaseModel]) -> None:
    """Refuse a request with a field of more than MAX_FIELD_CHARACTERS.

    Args:
        request: The request.
        messages: Its messages.

    Raises:
        MessagesError: 400, begins with the path of the field.
    """
    for name, value in request:
        if name not in _TEXT_FIELDS:
            _check(value, name)
    for place, message in enumerate(messages):
        _check(getattr(message, "output_config", None), f"messages.{place}.output_config")
        content = getattr(message, "content", None)
        for index, block in enumerate(content if isinstance(content, list) else ()):
            path = f"messages.{place}.content.{index}.{block.type}"
            for field in ("input", "tool"):
                _check(getattr(block, field, None), f"{path}.{field}")


def _check(value: Any, path: str) -> None:
    if characters(value) > MAX_FIELD_CHARACTERS:
        raise invalid(f"Input should have at most {MAX_FIELD_CHARACTERS} characters", path)


def characters(value: Any) -> int:
    """The characters of all strings and keys in a value."""
    total = 0
    left = [value]
    while left:
        inner = left.pop()
        if isinstance(inner, str):
            total += len(inner)
        elif isinstance(inner, Mapping | BaseModel):
            for name, member in dict(inner).items():
                total += len(name)
                left.append(member)
        elif isinstance(inner, list | tuple):
            left += inner
    return total
