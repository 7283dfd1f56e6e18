"""Tools: which the model is shown, which are defined later in place, and which it must call."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from translate.conversations import (
    FOLDING,
    NATIVE,
    PROMPTED,
    Json,
    assistant,
    chat_messages,
    conversation,
    function,
    result,
    system,
    text,
    tool,
    tool_message,
    use,
    user,
)
from vllm_messages_plugin.translate.tools.tool_choice import ToolChoice
from vllm_messages_plugin.wire.errors import MessagesError

ASKED = user("Hi")
SEARCHED = assistant(use("a", "search"))
DEFERRED = [tool("search"), tool("late", description="d", defer_loading=True)]
DEFINED = (
    '<functions>\n<function>{"name": "late", "description": "d", "parameters": {"type": "object"}}'
    "</function>\n</functions>"
)


def reference(name: str) -> Json:
    return {"type": "tool_reference", "tool_name": name}


def names(functions: Any) -> list[str]:
    return [each["function"]["name"] for each in functions]


# Shown.


def test_a_tool_is_a_function() -> None:
    given = tool("f", description="d", strict=True, cache_control={"type": "ephemeral"})
    [found] = conversation(ASKED, tools=[given]).tools
    assert found["function"] == {
        "name": "f",
        "description": "d",
        "parameters": {"type": "object"},
        "strict": True,
    }


def test_tools_keep_their_order() -> None:
    found = conversation(ASKED, tools=[tool("c"), tool("a"), tool("b")])
    assert found.tools == (function("c"), function("a"), function("b"))
    assert found.callable_tools == found.tools


@pytest.mark.parametrize("tools", [None, []], ids=["null", "empty"])
def test_no_tools(tools: Any) -> None:
    found = conversation(ASKED, tools=tools)
    assert (found.tools, found.callable_tools, found.choice) == ((), (), ToolChoice("auto"))


def test_an_unknown_type_is_a_tool_if_it_has_a_schema() -> None:
    given = {"type": "new_20270101", **tool("f")}
    assert conversation(ASKED, tools=[given]).tools == (function("f"),)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"type": "web_search_20250305", "name": "web_search"},
            "tools.1: tool type 'web_search_20250305' is not supported by this server",
        ),
        ({"type": "mcp_toolset"}, "tools.1: tool type 'mcp_toolset' is not supported by this server"),
        ({"type": "new_20270101", "input_schema": {}}, "tools.1.name: Field required"),
    ],
    ids=["server-tool", "toolset", "nameless"],
)
def test_a_tool_that_cannot_be_offered_is_refused(given: Json, message: str) -> None:
    with pytest.raises(MessagesError) as refused:
        conversation(ASKED, tools=[tool("f"), given])
    assert (refused.value.status, refused.value.message) == (400, message)


# Deferred.


def test_a_deferred_tool_is_hidden() -> None:
    found = conversation(ASKED, tools=DEFERRED)
    assert names(found.tools) == names(found.callable_tools) == ["search"]
    assert "late" not in str(chat_messages(ASKED, tools=DEFERRED, traits=PROMPTED))


def test_a_tool_referred_to_is_defined_in_place_and_may_be_called() -> None:
    messages = [ASKED, SEARCHED, user(result("a", [text("Found:"), reference("late")]))]
    found = conversation(*messages, tools=DEFERRED)
    assert names(found.tools) == ["search"]
    assert names(found.callable_tools) == ["search", "late"]
    assert found.messages[-1] == tool_message("a", f"Found:\n\n{DEFINED}", "search")


@pytest.mark.parametrize("name", ["search", "nowhere"], ids=["shown", "unknown"])
def test_a_reference_to_a_tool_that_is_not_deferred_is_a_sentence(name: str) -> None:
    found = conversation(ASKED, SEARCHED, user(result("a", [reference(name)])), tools=DEFERRED)
    assert found.messages[-1]["content"] == f"The tool {name} is available now."
    assert names(found.callable_tools) == ["search"]


def test_a_tool_referred_to_twice_is_callable_once() -> None:
    found = conversation(ASKED, SEARCHED, user(result("a", [reference("late")] * 2)), tools=DEFERRED)
    assert names(found.callable_tools) == ["search", "late"]


def test_tools_that_are_all_deferred_are_all_shown() -> None:
    given = [tool("a", defer_loading=True), tool("b", defer_loading=True)]
    found = conversation(ASKED, tools=given)
    assert names(found.tools) == names(found.callable_tools) == ["a", "b"]


# Changed in the midst.


def change(kind: str, **changed: Any) -> Json:
    return {"type": f"tool_{kind}", "tool": changed}


def test_an_added_tool_is_defined_in_place_and_may_be_called() -> None:
    added = system(change("addition", type="tool_reference", name="late"))
    found = conversation(ASKED, added, tools=DEFERRED)
    assert found.messages[-1] == {"role": "system", "content": DEFINED}
    assert names(found.tools) == ["search"]
    assert names(found.callable_tools) == ["search", "late"]


def test_an_added_tool_is_defined_in_a_folded_message_too() -> None:
    added = system(change("addition", type="tool_reference", name="late"))
    [said] = chat_messages(ASKED, added, tools=DEFERRED, traits=FOLDING)
    assert said["content"] == f"Hi\n\n<system-reminder>\n{DEFINED}\n</system-reminder>"


@pytest.mark.parametrize("traits", [NATIVE, PROMPTED], ids=["native", "prompted"])
def test_a_tool_that_is_added_with_its_definition_is_defined_and_may_be_called(traits: Any) -> None:
    added = change("addition", type="tool_definition", definition=tool("late", description="d"))
    found = conversation(ASKED, system(added), tools=[tool("search")], traits=traits)
    assert found.messages[-1]["content"] == DEFINED
    assert names(found.callable_tools) == ["search", "late"]


def test_a_tool_that_is_defined_anew_leaves_its_earlier_definition_alone() -> None:
    """What was said of it before is part of the prompt's head by now."""
    first, second = (
        system(change("addition", type="tool_definition", definition=tool("late", description=words)))
        for words in ("one", "two")
    )
    before = [ASKED, first]
    after = [*before, assistant("a"), user("b"), second]
    assert chat_messages(*after)[: len(chat_messages(*before))] == chat_messages(*before)
    assert '"description": "two"' in chat_messages(*after)[-1]["content"]
    [found] = conversation(*after).callable_tools
    assert found["function"]["description"] == "two"


def test_a_reference_to_a_tool_that_is_defined_only_later_stays_as_it_was() -> None:
    before = [ASKED, SEARCHED, user(result("a", [reference("late")]))]
    defined = system(change("addition", type="tool_definition", definition=tool("late")))
    after = [*before, assistant("a"), user("b"), defined]
    assert chat_messages(*after)[: len(chat_messages(*before))] == chat_messages(*before)


@pytest.mark.parametrize(
    "definition",
    [{"type": "mcp_toolset", "mcp_server_name": "maps"}, {"description": "maps"}, {"name": "maps", "x": 1}],
    ids=["toolset", "nameless", "without-schema"],
)
def test_an_added_tool_that_cannot_be_offered_is_described(definition: Json) -> None:
    found = conversation(ASKED, system(change("addition", type="tool_definition", definition=definition)))
    assert "maps" in found.messages[-1]["content"]
    assert found.callable_tools == ()


REMOVED = system(change("removal", type="tool_reference", name="search"), "Mind that.")
ADDED_AGAIN = system(change("addition", type="tool_reference", name="search"))


def test_a_removed_tool_is_reported_and_may_not_be_called() -> None:
    found = conversation(ASKED, REMOVED, tools=DEFERRED)
    assert found.messages[-1]["content"] == "The tool search is no longer available.\n\nMind that."
    assert names(found.tools) == ["search"]
    assert found.callable_tools == ()


def test_a_tool_that_is_added_again_may_be_called_again() -> None:
    found = conversation(ASKED, REMOVED, assistant("a"), ASKED, ADDED_AGAIN, tools=DEFERRED)
    assert found.messages[-1]["content"] == "The tool search is available now."
    assert names(found.callable_tools) == ["search"]


# Choice.

F, G = tool("f"), tool("g", defer_loading=True)
CHOICES: dict[str, tuple[Any, ToolChoice, bool]] = {
    "none given": (None, ToolChoice("auto"), False),
    "auto": ({"type": "auto"}, ToolChoice("auto"), False),
    "one at most": (
        {"type": "auto", "disable_parallel_tool_use": True},
        ToolChoice("auto", single=True),
        False,
    ),
    "any": ({"type": "any"}, ToolChoice("any"), True),
    "exactly one": ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("any", single=True), True),
    "a certain one": ({"type": "tool", "name": "f"}, ToolChoice("tool", "f"), True),
    "none": ({"type": "none"}, ToolChoice("none"), False),
    "a name that means nothing": ({"type": "any", "name": "zzz"}, ToolChoice("any"), True),
}


@pytest.mark.parametrize(("given", "expected", "forced"), CHOICES.values(), ids=CHOICES.keys())
def test_the_choice(given: Any, expected: ToolChoice, forced: bool) -> None:
    found = conversation(ASKED, tools=[F, G], tool_choice=given).choice
    assert (found, found.forced) == (expected, forced)


def test_a_deferred_tool_may_be_demanded_once_it_was_referred_to() -> None:
    referred = user(result("a", [reference("g")]))
    found = conversation(referred, tools=[F, G], tool_choice={"type": "tool", "name": "g"})
    assert found.choice == ToolChoice("tool", "g")


@pytest.mark.parametrize(
    ("tools", "given", "message"),
    [
        ([F, G], {"type": "tool", "name": "h"}, "tool_choice: Tool 'h' not found in provided tools"),
        ([F, G], {"type": "tool", "name": "g"}, "tool_choice: Tool 'g' not found in provided tools"),
        ([], {"type": "any"}, "tool_choice: a tool call is demanded but no tools are provided"),
        (None, {"type": "tool", "name": "f"}, "tool_choice: Tool 'f' not found in provided tools"),
    ],
    ids=["unknown", "deferred", "any-of-none", "one-of-none"],
)
def test_a_call_of_a_tool_that_is_not_there_is_refused(tools: Any, given: Json, message: str) -> None:
    with pytest.raises(MessagesError) as refused:
        conversation(ASKED, tools=tools, tool_choice=given)
    assert (refused.value.status, refused.value.message) == (400, message)


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_a_choice_that_demands_nothing_needs_no_tools(choice: str) -> None:
    assert conversation(ASKED, tool_choice={"type": choice}).choice == ToolChoice(choice)  # type: ignore[arg-type]


# Costs.


def calls_made(work: Callable[[], object]) -> int:
    """How many Python functions some work calls, comparisons of dataclasses included."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def many_tools(count: int) -> list[Json]:
    return [tool(f"t{n}", defer_loading=n % 2 == 1) for n in range(count)]


def memory_tools(count: int) -> list[Json]:
    return [{"type": "memory_20250818", "name": f"m{n}"} for n in range(count)]


@pytest.mark.parametrize("tools", [many_tools, memory_tools])
def test_four_times_the_tools_take_four_times_the_work(tools: Callable[[int], list[Json]]) -> None:
    few, many = (calls_made(lambda: conversation(ASKED, tools=tools(count))) for count in (100, 400))  # noqa: B023
    assert many < 4.2 * few


def test_a_second_reference_only_names_its_tool() -> None:
    referred = user(result("a", [reference("late")]), result("b", [reference("late"), reference("late")]))
    searched = assistant(use("a", "search"), use("b", "search"))
    [*_, first, second] = chat_messages(ASKED, searched, referred, tools=DEFERRED)
    assert first["content"] == DEFINED
    assert second["content"] == "\n\n".join(["The tool late is available now."] * 2)


def test_a_second_addition_only_names_its_tool() -> None:
    added = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "late"}}
    [*_, said] = chat_messages(ASKED, system(added), system(added), tools=DEFERRED)
    assert said["content"] == f"{DEFINED}\n\nThe tool late is available now."


def test_tools_of_a_repeated_name_are_refused_before_they_are_built() -> None:
    def refuse(count: int) -> None:
        with pytest.raises(MessagesError, match="unique"):
            conversation(ASKED, tools=[{"type": "computer_toolset_20260801"}] * count)

    few, many = (calls_made(lambda: refuse(count)) for count in (2, 50))  # noqa: B023
    assert many < 2 * few


def test_what_a_tool_adds_to_the_system_prompt_stands_there_once() -> None:
    [said, _] = chat_messages(ASKED, tools=memory_tools(3))
    assert said["content"].count("MEMORY PROTOCOL") == 1
