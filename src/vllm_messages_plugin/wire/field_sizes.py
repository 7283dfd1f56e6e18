"""Bounds the characters of a request's fields.

Tools, the inputs of tool calls and most other fields are copied, compared or written as JSON by single calls
that hold the interpreter's lock, in a time that follows their length. The texts of messages and of the system
prompt are not bounded here: whether they are too long depends on the model's context window.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from vllm_messages_plugin.wire.blocks import OtherBlockParam
from vllm_messages_plugin.wire.errors import invalid

MAX_FIELD_CHARACTERS: Final = 4_000_000
"""Characters of one field, of the input of one tool call, or of one block of an unknown type."""
MAX_STOP_CHARACTERS: Final = 10_000
"""Characters of all stop sequences. Each takes about a microsecond before a reply can begin."""

MAX_GRAMMAR_CHARACTERS: Final = 50_000
"""Characters of a grammar of vLLM's: it compiles a regular expression of a million of them in a second."""

GRAMMAR_FIELDS: Final = {"structured_outputs": "json", "response_format": "json_schema"}
"""vLLM's fields that hold grammars. Of each, this member is a JSON schema, whose limits are others."""
WORD_FIELDS: Final = ("bad_words", "stop")
"""vLLM's fields that hold words; it tokenizes each of them, or looks for it in every token's text."""
MAX_WORDS: Final = 256
MAX_TOKEN_IDS: Final = {"allowed_token_ids": 100_000, "stop_token_ids": 1_000}
"""The most ids in vLLM's lists of tokens; it looks at each of them in the event loop."""

_TEXT_FIELDS: Final = frozenset({"messages", "system"})


def check_stop_sequences(sequences: Sequence[str], path: str = "stop_sequences") -> None:
    """Refuse stop sequences that are too long together.

    Args:
        sequences: The sequences.
        path: The field that holds them.

    Raises:
        MessagesError: 400, begins with the path.
    """
    if sum(map(len, sequences)) > MAX_STOP_CHARACTERS:
        raise invalid(f"at most {MAX_STOP_CHARACTERS} characters in all are allowed", path)


def check_engine_fields(extra: Mapping[str, Any]) -> None:
    """Refuse fields of vLLM's that would keep it busy for long: grammars, words and lists of tokens.

    Args:
        extra: The request's fields beyond Anthropic's.

    Raises:
        MessagesError: 400, begins with the name of the field.
    """
    for name, schema in GRAMMAR_FIELDS.items():
        grammar = extra.get(name)
        if isinstance(grammar, Mapping):
            grammar = {member: value for member, value in grammar.items() if member != schema}
        _check(grammar, name, MAX_GRAMMAR_CHARACTERS)
    for name, limit in MAX_TOKEN_IDS.items():
        if isinstance(ids := extra.get(name), list) and len(ids) > limit:
            raise invalid(f"List should have at most {limit} items", name)
    for name in WORD_FIELDS:
        words = extra.get(name)
        if not isinstance(words, list):
            words = [words]
        if len(words) > MAX_WORDS:
            raise invalid(f"List should have at most {MAX_WORDS} items", name)
        check_stop_sequences([word for word in words if isinstance(word, str)], name)


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
        content = getattr(message, "content", None)
        for index, block in enumerate(content if isinstance(content, list) else ()):
            path = f"messages.{place}.content.{index}"
            if isinstance(block, OtherBlockParam):
                _check(block, path)
            else:
                _check(getattr(block, "input", None), f"{path}.{block.type}.input")


def _check(value: Any, path: str, limit: int = MAX_FIELD_CHARACTERS) -> None:
    if _characters(value) > limit:
        raise invalid(f"Input should have at most {limit} characters", path)


def _characters(value: Any) -> int:
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
