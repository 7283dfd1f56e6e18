"""The computer and browser toolsets: one entry of `tools` that stands for many functions.

On the wire a member is called by its own name beside the toolset's, in the prompt by one name made of both.
A toolset later than those that this server knows gets the members that it knows.
"""

import copy
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vllm_messages_plugin.translate.chat_message import Function, FunctionDefinition
from vllm_messages_plugin.translate.tools.toolset_members import (
    BROWSER_MEMBERS,
    COMPUTER_MEMBERS,
    MemberDefinition,
)
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.request import ToolParam

_TYPE: Final = re.compile(r"(computer|browser)_toolset_([0-9]{8})")

_MEMBERS: Final[Mapping[str, Mapping[str, MemberDefinition]]] = {
    "computer": COMPUTER_MEMBERS,
    "browser": BROWSER_MEMBERS,
}

NEWEST: Final = "20260801"
"""The version whose members this server knows."""


@dataclass(frozen=True, slots=True)
class ToolsetMember:
    """The names of a toolset's function on the wire: `name` "left_click", `toolset` "computer"."""

    name: str
    toolset: str
    deferred: bool = False


def is_toolset(tool: ToolParam) -> bool:
    """Whether an entry of `tools` stands for many functions."""
    return _TYPE.fullmatch(tool.type or "") is not None


def toolset_functions(
    tool: ToolParam, position: int, taken: Collection[str] = ()
) -> Iterator[tuple[Function, ToolsetMember]]:
    """The enabled members of a toolset as functions; none if the tool is no toolset.

    Args:
        tool: The entry of `tools`.
        position: Its place in `tools`, for errors.
        taken: The names of the request's other tools, which no member gets in the prompt.

    Raises:
        MessagesError: 400, `configs` names no member, or a value in it has the wrong type.
    """
    found = _TYPE.fullmatch(tool.type or "")
    if found is None:
        return
    toolset, date = found.groups()
    members = _MEMBERS[toolset]
    configs = _configs(tool, f"tools.{position}.{tool.type}.configs", members, date)
    for name, member in members.items():
        config = configs.get(name, {})
        if config.get("enabled", member.enabled):
            deferred = config.get("defer_loading", bool(tool.defer_loading))
            function = _function(tool, prompt_name(name, toolset, taken), member)
            yield function, ToolsetMember(name, toolset, deferred)


def prompt_name(name: str, toolset: str, taken: Collection[str] = ()) -> str:
    """The name of a member in the prompt, enabled or not, known or not: the history may call any."""
    prompted = f"{toolset}_{name}"
    while prompted in taken:
        prompted += "_"
    return prompted


def _function(tool: ToolParam, name: str, member: MemberDefinition) -> Function:
    function: FunctionDefinition = {
        "name": name,
        "description": member.description,
        "parameters": copy.deepcopy(member.parameters),
    }
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _configs(
    tool: ToolParam, path: str, members: Mapping[str, MemberDefinition], date: str
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
    """A member's overrides; null is the same as an absent field."""
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise invalid("Input should be an object", path)
    given = {field: config.get(field) for field in ("enabled", "defer_loading")}
    for field, value in given.items():
        if value is not None and not isinstance(value, bool):
            raise invalid("Input should be a valid boolean", f"{path}.{field}")
    return {field: value for field, value in given.items() if value is not None}
