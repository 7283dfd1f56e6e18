"""A tool call that the model keeps making gets a note behind its result, the same one on every later turn."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translate.conversations import Json, assistant, result, text, use, user
from vllm_messages_plugin.translate.repeated_calls import NOTE, note_repeated_calls
from vllm_messages_plugin.wire.request import MessageParam
from wire.bodies import body, read

LIST: Json = {"path": ".", "deep": {"a": 1, "b": [2]}}


def noted(*messages: Json) -> list[MessageParam]:
    return list(note_repeated_calls(read(body(*messages))).messages)


def notes(*messages: Json) -> list[int]:
    """The places of the messages that hold a note."""
    found = noted(*messages)
    return [place for place, message in enumerate(found) if "the same call has now" in str(message.content)]


def turns(*results: Any, name: str = "ls", **arguments: Any) -> list[Json]:
    """A question, and one call and its result for each of the results."""
    arguments = arguments or LIST
    pairs = [
        (assistant(use(f"toolu_{place}", name, **arguments)), user(result(f"toolu_{place}", content)))
        for place, content in enumerate(results)
    ]
    return [user("Look."), *(message for pair in pairs for message in pair)]


def test_the_fourth_result_and_those_after_it_get_a_note() -> None:
    assert notes(*turns("a", "a", "a")) == []
    assert notes(*turns("a", "a", "a", "a", "a")) == [8, 10]


def test_the_note_stands_behind_the_result_and_counts_the_calls() -> None:
    last = noted(*turns("a", "a", "a", "a"))[-1]
    assert last.model_dump(exclude_none=True)["content"] == [
        result("toolu_3", [text("a"), text(NOTE.format(4))])
    ]


@pytest.mark.parametrize(
    "content",
    [
        ...,
        "",
        [],
        [text("a"), text("b")],
        [{"type": "image", "source": {"type": "url", "url": "http://x/a"}}],
    ],
    ids=["none", "empty", "an empty list", "two texts", "an image"],
)
def test_whatever_a_result_holds_it_can_repeat_itself(content: Any) -> None:
    assert notes(*turns(content, content, content, content)) == [8]


@pytest.mark.parametrize(
    "results",
    [
        ("a", "a", "b", "a", "a", "a"),
        ("a", "b", "c", "d"),
        ([text("a")], "a", [text("a")], "a"),
    ],
)
def test_another_result_begins_anew(results: Any) -> None:
    assert notes(*turns(*results)) == []


def test_other_input_is_another_call() -> None:
    messages = turns("a", "a", "a", "a")
    messages[5]["content"][0]["input"] = {"path": "."}
    assert notes(*messages) == []


def test_the_order_of_keys_and_cache_breakpoints_make_no_difference() -> None:
    messages = turns(*[[text("a")]] * 4)
    messages[5]["content"][0]["input"] = {"deep": {"b": [2], "a": 1}, "path": "."}
    messages[6]["content"][0]["content"] = [{**text("a"), "cache_control": {"type": "ephemeral"}}]
    messages[8]["content"][0] |= {"cache_control": {"type": "ephemeral"}, "is_error": False}
    assert notes(*messages) == [8]


def test_a_failed_call_is_no_repetition_of_one_that_succeeded() -> None:
    messages = turns("a", "a", "a", "a")
    messages[8]["content"][0]["is_error"] = True
    assert notes(*messages) == []


def test_calls_between_do_not_hide_a_repetition() -> None:
    messages = turns("a", "a", "a", "a")
    between = [assistant(use("toolu_x", "edit", line=1)), user(result("toolu_x", "done"))]
    assert notes(*messages[:5], *between, *messages[5:]) == [10]


def test_parallel_calls_are_counted_each() -> None:
    calls = assistant(*(use(f"toolu_{n}", "ls") for n in range(4)))
    found = noted(user("Look."), calls, user(*(result(f"toolu_{n}", "a") for n in range(4))))
    assert [NOTE.format(4) in str(block) for block in found[2].content] == [False, False, False, True]


def test_a_message_of_the_user_begins_anew() -> None:
    messages = turns("a", "a", "a", "a")
    assert notes(*messages[:5], assistant("Done."), user("Once more."), *messages[5:]) == []


def test_a_request_without_repetition_is_left_as_it_is() -> None:
    request = read(body(*turns("a", "b")))
    assert note_repeated_calls(request) is request


def test_the_request_that_came_is_not_changed() -> None:
    request = read(body(*turns("a", "a", "a", "a")))
    before = request.model_dump()
    assert note_repeated_calls(request) is not request
    assert request.model_dump() == before


steps = st.lists(st.tuples(st.sampled_from(["ls", "cat"]), st.sampled_from("ab"), st.booleans()), max_size=14)


@given(steps, st.integers(0, 14))
def test_the_notes_of_a_conversation_are_those_of_its_beginning(steps: Any, cut: int) -> None:
    messages: list[Json] = [user("Look.")]
    for place, (name, content, asks) in enumerate(steps):
        messages += [assistant(use(f"toolu_{place}", name)), user(result(f"toolu_{place}", content))]
        if asks and place % 5 == 4:
            messages += [assistant("So."), user("Go on.")]
    whole = noted(*messages)
    cut = min(cut, len(messages) - 1) + 1
    beginning = noted(*messages[:cut])
    assert [message.model_dump() for message in whole[:cut]] == [
        message.model_dump() for message in beginning
    ]
