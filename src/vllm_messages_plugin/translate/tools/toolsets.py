"""The computer and browser toolsets: one entry of `tools` that stands for many functions.

Called by `tools`. On the wire a member is called by its own name beside the toolset's, in the prompt by
one name made of both. `toolset_members` holds what the members take. A toolset later than those we know
gets the members we know.
"""

import copy
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vllm_messages_plugin.translate.tools.toolset_members import (
    BROWSER_MEMBERS,
    COMPUTER_MEMBERS,
    MemberSchema,
)
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.request import ToolParam

_TYPE: Final = re.compile(r"(computer|browser)_toolset_([0-9]{8})")

_MEMBERS: Final[Mapping[str, Mapping[str, MemberSchema]]] = {
    "computer": COMPUTER_MEMBERS,
    "browser": BROWSER_MEMBERS,
}

NEWEST: Final = "20260801"
"""The version whose members we know."""


@dataclass(frozen=True, slots=True)
class Member:
    """What the wire calls a function of a toolset: `name` "left_click", `toolset_name` "computer"."""

    name: str
    toolset: str
    deferred: bool = False


def is_toolset(tool: ToolParam) -> bool:
    """Whether an entry of `tools` stands for many functions."""
    return _TYPE.fullmatch(tool.type or "") is not None


def toolset_functions(
    tool: ToolParam, position: int, taken: Collection[str] = ()
) -> list[tuple[dict[str, Any], Member]] | None:
    """The toolset's enabled members as functions; None if the tool is no toolset.

    `taken` are the names of the request's other tools, which no member gets in the prompt.

    Raises:
        MessagesError: 400, `configs` speaks of no member, or not in its terms.
    """
    found = _TYPE.fullmatch(tool.type or "")
    if found is None:
        return None
    toolset, date = found.groups()
    members = _MEMBERS[toolset]
    configs = _configs(tool, f"tools.{position}.{tool.type}.configs", members, date)
    return [
        (_function(tool, prompt_name(name, toolset, taken), shape), Member(name, toolset, deferred))
        for name, shape in members.items()
        for enabled, deferred in [_standing(configs.get(name, {}), shape, tool)]
        if enabled
    ]


def prompt_name(name: str, toolset: str, taken: Collection[str] = ()) -> str:
    """What the prompt calls a member, enabled or not, known or not: the history may call any."""
    prompted = f"{toolset}_{name}"
    while prompted in taken:
        prompted += "_"
    return prompted


def _function(tool: ToolParam, name: str, shape: MemberSchema) -> dict[str, Any]:
    function: dict[str, Any] = {
        "name": name,
        "description": shape.description,
        "parameters": copy.deepcopy(shape.parameters),
    }
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _standing(config: Mapping[str, bool], shape: MemberSchema, tool: ToolParam) -> tuple[bool, bool]:
    """Whether a member is enabled, and whether it is deferred."""
    return config.get("enabled", shape.enabled), config.get("defer_loading", bool(tool.defer_loading))


def _configs(
    tool: ToolParam, path: str, members: Mapping[str, MemberSchema], date: str
) -> dict[str, dict[str, bool]]:
    configs = (tool.model_extra or {}).get("configs")
    if configs is None:
        return {}
    if not isinstance(configs, dict):
        raise invalid("Input should be an object", path)
    for name in configs:
        if name not in members and date <= NEWEST:
            raise invalid("Extra inputs are not permitted", f"{path}.{name}")
    return {name: _config(config, f"{path}.{name}") for name, config in configs.items() if name in members}


def _config(config: Any, path: str) -> dict[str, bool]:
    """A member's overrides; null says as little as nothing."""
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise invalid("Input should be an object", path)
    given = {field: config.get(field) for field in ("enabled", "defer_loading")}
    for field, value in given.items():
        if value is not None and not isinstance(value, bool):
            raise invalid("Input should be a valid boolean", f"{path}.{field}")
    return {field: value for field, value in given.items() if value is not None}
