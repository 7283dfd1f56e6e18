"""The tools of a request: which the model is shown at the head of the prompt, and which only later."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vllm_messages_plugin.translate.chat_message import Function
from vllm_messages_plugin.translate.tools.offered_functions import offered_functions
from vllm_messages_plugin.translate.tools.toolsets import ToolsetMember, prompt_name
from vllm_messages_plugin.wire.request import CountTokensRequest


@dataclass(frozen=True, slots=True)
class RequestTools:
    """The tools of a request.

    `shown` stand at the head of the prompt; `hidden` are deferred until something refers to them.
    `members` are the functions of toolsets, by the names they have in the prompt. `system` is what the
    tools add to the system prompt.
    """

    shown: tuple[Function, ...]
    hidden: Mapping[str, Function]
    members: Mapping[str, ToolsetMember]
    system: tuple[str, ...] = ()
    _prompt_names: Mapping[tuple[str, str], str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = {
            (member.name, member.toolset): prompt for prompt, member in reversed(list(self.members.items()))
        }
        object.__setattr__(self, "_prompt_names", names)

    def prompt_name(self, name: str, toolset: str | None) -> str:
        """The name that a tool of the history has in the prompt."""
        if toolset is None:
            return name
        return self._prompt_names.get((name, toolset)) or prompt_name(name, toolset)


def request_tools(request: CountTokensRequest) -> RequestTools:
    """The tools of a request; if all are deferred, all are shown.

    Raises:
        MessagesError: 400, a tool is of a type that this server can't offer, or two share a name.
    """
    offered = offered_functions(request.tools or [])
    all_deferred = all(each.deferred for each in offered)
    shown = [each for each in offered if all_deferred or not each.deferred]
    return RequestTools(
        shown=tuple(each.function for each in shown),
        hidden={each.name: each.function for each in offered if each.deferred and not all_deferred},
        members={each.name: each.member for each in offered if each.member},
        system=tuple(dict.fromkeys(each.system for each in shown if each.system)),
    )


class ReferredTools:
    """Writes hidden tools as text where a conversation refers to them: the first time as their definition.

    Later references only name the tool, so that the prompt stays linear in the size of the request.
    """

    def __init__(self, tools: RequestTools) -> None:
        self._waiting = dict(tools.hidden)

    def text(self, name: str) -> str:
        """The text of a reference to the tool `name`."""
        tool = self._waiting.pop(name, None)
        return f"The tool {name} is available now." if tool is None else definition_text(tool["function"])


def definition_text(definition: Mapping[str, Any]) -> str:
    """A tool's definition as text, in the form that Claude Code's own tool search uses."""
    text = json.dumps(definition, ensure_ascii=False)
    return f"<functions>\n<function>{text}</function>\n</functions>"
