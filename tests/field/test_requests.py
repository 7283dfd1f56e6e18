"""Requests from public bug reports, as the model reads them."""

import jinja2
import pytest

from translate.conversations import (
    assistant,
    chat_messages,
    conversation,
    image,
    result,
    system,
    tool,
    use,
    user,
)
from vllm_messages_plugin.formats.probing.parser_selection import ModelFacts, choose_parsers
from vllm_messages_plugin.formats.probing.traits import template_traits
from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.media.reader import MediaReader
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.request import CountTokensRequest

KIMI_K2 = """\
{%- if tools %}<|im_system|>tool_declare<|im_middle|>{{ tools | tojson }}<|im_end|>{% endif -%}
{%- for m in messages -%}<|im_{{ m.role }}|>{{ m.role }}<|im_middle|>
{%- if m.role == 'tool' %}## Return of {{ m.tool_call_id }}
{% endif -%}{{ m.content or '' }}
{%- if m.tool_calls %}<|tool_calls_section_begin|>{% for c in m.tool_calls %}<|tool_call_begin|>{{ c.id }}\
<|tool_call_argument_begin|>{{ c.function.arguments if c.function.arguments is string else \
c.function.arguments | tojson }}<|tool_call_end|>{% endfor %}<|tool_calls_section_end|>{% endif -%}
<|im_end|>{%- endfor -%}{% if add_generation_prompt %}<|im_assistant|>assistant<|im_middle|>{% endif %}"""


def traits_of(template: str, name: str = "") -> TemplateTraits:
    """The traits of a template, as the probe finds them."""
    choice = choose_parsers(ModelFacts(template=template, name=name))
    return template_traits(choice.profile, prompted=choice.prompted)


def test_kimi_k2_reads_earlier_calls_under_the_ids_that_it_writes() -> None:
    """Its template prints the id as the call itself, so that the model called tools named `toolu_...`."""
    read = conversation(
        user("read it"),
        assistant(use("toolu_abc", "Read", path="a")),
        user(result("toolu_abc", "A")),
        traits=traits_of(KIMI_K2, "Kimi-K2.6"),
        tools=[tool("Read")],
    )
    template = jinja2.Environment().from_string(KIMI_K2)
    prompt = template.render(messages=read.messages, tools=list(read.tools), add_generation_prompt=True)
    assert "<|tool_call_begin|>functions.Read:0<|tool_call_argument_begin|>" in prompt
    assert "## Return of functions.Read:0\nA<|im_end|>" in prompt
    assert "toolu_" not in prompt


SEEN_BEFORE = [
    user("look"),
    assistant(use("t1", "Read")),
    user(result("t1", [image("iVBORw0KGgo=")])),
    assistant("I can't see it."),
    user("Never mind. What is 2+2?"),
]


async def read(*messages: object) -> CountTokensRequest:
    request = CountTokensRequest.model_validate({"model": "m", "messages": list(messages)})
    return await MediaReader().read(request, images=False)


async def test_an_image_in_an_earlier_result_does_not_end_the_session_of_a_text_model() -> None:
    asked = await read(*SEEN_BEFORE)
    [*_, answered, _, _] = chat_messages(*asked.model_dump(exclude_none=True)["messages"])
    assert answered["content"] == "[An image, which this model cannot see]"


async def test_an_image_in_the_newest_result_is_refused_by_name() -> None:
    with pytest.raises(
        MessagesError, match=r"^messages\.2\.content\.0\.tool_result\.content\.0: Could not process"
    ):
        await read(*SEEN_BEFORE[:3])


def test_a_system_message_without_its_own_markup_is_folded_into_tagged_text() -> None:
    """DeepSeek V4 writes it without a tag, so that it ran into the user's words."""
    [said] = chat_messages(
        user("fix the bug"), system("Plan mode is on."), traits=TemplateTraits(inline_system=False)
    )
    assert said["content"] == "fix the bug\n\n<system-reminder>\nPlan mode is on.\n</system-reminder>"
