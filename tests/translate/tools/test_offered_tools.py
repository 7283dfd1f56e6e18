"""Anthropic's own tools and toolsets, from the request to the conversation and back."""

import json
from typing import Any

import pytest

from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.translate.conversation import Conversation, translate_request
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.request import MessagesRequest, parse

USER = {"role": "user", "content": "go"}
CUSTOM = {"name": "f", "input_schema": {"type": "object"}}
BASH = {"type": "bash_20250124", "name": "bash"}
MEMORY = {"type": "memory_20250818", "name": "memory"}
COMPUTER = {"type": "computer_toolset_20260801"}
BROWSER = {"type": "browser_toolset_20260801"}


def conversation(tools: list[dict[str, Any]], *messages: dict[str, Any], **fields: Any) -> Conversation:
    body = {"model": "m", "max_tokens": 1, "messages": [USER, *messages], "tools": tools} | fields
    return translate_request(
        parse(json.dumps(body).encode(), MessagesRequest), TemplateTraits(), lambda _: None
    )


def names(found: Conversation) -> list[str]:
    return [tool["function"]["name"] for tool in found.tools]


def test_tools_keep_their_order_and_toolsets_their_place() -> None:
    found = names(conversation([BASH, COMPUTER, CUSTOM, MEMORY]))
    assert (found[0], found[-2:]) == ("bash", ["f", "memory"])
    assert "computer_left_click" in found[1:-2]


def test_the_memory_tool_brings_its_protocol_to_the_head() -> None:
    head = conversation([MEMORY], system="Be brief.").messages[0]
    assert head["role"] == "system"
    assert head["content"].startswith("Be brief.")
    assert "MEMORY" in head["content"]


def test_members_of_two_toolsets_have_names_of_their_own() -> None:
    found = conversation([COMPUTER, BROWSER])
    assert len(set(names(found))) == len(names(found))
    assert found.members["computer_left_click"] == ("left_click", "computer")
    assert found.members["browser_left_click"] == ("left_click", "browser")


def test_a_members_call_in_the_history_has_its_name_in_the_prompt() -> None:
    use = {"type": "tool_use", "id": "t", "name": "left_click", "toolset_name": "browser", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "toolset_name": "browser", "content": "done"}
    found = conversation(
        [COMPUTER, BROWSER], {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}
    )
    assert found.messages[1]["tool_calls"][0]["function"]["name"] == "browser_left_click"
    assert found.messages[2]["name"] == "browser_left_click"


@pytest.mark.parametrize("name", ["left_click", "computer_left_click"])
def test_a_member_may_be_demanded_by_either_name(name: str) -> None:
    found = conversation([COMPUTER], tool_choice={"type": "tool", "name": name})
    assert found.choice.name == "computer_left_click"


def test_names_that_only_meet_after_resolution_are_refused() -> None:
    with pytest.raises(MessagesError, match="Tool names must be unique"):
        conversation([{"type": "bash_20250124"}, CUSTOM | {"name": "bash"}])


def test_a_tool_that_only_code_may_call_is_refused_by_name() -> None:
    with pytest.raises(MessagesError) as refused:
        conversation([CUSTOM | {"allowed_callers": ["code_execution_20250825"]}])
    assert refused.value.message.startswith("tools.0.allowed_callers: programmatic tool calling")


def test_examples_stand_in_the_description() -> None:
    found = conversation([CUSTOM | {"description": "Does.", "input_examples": [{"a": 1}]}])
    assert found.tools[0]["function"]["description"].startswith("Does.")
    assert '{"a": 1}' in found.tools[0]["function"]["description"]


def test_deferred_members_are_hidden() -> None:
    found = names(conversation([CUSTOM, COMPUTER | {"configs": {"zoom": {"defer_loading": True}}}]))
    assert "computer_zoom" not in found
    assert "computer_left_click" in found
