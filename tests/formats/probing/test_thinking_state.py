"""Whether a reply begins inside thinking is read off the end of its own prompt."""

import pytest

from vllm_messages_plugin.formats.probing.thinking_state import END_CHARACTERS, ThinkingState, thinking_state

ASSISTANT = "<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("prompt", "prefill", "expected"),
    [
        (ASSISTANT, "", "free"),
        (f"{ASSISTANT}<think>\n", "", "open"),
        (f"{ASSISTANT}<think>\n\n</think>\n\n", "", "closed"),
        (f"{ASSISTANT}</think>", "", "closed"),
        (f"<think>Earlier.</think>Yes.\n{ASSISTANT}", "", "free"),
        (f"What is <think>?\n{ASSISTANT}<think>", "", "open"),
        (f"{ASSISTANT}<think>\n\n</think>\n\nYes, be", "Yes, be", "closed"),
        (f"{ASSISTANT}Yes, be", "Yes, be", "free"),
        (f"{ASSISTANT}<think>\nWe", "<think>\nWe", "open"),
        (f"{ASSISTANT}<think>\nWell.\n</think>\nYes", "<think>\nWell.\n</think>\nYes", "closed"),
        (f"{ASSISTANT}<think>\nYes", "Yes ", "open"),
        (f"{ASSISTANT}<think>{' ' * (END_CHARACTERS - 3)}", "", "open"),
        (f"{ASSISTANT}<think>{' ' * (END_CHARACTERS + 3)}", "", "open"),
    ],
)
def test_the_end_of_the_prompt_decides(prompt: str, prefill: str, expected: ThinkingState) -> None:
    assert thinking_state(prompt, "<think>", "</think>", prefill) == expected
