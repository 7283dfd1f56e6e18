"""Decides which vLLM reasoning parser reads a model's thinking.

Three facts must fit the parser: the tags, whether the prompt leaves thinking open, and which kwarg switches
it with which default. A parser that expects thinking where there is none returns the whole reply as
thinking, so in doubt no parser is chosen.
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
from vllm_messages_plugin.formats.probing.template_profile import ThinkingProfile

ReasoningDecision = tuple[str | None, str]
_INSTRUCT_MODEL = "The template fits a reasoning model too, but the name says that this is an instruct model."


@dataclass(frozen=True, slots=True)
class ReasoningFacts:
    """What the decision rests on.

    Attributes:
        thinking: how the template thinks.
        call_format: the template's tool-call format; empty if it has none.
        tool_parser: the tool parser chosen for the model.
        prompted: tools are described as text in the system prompt.
        model_words: the model's name, type and architecture.
        vocabulary: the tokens added to the tokenizer; empty means unknown.
    """

    thinking: ThinkingProfile
    call_format: str
    tool_parser: str
    prompted: bool
    model_words: str
    vocabulary: Container[str]


def choose_reasoning_parser(facts: ReasoningFacts) -> ReasoningDecision:
    """Return the name of vLLM's reasoning parser, or None, and the reason as a sentence."""
    tag = facts.thinking.open_tag
    if tag in REASONING_PARSER_BY_TAG:
        parser = REASONING_PARSER_BY_TAG[tag]
        if parser == HARMONY_REASONING_PARSER and facts.prompted:
            return None, "vLLM reads Harmony only for gpt_oss."
        return parser, f"Thinking stands in {tag}, which {parser} reads."
    doubt = _doubt(facts)
    if doubt:
        return None, doubt
    own = overriding_parser(
        REASONING_PARSER_OVERRIDES, facts.call_format, facts.model_words
    ) or REASONING_PARSER_BY_TOOL_PARSER.get(facts.tool_parser)
    if own and (tag is None or "think" in tag.lower()):
        return own, f"{own} is the reasoning parser of this family."
    if tag is None:
        return None, "The template can ask for thinking but never shows its tags."
    if tag != "<think>":
        return None, f"vLLM has no reasoning parser for thinking in {tag}."
    return _think_tag_parser(facts)


def _doubt(facts: ReasoningFacts) -> str | None:
    """Return why a template that renders thinking may still belong to a model that does not think."""
    thinking, words = facts.thinking, facts.model_words.lower()
    if INSTRUCT_NAME_DESPITE_SWITCH.search(words):
        return _INSTRUCT_MODEL
    if thinking.prompt_opens or thinking.kwarg or thinking.off_words or REASONING_MODEL_NAME.search(words):
        return None
    if not thinking.default_on:
        return "Thinking is off unless the system prompt asks for it, which no parser can know."
    if thinking.open_tag == "<think>" and INSTRUCT_MODEL_NAME.search(words):
        return _INSTRUCT_MODEL
    if thinking.evidence in ("history", "system") or facts.call_format in FORMATS_SHARED_WITH_INSTRUCT_MODELS:
        return (
            "The template only hints at thinking, and a reasoning parser might return the reply as reasoning."
        )
    return None


def _think_tag_parser(facts: ReasoningFacts) -> ReasoningDecision:
    """Choose among the parsers of plain <think> tags."""
    thinking = facts.thinking
    if facts.vocabulary and not ("<think>" in facts.vocabulary and "</think>" in facts.vocabulary):
        return _think_text_parser(thinking)
    deepseek = facts.call_format.startswith("deepseek")
    waits_for_kwarg = thinking.kwarg in ("thinking", "enable_thinking") and not thinking.default_on
    if waits_for_kwarg and (deepseek or thinking.kwarg == "thinking" or not thinking.prompt_closes):
        return "deepseek_v3", f"Thinking is off unless {thinking.kwarg} is set, which deepseek_v3 follows."
    if thinking.kwarg == "thinking" and not thinking.prompt_closes:
        return "holo2", "Thinking is on unless the kwarg thinking is false, which holo2 follows."
    if deepseek and not facts.prompted:
        return "deepseek_r1", "This is a DeepSeek model that always thinks."
    if thinking.kwarg in (None, "enable_thinking") or thinking.prompt_closes:
        return "qwen3", "Thinking stands in <think>, and qwen3 also finds a call inside it."
    return None, f"No reasoning parser follows the kwarg {thinking.kwarg}, and the prompt does not show it."


def _think_text_parser(thinking: ThinkingProfile) -> ReasoningDecision:
    """Choose a parser that needs no token for <think>."""
    if thinking.kwarg is None:
        return "olmo3", "Thinking stands in <think>, which is plain text to this tokenizer; olmo3 reads text."
    if thinking.kwarg == "enable_thinking" and thinking.default_on:
        return "qwen3", "Thinking stands in <think>, and qwen3 follows enable_thinking."
    return None, "<think> is plain text to this tokenizer, and no parser that reads text fits the switch."
