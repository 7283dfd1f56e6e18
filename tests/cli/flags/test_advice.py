"""The advice: flags, reasons and notes."""

import json
from pathlib import Path
from typing import Any

import pytest

from vllm_messages_plugin.cli.flags.advice import advise, describe_thinking
from vllm_messages_plugin.cli.flags.model_files import (
    read_model,
)
from vllm_messages_plugin.formats.probing.template_profile import ThinkingProfile

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 4096}


ADDED = {"added_tokens": [{"id": 1, "content": "<|im_end|>"}]}


Files = dict[str, Any]


def model(folder: Path, files: Files) -> Path:
    """A model directory: text as it is, everything else as JSON."""
    for name, value in ({"config.json": CONFIG} | files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


MISTRAL: Files = {
    "consolidated.safetensors": "",
    "tekken.json": {"special_tokens": [{"token_str": "[THINK]"}]},
    "config.json": {"architectures": ["MistralForCausalLM"]},
}


def test_a_model_in_mistrals_own_files_is_rendered_by_vllm(tmp_path: Path) -> None:
    details = read_model(str(model(tmp_path, MISTRAL)), {})
    advice = advise(details)
    assert details.facts.tokenizer_mode == "mistral"
    assert (advice.choice.tool_parser, advice.choice.reasoning_parser) == ("mistral", "mistral")
    assert advice.details["rendered by"] == "vLLM's own mistral renderer"
    assert "--tokenizer-mode" not in advice.openai


SAID: list[tuple[ThinkingProfile | None, str]] = [
    (None, "never"),
    (ThinkingProfile(None, None, None, True, None, None, False, False), "on by default, without a switch"),
    (
        ThinkingProfile(None, None, None, True, "<t>", "</t>", False, False, off_words="/no_think"),
        "on by default, switched off by /no_think in the system prompt, in <t>...</t>",
    ),
    (
        ThinkingProfile(
            "t", "on", "off", False, None, None, False, False, "effort", "budget", None, ("low", "max")
        ),
        "off by default, switched by t='on'/'off', effort by effort (low, max), budget by budget",
    ),
]


@pytest.mark.parametrize(("profile", "words"), SAID)
def test_thinking_is_described_in_one_line(profile: ThinkingProfile | None, words: str) -> None:
    assert describe_thinking(profile) == words
