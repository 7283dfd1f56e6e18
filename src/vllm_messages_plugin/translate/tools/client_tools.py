"""Anthropic's own client tools: what the model is shown of a tool that a request names only by its type.

Called by `tools`. `bash_*`, `text_editor_*`, `memory_*` and `computer_*` come without a schema, for the
API knows it; `client_schemas` holds it here. A date later than those we know gets the newest schema.
"""

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vllm_messages_plugin.translate.tools import client_schemas as known
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
    """A client tool as chat templates read it, and what the API adds to the system prompt with it."""

    function: dict[str, Any]
    system: str | None = None


@dataclass(frozen=True, slots=True)
class _Shape:
    name: str
    description: str
    parameters: known.Schema
    system: str | None = None


def client_tool(tool: ToolParam, position: int) -> ClientTool | None:
    """The tool with its family's schema; None if it is of no family we know.

    A description, schema or name that the tool brings along stands in the place of ours.

    Raises:
        MessagesError: 400, a field that the family needs is missing or of the wrong type.
    """
    found = _TYPE.fullmatch(tool.type or "")
    if found is None:
        return None
    family, date = found.groups()
    shape = _FAMILIES[family](tool, date, f"tools.{position}.{tool.type}")
    function: dict[str, Any] = {
        "name": tool.name or shape.name,
        "description": shape.description if tool.description is None else tool.description,
        "parameters": copy.deepcopy(shape.parameters) if tool.input_schema is None else tool.input_schema,
    }
    if tool.strict is not None:
        function["strict"] = tool.strict
    return ClientTool({"type": "function", "function": function}, shape.system)


def _bash(_tool: ToolParam, _date: str, _path: str) -> _Shape:
    return _Shape("bash", known.BASH, known.BASH_SCHEMA)


def _text_editor(tool: ToolParam, date: str, path: str) -> _Shape:
    renamed = date >= EDITOR_RENAMED
    commands = known.EDITOR_COMMANDS if renamed else known.OLD_EDITOR_COMMANDS
    lines = [known.EDITOR, known.command_lines(commands)]
    limit = _integer(tool, "max_characters", path, minimum=1)
    if limit is not None:
        lines.append(known.EDITOR_LIMIT.format(limit))
    return _Shape(
        "str_replace_based_edit_tool" if renamed else "str_replace_editor",
        "\n".join(lines),
        known.command_schema(
            "command", commands, known.EDITOR_FIELDS if renamed else known.OLD_EDITOR_FIELDS
        ),
    )


def _memory(_tool: ToolParam, _date: str, _path: str) -> _Shape:
    commands = known.MEMORY_COMMANDS
    return _Shape(
        "memory",
        f"{known.MEMORY}\n{known.command_lines(commands)}",
        known.command_schema("command", commands, known.MEMORY_FIELDS),
        known.MEMORY_PROTOCOL,
    )


def _computer(tool: ToolParam, date: str, path: str) -> _Shape:
    screen = known.COMPUTER.format(
        width=_needed(tool, "display_width_px", path),
        height=_needed(tool, "display_height_px", path),
        display=_display(_integer(tool, "display_number", path, minimum=0)),
    )
    widened = date >= COMPUTER_WIDENED
    actions = known.ACTIONS if widened else known.OLD_ACTIONS
    if date >= COMPUTER_ZOOMS and _flag(tool, "enable_zoom", path):
        actions += (known.ZOOM,)
    return _Shape(
        "computer",
        f"{screen}\n{known.command_lines(actions)}",
        known.command_schema(
            "action", actions, known.COMPUTER_FIELDS if widened else known.OLD_COMPUTER_FIELDS
        ),
    )


_FAMILIES: Final[Mapping[str, Callable[[ToolParam, str, str], _Shape]]] = {
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


def _needed(tool: ToolParam, field: str, path: str) -> int:
    value = _integer(tool, field, path, minimum=1)
    if value is None:
        raise invalid("Field required", f"{path}.{field}")
    return value


def _flag(tool: ToolParam, field: str, path: str) -> bool:
    value = _extra(tool, field)
    if value is not None and not isinstance(value, bool):
        raise invalid("Input should be a valid boolean", f"{path}.{field}")
    return bool(value)


# What any tool may say beside its schema.

EXAMPLES: Final = "Examples of its input:"


def input_examples(tool: ToolParam, position: int) -> list[dict[str, Any]]:
    """The tool's `input_examples`.

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


def described(function: dict[str, Any], examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The function with the examples in its description, each as one line of JSON."""
    if not examples:
        return function
    inner = function["function"]
    lines = "\n".join([EXAMPLES, *(json.dumps(example, ensure_ascii=False) for example in examples)])
    description = f"{inner['description']}\n\n{lines}" if inner.get("description") else lines
    return {**function, "function": _with_description(inner, description)}


def _with_description(inner: Mapping[str, Any], description: str) -> dict[str, Any]:
    """The description in its usual place, second, whether or not there was one."""
    return {"name": inner["name"], "description": description} | {
        key: value for key, value in inner.items() if key not in ("name", "description")
    }


def callable_directly(tool: ToolParam) -> bool:
    """Whether the model itself may call the tool, and not only code that it writes."""
    callers = _extra(tool, "allowed_callers")
    return callers is None or (isinstance(callers, list) and "direct" in callers)
