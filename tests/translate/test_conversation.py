"""Requests into chat messages, case by case."""

import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from translate.conversations import (
    NATIVE,
    PROMPTED,
    SIGNER,
    STRICT,
    VISION,
    Json,
    assistant,
    assistant_message,
    call,
    chat_messages,
    conversation,
    image,
    picture,
    result,
    system,
    system_message,
    text,
    thinking,
    tool,
    tool_message,
    use,
    user,
    user_message,
)
from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.translate import conversation as conversation_module
from vllm_messages_plugin.translate.chat_message import ChatMessage
from vllm_messages_plugin.translate.conversation import FAILED_RESULT, OPENING_USER_TURN, SYSTEM_FOR_TOOLS
from vllm_messages_plugin.translate.translation_context import TranslationContext
from vllm_messages_plugin.translate.turns import STAND_IN_LENGTH, Turn
from vllm_messages_plugin.wire.blocks import Block

ASKED = user("Hi")
CALLED = assistant(use("a"), use("b", "g"))
TOLD_ASKED = user_message("Hi")
TOLD_CALLED = assistant_message("", call("a"), call("b", "g"))


def plain(role: str, content: str) -> Json:
    return {"role": role, "content": content}


# Text.

TEXTS: dict[str, tuple[list[Json], list[Json]]] = {
    "a string": ([plain("user", "Hi")], [TOLD_ASKED]),
    "a list of one text": ([ASKED], [TOLD_ASKED]),
    "two texts": ([user("a", "b")], [user_message("a\n\nb")]),
    "texts keep their white space": ([user(" a\n")], [user_message(" a\n")]),
    "blank texts say nothing": ([user("a", " \n", "", "b")], [user_message("a\n\nb")]),
    "two user turns are one": ([plain("user", "a"), user("b")], [user_message("a\n\nb")]),
    "an empty turn between": ([user("a"), assistant(), user("b")], [user_message("a\n\nb")]),
    "turn by turn": (
        [ASKED, plain("assistant", "Hello"), user("Bye")],
        [TOLD_ASKED, assistant_message("Hello"), user_message("Bye")],
    ),
    "two assistant turns are one": (
        [ASKED, assistant("a"), assistant(use("a"))],
        [TOLD_ASKED, assistant_message("a", call("a"))],
    ),
    "a reply may come first": (
        [plain("assistant", "Hello"), ASKED],
        [assistant_message("Hello"), TOLD_ASKED],
    ),
    "nothing but blanks": ([user("", " ")], [user_message(OPENING_USER_TURN)]),
}


@pytest.mark.parametrize(("messages", "expected"), TEXTS.values(), ids=TEXTS.keys())
def test_text(messages: list[Json], expected: list[Json]) -> None:
    assert chat_messages(*messages) == expected


@pytest.mark.parametrize("traits", [NATIVE, PROMPTED, STRICT], ids=["native", "prompted", "strict"])
def test_a_string_and_a_list_of_one_text_read_the_same(traits: TemplateTraits) -> None:
    strings = [
        plain("system", "s"),
        plain("user", "a"),
        plain("assistant", "b"),
        plain("system", "t"),
        plain("user", "c"),
    ]
    lists = [{**each, "content": [text(each["content"])]} for each in strings]
    as_strings = chat_messages(*strings, user(result("x", "r")), system="head", traits=traits)
    as_lists = chat_messages(*lists, user(result("x", [text("r")])), system=[text("head")], traits=traits)
    assert as_strings == as_lists


# Calls and their results.

RESULTS: dict[str, tuple[Json, list[Json]]] = {
    "in order": (
        user(result("a", "1"), result("b", "2")),
        [tool_message("a", "1"), tool_message("b", "2", "g")],
    ),
    "in the order of the calls": (
        user(result("b", "2"), result("a", "1")),
        [tool_message("a", "1"), tool_message("b", "2", "g")],
    ),
    "text around them keeps its place": (
        user("before", result("a", "1"), "after"),
        [user_message("before"), tool_message("a", "1"), user_message("after")],
    ),
    "text between them keeps its place": (
        user(result("b", "2"), "between", result("a", "1")),
        [tool_message("b", "2", "g"), user_message("between"), tool_message("a", "1")],
    ),
    "no content": (user(result("a")), [tool_message("a", "")]),
    "null content": (user(result("a", None)), [tool_message("a", "")]),
    "empty content": (user(result("a", [])), [tool_message("a", "")]),
    "several texts": (user(result("a", [text("1"), text("2")])), [tool_message("a", "1\n\n2")]),
    "a failure": (user(result("a", "no", is_error=True)), [tool_message("a", FAILED_RESULT + "no")]),
    "a failure without words": (user(result("a", is_error=True)), [tool_message("a", FAILED_RESULT)]),
    "no failure": (user(result("a", "yes", is_error=False)), [tool_message("a", "yes")]),
    "of a call that is not there": (
        user(result("z", "9"), result("a", "1")),
        [tool_message("a", "1"), tool_message("z", "9", None)],
    ),
    "an unknown block": (
        user(result("a", [{"type": "new", "x": 1}])),
        [tool_message("a", '[new: {"type":"new","x":1}]')],
    ),
    "a search result": (
        user(result("a", [{"type": "search_result", "source": "s", "title": "t", "content": [text("1")]}])),
        [tool_message("a", '<search_result source="s" title="t">\n1\n</search_result>')],
    ),
    "a document": (
        user(result("a", [{"type": "document", "source": {"type": "content", "content": "1"}}])),
        [tool_message("a", "<document>\n1\n</document>")],
    ),
}


@pytest.mark.parametrize(("results", "expected"), RESULTS.values(), ids=RESULTS.keys())
def test_results(results: Json, expected: list[Json]) -> None:
    assert chat_messages(ASKED, CALLED, results) == [TOLD_ASKED, TOLD_CALLED, *expected]


def test_a_turn_of_calls_alone_has_empty_content() -> None:
    assert chat_messages(ASKED, assistant(use("a", city="Zürich"))) == [
        TOLD_ASKED,
        assistant_message("", call("a", arguments='{"city": "Zürich"}')),
    ]


def test_a_turn_of_calls_alone_has_the_content_the_template_wants() -> None:
    [_, said] = chat_messages(ASKED, assistant(use("a")), traits=TemplateTraits(empty_call_content=None))
    assert said["content"] is None


def test_text_beside_calls_is_their_content() -> None:
    [_, said] = chat_messages(
        ASKED, assistant("Look.", use("a")), traits=TemplateTraits(empty_call_content=None)
    )
    assert said == assistant_message("Look.", call("a"))


def test_ids_that_come_back_in_a_later_turn_leave_the_earlier_results_alone() -> None:
    first = [ASKED, assistant(use("0", "f"), use("1", "g")), user(result("0", "a"), result("1", "b"))]
    later = [assistant(use("1", "h"), use("0", "i")), user(result("1", "c"), result("0", "d"))]
    assert chat_messages(*first, *later)[: len(chat_messages(*first))] == chat_messages(*first)
    assert chat_messages(*first, *later)[-2:] == [tool_message("1", "c", "h"), tool_message("0", "d", "i")]


# Images.


def test_an_image_is_a_part_of_its_turn() -> None:
    assert chat_messages(user("What is it?", image()), traits=VISION) == [
        user_message([text("What is it?"), picture()]),
    ]


def test_images_of_results_go_to_the_following_user_turn() -> None:
    results = user(result("a", [text("1"), image()]), result("b", [image()]), "See?")
    assert chat_messages(ASKED, CALLED, results, traits=VISION) == [
        TOLD_ASKED,
        TOLD_CALLED,
        tool_message("a", "1"),
        tool_message("b", "(the result is the image that follows)", "g"),
        user_message([picture(), picture(), text("See?")]),
    ]


# Thinking.

SIGNED = SIGNER.sign("because")
THOUGHTS: dict[str, tuple[list[Json], str | None]] = {
    "shown": ([thinking("because", SIGNED)], "because"),
    "shown, never signed": ([thinking("because")], "because"),
    "shown, signed for another": ([thinking("because", SIGNER.sign("no"))], "because"),
    "shown, signed elsewhere": ([thinking("because", "EqQBCkYIAhgC")], "because"),
    "omitted": ([thinking("", SIGNED)], "because"),
    "omitted, signed elsewhere": ([thinking("", "EqQBCkYIAhgC")], None),
    "omitted, tampered with": ([thinking("", SIGNED[:-4] + "AAA=")], None),
    "omitted, never signed": ([thinking("", "")], None),
    "two": ([thinking("a"), thinking("", SIGNED)], "a\nbecause"),
    "redacted": ([{"type": "redacted_thinking", "data": "x"}], None),
}


@pytest.mark.parametrize(("blocks", "expected"), THOUGHTS.values(), ids=THOUGHTS.keys())
def test_thinking_is_given_back(blocks: list[Json], expected: str | None) -> None:
    reasoning = {} if expected is None else {"reasoning": expected}
    assert chat_messages(ASKED, assistant(*blocks, "Yes.", use("a"))) == [
        TOLD_ASKED,
        assistant_message("Yes.", call("a"), **reasoning),
    ]


# Blocks that have no words of their own.

SERVER_BLOCKS: dict[str, tuple[Json, str]] = {
    "a server's call": (
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        '[server_tool_use: {"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"q"}}]',
    ),
    "a server's result": (
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        '[web_search_tool_result: {"type":"web_search_tool_result","tool_use_id":"s","content":[]}]',
    ),
    "one never heard of": ({"type": "new", "x": "ü"}, '[new: {"type":"new","x":"ü"}]'),
}


@pytest.mark.parametrize(("block", "words"), SERVER_BLOCKS.values(), ids=SERVER_BLOCKS.keys())
@pytest.mark.parametrize("traits", [NATIVE, PROMPTED], ids=["native", "prompted"])
def test_a_block_that_cannot_be_shown_is_described(traits: TemplateTraits, block: Json, words: str) -> None:
    [_, said] = chat_messages(ASKED, assistant(block), traits=traits)
    assert said == assistant_message(words)
    assert chat_messages(user(block), traits=traits) == [user_message(words)]
    assert chat_messages(ASKED, system(block), traits=traits)[-1]["content"].endswith(words)


@pytest.mark.parametrize(
    ("block", "start"),
    [
        ({"type": "new", "x": "y" * 1_000_000}, '[new: {"type":"new","x":"yyy'),
        ({"type": "new", "x": {"a": ["y" * 1_000_000]}}, '[new: {"type":"new","x":{"a":["yyy'),
        ({"type": "new", "y" * 1_000_000: 1}, '[new: {"type":"new","yyy'),
        ({"type": "new" * 1_000_000}, "[newnew"),
    ],
    ids=["value", "inner value", "key", "type"],
)
def test_what_stands_in_for_a_block_is_bounded(block: Json, start: str) -> None:
    [said] = chat_messages(user(block))
    assert len(said["content"]) < 2 * STAND_IN_LENGTH + 100
    assert said["content"].startswith(start)


MISPLACED: dict[str, list[Json]] = {
    "a call in a user turn": [user(use("a"))],
    "a result in a reply": [ASKED, assistant(result("a", "r"))],
    "an image in a reply": [ASKED, assistant(image())],
    "thinking in a user turn": [user(thinking("t"))],
    "an image in a system message": [ASKED, system(image())],
    "a tool change in a user turn": [user({"type": "tool_removal", "tool": {"name": "f"}})],
}


@pytest.mark.parametrize("messages", MISPLACED.values(), ids=MISPLACED.keys())
def test_a_block_in_a_place_it_has_no_business_in_fails_nothing(messages: list[Json]) -> None:
    assert str(chat_messages(*messages)[-1]["content"]).startswith("[")


# Prefill.

PREFILLS: dict[str, tuple[list[Json], bool]] = {
    "a reply begun": ([ASKED, assistant("The answer is")], True),
    "a reply begun as a string": ([ASKED, plain("assistant", "The")], True),
    "thinking and a reply begun": ([ASKED, assistant(thinking("t"), "The")], True),
    "in two parts": ([ASKED, assistant("The "), assistant("answer")], True),
    "a user turn": ([ASKED], False),
    "a turn of calls": ([ASKED, assistant("Look.", use("a"))], False),
    "an empty reply": ([ASKED, assistant()], False),
    "a blank reply": ([ASKED, plain("assistant", " ")], False),
    "thinking alone": ([ASKED, assistant(thinking("t"))], False),
    "a blank user turn after a reply": ([ASKED, assistant("a"), user(" ")], False),
    "an empty system message after a reply": ([ASKED, assistant("a"), system()], False),
}


@pytest.mark.parametrize(("messages", "continues"), PREFILLS.values(), ids=PREFILLS.keys())
def test_only_a_reply_that_was_begun_is_continued(messages: list[Json], continues: bool) -> None:
    assert conversation(*messages).continues is continues


def test_a_prefill_is_the_last_message_as_it_was_written() -> None:
    assert chat_messages(ASKED, assistant("The answer is "))[-1] == assistant_message("The answer is ")


# Tools as text.


def test_without_native_tools_calls_and_results_are_text() -> None:
    found = conversation(
        ASKED,
        assistant("Look.", use("a", city="Oslo")),
        user(result("a", "rain"), "And?"),
        tools=[tool("f", description="d")],
        system="Be brief.",
        traits=PROMPTED,
    )
    head, *rest = found.messages
    assert head["content"].startswith("Be brief.\n\n# Tools\n")
    assert '{"name": "f", "description": "d", "parameters": {"type": "object"}}' in head["content"]
    assert rest == [
        TOLD_ASKED,
        assistant_message(
            'Look.\n<tool_call>\n{"name": "f", "arguments": {"city": "Oslo"}}\n</tool_call>',
        ),
        user_message("<tool_response>\nResult of f:\nrain\n</tool_response>\n\nAnd?"),
    ]
    assert found.tools == ()
    assert [each["function"]["name"] for each in found.callable_tools] == ["f"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            result("a", "no", is_error=True),
            "<tool_response>\nResult of f (the call failed):\nno\n</tool_response>",
        ),
        (result("z", "no", is_error=True), "<tool_response>\nThe call failed:\nno\n</tool_response>"),
        (result("z", "9"), "<tool_response>\n9\n</tool_response>"),
        (result("a"), "<tool_response>\nResult of f:\n\n</tool_response>"),
    ],
    ids=["failed", "failed-unknown", "unknown", "empty"],
)
def test_without_native_tools_a_result_names_its_call(given: Json, words: str) -> None:
    assert chat_messages(ASKED, assistant(use("a")), user(given), traits=PROMPTED)[-1] == user_message(words)


def test_without_native_tools_results_keep_the_order_of_their_calls_and_their_images() -> None:
    traits = TemplateTraits(native_tools=False, images=True)
    [*_, last] = chat_messages(ASKED, CALLED, user(result("b", "2"), result("a", [image()])), traits=traits)
    assert last["content"] == [
        text("<tool_response>\nResult of f:\n\n</tool_response>"),
        picture(),
        text("<tool_response>\nResult of g:\n2\n</tool_response>"),
    ]


def test_without_tools_the_prompt_mentions_no_tools() -> None:
    assert chat_messages(ASKED, system="Be brief.", traits=PROMPTED) == [
        system_message("Be brief."),
        TOLD_ASKED,
    ]


# Templates that drop what was called and thought earlier.

WRITING = TemplateTraits(render_calls=lambda calls: "|".join(f"{name}{given}" for name, given in calls))
TAGGING = TemplateTraits(thinking_tags=("<think>", "</think>"))


def test_results_are_user_text_for_a_template_that_drops_them_too() -> None:
    traits = replace(WRITING, native_results=False)
    messages = chat_messages(ASKED, assistant(use("a")), user(result("a", "42")), traits=traits)
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert "42" in str(messages[-1]["content"])


def test_a_template_that_lists_tools_below_a_system_text_gets_one_when_there_are_tools() -> None:
    traits = TemplateTraits(system_for_tools=True)
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    assert chat_messages(ASKED, traits=traits, tools=tools)[0] == system_message(SYSTEM_FOR_TOOLS)
    assert chat_messages(ASKED, traits=traits, tools=tools, system="Be brief.")[0] == system_message(
        "Be brief."
    )
    assert chat_messages(ASKED, traits=traits) == [TOLD_ASKED]


def test_calls_are_written_out_for_a_template_that_drops_them() -> None:
    said = chat_messages(ASKED, assistant("Look.", use("a", x=1), use("b", "g")), traits=WRITING)[1]
    assert said == assistant_message("Look.\nf{'x': 1}|g{}")
    assert chat_messages(ASKED, CALLED, traits=WRITING)[1] == assistant_message("f{}|g{}")


def test_calls_that_are_text_stand_where_the_model_wrote_them() -> None:
    turn = assistant("Look.", use("a", x=1), "And there.", use("b", "g"), use("c", "h"), "Done.")
    written = "Look.\nf{'x': 1}\nAnd there.\ng{}|h{}\nDone."
    assert chat_messages(ASKED, turn, user("Go on."), traits=WRITING)[1] == assistant_message(written)
    prompted = chat_messages(ASKED, turn, user("Go on."), traits=PROMPTED)[1]["content"]
    places = [prompted.index(each) for each in ("Look.", '"f"', "And there.", '"g"', '"h"', "Done.")]
    assert places == sorted(places)


def test_results_of_calls_that_are_written_out_are_results_still() -> None:
    found = conversation(
        ASKED, CALLED, user(result("b", "2"), result("a", "1")), tools=[tool("f")], traits=WRITING
    )
    assert found.messages[2:] == (tool_message("a", "1"), tool_message("b", "2", "g"))
    assert [each["function"]["name"] for each in found.tools] == ["f"]


def test_thinking_goes_into_the_content_where_the_template_has_no_field_for_it() -> None:
    assert chat_messages(ASKED, assistant(thinking("because"), "Yes.", use("a")), traits=TAGGING)[
        1
    ] == assistant_message("<think>\nbecause\n</think>\n\nYes.", call("a"))
    assert chat_messages(ASKED, assistant("Yes."), traits=TAGGING)[1] == assistant_message("Yes.")


# What a broken reply has left in a history.


def test_thinking_without_a_signature_is_read() -> None:
    unsigned = [{"type": "thinking", "thinking": shown, "signature": None} for shown in ("", "because")]
    assert chat_messages(ASKED, assistant(*unsigned, "Yes."))[1] == assistant_message(
        "Yes.", reasoning="because"
    )


# Strict templates.

STRICTNESS: dict[str, tuple[TemplateTraits, dict[str, Any], list[Json], list[Json]]] = {
    "no system role": (
        TemplateTraits(leading_system=False),
        {"system": "s"},
        [ASKED],
        [user_message("s\n\nHi")],
    ),
    "no system role, an image": (
        TemplateTraits(leading_system=False, images=True),
        {"system": "s"},
        [user(image())],
        [user_message([text("s"), picture()])],
    ),
    "no system role, a reply first": (
        TemplateTraits(leading_system=False),
        {"system": "s"},
        [assistant("a"), ASKED],
        [user_message("s"), assistant_message("a"), TOLD_ASKED],
    ),
    "no system role, a result first": (
        TemplateTraits(leading_system=False),
        {"system": "s"},
        [user(result("a", "1"))],
        [user_message("s"), tool_message("a", "1", None)],
    ),
    "a reply may not come first": (
        TemplateTraits(leading_assistant=False),
        {},
        [assistant("a"), ASKED],
        [user_message(OPENING_USER_TURN), assistant_message("a"), TOLD_ASKED],
    ),
    "a reply may not come first, with a head": (
        TemplateTraits(leading_assistant=False),
        {"system": "s"},
        [assistant("a"), ASKED],
        [system_message("s"), user_message(OPENING_USER_TURN), assistant_message("a"), TOLD_ASKED],
    ),
    "neither": (
        STRICT,
        {"system": "s"},
        [assistant("a"), ASKED],
        [user_message("s"), assistant_message("a"), TOLD_ASKED],
    ),
    "neither, and no head": (STRICT, {}, [ASKED], [TOLD_ASKED]),
    "nothing but a head": (
        NATIVE,
        {"system": "s"},
        [user()],
        [system_message("s"), user_message(OPENING_USER_TURN)],
    ),
    "nothing but a head, no system role": (STRICT, {"system": "s"}, [user()], [user_message("s")]),
}


@pytest.mark.parametrize(
    ("traits", "fields", "messages", "expected"), STRICTNESS.values(), ids=STRICTNESS.keys()
)
def test_strict_templates_get_the_opening_they_want(
    traits: TemplateTraits, fields: dict[str, Any], messages: list[Json], expected: list[Json]
) -> None:
    assert chat_messages(*messages, traits=traits, **fields) == expected


# What is asked of the reply.


def test_a_schema_is_handed_on() -> None:
    schema = {"type": "object"}
    assert conversation(ASKED).schema is None
    asked = {"format": {"type": "json_schema", "schema": schema}}
    assert conversation(ASKED, output_config=asked).schema == schema


def test_reading_a_request_leaves_it_as_it_was() -> None:
    messages = [system("s"), ASKED, CALLED, user(result("b"), result("a"))]
    assert chat_messages(*messages, system="head") == chat_messages(*messages, system="head")


def test_a_turn_is_freed_when_it_is_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The turns of 100,000 messages, freed in one step, would hold the interpreter's lock for 30 ms."""
    blocks: list[weakref.ref[Block]] = []
    freed: list[int] = []
    merge, translate = conversation_module.turns, conversation_module._assistant_messages

    def merged(*arguments: Any) -> list[Turn]:
        found = merge(*arguments)
        blocks.extend(weakref.ref(turn.blocks[0]) for turn in found)
        return found

    def counted(turn: Turn, context: TranslationContext) -> Iterator[ChatMessage]:
        freed.append(sum(block() is None for block in blocks))
        yield from translate(turn, context)

    monkeypatch.setattr(conversation_module, "turns", merged)
    monkeypatch.setitem(conversation_module._MESSAGES_OF, "assistant", counted)
    conversation(*[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}] * 3)
    assert freed == [1, 3, 5]
