"""Prompts far above the window are refused by their characters, all others are counted."""

import re
import threading
from typing import Any

import pytest

from engine.parsing import tokenizer_of
from translate.conversations import assistant, conversation, result, use, user
from vllm_messages_plugin.engine import prompt_length
from vllm_messages_plugin.engine.prompt_length import (
    CHARACTERS_PER_TOKEN,
    INLINE_MESSAGES,
    SAMPLE_CHARACTERS,
    SAMPLES,
    PromptLengthLimit,
)
from vllm_messages_plugin.wire.errors import MessagesError

WINDOW = 1_000


class Counting:
    """A tokenizer that notes how much text it has seen."""

    def __init__(self, longest: int) -> None:
        self.max_chars_per_token = longest
        self.characters = 0

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        self.characters += len(text)
        return tokenizer_of().encode(text, add_special_tokens=add_special_tokens)  # type: ignore[no-any-return]


async def refusal(text: str, longest: int = 64) -> tuple[int, int]:
    """The estimate in the refusal, and how many characters were tokenized for it."""
    tokenizer = Counting(longest)
    with pytest.raises(MessagesError) as refused:
        await PromptLengthLimit(tokenizer, WINDOW).check(conversation(user(text)))
    found = re.fullmatch(r"prompt is too long: (\d+) tokens > 999 maximum", refused.value.message)
    assert found is not None
    return int(found[1]), tokenizer.characters


@pytest.mark.parametrize("text", ["one two three four five " * 20_000, "日本語の文です。" * 50_000])
async def test_a_prompt_far_above_the_window_is_refused_with_an_honest_estimate(text: str) -> None:
    estimate, seen = await refusal(text)
    exact = len(tokenizer_of().encode(text, add_special_tokens=False))
    assert abs(estimate - exact) < exact / 10
    assert seen <= (SAMPLES + 1) * SAMPLE_CHARACTERS


async def test_more_characters_than_any_tokens_hold_are_refused_for_certain() -> None:
    estimate, _ = await refusal("=" * 100_000, longest=16)
    assert estimate >= WINDOW


@pytest.mark.parametrize("text", ["Hi", "one two three " * 500, " " * 20_000])
async def test_a_prompt_that_may_fit_is_left_to_the_exact_count(text: str) -> None:
    await PromptLengthLimit(Counting(128), WINDOW).check(conversation(user(text)))


async def test_what_a_template_may_drop_does_not_count() -> None:
    messages: list[Any] = [
        user("Hi"),
        {"role": "assistant", "content": "word " * 50_000},
        user("Go on"),
    ]
    await PromptLengthLimit(Counting(64), WINDOW).check(conversation(*messages))


@pytest.mark.parametrize(
    "reply",
    [{"content": "word " * 50_000}, {"content": [use("c", x="word " * 50_000)]}],
    ids=["text", "call"],
)
async def test_earlier_replies_count_where_no_template_makes_a_text(reply: dict[str, Any]) -> None:
    messages: list[Any] = [user("Hi"), {"role": "assistant", **reply}, user(result("c", "x"))]
    if isinstance(reply["content"], str):
        messages[2] = user("Go on")
    await PromptLengthLimit(Counting(64), WINDOW).check(conversation(*messages))
    limit = PromptLengthLimit(Counting(64), WINDOW, includes_replies=True)
    with pytest.raises(MessagesError, match="prompt is too long"):
        await limit.check(conversation(*messages))


async def test_the_beginning_of_the_reply_counts() -> None:
    messages: list[Any] = [user("Hi"), {"role": "assistant", "content": "word " * 50_000}]
    with pytest.raises(MessagesError, match="prompt is too long"):
        await PromptLengthLimit(Counting(64), WINDOW).check(conversation(*messages))


@pytest.mark.parametrize("text", ["one two three four five " * 20_000, "日本語の文です。" * 50_000])
def test_a_rendered_prompt_far_above_the_window_is_refused_alike(text: str) -> None:
    with pytest.raises(MessagesError, match="prompt is too long") as refused:
        PromptLengthLimit(Counting(64), WINDOW).check_text(text)
    assert refused.value.status == 400
    PromptLengthLimit(Counting(64), WINDOW).check_text(text[: WINDOW * CHARACTERS_PER_TOKEN])


async def test_the_descriptions_of_tools_count() -> None:
    tools = [{"name": f"t{n}", "description": "one two three " * 10, "input_schema": {}} for n in range(500)]
    with pytest.raises(MessagesError, match="prompt is too long"):
        await PromptLengthLimit(Counting(64), WINDOW).check(conversation(user("Hi"), tools=tools))


async def test_the_schemas_of_tools_do_not_count() -> None:
    schema = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(5_000)}}
    tools = [{"name": "t", "input_schema": schema}]
    await PromptLengthLimit(Counting(64), WINDOW).check(conversation(user("Hi"), tools=tools))


async def test_many_messages_are_measured_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    measured = prompt_length._measured

    def recorded(found: Any, replies: bool) -> tuple[list[str], int]:
        threads.append(threading.get_ident())
        return measured(found, replies)

    monkeypatch.setattr(prompt_length, "_measured", recorded)
    limit = PromptLengthLimit(Counting(64), WINDOW)
    turns = [user("Hi"), assistant("Yes")]
    for messages in (turns, turns * INLINE_MESSAGES):
        await limit.check(conversation(*messages))
    assert threads[0] == threading.get_ident()
    assert threads[1] != threading.get_ident()
