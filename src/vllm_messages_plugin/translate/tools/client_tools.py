"""Anthropic's own client tools: the definitions of tools that a request names only by their type.

`bash_*`, `text_editor_*`, `memory_*` and `computer_*` come without a schema, because the API knows it. A
date later than those that this server knows gets the newest definition.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from vllm_messages_plugin.translate.chat_message import Function, FunctionDefinition
from vllm_messages_plugin.translate.tools import client_schemas
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.request import ToolParam

_TYPE: Final = re.compile(r"(bash|text_editor|memory|computer)_([0-9]{8})")

EDITOR_RENAMED: Final = "20250429"
"""From this date on the editor has its longer name, `insert_text`, and no `undo_edit`."""
COMPUTER_WIDENED: Final = "20250124"
"""From this date on clicks take a coordinate and there are scroll, wait and more."""
COMPUTER_ZOOMS: Final = "20251124"
"""From this date on there is zoom, where it is switched on."""


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A client tool as a function, and what the API adds to the system prompt with it."""

    function: Function
    system: str | None = None


@dataclass(frozen=True, slots=True)
class _FamilyDefinition:
    """The definition of a family of tools at a date.

    The schema is kept as JSON text, from which every request gets an object of its own: what a template or
    vLLM does to it reaches no other request, and parsing is faster than a deep copy.
    """

    name: str
    description: str
    schema_text: str
    system: str | None = None


def client_tool(tool: ToolParam, position: int) -> ClientTool | None:
    """The definition of a client tool; None if the tool is of no known family.

    A description, schema or name in the request replaces that of the family.

    Args:
        tool: The entry of `tools`.
        position: Its place in `tools`, for errors.

    Raises:
        MessagesError: 400, a field that the family requires is missing or of the wrong type.
    """
    found = _TYPE.fullmatch(tool.type or "")
    if found is None:
        return None
    family, date = found.groups()
    known = _FAMILIES[family](tool, date, f"tools.{position}.{tool.type}")
    function: FunctionDefinition = {
        "name": tool.name or known.name,
        "description": known.description if tool.description is None else tool.description,
        "parameters": json.loads(known.schema_text) if tool.input_schema is None else tool.input_schema,
    }
    if tool.strict is not None:
        function["strict"] = tool.strict
    return ClientTool({"type": "function", "function": function}, known.system)


_BASH: Final = _FamilyDefinition(
    "bash", client_schemas.BASH_DESCRIPTION, json.dumps(client_schemas.BASH_SCHEMA)
)


def _bash(_tool: ToolParam, _date: str, _path: str) -> _FamilyDefinition:
    return _BASH


def _text_editor(tool: ToolParam, date: str, path: str) -> _FamilyDefinition:
    known = _editor_of(date >= EDITOR_RENAMED)
    limit = _integer(tool, "max_characters", path, minimum=1)
    if limit is None:
        return known
    return replace(known, description=f"{known.description}\n{client_schemas.EDITOR_LIMIT.format(limit)}")


@cache
def _editor_of(renamed: bool) -> _FamilyDefinition:
    commands = client_schemas.EDITOR_COMMANDS if renamed else client_schemas.OLD_EDITOR_COMMANDS
    fields = client_schemas.EDITOR_FIELDS if renamed else client_schemas.OLD_EDITOR_FIELDS
    return _FamilyDefinition(
        "str_replace_based_edit_tool" if renamed else "str_replace_editor",
        f"{client_schemas.EDITOR_DESCRIPTION}\n{client_schemas.command_lines(commands)}",
        json.dumps(client_schemas.command_schema("command", commands, fields)),
    )


_MEMORY: Final = _FamilyDefinition(
    "memory",
    f"{client_schemas.MEMORY_DESCRIPTION}\n{client_schemas.command_lines(client_schemas.MEMORY_COMMANDS)}",
    json.dumps(
        client_schemas.command_schema("command", client_schemas.MEMORY_COMMANDS, client_schemas.MEMORY_FIELDS)
    ),
    client_schemas.MEMORY_PROTOCOL,
)


def _memory(_tool: ToolParam, _date: str, _path: str) -> _FamilyDefinition:
    return _MEMORY


def _computer(tool: ToolParam, date: str, path: str) -> _FamilyDefinition:
    screen = client_schemas.COMPUTER_DESCRIPTION.format(
        width=_required(tool, "display_width_px", path),
        height=_required(tool, "display_height_px", path),
        display=_display(_integer(tool, "display_number", path, minimum=0)),
    )
    zooms = date >= COMPUTER_ZOOMS and _flag(tool, "enable_zoom", path)
    known = _computer_of(date >= COMPUTER_WIDENED, zooms)
    return replace(known, description=f"{screen}\n{known.description}")


@cache
def _computer_of(widened: bool, zooms: bool) -> _FamilyDefinition:
    """The computer tool, without the sentences on its screen."""
    actions = client_schemas.ACTIONS if widened else client_schemas.OLD_ACTIONS
    actions += (client_schemas.ZOOM,) if zooms else ()
    fields = client_schemas.COMPUTER_FIELDS if widened else client_schemas.OLD_COMPUTER_FIELDS
    return _FamilyDefinition(
        "computer",
        client_schemas.command_lines(actions),
        json.dumps(client_schemas.command_schema("action", actions, fields)),
    )


_FAMILIES: Final[Mapping[str, Callable[[ToolParam, str, str], _FamilyDefinition]]] = {
    "bash": _bash,
    "text_editor": _text_editor,
    "memory": _memory,
    "computer": _computer,
}


def _display(number: int | None) -> str:
    return "" if number is None else f" (display number {number})"


# Fields that only some types have.


def _extra(tool: ToolParam, field: str) -> Any:
    return (tool.model_extra or {}).get(field)


def _integer(tool: ToolParam, field: str, path: str, minimum: int) -> int | None:
    value = _extra(tool, field)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid("Input should be a valid integer", f"{path}.{field}")
    if value < minimum:
        raise invalid(f"Input should be greater than or equal to {minimum}", f"{path}.{field}")
    return value


def _required(tool: ToolParam, field: str, path: str) -> int:
    value = _integer(tool, field, path, minimum=1)
    if value is None:
        raise invalid("Field required", f"{path}.{field}")
    return value


def _flag(tool: ToolParam, field: str, path: str) -> bool:
    value = _extra(tool, field)
    if value is not None and not isinstance(value, bool):
        raise invalid("Input should be a valid boolean", f"{path}.{field}")
    return bool(value)


# Fields that any tool may have.

EXAMPLES: Final = "Examples of its input:"


def input_examples(tool: ToolParam, position: int) -> list[dict[str, Any]]:
    """The tool's `input_examples`.

    Args:
        tool: The entry of `tools`.
        position: Its place in `tools`, for errors.

    Raises:
        MessagesError: 400, they are not a list of objects.
    """
    examples = _extra(tool, "input_examples")
    if examples is None:
        return []
    if not isinstance(examples, list):
        raise invalid("Input should be a valid list", f"tools.{position}.input_examples")
    for place, example in enumerate(examples):
        if not isinstance(example, dict):
            raise invalid("Input should be an object", f"tools.{position}.input_examples.{place}")
    return examples


def with_examples(function: Function, examples: Sequence[Mapping[str, Any]]) -> Function:
    """The function with the examples in its description, each as one line of JSON."""
    if not examples:
        return function
    inner = function["function"]
    lines = "\n".join([EXAMPLES, *(json.dumps(example, ensure_ascii=False) for example in examples)])
    known = inner.get("description")
    return {"type": "function", "function": _described(inner, f"{known}\n\n{lines}" if known else lines)}


def _described(inner: FunctionDefinition, description: str) -> FunctionDefinition:
    """The definition with a description in its usual place, second, whether or not there was one."""
    described: FunctionDefinition = {
        "name": inner["name"],
        "description": description,
        "parameters": inner.get("parameters"),
    }
    if "strict" in inner:
        described["strict"] = inner["strict"]
    return described


def callable_directly(tool: ToolParam) -> bool:
    """Whether the model itself may call the tool, and not only code that it writes."""
    callers = _extra(tool, "allowed_callers")
    return callers is None or (isinstance(callers, list) and "direct" in callers)
