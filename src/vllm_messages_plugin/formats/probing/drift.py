"""What the scanner repairs in each tool-call format, by how the format is built; docs/models.md shows it.

A kind of drift is what models of many families get wrong in the same way. Tests have samples of every kind in
every format that has it here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from vllm_messages_plugin.formats.scanning.syntax import CallSyntax, ToolCallFormat

DRIFT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "names": "tool names and keys in another spelling",
        "wrapped": "all arguments inside a single one",
        "typed_text": "values of other types written as text, also escaped or in Python's notation",
        "value_ends": "values whose closing tag is missing or mangled",
        "key_tags": "arguments with one of their three tags left out",
        "ends": "calls whose closing tags are missing or mangled",
        "line_ends": "line ends written as the two characters `\\n`",
        "json": "JSON with stray or missing commas, braces and escapes, or with Python's quotes and literals",
        "encoded": "arguments encoded as text, once or twice",
        "other_keys": "other keys for name and arguments, in any order",
        "python": "Python's leading zeros, sets and inner quotes",
        "gemma": "calls without `call:`, keys in quotes, other quotes, missing values",
        "spelling": "special tokens written out in other characters",
        "envelope": "tags around the answer, which are dropped",
        "noise": "special tokens without a meaning, which are dropped",
    }
)


def drift_of(call_format: ToolCallFormat) -> tuple[str, ...]:
    """Return the kinds of drift, keys of `DRIFT`, that are repaired in a format."""
    calls = [call for section in call_format.sections if not section.foreign for call in section.calls]
    found = {kind for call in calls for kind in _of_call(call)} | {"names", "wrapped", "typed_text"}
    if any(section.close for section in call_format.sections if not section.foreign):
        found.add("ends")
    if any("\u2581" in section.open for section in call_format.sections):
        found.add("spelling")
    found |= {
        kind for kind, tags in (("envelope", call_format.envelopes), ("noise", call_format.noise)) if tags
    }
    return tuple(kind for kind in DRIFT if kind in found)


def _of_call(call: CallSyntax) -> Iterator[str]:
    """Yield the kinds that the syntax of a call has."""
    if call.arg_close:
        yield "value_ends"
        if call.arg_open_variants:
            yield "key_tags"
        if call.lines:
            yield "line_ends"
    elif call.quote:
        yield "gemma"
    elif call.only_python:
        yield "python"
    else:
        yield "json"
        yield "encoded"
        if call.kind == "object":
            yield "other_keys"
