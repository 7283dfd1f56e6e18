# ruff: noqa: RUF001 - DeepSeek, Step and Hunyuan spell their tokens with a fullwidth bar
"""How models mark their calls: one record a family, read by the scanner. Data, no code.

The markup is written in the small language of `marks`: a space stands for white space that may be
missing, a word in braces for a blank. The names are those by which the template probe knows a shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from vllm_messages_plugin.formats.marks import Mark


@dataclass(frozen=True, slots=True)
class Form:
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
    name: str = r".+"  # what of the blank is the name
    arguments: str = "arguments"  # the key under which the template writes them


@dataclass(frozen=True, slots=True)
class Section:
    """What stands around calls. Without `open` the calls stand bare in the text.

    Calls of a foreign section, and bare ones, count only if they name a tool that is offered.
    """

    forms: tuple[Form, ...]
    open: str = ""
    close: str = ""
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """How a family of models marks its calls."""

    name: str
    sections: tuple[Section, ...]

    @property
    def markers(self) -> tuple[str, ...]:
        """The fixed pieces of the markup, any of which a tokenizer may treat as a special token."""
        found: dict[str, None] = {}
        for section in self.sections:
            sources = [section.open, section.close]
            for form in section.forms:
                sources += [form.head, form.param, form.end, form.tail]
            if not section.foreign:
                found |= dict.fromkeys(word for source in sources for word in Mark(source).literals)
        return tuple(word for word in found if not word.isalnum() and len(word) > 1)


OBJECT: Final = Form(head="{", kind="object")
PARAMETERS: Final = Form(head="{", kind="object", arguments="parameters")
KEYED: Final = Form(head="{", kind="keyed")
NAMED: Final = Form(head="{name}")
PYTHON: Final = Form(head="{name}", only_python=True)
FUNCTION: Final = Form(
    head="<function={name}>",
    param="<parameter={key}>",
    end="</parameter>",
    tail="</function>",
    lines=True,
    alone=True,
)
COMPACT_FUNCTION: Final = Form(
    head="<function={name}>",
    param="<parameter={key}>",
    end="</parameter>",
    tail="</function>",
    alone=True,
)
GLM: Final = Form(head="{name}", param="<arg_key>{key}</arg_key> <arg_value>", end="</arg_value>")
INVOKE: Final = Form(
    head='<invoke name="{name}"{attributes}>',
    param='<parameter name="{key}"{attributes}>',
    end="</parameter>",
    tail="</invoke>",
    alone=True,
)


def _invoke(prefix: str) -> Form:
    """Invoke with a prefix in each tag."""
    return Form(
        head=f'<{prefix}invoke name="{{name}}"{{attributes}}>',
        param=f'<{prefix}parameter name="{{key}}"{{attributes}}>',
        end=f"</{prefix}parameter>",
        tail=f"</{prefix}invoke>",
        alone=True,
    )


# What any model may drift into: it is believed only when it names an offered tool.
TOOL_CALL: Final = Section((FUNCTION, INVOKE, OBJECT, GLM), "<tool_call>", "</tool_call>")
FUNCTION_CALLS: Final = Section((INVOKE, FUNCTION, OBJECT, NAMED), "<function_calls>", "</function_calls>")
BARE: Final = Section((OBJECT,))


def _foreign(section: Section) -> Section:
    return Section(section.forms, section.open, section.close, foreign=True)


FOREIGN: Final = (_foreign(TOOL_CALL), _foreign(FUNCTION_CALLS), _foreign(BARE))


def _shape(name: str, *sections: Section) -> Shape:
    """A shape with the foreign sections behind its own; the first with a mark keeps it."""
    own = {section.open for section in sections}
    return Shape(name, (*sections, *(other for other in FOREIGN if other.open not in own)))


def _tool_call(*forms: Form) -> Section:
    """`<tool_call>` with a family's own forms before the other dialects."""
    kinds = {form.head for form in forms}
    others = tuple(form for form in TOOL_CALL.forms if form.head not in kinds)
    return Section((*forms, *others), "<tool_call>", "</tool_call>")


_ALL: Final = (
    _shape("hermes_json", TOOL_CALL),
    _shape("qwen_xml", TOOL_CALL),
    _shape("step_xml", TOOL_CALL),
    _shape("compact_xml", _tool_call(COMPACT_FUNCTION)),
    _shape("glm_xml", TOOL_CALL),
    _shape("glm_compact", TOOL_CALL),
    _shape("laguna_xml", TOOL_CALL),
    _shape("invoke", FUNCTION_CALLS),
    _shape(
        "minimax_invoke",
        Section((INVOKE, FUNCTION, OBJECT), "<minimax:tool_call>", "</minimax:tool_call>"),
    ),
    _shape("seed_xml", Section((COMPACT_FUNCTION, OBJECT), "<seed:tool_call>", "</seed:tool_call>")),
)
SHAPES: Final[Mapping[str, Shape]] = MappingProxyType({shape.name: shape for shape in _ALL})
