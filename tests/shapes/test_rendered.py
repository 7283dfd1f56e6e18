"""Every shape of a request as its model reads it, through the real tokenizer's chat template."""

import pytest

from shapes.checks import assert_in_order, leaves, table
from shapes.rendering import KEY, NO_THOUGHT, TEMPLATES, rendered
from shapes.row import CALL, WEATHER, Refused, Shape, assistant, body, result, thinking, use, user
from shapes.shapes import REFUSED, RENDERED, SEEN, SHAPES
from vllm_messages_plugin.translate.signature import signer
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.support import SUPPORT

GENERATION = "<|im_start|>assistant\n"


def end_of(shape: Shape, template: str) -> str:
    if shape.ends is not None:
        return shape.ends
    if template == "strict_alternation":
        return GENERATION
    return GENERATION + NO_THOUGHT if shape.native_ends is None else shape.native_ends


async def refusal(shape: Shape, template: str, images: bool = False) -> MessagesError:
    with pytest.raises(MessagesError) as caught:
        await rendered(shape.body, template, images=images)
    return caught.value


def assert_refused(error: MessagesError, wanted: Refused) -> None:
    assert (error.status, error.message[: len(wanted.begins)]) == (wanted.status, wanted.begins)
    assert error.message.count("<") == 0, "no tag of our own unions is part of a path"


@table(RENDERED)
@pytest.mark.parametrize("template", TEMPLATES)
async def test_what_was_asked_stands_in_the_prompt(shape: Shape, template: str) -> None:
    prompt = (await rendered(shape.body, template)).text
    assert_in_order(prompt, shape.shows)
    assert_in_order(prompt, shape.native if template == "qwen_like" else shape.strict)
    assert [words for words in shape.hides if words in prompt] == [], prompt
    assert prompt.endswith(end_of(shape, template)), prompt


@table(RENDERED)
@pytest.mark.parametrize("template", TEMPLATES)
async def test_the_same_request_is_the_same_prompt(shape: Shape, template: str) -> None:
    first, second = await rendered(shape.body, template), await rendered(shape.body, template)
    assert first.text == second.text


@table(REFUSED)
@pytest.mark.parametrize("template", TEMPLATES)
async def test_what_can_not_be_served_is_refused_by_name(shape: Shape, template: str) -> None:
    assert shape.refused is not None
    assert_refused(await refusal(shape, template), shape.refused)


@table(SEEN)
@pytest.mark.parametrize("template", TEMPLATES)
async def test_a_model_that_sees_is_shown_images(shape: Shape, template: str) -> None:
    if isinstance(shape.seen, Refused):
        assert_refused(await refusal(shape, template, images=True), shape.seen)
    else:
        assert_in_order((await rendered(shape.body, template, images=True)).text, shape.seen)


async def test_thinking_that_nobody_was_shown_is_restored_from_its_signature() -> None:
    hidden = thinking("", signer(KEY).sign("Nobody saw this."))
    asked = body(user("Weather?"), assistant(hidden, use()), user(result("7 degrees")), tools=[WEATHER])
    assert f"<think>\nNobody saw this.\n</think>\n\n{CALL}" in (await rendered(asked, "qwen_like")).text
    assert "Nobody" not in (await rendered(asked, "qwen_like", key="another server's")).text


# The table is whole.


SENT = {leaf for shape in SHAPES for leaf in leaves(shape.body)}
TYPES = ("content block in", "tool type", "tool choice", "thinking type", "context edit")


def test_names_are_unique() -> None:
    names = [shape.name for shape in SHAPES]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_of_the_support_list_has_a_row(kind: str) -> None:
    known = {f"type={entry.name}" for entry in SUPPORT if entry.kind == kind and "(" not in entry.name}
    assert known - SENT == set()


def test_every_request_field_of_the_support_list_has_a_row() -> None:
    known = {e.name for e in SUPPORT if e.kind == "request field" and "(" not in e.name}
    assert known - SENT - {"stream"} == set()


def test_every_tool_field_of_the_support_list_has_a_row() -> None:
    known = {f"tools.{e.name}" for e in SUPPORT if e.kind == "tool field" and "(" not in e.name}
    assert known - SENT == set()


def test_every_block_field_of_the_support_list_has_a_row() -> None:
    fields = {leaf.rpartition(".")[2] for leaf in SENT}
    assert {entry.name for entry in SUPPORT if entry.kind == "block field"} - fields == set()
