"""Whether the reply may, must or must not contain a tool call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vllm_messages_plugin.translate.chat_message import Function
from vllm_messages_plugin.translate.tools.toolsets import ToolsetMember
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.request import ToolChoiceParam


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """The tool choice in force.

    `name` is set for "tool". `single`: at most one call (with "any" and "tool": exactly one).
    """

    mode: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    single: bool = False

    @property
    def forced(self) -> bool:
        """Whether the reply must contain a call."""
        return self.mode in ("any", "tool")


def tool_choice(
    requested: ToolChoiceParam | None, functions: Sequence[Function], members: Mapping[str, ToolsetMember]
) -> ToolChoice:
    """The tool choice in force; a member of a toolset may be named as the wire or the prompt names it.

    Args:
        requested: The request's `tool_choice`.
        functions: The tools that may be called.
        members: The functions of toolsets, by the names they have in the prompt.

    Raises:
        MessagesError: 400, a call is required of a tool that is not offered.
    """
    if requested is None:
        return ToolChoice("auto")
    names = {function["function"]["name"] for function in functions}
    single = bool(requested.disable_parallel_tool_use)
    if requested.type == "any" and not names:
        raise invalid("a tool call is demanded but no tools are provided", "tool_choice")
    if requested.type != "tool":
        return ToolChoice(requested.type, None, single)
    of_members = (prompt for prompt, member in members.items() if member.name == requested.name)
    name = requested.name if requested.name in names else next(of_members, None)
    if name is None:
        raise invalid(f"Tool '{requested.name}' not found in provided tools", "tool_choice")
    return ToolChoice("tool", name, single)
