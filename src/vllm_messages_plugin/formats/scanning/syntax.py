"""The records a shape is made of: what stands around calls, and how one call is written.

The markup is written in the small language of `marks`: a space stands for white space that may be
missing, a word in braces for a blank. `shapes` has the table, `grammar` makes it ready.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vllm_messages_plugin.formats.scanning.patterns import MarkupPattern


@dataclass(frozen=True, slots=True)
class CallSyntax:
    """How one call is written.

    `head` begins it and has its {name}. Then come tagged arguments (`param`, a value, `end`; `tail` ends
    the call), or a JSON object, or a Python call's brackets: what follows the head decides. The kind
    "object" is a JSON object with the name inside, under `keys`; "keyed" one whose only key is the name.
    """

    head: str
    param: str = ""
    end: str = ""
    tail: str = ""
    kind: Literal["call", "object", "keyed"] = "call"
    lines: bool = False  # the template writes each value on lines of its own
    alone: bool = False  # the call may stand in text without its section's mark
    only_python: bool = False
    quote: str = ""  # what stands around strings in objects that are not quite JSON
    name: str = r".+"  # what of the blank is the name
    arguments: str = "arguments"  # the key under which the template writes them


@dataclass(frozen=True, slots=True)
class SectionSyntax:
    """What stands around calls. Without `open` the calls stand bare in the text.

    Calls of a foreign section, and bare ones, count only if they name a tool that is offered.
    """

    forms: tuple[CallSyntax, ...]
    open: str = ""
    close: str = ""
    between: tuple[str, ...] = ()  # marks around single calls that say nothing
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class ToolCallFormat:
    """How a family of models marks its calls."""

    name: str
    sections: tuple[SectionSyntax, ...]

    @property
    def markers(self) -> tuple[str, ...]:
        """The fixed pieces of the markup, any of which a tokenizer may treat as a special token."""
        found: dict[str, None] = {}
        for section in self.sections:
            sources = [section.open, section.close, *section.between]
            for form in section.forms:
                sources += [form.head, form.param, form.end, form.tail, form.quote]
            if not section.foreign:
                found |= dict.fromkeys(word for source in sources for word in MarkupPattern(source).literals)
        return tuple(word for word in found if not word.isalnum() and len(word) > 1)
