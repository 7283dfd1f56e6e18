"""Names of models: served ones, aliases, and the suffix for a long context."""

import pytest

from vllm_messages_plugin.settings import Settings
from vllm_messages_plugin.translate.model_names import resolve

SERVED = ["qwen", "qwen-lora"]
NAMES: dict[str, tuple[str, str, str | None]] = {
    "served": ("qwen", "", "qwen"),
    "served second": ("qwen-lora", "", "qwen-lora"),
    "served, long context": ("qwen-lora[1m]", "", "qwen-lora"),
    "unknown": ("gpt", "", None),
    "unknown, long context": ("gpt[1m]", "", None),
    "case matters": ("Qwen", "", None),
    "a plain tier, by default": ("haiku", Settings.model_fields["aliases"].default, "qwen"),
    "a pattern": ("claude-opus-5", "claude-*", "qwen"),
    "a pattern, long context": ("claude-opus-5[1m]", "claude-*", "qwen"),
    "a name": ("sonnet", "sonnet", "qwen"),
    "a name, long context": ("sonnet[1m]", "sonnet", "qwen"),
    "a name with a target": ("sonnet", "sonnet=qwen-lora", "qwen-lora"),
    "a name with a target, long context": ("sonnet[1m]", "sonnet=qwen-lora", "qwen-lora"),
    "another name": ("sonnet-4", "sonnet", None),
    "a question mark": ("claude-3", "claude-?", "qwen"),
    "the first entry that fits": ("claude-haiku", "claude-haiku=qwen-lora,claude-*", "qwen-lora"),
    "a later entry": ("claude-opus", "claude-haiku=qwen-lora,claude-*", "qwen"),
    "blanks and empty entries": ("claude-opus", " , claude-* = qwen-lora , ", "qwen-lora"),
    "a served name is no alias": ("qwen", "qwen=qwen-lora", "qwen"),
    "any": ("", "*", "qwen"),
    "a target that is not served": ("sonnet", "sonnet=llama", None),
}


@pytest.mark.parametrize(("asked", "aliases", "expected"), NAMES.values(), ids=NAMES.keys())
def test_a_name_is_resolved(asked: str, aliases: str, expected: str | None) -> None:
    assert resolve(asked, SERVED, aliases) == expected


def test_where_nothing_is_served_no_name_is_known() -> None:
    assert resolve("claude-opus", [], "claude-*") is None
