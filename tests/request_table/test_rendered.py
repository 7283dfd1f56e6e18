"""Every row of the table as its model reads it, rendered by the real tokenizer's chat template."""

import pytest

from request_table.checks import assert_in_order, leaves, table
from request_table.rendering import KEY, NO_THOUGHT, TEMPLATES, rendered
from request_table.row import CALL, WEATHER, Refused, Row, assistant, body, result, thinking, use, user
from request_table.rows import REFUSED, RENDERED, ROWS, SEEN
from vllm_messages_plugin.translate.signature import signer
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.support import SUPPORT

GENERATION = "<|im_start|>assistant\n"


def end_of(row: Row, template: str) -> str:
    if row.ends is not None:
        return row.ends
    if template == "strict_alternation":
        return GENERATION
    return GENERATION + NO_THOUGHT if row.native_ends is None else row.native_ends


async def refusal(row: Row, template: str, images: bool = False) -> MessagesError:
    with pytest.raises(MessagesError) as caught:
        await rendered(row.body, template, images=images)
    return caught.value


def assert_refused(error: MessagesError, wanted: Refused) -> None:
    assert (error.status, error.message[: len(wanted.begins)]) == (wanted.status, wanted.begins)
    assert error.message.count("<") == 0, "no tag of our own unions is part of a path"


@table(RENDERED)
@pytest.mark.parametrize("template", TEMPLATES)
async def test_the_prompt_contains_what_the_request_holds(row: Row, template: str) -> None:
    prompt = (await rendered(row.body, template)).text
    assert_in_order(prompt, row.contains)
    assert_in_order(prompt, row.native_contains if template == "qwen_like" else row.prompted_contains)
    assert [words for words in row.lacks if words in prompt] == [], prompt
    assert prompt.endswith(end_of(row, template)), prompt


@table(RENDERED)
@pytest.mark.parametrize("template", TEMPLATES)
async def test_the_same_request_is_the_same_prompt(row: Row, template: str) -> None:
    first, second = await rendered(row.body, template), await rendered(row.body, template)
    assert first.text == second.text


@table(REFUSED)
@pytest.mark.parametrize("template", TEMPLATES)
async def test_what_can_not_be_served_is_refused_by_name(row: Row, template: str) -> None:
    assert row.refused is not None
    assert_refused(await refusal(row, template), row.refused)


@table(SEEN)
@pytest.mark.parametrize("template", TEMPLATES)
async def test_a_vision_model_is_shown_images(row: Row, template: str) -> None:
    if isinstance(row.with_images, Refused):
        assert_refused(await refusal(row, template, images=True), row.with_images)
    else:
        assert_in_order((await rendered(row.body, template, images=True)).text, row.with_images)


async def test_thinking_that_the_client_was_not_shown_is_restored_from_its_signature() -> None:
    hidden = thinking("", signer(KEY).sign("Nobody saw this."))
    asked = body(user("Weather?"), assistant(hidden, use()), user(result("7 degrees")), tools=[WEATHER])
    assert f"<think>\nNobody saw this.\n</think>\n\n{CALL}" in (await rendered(asked, "qwen_like")).text
    assert "Nobody" not in (await rendered(asked, "qwen_like", key="another server's")).text


# The table is whole.


SENT = {leaf for row in ROWS for leaf in leaves(row.body)}
TYPES = ("content block in", "tool type", "tool choice", "thinking type", "context edit")


def test_names_are_unique() -> None:
    names = [row.name for row in ROWS]
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
