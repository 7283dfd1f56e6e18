"""Limits on the schemas that grammars are made of: above them a compiler takes seconds, for everybody.

The limits were chosen by measuring xgrammar with a vocabulary of 60,000 tokens, where compilation begins to
take seconds. Only schemas that a reply is held to are limited; one that the model merely reads is not.

The length of a pattern is that of the text it describes: every character, class or escape counts once, a
group as the sum of its parts, and `{m,n}` multiplies what stands before it. Compilers unroll repetitions, so
nested ones multiply. A character outside of ASCII counts three times, as does a class that may contain one,
because compilers work on bytes.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from vllm_messages_plugin.wire.errors import invalid

MAX_DEPTH: Final = 24
"""Schemas inside each other."""
MAX_SCHEMAS: Final = 2_000
"""Schemas in all."""
MAX_VALUES: Final = 2_000
"""Values of one `enum`."""
MAX_ALL_VALUES: Final = 10_000
"""Values of all `enum` lists together."""
MAX_VALUE_CHARACTERS: Final = 100_000
"""Characters of one `enum` or `const` as JSON."""
MAX_COUNT: Final = 100_000
"""The largest bound on a length or a number of items or properties."""
MAX_PATTERN_CHARACTERS: Final = 2_000
MAX_PATTERN_LENGTH: Final = 1_000
"""Characters that a pattern describes at most, repetitions counted."""
MAX_ALL_PATTERN_LENGTH: Final = 1_000
"""The lengths of all patterns of a schema together: compiling takes 60 µs for each character."""
MAX_SCHEMA_CHARACTERS: Final = 1_000_000

_COUNTS: Final = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
SCHEMAS: Final = ("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else",
                  "additionalItems", "unevaluatedProperties", "unevaluatedItems")  # fmt: skip
"""Keywords whose value is a schema."""
SCHEMA_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
"""Keywords whose value is a list of schemas."""
SCHEMA_MAPS: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords whose value is an object of schemas."""

Schema = Mapping[str, Any]


class Excess(NamedTuple):
    """A place in a schema that exceeds a limit, and what the limit is.

    `whole`: the schema exceeds it as a whole, so that no single keyword is to blame.
    """

    path: str
    reason: str
    whole: bool = False


def check_schema(schema: Schema, path: str) -> None:
    """Refuse a schema of which no grammar can be made in reasonable time.

    Raises:
        MessagesError: 400 about the place in the schema under `path`.
    """
    if (excess := find_excess(schema, path)) is not None:
        raise invalid(f"the schema {excess.reason}", excess.path)


def find_excess(schema: Any, path: str) -> Excess | None:
    """The first place of a schema that exceeds a limit, by its path; None if it keeps them all."""
    if len(json.dumps(schema)) > MAX_SCHEMA_CHARACTERS:
        return Excess(path, f"has more than {MAX_SCHEMA_CHARACTERS} characters", whole=True)
    waiting: list[tuple[Any, str, int]] = [(schema, path, 0)]
    schemas = values = patterns = 0
    while waiting:
        node, here, depth = waiting.pop()
        if not isinstance(node, Mapping):
            continue
        schemas += 1
        enum = node.get("enum")
        values += len(enum) if isinstance(enum, list) else 0
        if schemas > MAX_SCHEMAS:
            return Excess(path, f"consists of more than {MAX_SCHEMAS} schemas", whole=True)
        if depth > MAX_DEPTH:
            return Excess(here, f"is nested more than {MAX_DEPTH} levels deep")
        for keyword, reason in excesses(node):
            return Excess(f"{here}.{keyword}", reason)
        patterns += sum(map(pattern_length, _patterns(node)))
        if (total := _total_excess(values, patterns)) is not None:
            return Excess(path, total, whole=True)
        waiting += [(inner, f"{here}.{place}", depth + 1) for place, inner in _inner(node)]
    return None


def _total_excess(values: int, patterns: int) -> str | None:
    if values > MAX_ALL_VALUES:
        return f"lists more than {MAX_ALL_VALUES} values in all"
    if patterns > MAX_ALL_PATTERN_LENGTH:
        return f"has patterns that describe more than {MAX_ALL_PATTERN_LENGTH} characters in all"
    return None


def excesses(node: Schema) -> Iterator[tuple[str, str]]:
    """The keywords of one schema that exceed a limit, each with the reason."""
    yield from _pattern_excesses(node)
    for keyword in _COUNTS:
        if isinstance(count := node.get(keyword), int | float) and count > MAX_COUNT:
            yield keyword, f"has a bound larger than {MAX_COUNT}"
    if isinstance(values := node.get("enum"), list) and len(values) > MAX_VALUES:
        yield "enum", f"lists more than {MAX_VALUES} values"
    for keyword in ("enum", "const"):
        if keyword in node and len(json.dumps(node[keyword])) > MAX_VALUE_CHARACTERS:
            yield keyword, f"has values of more than {MAX_VALUE_CHARACTERS} characters"


def _pattern_excesses(node: Schema) -> Iterator[tuple[str, str]]:
    for keyword in ("pattern", "patternProperties"):
        texts = _patterns(node, keyword)
        if any(len(pattern) > MAX_PATTERN_CHARACTERS for pattern in texts):
            yield keyword, f"has a pattern of more than {MAX_PATTERN_CHARACTERS} characters"
        elif any(pattern_length(pattern) > MAX_PATTERN_LENGTH for pattern in texts):
            yield keyword, f"has a pattern that describes more than {MAX_PATTERN_LENGTH} characters"


def _patterns(node: Schema, *keywords: str) -> list[str]:
    """The patterns of one schema, of both keywords that have some or of those named."""
    found = []
    for keyword in keywords or ("pattern", "patternProperties"):
        value = node.get(keyword)
        patterns = list(value) if isinstance(value, Mapping) else [value]
        found += [pattern for pattern in patterns if isinstance(pattern, str)]
    return found


def _inner(node: Schema) -> Iterator[tuple[str, Any]]:
    """The schemas directly inside a schema, by their path in it."""
    for keyword in SCHEMAS:
        if isinstance(node.get(keyword), Mapping):
            yield keyword, node[keyword]
    for keyword in SCHEMA_LISTS:
        if isinstance(listed := node.get(keyword), list):
            yield from ((f"{keyword}.{number}", inner) for number, inner in enumerate(listed))
    for keyword in SCHEMA_MAPS:
        if isinstance(named := node.get(keyword), Mapping):
            yield from ((f"{keyword}.{name}", inner) for name, inner in named.items())


_REPETITION: Final = re.compile(r"\{(\d+)(,?)(\d*)\}")


def pattern_length(pattern: str) -> int:
    """The length of the text that a pattern describes, where `*` and `+` count once."""
    groups = [0]  # the lengths of the open groups, without their last atom
    atom = position = 0
    while position < len(pattern):
        character = pattern[position]
        repetition = _REPETITION.match(pattern, position) if character == "{" else None
        if repetition is not None:
            atom *= max(_count(repetition[1]), _count(repetition[3]), 1)
            position = repetition.end()
            continue
        if character not in "*+?":
            groups[-1] += atom
            atom = 0 if character in "^$|" else _weight(pattern, position)
        if character == "(":
            groups.append(0)
            atom = 0
        elif character == ")" and len(groups) > 1:
            atom = groups.pop()
        position = _end_of_atom(pattern, position)
    return sum(groups) + atom


_BEYOND_ASCII: Final = re.compile(r"\.|\[\^|\[?.*\\[DSWpPux]|.*[^\x00-\x7f]", re.DOTALL)
"""Matches the head of an atom that describes characters outside of ASCII."""


def _weight(pattern: str, position: int) -> int:
    """How much the atom at a position counts, which has no repetition."""
    atom = pattern[position : _end_of_atom(pattern, position)]
    return 3 if _BEYOND_ASCII.match(atom) else 1


def _count(digits: str) -> int:
    """The number that digits write, at most a million: Python itself refuses to read thousands of them."""
    return min(int(digits[-7:] or 0), 10**6) if len(digits) < 8 else 10**6


def _end_of_atom(pattern: str, position: int) -> int:
    """The position behind a character, an escape or a class."""
    if pattern[position] == "\\":
        return position + 2
    if pattern[position] != "[":
        return position + 1
    end = position + 1
    while end < len(pattern) and pattern[end] != "]":
        end += 2 if pattern[end] == "\\" else 1
    return end + 1
