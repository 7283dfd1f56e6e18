"""Reads a section: the calls between a format's opening and closing tags, whatever syntax they have.

What follows a call's opening decides how its arguments are read. So a model that drifts into another syntax
inside its own tags is still understood, and the result does not depend on which template it was trained on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import ReadGenerator, next_char, next_token
from vllm_messages_plugin.formats.scanning.compiled import (
    BRACE_END,
    COMMA,
    FENCE,
    FENCE_AT_END,
    FENCED_BODY,
    FENCED_TEXT_BODY,
    LIST,
    LIST_END,
    OBJECT_BODY,
    PYTHON_BODY,
    SEMICOLON,
    TEXT_BODY,
    CompiledCallSyntax,
    CompiledSection,
)
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import (
    PLAIN_NAME,
    NoMatch,
    PatternMatch,
    expect,
    is_special_token,
    looking_at,
    match_first,
)
from vllm_messages_plugin.formats.scanning.readers.arguments import ArgumentsWriter
from vllm_messages_plugin.formats.scanning.readers.broken_ends import read_mangled
from vllm_messages_plugin.formats.scanning.readers.gemma_object import GemmaObjectReader
from vllm_messages_plugin.formats.scanning.readers.json_call import (
    QUOTES,
    JsonCallReader,
    read_text_arguments,
)
from vllm_messages_plugin.formats.scanning.readers.json_value import JsonReader
from vllm_messages_plugin.formats.scanning.readers.python_call import read_python
from vllm_messages_plugin.formats.scanning.readers.tagged import read_tagged
from vllm_messages_plugin.formats.scanning.syntax import CallSyntax, SectionSyntax

BRACKETS_LIMIT = 4
NOISE_LIMIT = 400  # characters of text between a section's opening tag and a call
_NAMED = CompiledCallSyntax(CallSyntax(open="{name}"), SectionSyntax(()))
_CLOSINGS = {"]": LIST_END, "```": FENCE_AT_END}
_LINE_END = re.compile(r"(?:\\[nrt])+\Z")  # two characters that a model wrote for a line end


@dataclass(slots=True)
class SectionProgress:
    """How much of a section was read.

    Attributes:
        has_call: A call was read.
        has_noise: Text between the opening tag and a call was skipped.
        closed: The section's closing tag was read.
        brackets: The lists and code fences that are open, by what closes them.
    """

    has_call: bool = False
    has_noise: bool = False
    closed: bool = False
    brackets: list[str] = field(default_factory=list)


def read_section(output: ScanOutput, section: CompiledSection) -> ReadGenerator[SectionProgress]:
    """Read calls until the section ends or something comes that does not belong to it.

    The buffer's bookmark is left behind the last call: what was read since is part of no call.
    """
    progress = SectionProgress()
    while not progress.closed:
        found = yield from expect(output.buffer, section.patterns)
        if found is None:
            if section.source.noisy and (yield from _skip_noise(output, section)):
                progress.has_noise = True
                continue
            if section.source.bare_names and not progress.has_call:
                progress.has_call = _read_bare_name(output)
            if not progress.has_call or not (yield from _read_mangled_close(output, section, progress)):
                break
            continue
        syntax = section.syntaxes.get(found.pattern)
        if syntax:
            if not (yield from _read_call(output, section, syntax, found, progress)):
                break
            progress.has_call = True
            if output.is_broken and not output.buffer.ended:
                progress.closed = yield from skip_broken_call(output, section)
            if output.is_broken and not progress.closed:
                yield from _close_brackets(output, progress)
            output.buffer.mark()
            if output.is_broken and not progress.closed:
                break
        elif found.pattern is section.close or found.pattern in section.call_closings:
            if not progress.has_call and (progress.has_noise or not section.source.noisy):
                break
            progress.closed = found.pattern is section.close
            output.buffer.mark()
        elif not _read_punctuation(output, found, progress):
            break
    return progress


def _close_brackets(output: ScanOutput, progress: SectionProgress) -> ReadGenerator[None]:
    """Read what closes the lists and fences around a broken call: it is no text either."""
    while progress.brackets and (yield from expect(output.buffer, (LIST_END, FENCE_AT_END))):
        progress.brackets.pop()


def _read_mangled_close(
    output: ScanOutput, section: CompiledSection, progress: SectionProgress
) -> ReadGenerator[bool]:
    """Read a mangled closing tag behind a call; False if there is none."""
    ends = yield from read_mangled(output.buffer, section.closings, output.in_section, section.starts)
    if ends is None:
        return False
    progress.closed = ends
    output.buffer.mark()
    return True


def _read_bare_name(output: ScanOutput) -> bool:
    """Read the name of a tool without parameters that ends the output; False if there is none."""
    buffer = output.buffer
    name = buffer.text[buffer.at :].strip()
    if not buffer.ended or not _is_bare_call(output, name):
        return False
    buffer.at = len(buffer.text)
    _emit_bare_call(output, name)
    return True


def _read_bare_call(output: ScanOutput, section: CompiledSection, name: str) -> ReadGenerator[bool]:
    """Read a call that is nothing but its name, before the end of the output or the next opening tag.

    Args:
        output: Receives the call, behind whose opening the buffer stands.
        section: The section.
        name: The tool's name.

    Returns:
        False, with nothing emitted, if arguments were to follow.
    """
    char = yield from next_char(output.buffer)
    is_next = section.open is not None and (yield from looking_at(output.buffer, (section.open,)))
    node = output.schema_of(name)
    lacks_nothing = output.may_be_called(name) and not (node and node.required)
    if not (lacks_nothing if is_next else not char and _is_bare_call(output, name)):
        return False
    _emit_bare_call(output, name)
    return True


def _is_bare_call(output: ScanOutput, name: str) -> bool:
    """True if the name that ends the output is a call.

    The name of a tool that has parameters is what is left of a cut call.
    """
    node = output.schema_of(name)
    is_whole = output.may_be_called(name) and not (node and node.names)
    return not output.buffer.cut and PLAIN_NAME.fullmatch(name) is not None and is_whole


def _emit_bare_call(output: ScanOutput, name: str) -> None:
    output.note_repair(repair.NO_ARGUMENTS)
    output.begin_call(name)
    output.add_arguments("{}")
    output.end_call(complete=True)
    output.buffer.mark()


def read_call_of(output: ScanOutput, name: str) -> ReadGenerator[bool]:
    """Read a call whose name stood before the section: a JSON object of arguments, from its opening brace.

    Args:
        output: Receives the call.
        name: The tool's name.

    Returns:
        False, with nothing emitted, if there is no such object.
    """
    body = yield from expect(output.buffer, (OBJECT_BODY,))
    return body is not None and (yield from _read_object(output, _NAMED, name))


def _skip_noise(output: ScanOutput, section: CompiledSection) -> ReadGenerator[bool]:
    """Skip text up to the next tag of a section; False, with nothing skipped, if none comes soon."""
    buffer = output.buffer
    while True:
        place, literal = section.skip_finder.find(buffer.text, buffer.at)
        if (
            place - buffer.at > NOISE_LIMIT
            or (buffer.ended and not literal)
            or (literal and place == buffer.at)
        ):
            return False
        if literal:
            buffer.at = place
            return True
        yield


def _read_punctuation(output: ScanOutput, found: PatternMatch, progress: SectionProgress) -> bool:
    """Read a bracket, fence or separator around or between calls; False if it has no place here."""
    is_fence = found.pattern in (FENCE, FENCE_AT_END)
    closes_fence = is_fence and progress.has_call and not found.fields.get("word")
    if found.pattern is LIST_END or (closes_fence and "```" in progress.brackets):
        closing = "]" if found.pattern is LIST_END else "```"
        if not progress.has_call or closing not in progress.brackets:
            return False
        progress.brackets.remove(closing)
        output.buffer.mark()
        return True
    if found.pattern in (COMMA, SEMICOLON, BRACE_END):
        return progress.has_call
    progress.brackets.append("]" if found.pattern is LIST else "```")
    return len(progress.brackets) <= BRACKETS_LIMIT


def _read_call(
    output: ScanOutput,
    section: CompiledSection,
    syntax: CompiledCallSyntax,
    opening: PatternMatch,
    progress: SectionProgress,
) -> ReadGenerator[bool]:
    """Read one call from behind its opening; False, with nothing emitted, if it is none."""
    guarded = section.source.foreign or section.open is None
    if syntax.source.kind != "call":
        brackets = [_CLOSINGS[bracket] for bracket in progress.brackets]
        return (yield from JsonCallReader(output, syntax, guarded, brackets).read())
    name = called_name(syntax, opening.fields.get("name") or opening.fields["identifier"])
    if not output.offers(name) and (guarded or not PLAIN_NAME.fullmatch(name)):
        return False
    body = yield from expect(output.buffer, syntax.bodies)
    if body is None:
        may_be_bare = section.source.bare_names and not progress.has_call
        return may_be_bare and (yield from _read_bare_call(output, section, name))
    if body.pattern in (FENCED_BODY, FENCED_TEXT_BODY):
        progress.brackets.append("```")
    if body.pattern is OBJECT_BODY or body.pattern is FENCED_BODY:
        return (yield from _read_object(output, syntax, name, is_fenced="```" in progress.brackets))
    if body.pattern is TEXT_BODY or body.pattern is FENCED_TEXT_BODY:
        return (yield from read_text_arguments(output, name))
    if body.pattern is PYTHON_BODY:
        return _may_be_python(output, syntax, name) and (yield from read_python(output, name))
    if body.pattern not in syntax.args:
        if not _may_lack_arguments(output, section, syntax, name):
            return False
        if not syntax.args:
            output.note_repair(repair.NO_ARGUMENTS)
    progress.closed = yield from read_tagged(output, syntax, name, body)
    return True


def called_name(syntax: CompiledCallSyntax, written: str) -> str:
    """The tool's name without what the template writes around it."""
    name = _LINE_END.sub("", written.strip())
    found = syntax.name.fullmatch(name)
    return found[found.lastindex or 0] if found else name


def _may_lack_arguments(
    output: ScanOutput, section: CompiledSection, syntax: CompiledCallSyntax, name: str
) -> bool:
    """True if a call may lack arguments.

    A bare word between tags is a call only of an offered tool. Where it is not known which tools are offered,
    it is one between special tokens.
    """
    is_special = is_special_token(section.source.open) and output.may_be_called(name)
    return is_special or not syntax.source.open.endswith("{name}") or output.offers(name)


def _may_be_python(output: ScanOutput, syntax: CompiledCallSyntax, name: str) -> bool:
    """True if a name before `(` may be that of a Python-style call.

    Only where the model's own format has such calls may the name be that of an unknown tool, and then it is
    an identifier, dotted or not. Elsewhere ordinary text, such as `print()` behind a call, looks the same.
    """
    is_dotted_identifier = all(part.isidentifier() for part in name.split("."))
    return output.offers(name) or (syntax.source.only_python and is_dotted_identifier)


def _read_object(
    output: ScanOutput, syntax: CompiledCallSyntax, name: str, *, is_fenced: bool = False
) -> ReadGenerator[bool]:
    """Read arguments that are a JSON object, from behind its opening brace."""
    quote = syntax.source.quote
    char = yield from next_token(output.buffer)
    if char not in (*QUOTES, "}") and not (quote and char):
        return False
    output.begin_call(name)
    output.add_arguments("{")
    arguments = ArgumentsWriter(output.add_arguments, output.note_repair, output.schema_of(name), name)
    kind = partial(GemmaObjectReader, quote) if quote else JsonReader
    closing_tags = (*syntax.closing_tags, FENCE_AT_END) if is_fenced else syntax.closing_tags
    reader = kind(output.buffer, arguments.write, output.note_repair, closing_tags)
    complete = yield from reader.read_members(arguments)
    if complete:
        output.add_arguments("}")
    output.end_call(complete)
    return True


def skip_broken_call(output: ScanOutput, section: CompiledSection) -> ReadGenerator[bool]:
    """Skip what is left of a broken call: to its closing tag, or to where the next call begins.

    Args:
        output: Holds the input.
        section: The section of the call.

    Returns:
        True if the section ended.
    """
    buffer = output.buffer
    closings = (*((section.close,) if section.close else ()), *section.call_closings)
    while True:
        place, literal = section.skip_finder.find(buffer.text, buffer.at)
        buffer.at = place
        if not literal and buffer.ended:
            buffer.at = len(buffer.text)
            return False
        if literal:
            found = match_first(closings, buffer.text, place, buffer.ended)
            if isinstance(found, PatternMatch):
                buffer.at = found.end
                return found.pattern is section.close
            if literal in section.starts or not closings:
                return False
            if found is NoMatch.NO:
                buffer.at += 1
                continue
        yield
