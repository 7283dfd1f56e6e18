"""The prompt rendered without a server is the one that the real tokenizer renders for the same request."""

import json
import os
from typing import Any

import pytest

from request_table.checks import table
from request_table.rendering import TEMPLATES, rendered
from request_table.row import Row
from request_table.rows import RENDERED
from vllm_messages_plugin.cli.flags.model_files import read_model
from vllm_messages_plugin.formats.probing.parser_selection import ModelFacts
from vllm_messages_plugin.offline import UnrenderableError, render_prompt
from vllm_messages_plugin.testing import tiny
from vllm_messages_plugin.wire.errors import MessagesError

ELSEWHERE = ("base64", "signature", "application/pdf", '"url"')
"""What a server reads with its own means: media, and reasoning that a signature carries."""


def facts(template: str) -> ModelFacts:
    return read_model(str(tiny.model_directory(template)), os.environ).facts


def needs_a_server(row: Row) -> bool:
    return any(word in json.dumps(row.body) for word in ELSEWHERE)


@table([row for row in RENDERED if not needs_a_server(row)])
@pytest.mark.parametrize("template", TEMPLATES)
async def test_the_prompt_is_the_one_that_the_tokenizer_renders(row: Row, template: str) -> None:
    assert render_prompt(facts(template), row.body).text == (await rendered(row.body, template)).text


REQUEST: dict[str, Any] = {
    "model": "any",
    "system": [
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be kind."},
    ],
    "tools": [
        {"name": "Read", "description": "Reads.", "input_schema": {"type": "object", "properties": {}}},
    ],
    "messages": [
        {"role": "user", "content": "Read it."},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I shall."},
                {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": '/a "b".py'}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "line one"}, {"type": "text", "text": "line two"}],
                },
                {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ],
        },
    ],
}
BEGINS = {
    "tools.0": "Read",
    "system.0": "Be brief.",
    "system.1": "Be kind.",
    "messages.0.content": "Read it.",
    "messages.1.content.0": "I shall.",
    "messages.1.content.1": "Read",
    "messages.2.content.0": "line one",
    "messages.2.content.1": "Be brief.",
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_block_has_its_place(template: str) -> None:
    prompt = render_prompt(facts(template), REQUEST)
    places = {block.path: (block.start, block.end) for block in prompt.blocks}
    assert places.keys() == BEGINS.keys()
    for path, text in BEGINS.items():
        start, end = places[path]
        assert start is not None
        assert end is not None
        assert prompt.text.startswith(text, start), path
    messages = [places[path] for path in BEGINS if path.startswith("messages")]
    assert messages == sorted(messages)
    assert prompt.text[slice(*places["messages.1.content.1"])].endswith('/a \\"b\\".py')
    assert prompt.text[slice(*places["messages.2.content.0"])].endswith("line two")


def test_a_block_that_the_template_leaves_out_has_no_place() -> None:
    thinking = {"type": "thinking", "thinking": "I wonder.", "signature": "x"}
    text = {"type": "text", "text": "Done."}
    messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": [thinking, text]},
        {"role": "user", "content": "two"},
    ]
    prompt = render_prompt(facts("qwen_like"), {"model": "any", "messages": messages})
    places = {block.path: block.start for block in prompt.blocks}
    assert (places["messages.1.content.0"] is None) == ("I wonder." not in prompt.text)
    assert places["messages.1.content.1"] == prompt.text.index("Done.")


def test_cache_breakpoints_stand_behind_their_blocks() -> None:
    prompt = render_prompt(facts("qwen_like"), {**REQUEST, "cache_control": {"type": "ephemeral"}})
    behind = [prompt.text[: block.end].rsplit("\n", 1)[-1] for block in prompt.breakpoints[:2]]
    assert [text[-9:] for text in behind] == ["Be brief.", "Be brief."]
    assert prompt.breakpoints[-1].end == len(prompt.text)


def test_a_request_that_the_server_refuses_is_refused() -> None:
    with pytest.raises(MessagesError, match="messages"):
        render_prompt(facts("qwen_like"), {"model": "any", "messages": []})


def test_a_model_without_a_template_is_an_error_that_names_the_cause() -> None:
    with pytest.raises(UnrenderableError, match="no chat template"):
        render_prompt(ModelFacts(None), REQUEST)


def test_the_refusal_of_a_template_is_passed_on() -> None:
    template = "{{ raise_exception('no such role') if messages | length > 1 else messages[0].content }}"
    with pytest.raises(UnrenderableError, match="no such role"):
        render_prompt(ModelFacts(template), REQUEST)


def test_a_template_that_takes_parts_alone_is_given_parts() -> None:
    template = "{% for m in messages %}{% for p in m.content %}{{ p['text'] }}|{% endfor %}{% endfor %}"
    request = {"model": "x", "messages": [{"role": "user", "content": "Hi"}]}
    prompt = render_prompt(ModelFacts(template), request)
    assert prompt.text == "Hi|"


def test_a_long_conversation_is_within_the_limits() -> None:
    turns = [{"role": ("user", "assistant")[n % 2], "content": "word " * 2000} for n in range(301)]
    prompt = render_prompt(facts("qwen_like"), {"model": "x", "messages": turns})
    assert len(prompt.text) > 3_000_000
    assert all(block.start is not None for block in prompt.blocks)
