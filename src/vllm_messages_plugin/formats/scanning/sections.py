"""Reads what stands between the marks of a section: calls, in whichever dialect they come.

Called by the scanner where markup begins. What follows a call's head decides how its arguments are
read, so that a model which drifts into another dialect inside its own marks is still understood.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from vllm_messages_plugin.formats.scanning.buffer import ReadGenerator, next_char
from vllm_messages_plugin.formats.scanning.compiled import (
    COMMA,
    FENCE,
    FENCE_AT_END,
    FENCED_BODY,
    LIST,
    LIST_END,
    OBJECT_BODY,
    PYTHON_BODY,
    SEMICOLON,
    CompiledCallSyntax,
    CompiledSection,
)
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import PatternMatch, expect
from vllm_messages_plugin.formats.scanning.readers.gemma_object import GemmaObjectReader
from vllm_messages_plugin.formats.scanning.readers.json_call import JsonCallReader
from vllm_messages_plugin.formats.scanning.readers.json_value import JsonReader
from vllm_messages_plugin.formats.scanning.readers.python_call import read_python
from vllm_messages_plugin.formats.scanning.readers.tagged import read_tagged

BRACKETS_LIMIT = 4


@dataclass(slots=True)
class SectionProgress:
    """How far the reading of a section has come."""

    made: bool = False  # a call was made
    closed: bool = False  # the section's closing mark was read
    brackets: list[str] = field(default_factory=list)  # lists and fences still open


def read_section(reply: ScanOutput, chapter: CompiledSection) -> ReadGenerator[SectionProgress]:
    """Read calls until the section ends or something else comes.

    The tape is marked behind the last call: what was read since is not part of any.
    """
    visit = SectionProgress()
    while not visit.closed:
        found = yield from expect(reply.tape, chapter.marks)
        if found is None:
            break
        spelling = chapter.spellings.get(found.mark)
        if spelling:
            if not (yield from _read_call(reply, chapter, spelling, found, visit)):
                break
            visit.made = True
            reply.tape.mark()
        elif found.mark is chapter.close or found.mark in chapter.tails:
            if not visit.made:
                break
            visit.closed = found.mark is chapter.close
            reply.tape.mark()
        elif not _pass_bracket(reply, found, visit):
            break
    return visit


def _pass_bracket(reply: ScanOutput, found: PatternMatch, visit: SectionProgress) -> bool:
    """Pass what stands around and between calls; False if it has no place here."""
    closes_fence = found.mark in (FENCE, FENCE_AT_END) and visit.made and not found.filled.get("word")
    if found.mark is LIST_END or (closes_fence and "```" in visit.brackets):
        wanted = "]" if found.mark is LIST_END else "```"
        if not visit.made or wanted not in visit.brackets:
            return False
        visit.brackets.remove(wanted)
        reply.tape.mark()
        return True
    if found.mark in (COMMA, SEMICOLON):
        return visit.made
    visit.brackets.append("]" if found.mark is LIST else "```")
    return len(visit.brackets) <= BRACKETS_LIMIT


def _read_call(
    reply: ScanOutput,
    chapter: CompiledSection,
    spelling: CompiledCallSyntax,
    head: PatternMatch,
    visit: SectionProgress,
) -> ReadGenerator[bool]:
    """Read one call behind its head; False, with nothing handed out, if it is none."""
    section = chapter.section
    if spelling.form.kind != "call":
        envelope = JsonCallReader(reply, spelling, guarded=section.foreign or chapter.open is None)
        return (yield from envelope.read())
    found = spelling.name.fullmatch(head.filled["name"])
    name = found[found.lastindex or 0] if found else head.filled["name"]
    if (section.foreign or chapter.open is None) and not reply.offers(name):
        return False
    body = yield from expect(reply.tape, spelling.bodies)
    if body is None:
        return False
    if body.mark is OBJECT_BODY or body.mark is FENCED_BODY:
        if body.mark is FENCED_BODY:
            visit.brackets.append("```")
        return (yield from _read_object(reply, spelling, name))
    if body.mark is PYTHON_BODY:
        return (yield from read_python(reply, name))
    visit.closed = yield from read_tagged(reply, spelling, name, body)
    return True


def _read_object(reply: ScanOutput, spelling: CompiledCallSyntax, name: str) -> ReadGenerator[bool]:
    """Read arguments that are a JSON object, from behind its brace."""
    quote = spelling.form.quote
    char = yield from next_char(reply.tape)
    if char not in ('"', "}") and not (quote and char):
        return False
    reply.begin(name)
    reply.write("{")
    kind = partial(GemmaObjectReader, quote) if quote else JsonReader
    reader = kind(reply.tape, reply.write, reply.told, spelling.closers)
    whole = yield from reader.members(reply.node(name))
    if whole:
        reply.write("}")
    reply.end(whole)
    return True
