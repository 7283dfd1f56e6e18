"""Reads arguments between tags: `<parameter=key>value</parameter>` and similar.

A value ends only where the template would end it: at a closing tag that is followed by the next argument, the
end of the call or the end of the section. Any other closing tag is part of the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import ReadGenerator, safe_end
from vllm_messages_plugin.formats.scanning.compiled import CompiledCallSyntax
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import NoMatch, PatternMatch, match_first
from vllm_messages_plugin.formats.scanning.readers.values import ValueWriter, text_value
from vllm_messages_plugin.formats.scanning.schema import SchemaNode

# DeepSeek writes in an attribute whether a value is text or JSON. It decides where the schema names no type.
_IS_STRING: Final = re.compile(r'\bstring="(true|false)"')
_UNTYPED: Final = SchemaNode({}, {})


def read_tagged(
    output: ScanOutput, syntax: CompiledCallSyntax, name: str, first: PatternMatch
) -> ReadGenerator[bool]:
    """Read a call's arguments.

    Args:
        output: Receives the call.
        syntax: The syntax of the call.
        name: The tool's name.
        first: What follows the call's opening: an argument, or the end of the call or of the section.

    Returns:
        True if the section ended with the call.
    """
    output.begin_call(name)
    output.add_arguments("{")
    node, keys = output.schema_of(name), set[str]()
    found: PatternMatch | None = first
    while found and found.pattern in (syntax.arg_open, syntax.next_arg):
        key = found.fields["key"].strip()
        if key in keys:
            output.note_repair(repair.DUPLICATE_KEY)
        output.add_arguments(f"{', ' if keys else ''}{repair.quote(key)}: ")
        keys.add(key)
        value = text_value(output.add_arguments, _node_of(node, key, found.fields), output.note_repair)
        found = yield from _read_value(output, syntax, value)
    if found:
        output.add_arguments("}")
    output.end_call(complete=found is not None)
    return found is not None and found.pattern in (syntax.section_close, syntax.end_section)


def _node_of(node: SchemaNode | None, key: str, fields: Mapping[str, str]) -> SchemaNode | None:
    known = node.property(key) if node else None
    kind = _IS_STRING.search(fields.get("attributes", ""))
    if kind and (known is None or known.types is None):
        return _UNTYPED if kind[1] == "false" else None
    return known


def _read_value(
    output: ScanOutput, syntax: CompiledCallSyntax, value: ValueWriter
) -> ReadGenerator[PatternMatch | None]:
    """Read a value to its end, and return what follows it; None if the output ends first."""
    buffer, tag, ends = output.buffer, syntax.arg_close.first_literal, syntax.value_ends
    lines = syntax.source.lines
    if lines:
        yield from _skip_line_end(output)
    while True:
        text = buffer.text
        place = text.find(tag, buffer.at)
        if place < 0:
            value.add(buffer.take(_before(text, buffer.at, safe_end(text, buffer.at, tag), lines)))
        else:
            value.add(buffer.take(_before(text, buffer.at, place, lines)))
            found = match_first(ends, text, place, buffer.ended)
            if isinstance(found, PatternMatch):
                value.close()
                buffer.at = found.end
                return found
            if found is NoMatch.NO and not buffer.ended:
                value.add(buffer.take(place + len(tag)))
                continue
        if buffer.ended:
            _cut(output, syntax, value)
            return None
        yield


def _skip_line_end(output: ScanOutput) -> ReadGenerator[None]:
    """Skip the line end that the template puts before a value."""
    buffer = output.buffer
    while buffer.exhausted and not buffer.ended:
        yield
    buffer.at += buffer.text.startswith("\n", buffer.at)


def _before(text: str, at: int, place: int, lines: bool) -> int:
    """Where a value ends whose closing tag is at `place`: before the line end that goes with the tag."""
    return place - (lines and place > at and text[place - 1] == "\n")


def _cut(output: ScanOutput, syntax: CompiledCallSyntax, value: ValueWriter) -> None:
    """End a value at the end of the output, which is inside it or just behind its closing tag."""
    buffer = output.buffer
    text = buffer.text
    while True:
        place = text.find(syntax.arg_close.first_literal, buffer.at)
        if place < 0:
            break
        rest = syntax.arg_close.match(text, place)
        if isinstance(rest, PatternMatch) and _may_follow(syntax, text, rest.end):
            value.add(buffer.take(_before(text, buffer.at, place, syntax.source.lines)))
            value.close()
            buffer.at = len(text)
            return
        value.add(buffer.take(place + len(syntax.arg_close.first_literal)))
    value.add(buffer.take(len(text)))
    value.cut()


def _may_follow(syntax: CompiledCallSyntax, text: str, at: int) -> bool:
    """True if the end of the output may be the beginning of what follows a value."""
    patterns = (syntax.arg_open, syntax.close, syntax.section_close)
    return any(pattern is not None and pattern.match(text, at) is not NoMatch.NO for pattern in patterns)
