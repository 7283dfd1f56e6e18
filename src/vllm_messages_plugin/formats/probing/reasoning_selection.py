"""Decides which vLLM reasoning parser reads a model's thoughts.

Called by `choose`. Three facts must fit: the tags, whether the prompt leaves the thought open, and
which kwarg switches it with which default. A parser that expects a thought where there is none
moves the whole answer into thinking, so in doubt there is no parser.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from vllm_messages_plugin.formats.probing.detectors import (
    FORMATS_SHARED_WITH_INSTRUCT_MODELS,
    HARMONY_REASONING_PARSER,
    INSTRUCT_MODEL_NAME,
    INSTRUCT_NAME_DESPITE_SWITCH,
    REASONING_MODEL_NAME,
    REASONING_PARSER_BY_TAG,
    REASONING_PARSER_BY_TOOL_PARSER,
    REASONING_PARSER_OVERRIDES,
    overriding_parser,
)
from vllm_messages_plugin.formats.probing.reasoning_probe import ThinkingProfile

ReasoningDecision = tuple[str | None, str]
_INSTRUCT_MODEL = "The template would fit a thinking twin, but the name says this model only answers."


@dataclass(frozen=True, slots=True)
class ReasoningFacts:
    """What the decision rests on: the template's thoughts, its calls, and the model's words."""

    thinking: ThinkingProfile
    shape: str
    tool_parser: str
    prompted: bool
    words: str
    vocabulary: Container[str]


def choose_reasoning_parser(case: ReasoningFacts) -> ReasoningDecision:
    """Return the reasoning parser, or None, and the reason."""
    tag = case.thinking.open_tag
    if tag in REASONING_PARSER_BY_TAG:
        parser = REASONING_PARSER_BY_TAG[tag]
        if parser == HARMONY_REASONING_PARSER and case.prompted:
            return None, "vLLM reads Harmony only for gpt_oss."
        return parser, f"Thoughts stand in {tag}, which {parser} reads."
    doubt = _doubt(case)
    if doubt:
        return None, doubt
    own = overriding_parser(
        REASONING_PARSER_OVERRIDES, case.shape, case.words
    ) or REASONING_PARSER_BY_TOOL_PARSER.get(case.tool_parser)
    if own and (tag is None or "think" in tag.lower()):
        return own, f"{own} is the reasoning parser of this family."
    if tag is None:
        return None, "The template can ask for thoughts but never shows how they look."
    if tag != "<think>":
        return None, f"vLLM has no reasoning parser for thoughts in {tag}."
    return _think_tag_parser(case)


def _doubt(case: ReasoningFacts) -> str | None:
    """Say why a template that speaks of thoughts may still belong to a model that has none."""
    thinking, words = case.thinking, case.words.lower()
    if INSTRUCT_NAME_DESPITE_SWITCH.search(words):
        return _INSTRUCT_MODEL
    if thinking.prompt_opens or thinking.kwarg or thinking.off_words or REASONING_MODEL_NAME.search(words):
        return None
    if not thinking.default_on:
        return "Thinking is off unless the system prompt asks for it, which no parser can know."
    if thinking.open_tag == "<think>" and INSTRUCT_MODEL_NAME.search(words):
        return _INSTRUCT_MODEL
    if thinking.evidence in ("history", "system") or case.shape in FORMATS_SHARED_WITH_INSTRUCT_MODELS:
        return "The template only hints at thoughts, and a reasoning parser might swallow the answers."
    return None


def _think_tag_parser(case: ReasoningFacts) -> ReasoningDecision:
    """Choose among the readers of plain <think> tags."""
    thinking = case.thinking
    if case.vocabulary and not ("<think>" in case.vocabulary and "</think>" in case.vocabulary):
        return _think_text_parser(thinking)
    deepseek = case.shape.startswith("deepseek")
    waits_for_kwarg = thinking.kwarg in ("thinking", "enable_thinking") and not thinking.default_on
    if waits_for_kwarg and (deepseek or thinking.kwarg == "thinking" or not thinking.prompt_closes):
        return "deepseek_v3", f"Thinking is off unless {thinking.kwarg} is set, which deepseek_v3 goes by."
    if thinking.kwarg == "thinking" and not thinking.prompt_closes:
        return "holo2", "Thinking is on unless the kwarg thinking is false, which holo2 goes by."
    if deepseek and not case.prompted:
        return "deepseek_r1", "This is a DeepSeek model that always thinks."
    if thinking.kwarg in (None, "enable_thinking") or thinking.prompt_closes:
        return "qwen3", "Thoughts stand in <think>, and qwen3 also finds a call made inside one."
    return None, f"No reasoning parser goes by the kwarg {thinking.kwarg}, and the prompt does not show it."


def _think_text_parser(thinking: ThinkingProfile) -> ReasoningDecision:
    """Choose a reader that needs no token for <think>."""
    if thinking.kwarg is None:
        return "olmo3", "Thoughts stand in <think>, which is plain text to this tokenizer; olmo3 reads text."
    if thinking.kwarg == "enable_thinking" and thinking.default_on:
        return "qwen3", "Thoughts stand in <think>, and qwen3 goes by enable_thinking."
    return None, "<think> is plain text to this tokenizer, and no parser that reads text fits the switch."
