"""What translation is given to know about a probed template."""

from dataclasses import replace

import pytest

from vllm_messages_plugin.formats.probing.template_probe import probe
from vllm_messages_plugin.formats.probing.traits import template_traits
from vllm_messages_plugin.formats.template_traits import TemplateTraits

THINKING = (
    "{% for m in messages %}{{ m.role }}: {% if m[FIELD] %}<think>{{ m[FIELD] }}</think>{% endif %}"
    "{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
SYSTEM_FIRST = (
    "{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('no') }}"
    "{% endif %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
)


def test_no_template_and_a_built_in_renderer_take_everything() -> None:
    assert template_traits(None, prompted=False) == TemplateTraits()
    assert template_traits(None, prompted=True) == TemplateTraits(native_tools=False)


def test_a_template_that_could_not_be_probed_gets_the_plainest_conversation() -> None:
    traits = template_traits(probe("{% if %}"), prompted=True, images=True)
    assert traits == TemplateTraits(native_tools=False, inline_system=False, images=True)


def test_the_place_of_system_messages_is_passed_on() -> None:
    traits = template_traits(probe(SYSTEM_FIRST), prompted=True)
    assert (traits.leading_system, traits.inline_system) == (True, False)


@pytest.mark.parametrize(
    ("field", "tags"),
    [("reasoning_content", None), ("reasoning", None), ("thinking", ("<think>", "</think>"))],
)
def test_thinking_stands_in_the_content_only_where_vllm_fills_no_field(
    field: str, tags: tuple[str, str] | None
) -> None:
    profile = probe(THINKING.replace("FIELD", repr(field)))
    assert profile.reasoning_field == field
    assert template_traits(profile, prompted=True).thinking_tags == tags


SYSTEM_LISTS = (
    "{% for m in messages %}{% if m.role == 'system' and tools %}{{ tools | tojson }}<tool_call>{% endif %}"
    "{% if m.role != 'tool' %}<{{ m.role }}>{{ m.content }}{% endif %}{% endfor %}"
)


def test_tools_that_are_listed_only_below_a_system_message_are_found() -> None:
    profile = probe(SYSTEM_LISTS)
    assert profile.lists_tools
    assert template_traits(profile, prompted=False).system_for_tools
    assert not template_traits(probe(SYSTEM_FIRST), prompted=False).system_for_tools


def test_results_are_text_where_the_template_drops_them_with_the_calls() -> None:
    profile = probe(SYSTEM_LISTS)
    assert not template_traits(profile, prompted=False, rendered_call_format="hermes_json").native_results
    rendering = probe(SYSTEM_LISTS.replace("m.role != 'tool'", "true"))
    assert template_traits(rendering, prompted=False, rendered_call_format="hermes_json").native_results


def test_the_form_of_call_ids_is_passed_on() -> None:
    profile = replace(probe(SYSTEM_FIRST), call_id_style="kimi")
    assert template_traits(profile, prompted=False).call_id_style == "kimi"


def test_calls_are_rendered_into_the_content_where_the_template_drops_them() -> None:
    profile = replace(probe(SYSTEM_FIRST), lists_tools=True)
    traits = template_traits(profile, prompted=False, rendered_call_format="lfm2_python")
    assert traits.render_calls is not None
    assert traits.render_calls([("f", {})]) == "<|tool_call_start|>[f()]<|tool_call_end|>"
    assert template_traits(profile, prompted=False).render_calls is None
