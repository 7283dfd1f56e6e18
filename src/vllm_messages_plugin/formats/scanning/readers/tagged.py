"""Reads arguments that stand between tags: `<parameter=key>value</parameter>` and its kin.

Called by `sections`. A value ends only where the template would end it: at a closing tag that the next
argument, the end of the call or the end of the section follows. Any other closing tag is the value's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import ReadGenerator, sure_end
from vllm_messages_plugin.formats.scanning.compiled import CompiledCallSyntax
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import NoMatch, PatternMatch, match_first
from vllm_messages_plugin.formats.scanning.readers.values import ValueWriter, text_value
from vllm_messages_plugin.formats.scanning.schema import SchemaNode

# DeepSeek says in an attribute whether a value is text or JSON; it decides where the schema is silent.
_TEXT_OR_NOT: Final = re.compile(r'\bstring="(true|false)"')
_UNTYPED: Final = SchemaNode({}, {})


def read_tagged(
    reply: ScanOutput, spelling: CompiledCallSyntax, name: str, first: PatternMatch
) -> ReadGenerator[bool]:
    """Read a call's arguments from the first mark behind its head; whether the section ended with it."""
    reply.begin(name)
    reply.write("{")
    node, keys = reply.node(name), set[str]()
    found: PatternMatch | None = first
    while found and found.mark in (spelling.param, spelling.follow_param):
        key = found.filled["key"].strip()
        if key in keys:
            reply.told(repair.DUPLICATE_KEY)
        reply.write(f"{', ' if keys else ''}{repair.quote(key)}: ")
        keys.add(key)
        value = text_value(reply.write, _node_of(node, key, found.filled), reply.told)
        found = yield from _read_value(reply, spelling, value)
    if found:
        reply.write("}")
    reply.end(whole=found is not None)
    return found is not None and found.mark in (spelling.section_close, spelling.follow_close)


def _node_of(node: SchemaNode | None, key: str, filled: Mapping[str, str]) -> SchemaNode | None:
    known = node.property(key) if node else None
    kind = _TEXT_OR_NOT.search(filled.get("attributes", ""))
    if kind and (known is None or known.types is None):
        return _UNTYPED if kind[1] == "false" else None
    return known


def _read_value(
    reply: ScanOutput, spelling: CompiledCallSyntax, value: ValueWriter
) -> ReadGenerator[PatternMatch | None]:
    """Read a value to its end, and what follows it; None if the output ends first."""
    tape, head, follows = reply.tape, spelling.end.head, spelling.follows
    lines = spelling.form.lines
    if lines:
        yield from _skip_line_end(reply)
    while True:
        text = tape.text
        place = text.find(head, tape.at)
        if place < 0:
            value.add(tape.take(_before(text, tape.at, sure_end(text, tape.at, head), lines)))
        else:
            value.add(tape.take(_before(text, tape.at, place, lines)))
            found = match_first(follows, text, place, tape.ended)
            if isinstance(found, PatternMatch):
                value.close()
                tape.at = found.end
                return found
            if found is NoMatch.NO and not tape.ended:
                value.add(tape.take(place + len(head)))
                continue
        if tape.ended:
            _cut(reply, spelling, value)
            return None
        yield


def _skip_line_end(reply: ScanOutput) -> ReadGenerator[None]:
    """Skip the line end that the template puts before a value."""
    tape = reply.tape
    while tape.spent and not tape.ended:
        yield
    tape.at += tape.text.startswith("\n", tape.at)


def _before(text: str, at: int, place: int, lines: bool) -> int:
    """Where a value ends whose closing tag stands at a place: before the line end that goes with it."""
    return place - (lines and place > at and text[place - 1] == "\n")


def _cut(reply: ScanOutput, spelling: CompiledCallSyntax, value: ValueWriter) -> None:
    """The output ends inside a value, or just behind its closing tag."""
    tape = reply.tape
    text = tape.text
    while True:
        place = text.find(spelling.end.head, tape.at)
        if place < 0:
            break
        rest = spelling.end.match(text, place)
        if isinstance(rest, PatternMatch) and _may_follow(spelling, text, rest.end):
            value.add(tape.take(_before(text, tape.at, place, spelling.form.lines)))
            value.close()
            tape.at = len(text)
            return
        value.add(tape.take(place + len(spelling.end.head)))
    value.add(tape.take(len(text)))
    value.cut()


def _may_follow(spelling: CompiledCallSyntax, text: str, at: int) -> bool:
    """Whether what the output ends with could have become what follows a value."""
    marks = (spelling.param, spelling.tail, spelling.section_close)
    return any(mark is not None and mark.match(text, at) is not NoMatch.NO for mark in marks)
