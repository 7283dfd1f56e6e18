"""Turns a probed template into the `TemplateTraits` that translation works with."""

from __future__ import annotations

from functools import partial
from typing import Final

from vllm_messages_plugin.formats.call_rendering import render_calls
from vllm_messages_plugin.formats.probing.template_profile import TemplateProfile
from vllm_messages_plugin.formats.template_traits import TemplateTraits

VLLM_REASONING_FIELDS: Final = ("reasoning", "reasoning_content")
"""The fields of an assistant message in which vLLM passes thinking to a chat template."""


def template_traits(
    profile: TemplateProfile | None,
    *,
    prompted: bool,
    rendered_call_format: str | None = None,
    images: bool = False,
) -> TemplateTraits:
    """Return what translation must know about a chat template.

    Args:
        profile: what the probe found; None if there is no template to probe.
        prompted: tools are described as text in the system prompt.
        rendered_call_format: the tool-call format in which earlier calls are rendered into the content,
            for a template that drops them.
        images: the model takes images.
    """
    if profile is None or profile.error is not None:
        native = profile is None and not prompted
        return TemplateTraits(native_tools=native, images=images, inline_system=profile is None)
    return TemplateTraits(
        native_tools=not prompted,
        leading_system=profile.leading_system,
        inline_system=profile.inline_system,
        leading_assistant=profile.leading_assistant,
        images=images,
        empty_call_content=profile.empty_call_content,
        render_calls=partial(render_calls, rendered_call_format) if rendered_call_format else None,
        thinking_tags=_thinking_tags(profile),
        call_id_style=profile.call_id_style,
        native_results=profile.results_behind_text if rendered_call_format else True,
        system_for_tools=profile.system_for_tools,
    )


def _thinking_tags(profile: TemplateProfile) -> tuple[str, str] | None:
    """Return the tags to write around thinking in the content: none if vLLM can fill the template's field."""
    thinking = profile.thinking
    if thinking is None or profile.reasoning_field in VLLM_REASONING_FIELDS:
        return None
    return (thinking.open_tag, thinking.close_tag) if thinking.open_tag and thinking.close_tag else None
