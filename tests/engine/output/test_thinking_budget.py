"""Which bound a reply's thinking gets, and how a request is begun again."""

from types import SimpleNamespace
from typing import Any

import pytest

from vllm_messages_plugin.engine.output.thinking_budget import (
    EFFORT_BUDGETS,
    ThinkingBudget,
    budget_tokens,
    can_resume,
    resumed_input,
    resumed_params,
)
from vllm_messages_plugin.formats.probing.template_profile import ThinkingProfile
from vllm_messages_plugin.translate.thinking import ThinkingRequest

PLAIN = ThinkingProfile("enable_thinking", True, False, True, "<think>", "</think>", False, True)
LEVELLED = ThinkingProfile(
    None, None, None, True, "<think>", "</think>", True, False, "reasoning_effort", efforts=("low", "high")
)
WANTED: dict[str, tuple[ThinkingRequest, ThinkingProfile | None, int | None]] = {
    "a budget": (ThinkingRequest(True, budget=1024), PLAIN, 1024),
    "no bound": (ThinkingRequest(True), PLAIN, None),
    "thinking off": (ThinkingRequest(False, budget=1024), PLAIN, None),
    "the template's own default": (ThinkingRequest(None, effort="low"), PLAIN, None),
    "no thinking": (ThinkingRequest(True, budget=1024), None, None),
    "low effort": (ThinkingRequest(True, effort="low"), PLAIN, EFFORT_BUDGETS["low"]),
    "high effort": (ThinkingRequest(True, effort="high"), PLAIN, None),
    "an effort that the template knows": (ThinkingRequest(True, effort="low"), LEVELLED, None),
    "a budget beside an effort": (ThinkingRequest(True, budget=9000, effort="low"), PLAIN, 9000),
    "more than fits": (ThinkingRequest(True, budget=64_000), PLAIN, 16_000),
    "as much as fits": (ThinkingRequest(True, budget=32_000), PLAIN, 16_000),
}


@pytest.mark.parametrize(("requested", "profile", "wanted"), WANTED.values(), ids=WANTED.keys())
def test_the_thinking_gets_the_budget_that_was_asked_for(
    requested: ThinkingRequest, profile: ThinkingProfile | None, wanted: int | None
) -> None:
    assert budget_tokens(requested, profile, 32_000) == wanted


def test_the_thinking_budget_is_at_least_one_token() -> None:
    assert budget_tokens(ThinkingRequest(True, budget=1024), PLAIN, 1) == 1


def test_only_a_prompt_of_tokens_can_be_longer() -> None:
    prompt = {"type": "token", "prompt_token_ids": [1, 2], "prompt": "ab", "cache_salt": "s"}
    assert can_resume(prompt)
    assert not can_resume({"type": "embeds", "prompt_embeds": object()})
    assert resumed_input(prompt, [3]) == {"type": "token", "prompt_token_ids": [1, 2, 3], "cache_salt": "s"}
    assert prompt["prompt_token_ids"] == [1, 2]


class Params(SimpleNamespace):
    def clone(self) -> "Params":
        return Params(**vars(self))


def test_the_rest_of_a_reply_has_the_rest_of_the_limits_and_the_bare_grammar() -> None:
    params = Params(max_tokens=100, min_tokens=30, structured_outputs="after thinking")
    rest = resumed_params(params, 40, "bare")
    assert (rest.max_tokens, rest.min_tokens, rest.structured_outputs) == (60, 0, "bare")
    assert (params.max_tokens, params.structured_outputs) == (100, "after thinking")
    assert resumed_params(params, 1, None).structured_outputs == "after thinking"


class Letters:
    """A tokenizer of one letter a token, which strips the blank at the head as some do."""

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [ord(letter) for letter in text]

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        text = "".join(map(chr, ids))
        return text.removeprefix(" ")


def budget(prompt: str = "abc") -> ThinkingBudget:
    def resume(ids: Any) -> Any:
        raise AssertionError(ids)

    ids = [ord(letter) for letter in prompt]
    return ThinkingBudget(8, 0, "</t>", ids, Letters(), skip_special_tokens=True, resume=resume)


@pytest.mark.parametrize(
    ("said", "ids", "held"),
    [
        ("on", "on and", " and"),
        ("", " on", " on"),
        ("on", "on\ufffd", ""),
        ("xx", "on", ""),
        ("on", "on", ""),
    ],
)
def test_what_vllm_holds_back_is_read_off_the_tokens(said: str, ids: str, held: str) -> None:
    assert budget().held_back([ord(letter) for letter in ids], said) == held


@pytest.mark.parametrize(("said", "closing"), [("on", "\n</t>\n\n"), ("on\n", "</t>\n\n")])
def test_forced_thinking_ends_on_a_line_of_its_own(said: str, closing: str) -> None:
    text, ids = budget().closing(said)
    assert text == closing
    assert "".join(map(chr, ids)) == closing
