"""A jinja sandbox for untrusted chat templates.

Templates ship with the weights, so they run in jinja's immutable sandbox. This one also counts loop items,
limits the size of the values that a template builds, and limits its processor time. The limits stop runaway
templates; they are no defence against one that is written to exhaust memory.
"""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from typing import Any, Final, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

TEMPLATE_CHARS: Final = 200_000  # the longest of 786 public templates has 46,000
LOOP_ITEMS: Final = 200_000  # all loops of one render together
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
    """The template environment of transformers with limits on time and size."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self.deadline = float("inf")
        self.items_left = 0
        self.filters |= {"tojson": _to_json, _CHARGE_LOOP: self.charge_loop, _CHECK_SIZE: self.check_size}
        self.globals |= {"raise_exception": _raise_exception, "strftime_now": _now}

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

    def start(self, seconds: float) -> None:
        """Begin a render with this many seconds of processor time and a full loop budget."""
        self.deadline = time.thread_time() + seconds
        self.items_left = LOOP_ITEMS

    def check_time(self) -> None:
        """Raise RenderError if the render has used up its processor time."""
        if time.thread_time() > self.deadline:
            raise RenderError("the template takes too long to render")

    def charge_loop(self, values: Any) -> Any:
        """Return the items of a loop after charging them to this render's loop budget."""
        self.check_time()
        items = values if hasattr(values, "__len__") else list(values)
        self.items_left -= len(items)
        if self.items_left < 0:
            raise RenderError("the template loops too often")
        return items

    def check_size(self, value: Any) -> Any:
        """Return the value; raise RenderError if it is too large."""
        if _size(value) > VALUE_ITEMS:
            raise RenderError("the template builds too large a value")
        return value

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Apply a binary operator; raise RenderError if the result would be too large."""
        if (
            operator == "**"
            or (operator == "*" and _count(left) * _count(right) > VALUE_ITEMS)
            or (operator == "%" and isinstance(left, str) and _WIDE_FORMAT.search(left))
        ):
            raise RenderError("the template builds too large a value")
        return self.check_size(super().call_binop(context, operator, left, right))

    def call(self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a macro or method; raise RenderError if time is up or a numeric argument is too large."""
        self.check_time()
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


def _now(form: str) -> str:
    return datetime.now().strftime(form)
