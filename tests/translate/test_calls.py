"""Call ids in the prompt have the form that the template wants, the same in a call and its result."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translate.conversations import (
    assistant,
    assistant_message,
    call,
    chat_messages,
    result,
    tool_message,
    use,
    user,
    user_message,
)
from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.translate.calls import EarlierCalls, nine_alphanumeric

KIMI = TemplateTraits(call_id_style="kimi")
NINE = TemplateTraits(call_id_style="nine_alphanumeric")

SESSION = [
    user("Hi"),
    assistant(use("toolu_1", "read"), use("toolu_2", "write")),
    user(result("toolu_2", "2"), result("toolu_1", "1")),
    assistant(use("toolu_3", "read")),
    user(result("toolu_3", "3")),
]


def test_kimis_ids_are_names_numbered_over_the_conversation() -> None:
    assert chat_messages(*SESSION, traits=KIMI) == [
        user_message("Hi"),
        assistant_message("", call("functions.read:0", "read"), call("functions.write:1", "write")),
        tool_message("functions.read:0", "1", "read"),
        tool_message("functions.write:1", "2", "write"),
        assistant_message("", call("functions.read:2", "read")),
        tool_message("functions.read:2", "3", "read"),
    ]


def test_other_templates_get_the_ids_of_the_wire() -> None:
    ids = [message["tool_call_id"] for message in chat_messages(*SESSION) if message["role"] == "tool"]
    assert ids == ["toolu_1", "toolu_2", "toolu_3"]


def test_a_tool_of_a_toolset_is_called_by_its_name_in_the_prompt() -> None:
    shot = use("a", "screenshot") | {"toolset_name": "computer"}
    computer = {"type": "computer_toolset_20260801"}
    [_, called, answered] = chat_messages(
        user("Hi"), assistant(shot), user(result("a", "1")), traits=KIMI, tools=[computer]
    )
    assert called["tool_calls"][0]["id"] == answered["tool_call_id"] == "functions.computer_screenshot:0"


def test_nine_characters_are_the_same_in_a_call_and_its_result() -> None:
    [_, first, *results, second, last] = chat_messages(*SESSION, traits=NINE)
    ids = [made["id"] for message in (first, second) for made in message["tool_calls"]]
    assert [result["tool_call_id"] for result in [*results, last]] == ids
    assert len(set(ids)) == 3
    assert all(len(each) == 9 and each.isascii() and each.isalnum() for each in ids)


def test_an_id_of_nine_characters_stays_as_it_is() -> None:
    assert nine_alphanumeric("aB3456789") == "aB3456789"


@pytest.mark.parametrize("traits", [KIMI, NINE], ids=["kimi", "nine"])
def test_a_result_without_its_call_fails_nothing(traits: TemplateTraits) -> None:
    [_, answered] = chat_messages(user("Hi", result("toolu_9", "1")), traits=traits)
    assert answered["role"] == "tool"


def test_a_result_without_its_call_stands_behind_the_others() -> None:
    [*_, first, second] = chat_messages(*SESSION[:2], user(result("toolu_9", "9"), result("toolu_2", "2")))
    assert (first["content"], second["content"]) == ("2", "9")


def test_of_calls_with_the_same_id_the_last_counts() -> None:
    calls = EarlierCalls("kimi")
    calls.add_turn([("a", "read")])
    calls.add_turn([("a", "write")])
    assert calls.prompt_id("a") == "functions.write:1"


@given(st.text())
def test_any_id_becomes_nine_letters_or_digits(call_id: str) -> None:
    made = nine_alphanumeric(call_id)
    assert len(made) == 9
    assert made.isascii()
    assert made.isalnum()
    assert nine_alphanumeric(call_id) == made
