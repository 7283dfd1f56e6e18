"""The records that describe a tool-call format: the tags around calls and the syntax of one call.

All markup is written as `patterns.MarkupPattern` sources: a space stands for optional whitespace, a word in
braces for a field. `formats` has the table of formats; `compiled` prepares one for scanning.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from vllm_messages_plugin.formats.scanning.patterns import MarkupPattern


@dataclass(frozen=True, slots=True)
class CallSyntax:
    """The syntax of one call.

    After `open` come tagged arguments, a JSON object or a Python argument list: what follows decides.

    Attributes:
        open: Begins the call and contains its {name}.
        arg_open: Begins a tagged argument and contains its {key}; "" if arguments are not tagged.
        arg_open_variants: Other ways in which models begin a tagged argument.
        arg_close: Ends a tagged argument's value.
        close: Ends the call.
        kind: "call" has the name in `open`; "object" is a JSON object with the name inside; "keyed" is a
            JSON object whose only key is the name.
        lines: The template writes each value on lines of its own.
        cdata: A value may stand in a CDATA section, of which nothing else is markup.
        alone: The call may stand in text without its section's opening tag.
        only_python: Only a Python argument list may follow `open`.
        quote: The delimiter of strings, in formats whose objects are not quite JSON.
        name: A regex that selects the tool's name from the {name} field: its last group, or all of it.
        arguments: The key under which the template writes the arguments.
    """

    open: str
    arg_open: str = ""
    arg_open_variants: tuple[str, ...] = ()
    arg_close: str = ""
    close: str = ""
    kind: Literal["call", "object", "keyed"] = "call"
    lines: bool = False
    cdata: bool = False
    alone: bool = False
    only_python: bool = False
    quote: str = ""
    name: str = r".+"
    arguments: str = "arguments"


@dataclass(frozen=True, slots=True)
class SectionSyntax:
    """The tags around one or more calls.

    Calls of a foreign section, and calls of a section without tags, count only if they name an offered tool.

    Attributes:
        calls: The syntaxes that a call in this section may have, in the order in which they are tried.
        open: The opening tag; "" if the calls stand untagged in the text.
        close: The closing tag.
        between: Tags around single calls that carry no information.
        noisy: Text between the opening tag and a call carries no information either.
        bare_names: A tool's name alone is a call without arguments, and may stand before the opening tag.
        foreign: Another model's format, into which this model may drift.
    """

    calls: tuple[CallSyntax, ...]
    open: str = ""
    close: str = ""
    between: tuple[str, ...] = ()
    foreign: bool = False
    noisy: bool = False
    bare_names: bool = False


@dataclass(frozen=True, slots=True)
class ToolCallFormat:
    """How a family of models writes tool calls, and what else of its markup is no text.

    Attributes:
        name: The format's name.
        sections: The sections that may contain calls.
        noise: Special tokens of the family that carry no information; dropped wherever they stand in text.
        envelopes: Pairs of tags that the family writes around the reply text. The opening tag counts only at
            the start of the text and the closing tag only at its end: they are ordinary words.
        thinking: The tags of thinking that the family writes also where its template does not show them.
        drafts: What a call inside thinking is, if the thinking goes on behind it. "never" a draft: a call
            ends the thinking. "closed": a draft, if the thinking is closed soon behind it. "always": a draft.
    """

    name: str
    sections: tuple[SectionSyntax, ...]
    noise: tuple[str, ...] = ()
    envelopes: tuple[tuple[str, str], ...] = ()
    thinking: tuple[str, str] | None = None
    drafts: Literal["never", "closed", "always"] = "never"

    @property
    def markers(self) -> tuple[str, ...]:
        """The literal parts of the markup, any of which a tokenizer may have as a special token."""
        return _markers(self.sections)


@lru_cache(maxsize=64)
def _markers(sections: tuple[SectionSyntax, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for section in sections:
        sources = [section.open, section.close, *section.between]
        for call in section.calls:
            sources += [call.open, call.arg_open, call.arg_close, call.close, call.quote]
        if not section.foreign:
            found |= dict.fromkeys(word for source in sources for word in MarkupPattern(source).literals)
    return tuple(word for word in found if not word.isalnum() and len(word) > 1)
