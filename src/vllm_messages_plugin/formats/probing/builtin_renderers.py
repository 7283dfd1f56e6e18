"""Profiles of vLLM's built-in renderers, for models whose prompts vLLM renders without a chat template.

There is no template to probe, so the profiles are written down here, read off vLLM's renderers and
tokenizers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from vllm_messages_plugin.formats.probing.detectors import BUILTIN_RENDERER_PARSERS
from vllm_messages_plugin.formats.probing.template_profile import TemplateProfile, ThinkingProfile

# vLLM sets the tokenizer mode by these architectures; it recognises gpt-oss by its model type.
RENDERER_BY_ARCHITECTURE: Final[dict[str, str]] = {
    "KimiK3ForConditionalGeneration": "kimi_k3",
    "DeepseekV32ForCausalLM": "deepseek_v32",
    "DeepseekV4ForCausalLM": "deepseek_v4",
    "DeepseekV4ForConditionalGeneration": "deepseek_v4",
    "DeepseekV41ForCausalLM": "deepseek_v41",
    "InklingForCausalLM": "inkling",
    "InklingForConditionalGeneration": "inkling",
    "GptOssForCausalLM": "gpt_oss",
}

_THINK: Final = ThinkingProfile(
    kwarg="thinking",
    on=True,
    off=False,
    default_on=True,
    open_tag="<think>",
    close_tag="</think>",
    prompt_opens=True,
    prompt_closes=True,
)
_PROFILE: Final = TemplateProfile(
    lists_tools=True,
    call_format=None,
    renders_results=True,
    arguments_as="object",
    thinking=_THINK,
    reasoning_field="reasoning",
    leading_system=True,
    inline_system=True,
    consecutive_users=True,
    leading_assistant=True,
    empty_call_content="",
)
_DEEPSEEK_4: Final = replace(_THINK, effort_kwarg="reasoning_effort", efforts=("low", "high", "xhigh", "max"))
_KIMI_3: Final = replace(
    _THINK,
    open_tag="<|open|>think<|sep|>",
    close_tag="<|close|>think<|sep|>",
    effort_kwarg="thinking_effort",
    efforts=("low", "high", "max"),
)
_ALWAYS: Final = replace(_THINK, kwarg=None, on=None, off=None, prompt_opens=False, prompt_closes=False)
# gpt-oss and Mistral take the effort as a field of vLLM's request, not as a template kwarg.
_HARMONY: Final = replace(
    _ALWAYS,
    open_tag="<|channel|>analysis<|message|>",
    close_tag="<|end|>",
    effort_kwarg="reasoning_effort",
    efforts=("low", "medium", "high"),
)
_MISTRAL: Final = replace(_ALWAYS, open_tag="[THINK]", close_tag="[/THINK]")
_INKLING: Final = replace(
    _ALWAYS,
    open_tag="<|content_thinking|>",
    close_tag="<|end_message|>",
    effort_kwarg="reasoning_effort",
    efforts=("minimal", "low", "medium", "high", "xhigh", "max"),
)

PROFILES: Final[dict[str, TemplateProfile]] = {
    "kimi_k3": replace(_PROFILE, call_format="kimi_k3", thinking=_KIMI_3, inline_system=False),
    # In V3.2 a system message at the end would land behind the generation prompt.
    "deepseek_v32": replace(
        _PROFILE,
        call_format="dsml_function_calls",
        thinking=replace(_THINK, default_on=False),
        inline_system=False,
    ),
    # In V4 nothing stands between a user's words and a system message behind them; V4.1 has a token there.
    "deepseek_v4": replace(
        _PROFILE, call_format="dsml_tool_calls", thinking=_DEEPSEEK_4, inline_system=False
    ),
    "deepseek_v41": replace(_PROFILE, call_format="dsml_calls", thinking=_DEEPSEEK_4),
    "inkling": replace(_PROFILE, call_format="inkling", thinking=_INKLING),
    "gpt_oss": replace(
        _PROFILE, call_format="harmony", arguments_as="string", thinking=_HARMONY, inline_system=False
    ),
    "mistral": replace(
        _PROFILE,
        call_format="mistral",
        thinking=_MISTRAL,
        inline_system=False,
        leading_assistant=False,
        call_id_style="nine_alphanumeric",
    ),
}


def builtin_renderer_of(
    architecture: str | None, model_type: str | None, tokenizer_mode: str | None
) -> str | None:
    """Return the name of vLLM's built-in renderer for a model; None if a chat template renders it.

    Args:
        architecture: the first of `architectures` in the model's config.json.
        model_type: `model_type` in the same file.
        tokenizer_mode: vLLM's `--tokenizer-mode`.
    """
    if tokenizer_mode in BUILTIN_RENDERER_PARSERS:
        return tokenizer_mode
    if model_type == "gpt_oss":
        return "gpt_oss"
    return RENDERER_BY_ARCHITECTURE.get(architecture or "")


def builtin_renderer_profile(renderer: str) -> TemplateProfile:
    """Return the profile of a built-in renderer, by its name."""
    return PROFILES[renderer]
