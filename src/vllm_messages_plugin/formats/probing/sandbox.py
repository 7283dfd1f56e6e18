"""A jinja sandbox for untrusted chat templates.

Templates ship with the weights, so they run in jinja's immutable sandbox. This one also limits the size of
the values that a template builds, and counts its work: loop items, operators, calls and filters, each with
the size of the values it handles. Work is counted rather than timed, so that the same template meets its
limit at the same place on every machine. The limits stop runaway templates; they are no defence against one
that is written to exhaust memory.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

TEMPLATE_CHARS: Final = 200_000  # the longest of 786 public templates has 46,000
RENDER_WORK: Final = 200_000  # units of work of one render; the most that a public template takes is 279
CHARS_PER_UNIT: Final = 256  # handling a value of so many characters or items costs one more unit
VALUE_ITEMS: Final = 400_000  # the longest string or list
NUMBER: Final = 1_000_000  # the largest number a function may be given: a width, a range

_CHARGE_LOOP: Final = "_charge_loop"
_CHECK_SIZE: Final = "_check_size"
_WIDE_FORMAT: Final = re.compile(r"%[^a-zA-Z%]*\d{5}")


class RenderError(Exception):
    """A template could not be compiled, or it refused a conversation; the text gives the reason."""


class _Generation(Extension):
    """Reads `{% generation %}` blocks, which only matter for training, as their content."""

    tags = {"generation"}  # noqa: RUF012 - jinja reads this name as a plain set

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class _Guards(NodeTransformer):
    """Wraps loops and concatenations of a template in the sandbox's filters."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - jinja's name
        self.generic_visit(node)
        node.iter = _with_filter(node.iter, _CHARGE_LOOP)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - jinja's name
        self.generic_visit(node)
        return _with_filter(node, _CHECK_SIZE)


class Sandbox(ImmutableSandboxedEnvironment):
    """The template environment of transformers with limits on work and size.

    Attributes:
        work_left: units of work that the current render may still do.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, max_value: int = VALUE_ITEMS) -> None:
        """`max_value`: the most characters or items of one value."""
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self.work_left = 0
        self._max_value = max_value
        self.filters |= {"tojson": _to_json}
        for name, function in self.filters.items():
            self.filters[name] = self._charged(function)
        self.filters |= {_CHARGE_LOOP: self.charge_loop, _CHECK_SIZE: self.check_size}
        # One moment for all renders: prompts that are compared must not differ in the time.
        self.globals |= {"raise_exception": _raise_exception, "strftime_now": datetime.now().strftime}

    def compiled(self, template: str) -> tuple[jinja2.Template, frozenset[str]]:
        """Compile a template; return it with the names that it reads.

        Raises:
            RenderError: the template is too long.
            jinja2.TemplateSyntaxError: it is no valid template.
        """
        if len(template) > TEMPLATE_CHARS:
            raise RenderError(f"the template is longer than {TEMPLATE_CHARS} characters")
        tree = self.parse(template)
        names = frozenset(node.name for node in tree.find_all(nodes.Name) if node.ctx == "load")
        guarded: nodes.Template = _Guards().visit(tree)
        guarded.set_environment(self)
        code = self.compile(guarded)
        return jinja2.Template.from_code(self, code, dict(self.globals)), names

    def charge(self, units: int) -> None:
        """Take units of work from the render's budget; raise RenderError if it is used up."""
        self.work_left -= units
        if self.work_left < 0:
            raise RenderError("the template does too much work")

    def charge_loop(self, values: Any) -> Any:
        """Return the items of a loop after charging them to the render's budget."""
        items = values if hasattr(values, "__len__") else list(values)
        self.charge(1 + len(items))
        return items

    def check_size(self, value: Any) -> Any:
        """Return the value; raise RenderError if it is too large."""
        size = _size(value)
        if size > self._max_value:
            raise RenderError("the template builds too large a value")
        self.charge(1 + size // CHARS_PER_UNIT)
        return value

    def _charged(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a filter so that it charges for the values it is given; jinja's marks on it are kept."""

        @functools.wraps(function)
        def charged(*args: Any, **kwargs: Any) -> Any:
            self.charge(1 + sum(map(_size, args)) // CHARS_PER_UNIT)
            return function(*args, **kwargs)

        return charged

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Apply a binary operator; raise RenderError if the result would be too large."""
        if (
            operator == "**"
            or (operator == "*" and _count(left) * _count(right) > self._max_value)
            or (operator == "%" and isinstance(left, str) and _WIDE_FORMAT.search(left))
        ):
            raise RenderError("the template builds too large a value")
        return self.check_size(super().call_binop(context, operator, left, right))

    def call(self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a macro or method; raise RenderError if a numeric argument is too large."""
        self.charge(1 + _size(getattr(__obj, "__self__", None)) // CHARS_PER_UNIT)
        if any(isinstance(value, int) and value > NUMBER for value in (*args, *kwargs.values())):
            raise RenderError("the template builds too large a value")
        return self.check_size(super().call(__context, __obj, *args, **kwargs))


def _with_filter(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | list | tuple | bytes) else 0


def _count(factor: object) -> int:
    """Return by how much a factor of a product multiplies the size of the other factor."""
    if isinstance(factor, int):
        return abs(factor)
    return max(_size(factor), 1)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
