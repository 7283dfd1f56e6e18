"""System text: at the head, in place, folded into a user turn, cleared, and freed from billing headers."""

from typing import Any

import pytest

from translate.conversations import (
    FOLDING,
    NATIVE,
    PROMPTED,
    STRICT,
    Json,
    assistant,
    assistant_message,
    call,
    chat_messages,
    result,
    system,
    system_message,
    text,
    tool_message,
    use,
    user,
    user_message,
)
from vllm_messages_plugin.formats.template_traits import TemplateTraits

BILLING = "x-anthropic-billing-header: cc_version=2.1.332.572; cc_entrypoint=cli; cch=00000;"
ASKED = user("Hi")
TOLD_ASKED = user_message("Hi")
REMINDED = "<system-reminder>\ns\n</system-reminder>"


# At the head.

HEADS: dict[str, tuple[Any, list[Json], Any]] = {
    "none": (None, [], None),
    "a string": ("a", [], "a"),
    "a list": ([text("a"), text("b")], [], "a\n\nb"),
    "an empty string": ("", [], None),
    "blank texts": ([text(""), text(" \n")], [], None),
    "a leading message": (None, [system("a")], "a"),
    "a leading message as a string": (None, [{"role": "system", "content": "a"}], "a"),
    "leading messages": (None, [system("a", "b"), system("c")], "a\n\nb\n\nc"),
    "both": ("a", [system("b")], "a\n\nb"),
    "a billing header first": ([text(BILLING), text("a")], [], "a"),
    "a billing header in the midst": ([text("a"), text(BILLING), text("b")], [], "a\n\nb"),
    "a billing header alone": ([text(BILLING)], [], None),
    "a billing header as a string": (BILLING, [], None),
    "a billing header in a message": ("a", [system(BILLING, "b")], "a\n\nb"),
    "a billing header as a message": ("a", [{"role": "system", "content": BILLING}], "a"),
    "one that speaks of billing headers": ("Drop x-anthropic-billing-header: lines", [], ...),
    "a billing header run together with the prompt": (f"{BILLING}\nBe brief.", [], "Be brief."),
}


@pytest.mark.parametrize(("given", "messages", "expected"), HEADS.values(), ids=HEADS.keys())
@pytest.mark.parametrize("traits", [NATIVE, FOLDING], ids=["inline", "folding"])
def test_the_head(traits: TemplateTraits, given: Any, messages: list[Json], expected: Any) -> None:
    head = given if expected is ... else expected
    opened = [] if head is None else [system_message(head)]
    assert chat_messages(*messages, ASKED, system=given, traits=traits) == [*opened, TOLD_ASKED]


def test_a_billing_header_does_not_move_the_head() -> None:
    heads = [
        chat_messages(ASKED, system=[text(BILLING.replace("572", version)), text("a")], traits=PROMPTED)
        for version in ("1", "2")
    ]
    assert heads[0] == heads[1]


# In place, or folded into the user turn beside it.

PLACES: dict[str, tuple[list[Json], list[Json], list[Json]]] = {
    "after the user": (
        [ASKED, system("s")],
        [TOLD_ASKED, system_message("s")],
        [user_message(f"Hi\n\n{REMINDED}")],
    ),
    "between user turns": (
        [ASKED, system("s"), user("Bye")],
        [TOLD_ASKED, system_message("s"), user_message("Bye")],
        [user_message(f"Hi\n\n{REMINDED}\n\nBye")],
    ),
    "before the reply": (
        [ASKED, system("s"), assistant("a"), user("Bye")],
        [TOLD_ASKED, system_message("s"), assistant_message("a"), user_message("Bye")],
        [user_message(f"Hi\n\n{REMINDED}"), assistant_message("a"), user_message("Bye")],
    ),
    "after the reply": (
        [ASKED, assistant("a"), system("s"), user("Bye")],
        [TOLD_ASKED, assistant_message("a"), system_message("s"), user_message("Bye")],
        [TOLD_ASKED, assistant_message("a"), user_message(f"{REMINDED}\n\nBye")],
    ),
    "after results": (
        [ASKED, assistant(use("a")), user(result("a", "1")), system("s")],
        [TOLD_ASKED, assistant_message("", call("a")), tool_message("a", "1"), system_message("s")],
        [TOLD_ASKED, assistant_message("", call("a")), tool_message("a", f"1\n\n{REMINDED}")],
    ),
    "between the results of two calls": (
        [ASKED, assistant(use("a"), use("b")), user(result("b", "2")), system("s"), user(result("a", "1"))],
        [
            TOLD_ASKED,
            assistant_message("", call("a"), call("b")),
            tool_message("b", "2"),
            system_message("s"),
            tool_message("a", "1"),
        ],
        [
            TOLD_ASKED,
            assistant_message("", call("a"), call("b")),
            tool_message("a", "1"),
            tool_message("b", f"2\n\n{REMINDED}"),
        ],
    ),
    "after results, before the user's words": (
        [ASKED, assistant(use("a")), user(result("a", "1")), system("s"), user("Bye")],
        [
            TOLD_ASKED,
            assistant_message("", call("a")),
            tool_message("a", "1"),
            system_message("s"),
            user_message("Bye"),
        ],
        [
            TOLD_ASKED,
            assistant_message("", call("a")),
            tool_message("a", f"1\n\n{REMINDED}"),
            user_message("Bye"),
        ],
    ),
    "after results that the user's words follow": (
        [ASKED, assistant(use("a")), user(result("a", "1"), "Bye"), system("s")],
        [
            TOLD_ASKED,
            assistant_message("", call("a")),
            tool_message("a", "1"),
            user_message("Bye"),
            system_message("s"),
        ],
        [
            TOLD_ASKED,
            assistant_message("", call("a")),
            tool_message("a", "1"),
            user_message(f"Bye\n\n{REMINDED}"),
        ],
    ),
    "between a call and its result": (
        [ASKED, assistant(use("a")), system("s"), user(result("a", "1"))],
        [TOLD_ASKED, assistant_message("", call("a")), tool_message("a", f"1\n\n{REMINDED}")],
        [TOLD_ASKED, assistant_message("", call("a")), tool_message("a", f"1\n\n{REMINDED}")],
    ),
    "after a call without a result": (
        [ASKED, assistant(use("a")), system("s"), user("Bye")],
        [TOLD_ASKED, assistant_message("", call("a")), system_message("s"), user_message("Bye")],
        [TOLD_ASKED, assistant_message("", call("a")), user_message(f"{REMINDED}\n\nBye")],
    ),
    "two in a row": (
        [ASKED, system("s"), {"role": "system", "content": "s"}],
        [TOLD_ASKED, system_message("s\n\ns")],
        [user_message(f"Hi\n\n{REMINDED}\n\n{REMINDED}")],
    ),
    "empty": (
        [ASKED, system(), assistant("a")],
        [TOLD_ASKED, assistant_message("a")],
        [TOLD_ASKED, assistant_message("a")],
    ),
    "nothing but a billing header": (
        [ASKED, system(BILLING), assistant("a")],
        [TOLD_ASKED, assistant_message("a")],
        [TOLD_ASKED, assistant_message("a")],
    ),
    "with a billing header": (
        [ASKED, system(BILLING, "s")],
        [TOLD_ASKED, system_message("s")],
        [user_message(f"Hi\n\n{REMINDED}")],
    ),
}


@pytest.mark.parametrize(("messages", "in_place", "_folded"), PLACES.values(), ids=PLACES.keys())
def test_a_system_message_stands_in_place(
    messages: list[Json], in_place: list[Json], _folded: list[Json]
) -> None:
    assert chat_messages(*messages) == in_place


@pytest.mark.parametrize(("messages", "_in_place", "folded"), PLACES.values(), ids=PLACES.keys())
def test_a_system_message_is_folded_where_the_template_knows_none(
    messages: list[Json], _in_place: list[Json], folded: list[Json]
) -> None:
    assert chat_messages(*messages, traits=FOLDING) == folded


def test_a_leading_system_message_is_never_folded() -> None:
    assert chat_messages(system("s"), ASKED, traits=FOLDING) == [system_message("s"), TOLD_ASKED]
    assert chat_messages(system("s"), ASKED, traits=STRICT) == [user_message("s\n\nHi")]


# Cleared.

CLEARED = system("s", clear_at="next_user_message")
CLEARING: dict[str, tuple[list[Json], bool]] = {
    "no user turn follows": ([ASKED, CLEARED], True),
    "only a reply follows": ([ASKED, CLEARED, assistant("a")], True),
    "a user turn follows": ([ASKED, CLEARED, assistant("a"), user("Bye")], False),
    "results follow": ([ASKED, CLEARED, assistant(use("a")), user(result("a"))], False),
    "never": ([ASKED, system("s", clear_at="never"), assistant("a"), user("Bye")], True),
    "null": ([ASKED, system("s", clear_at=None), assistant("a"), user("Bye")], True),
}


@pytest.mark.parametrize(("messages", "shown"), CLEARING.values(), ids=CLEARING.keys())
@pytest.mark.parametrize("traits", [NATIVE, FOLDING], ids=["inline", "folding"])
def test_a_message_is_cleared_at_the_next_user_message(
    traits: TemplateTraits, messages: list[Json], shown: bool
) -> None:
    said = [str(each["content"]) for each in chat_messages(*messages, traits=traits)]
    assert any(words == "s" or REMINDED in words for words in said) is shown
