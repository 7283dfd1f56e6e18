"""What `probe` finds in known templates, and that no template can make it raise."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_messages_plugin.formats.probing.parser_selection import ParserChoice
from vllm_messages_plugin.formats.probing.template_probe import probe
from vllm_messages_plugin.formats.probing.template_profile import TemplateProfile, ThinkingProfile

ChoiceOf = Callable[[str], ParserChoice]

# template -> kwarg, on, off, default_on, prompt_opens, prompt_closes
THINKING_SWITCHES: dict[str, tuple[Any, ...]] = {
    "Qwen-Qwen3-0.6B": ("enable_thinking", True, False, True, False, True),
    "Qwen-Qwen3-4B-Thinking-2507": (None, None, None, True, True, False),
    "Qwen-Qwen3.5-0.8B": ("enable_thinking", True, False, False, True, True),
    "Qwen-Qwen3.6-35B-A3B": ("enable_thinking", True, False, True, True, True),
    "NousResearch-Hermes-4-14B": ("thinking", True, False, False, False, False),
    "GLM-4.6": ("enable_thinking", True, False, True, False, True),
    "zai-org-GLM-5.2": ("enable_thinking", True, False, True, True, True),
    "moonshotai-Kimi-K2-Thinking": (None, None, None, True, False, False),
    "moonshotai-Kimi-K2.5": ("thinking", True, False, True, True, True),
    "moonshotai-Kimi-K2.7-Code": (None, None, None, True, True, False),
    "deepseek-ai-DeepSeek-V3.1": ("enable_thinking", True, False, False, True, True),
    "tencent-DeepSeek-V3.1-Terminus-W4AFP8": ("thinking", True, False, False, True, True),
    "MiniMax-M2": (None, None, None, True, True, False),
    "MiniMaxAI-MiniMax-M3-MXFP8": ("thinking_mode", "enabled", "disabled", False, True, True),
    "crusoeai-DeepSeek-V4-Flash": ("thinking_mode", "thinking", "chat", True, True, True),
    "ByteDance-Seed-OSS": ("thinking_budget", -1, 0, True, False, True),
    "tencent-Hy3": ("reasoning_effort", "high", "no_think", False, True, True),
    "mistralai-Mistral-Small-4-119B-2603": ("reasoning_effort", "high", "none", False, False, False),
    "LGAI-EXAONE-EXAONE-4.0-32B": ("enable_thinking", True, False, False, True, True),
    "google-gemma-4-31B-it": ("enable_thinking", True, False, False, False, True),
    "openai-gpt-oss-120b": (None, None, None, True, False, False),
    "inclusionAI-Ling-2.6-flash": (None, None, None, False, False, False),
}

WITHOUT_THINKING = [
    "Qwen-Qwen3-4B-Instruct-2507",
    "Qwen-Qwen3-Coder-30B-A3B-Instruct",
    "Qwen-Qwen2.5-7B-Instruct",
    "moonshotai-Kimi-K2-Instruct",
    "HuggingFaceTB-SmolLM2-135M-Instruct",
    "mistralai-Devstral-Small-2-24B-Instruct-2512",
    "meta-llama-Llama-3.1-8B-Instruct",
]

TAGS = {
    "Qwen-Qwen3-0.6B": ("<think>", "</think>"),
    "NousResearch-Hermes-4-14B": ("<think>", "</think>"),
    "ByteDance-Seed-OSS": ("<seed:think>", "</seed:think>"),
    "MiniMaxAI-MiniMax-M3-MXFP8": ("<mm:think>", "</mm:think>"),
    "mistralai-Mistral-Small-4-119B-2603": ("[THINK]", "[/THINK]"),
    "google-gemma-4-31B-it": ("<|channel>thought", "<channel|>"),
    "openai-gpt-oss-120b": ("<|channel|>analysis<|message|>", "<|end|>"),
    "tencent-Hy3": ("<think:opensource>", "</think:opensource>"),
    "meituan-longcat-LongCat-2.0": ("<longcat_think>", "</longcat_think>"),
    "ServiceNow-AI-Apriel-1.5-15b-Thinker": ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
    "ServiceNow-AI-Apriel-1.6-15b-Thinker": ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
}


def profile_of(chosen: ChoiceOf, name: str) -> TemplateProfile:
    profile = chosen(name).profile
    assert profile is not None
    return profile


def thinking_of(chosen: ChoiceOf, name: str) -> ThinkingProfile:
    thinking = profile_of(chosen, name).thinking
    assert thinking is not None
    return thinking


@pytest.mark.parametrize("name", THINKING_SWITCHES)
def test_the_switch_of_thinking_is_found_with_its_default(name: str, chosen: ChoiceOf) -> None:
    found = thinking_of(chosen, name)
    assert THINKING_SWITCHES[name] == (
        found.kwarg,
        found.on,
        found.off,
        found.default_on,
        found.prompt_opens,
        found.prompt_closes,
    )


@pytest.mark.parametrize("name", TAGS)
def test_the_tags_around_thinking_are_found(name: str, chosen: ChoiceOf) -> None:
    found = thinking_of(chosen, name)
    assert (found.open_tag, found.close_tag) == TAGS[name]


@pytest.mark.parametrize("name", WITHOUT_THINKING)
def test_a_template_that_does_not_think_has_no_thinking(name: str, chosen: ChoiceOf) -> None:
    assert profile_of(chosen, name).thinking is None


@pytest.mark.parametrize(
    ("name", "kwarg", "efforts"),
    [
        ("openai-gpt-oss-120b", "reasoning_effort", ("low", "medium", "high")),
        ("tencent-Hy3", "reasoning_effort", ("low", "high")),
        ("Qwen-Qwen3-0.6B", None, ()),
    ],
)
def test_the_effort_kwarg_comes_with_the_values_it_takes(
    name: str, kwarg: str | None, efforts: tuple[str, ...], chosen: ChoiceOf
) -> None:
    found = thinking_of(chosen, name)
    assert (found.effort_kwarg, found.efforts) == (kwarg, efforts)


def test_the_budget_kwarg_is_found(chosen: ChoiceOf) -> None:
    assert thinking_of(chosen, "ByteDance-Seed-OSS").budget_kwarg == "thinking_budget"
    assert thinking_of(chosen, "Qwen-Qwen3-0.6B").budget_kwarg is None


def test_words_that_stop_thinking_are_found_where_no_kwarg_does(chosen: ChoiceOf) -> None:
    assert thinking_of(chosen, "NVIDIA-Nemotron-Nano-v2").off_words == "/no_think"
    assert thinking_of(chosen, "Qwen-Qwen3-0.6B").off_words is None


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Qwen-Qwen3-0.6B", "reasoning_content"),
        ("moonshotai-Kimi-K2-Thinking", "reasoning_content"),
        ("openai-gpt-oss-120b", "thinking"),
        ("upstage-Solar-Open-100B", "reasoning"),
        ("Qwen-Qwen2.5-7B-Instruct", None),
    ],
)
def test_the_message_field_that_carries_thinking_is_found(
    name: str, field: str | None, chosen: ChoiceOf
) -> None:
    assert profile_of(chosen, name).reasoning_field == field


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("Qwen-Qwen3-0.6B", "object"),
        ("Qwen-Qwen3-Coder-30B-A3B-Instruct", "object"),
        ("deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "string"),
        ("tencent-DeepSeek-V3.1-Terminus-W4AFP8", "string"),
        ("ServiceNow-AI-Apriel-1.6-15b-Thinker", "string"),
    ],
)
def test_whether_arguments_are_an_object_or_text_is_found(name: str, form: str, chosen: ChoiceOf) -> None:
    assert profile_of(chosen, name).arguments_as == form


@pytest.mark.parametrize(
    ("name", "leading", "inline"),
    [
        ("Qwen-Qwen3-0.6B", True, True),
        ("Qwen-Qwen3.6-35B-A3B", True, False),
        ("GLM-4.6", True, True),
        ("deepseek-ai-DeepSeek-V3.1", True, False),
        ("google-gemma-2-2b-it", False, False),
        ("HuggingFaceTB-SmolLM2-135M-Instruct", True, True),
        # These render it in place, but nothing separates it from the user's words.
        ("crusoeai-DeepSeek-V4-Flash", True, False),
        ("deepseek-ai-DeepSeek-V2-Chat-0628", True, False),
        ("baidu-ERNIE-4.5-VL-28B-A3B-PT", True, False),
    ],
)
def test_where_system_messages_may_stand_is_found(
    name: str, leading: bool, inline: bool, chosen: ChoiceOf
) -> None:
    profile = profile_of(chosen, name)
    assert (profile.leading_system, profile.inline_system) == (leading, inline)


@pytest.mark.parametrize(
    ("name", "style"),
    [
        *((f"moonshotai-Kimi-{version}", "kimi") for version in ("K2", "K2-Instruct", "K2-Instruct-0905")),
        *((f"moonshotai-Kimi-{version}", "kimi") for version in ("K2-Thinking", "K2.5", "K2.6", "K2.7-Code")),
        ("moonshotai-Kimi-Linear-48B-A3B-Instruct", "kimi"),
        ("Mistral-Small-3.2-24B-Instruct-2506", "nine_alphanumeric"),
        ("mistralai-Mistral-Nemo-Instruct-2407", "nine_alphanumeric"),
        ("mistralai-Mistral-7B-Instruct-v0.3", "nine_alphanumeric"),
        # These print the id beside the name.
        ("upstage-Solar-Open-100B", "any"),
        ("Motif-Technologies-Motif-3-Beta", "any"),
        ("ServiceNow-AI-Apriel-1.5-15b-Thinker", "any"),
        ("Qwen-Qwen3-0.6B", "any"),
        ("google-gemma-2-2b-it", "any"),
    ],
)
def test_the_form_of_call_ids_that_a_template_takes_is_found(name: str, style: str, chosen: ChoiceOf) -> None:
    assert profile_of(chosen, name).call_id_style == style


@pytest.mark.parametrize(
    ("name", "envelope"),
    [
        ("CohereForAI-c4ai-command-r7b-12-2024-tool_use", ("<|START_RESPONSE|>", "<|END_RESPONSE|>")),
        ("CohereLabs-command-a-plus-05-2026-w4a4", ("<|START_TEXT|>", "<|END_TEXT|>")),
        ("tencent-Hy-Embodied-RxBrain-1.0", ("<answer>", "</answer>")),
        ("upstage-Solar-Open-100B", ("<|content|>", "<|end|>")),
        # What stands before the text is the end of thinking, a role, or part of the generation prompt.
        ("Qwen-Qwen3.6-35B-A3B", None),
        ("GLM-4.7-Flash", None),
        ("ibm-granite-granite-7b-instruct", None),
        ("HuggingFaceTB-SmolLM2-135M-Instruct", None),
    ],
)
def test_the_tags_around_reply_text_are_found(
    name: str, envelope: tuple[str, str] | None, chosen: ChoiceOf
) -> None:
    assert profile_of(chosen, name).reply_envelope == envelope


def test_templates_that_require_alternating_roles_are_found(chosen: ChoiceOf) -> None:
    strict, lenient = profile_of(chosen, "google-gemma-2-2b-it"), profile_of(chosen, "Qwen-Qwen3-0.6B")
    assert (strict.consecutive_users, strict.leading_assistant) == (False, False)
    assert (lenient.consecutive_users, lenient.leading_assistant) == (True, True)


def test_the_content_beside_a_call_without_text_is_the_one_that_adds_least(chosen: ChoiceOf) -> None:
    assert profile_of(chosen, "Qwen-Qwen3-0.6B").empty_call_content == ""
    assert profile_of(chosen, "deepseek-ai-DeepSeek-R1-Distill-Llama-8B").empty_call_content is None


def test_text_is_passed_as_content_parts_where_a_template_takes_only_those(chosen: ChoiceOf) -> None:
    profile = profile_of(chosen, "HuggingFaceTB-SmolVLM-256M-Instruct")
    assert profile.error is None
    assert profile.leading_system


def test_special_tokens_reach_the_template() -> None:
    template = "{{ bos_token + messages[0].content }}"
    assert probe(template).error is not None
    assert probe(template, special_tokens={"bos_token": "<s>"}).error is None


def test_a_kwarg_that_is_only_printed_is_not_a_switch() -> None:
    template = "{{ enable_thinking }} {{ thinking_mode }} {{ reasoning_effort }} {{ messages[0].content }}"
    assert probe(template).thinking is None


def test_a_template_that_always_closes_thinking_does_not_think() -> None:
    assert probe("{{ messages[0].content }}<think></think>").thinking is None


def test_the_time_of_day_is_the_same_in_all_renders() -> None:
    template = "{{ strftime_now('%f') }}{{ messages[0].content }}{{ '' if enable_thinking }}"
    assert all(probe(template).thinking is None for _ in range(20))


class PausingClock:
    """Processor time that jumps by two seconds at one of the times it is read, as in a long pause."""

    def __init__(self, jump_at: int) -> None:
        self.reads = 0
        self.jump_at = jump_at

    def __call__(self) -> float:
        self.reads += 1
        return 2.0 if self.reads >= self.jump_at else 0.0


def test_a_pause_in_the_middle_of_a_render_changes_nothing(
    corpus: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    template = corpus["openai-gpt-oss-120b"]
    undisturbed = probe(template)
    reads = PausingClock(10**9)
    monkeypatch.setattr(time, "thread_time", reads)
    assert probe(template) == undisturbed
    for jump_at in range(1, reads.reads, reads.reads // 8):
        monkeypatch.setattr(time, "thread_time", PausingClock(jump_at))
        assert probe(template) == undisturbed


HOSTILE = {
    "loops": "{% for a in 'x' * 9999 %}{% for b in 'x' * 9999 %}{% endfor %}{% endfor %}",
    "ranges": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "product": "{{ 'a' * 10 ** 9 }}",
    "doubling": "{% set n = namespace(s='ab') %}{% for i in range(60) %}"
    "{% set n.s = n.s ~ n.s %}{% endfor %}",
    "adding": "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "width": "{{ '%99999999d' % 1 }}",
    "padding": "{{ 'x'.center(99999999) }}",
    "recursion": "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "branching": "{% macro f(n) %}{% if n %}{{ f(n - 1) ~ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "output": "{% for i in range(99999) %}aaaaaaaaaa{% endfor %}",
    "length": "a" * 300_000,
    "filters": "{% for a in range(9999) %}{% set s = ('x' * 300000) | replace('x', 'xy') %}{% endfor %}",
    "methods": "{% set s = 'x' * 300000 %}{% for a in range(9999) %}{% set n = s.count('xx') %}{% endfor %}",
    "escape": "{{ messages.__class__.__mro__ }}{{ ''.__class__.__base__.__subclasses__() }}",
    "mutation": "{% set _ = messages.clear() %}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_ends_in_an_error(name: str) -> None:
    profile = probe("{{ messages[0].content }}" + HOSTILE[name])
    assert profile.error
    assert not profile.lists_tools
    assert profile.thinking is None


PIECES = st.sampled_from(
    [
        "{{ messages[0].content }}",
        "{{ messages }}",
        "{% for m in messages %}",
        "{{ m.role }}{{ m.content }}",
        "{{ m.tool_calls }}",
        "{% endfor %}",
        "{% if tools %}{{ tools | tojson }}{% endif %}",
        "{% if enable_thinking %}<think>{% else %}</think>{% endif %}",
        "{{ raise_exception('no') }}",
        "{{ strftime_now('%Y') }}",
        "{% generation %}",
        "{% endgeneration %}",
        "{% break %}",
        "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{{ messages[7] }}{{ nothing.at.all }}",
        "{{ 1 / 0 }}",
        "{{",
        "%}",
    ]
)
TEMPLATES = st.lists(PIECES | st.text(max_size=12), max_size=8).map("".join)


@settings(max_examples=150, deadline=None)
@given(TEMPLATES, TEMPLATES | st.none())
def test_no_template_can_make_probe_raise(template: str, tool_template: str | None) -> None:
    profile = probe(template, tool_template=tool_template)
    assert isinstance(profile, TemplateProfile)
    assert profile.error is None or profile.error


def test_a_probe_is_the_same_every_time(corpus: Mapping[str, str]) -> None:
    template = corpus["Qwen-Qwen3-0.6B"]
    assert probe(template) == probe(template)
