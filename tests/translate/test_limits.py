"""What fits into the window, and the words for what does not."""

import re

import pytest

from vllm_messages_plugin.translate.limits import clamp_max_tokens, prompt_too_long


@pytest.mark.parametrize(
    ("prompt", "window", "message"),
    [
        (1, 100, None),
        (99, 100, None),
        (100, 100, "prompt is too long: 100 tokens > 99 maximum"),
        (205_351, 200_001, "prompt is too long: 205351 tokens > 200000 maximum"),
    ],
)
def test_a_prompt_must_leave_space_for_one_token(prompt: int, window: int, message: str | None) -> None:
    refusal = prompt_too_long(prompt, window)
    assert (refusal and refusal.message) == message
    if refusal is not None:
        assert (refusal.kind, refusal.status) == ("invalid_request_error", 400)
        assert re.fullmatch(r"prompt is too long: \d+ tokens > \d+ maximum", refusal.message)


@pytest.mark.parametrize(
    ("asked", "prompt", "expected"),
    [(10, 50, 10), (50, 50, 50), (51, 50, 50), (32_000, 99, 1), (0, 50, 0)],
)
def test_max_tokens_is_clamped_to_what_the_window_leaves(asked: int, prompt: int, expected: int) -> None:
    assert clamp_max_tokens(asked, prompt, 100) == expected
