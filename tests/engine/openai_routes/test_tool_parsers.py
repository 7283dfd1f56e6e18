"""Our tool parsers in vLLM's hands."""

import json
import time
from typing import Any

import pytest
from transformers import AutoTokenizer
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
from vllm.tool_parsers import ToolParserManager
from xgrammar import Grammar

from engine.parsing import READ, SIZES, WRITE, chat, make, parser_of, streamed, tokenizer_of, whole
from formats.samples import SAMPLE_WRITERS, TOOLS, write_calls
from formats.whole_scan import completed, split
from vllm_messages_plugin.engine.openai_routes.reasoning_parsers import template_format
from vllm_messages_plugin.engine.openai_routes.tool_parsers import (
    STRUCTURAL_TAGS,
    MessagesAuto,
    tool_parser_class,
)
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.testing import tiny

BIG_SECONDS = 6.0  # of a processor
every_format = pytest.mark.parametrize("call_format", sorted(SAMPLE_WRITERS))

# The laws, through vLLM


@every_format
@pytest.mark.parametrize("size", SIZES)
def test_streaming_and_non_streaming_give_the_same_calls(call_format: str, size: int) -> None:
    text = f"I write.\n{write_calls(call_format, [WRITE, READ])}"
    parsed = streamed(make(call_format), split(text, size), chat())
    assert parsed == whole(make(call_format), text, chat())
    assert parsed.content == "I write."
    assert parsed.made == [WRITE, READ]


@every_format
def test_a_cut_call_stays_visibly_cut_in_both_modes(call_format: str) -> None:
    text = write_calls(call_format, [WRITE])
    cut = text[: text.index("two") + 2]
    parsed = streamed(make(call_format), split(cut, 2), chat())
    assert parsed == whole(make(call_format), cut, chat())
    ((name, arguments),) = parsed.calls
    assert name == "Write"
    assert completed(arguments)["file_path"] == "/a"
    with pytest.raises(json.JSONDecodeError):
        json.loads(arguments)


@every_format
@pytest.mark.parametrize("fields", [{"tool_choice": "none"}, {"tools": None}], ids=["none", "no tools"])
def test_where_no_call_is_allowed_its_markup_is_text(call_format: str, fields: dict[str, Any]) -> None:
    text = write_calls(call_format, [READ])
    parsed = streamed(make(call_format), split(text, 3), chat(**fields))
    assert parsed == whole(make(call_format), text, chat(**fields))
    assert (parsed.content, parsed.calls) == (text, [])


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "Read"}}])
@every_format
def test_a_demanded_call_is_read_in_the_models_markup_and_in_hermes(call_format: str, choice: Any) -> None:
    request = chat(tool_choice=choice)
    for text in (write_calls(call_format, [READ]), write_calls("hermes_json", [READ])):
        parsed = streamed(make(call_format), split(text, 1), request)
        assert parsed == whole(make(call_format), text, request)
        assert parsed.made == [READ]


@pytest.mark.parametrize("tools", [TOOLS, []], ids=["tools", "no tools"])
def test_the_responses_api_reads_the_same(tools: list[Any]) -> None:
    flat = [{"type": "function", "strict": None, **tool["function"]} for tool in tools]
    request = ResponsesRequest(model="tiny", input="x", tools=flat)
    text = write_calls("qwen_xml", [READ])
    parsed = streamed(make("qwen_xml", request.tools), split(text, 1), request)
    assert parsed == whole(make("qwen_xml", request.tools), text, request)
    assert parsed.made == ([READ] if tools else [])


@pytest.mark.parametrize(
    "call_format", ["qwen_xml", "hermes_json", "glm_compact", "minimax_invoke", "python_list"]
)
def test_a_long_argument_takes_time_in_proportion(call_format: str) -> None:
    text = write_calls(call_format, [("Write", {"file_path": "/a", "content": "a line of it\n" * 20_000})])
    parser, began = make(call_format, reasoning=True), time.process_time()
    parsed = streamed(parser, split(text, 4), chat())
    assert time.process_time() - began < BIG_SECONDS
    assert len(parsed.made[0][1]["content"]) == 260_000


def test_ids_are_in_the_form_that_kimis_template_wants() -> None:
    call = {"id": "functions.Read:0", "type": "function", "function": {"name": "Read", "arguments": "{}"}}
    request = chat(messages=[{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call]}])
    text = write_calls("kimi_section", [READ, WRITE])
    for parsed in (
        streamed(make("kimi_section"), [text], request),
        whole(make("kimi_section"), text, request),
    ):
        assert parsed.ids == ["functions.Read:1", "functions.Write:2"]
    assert len(set(streamed(make("qwen_xml"), [write_calls("qwen_xml", [READ, READ])], chat()).ids)) == 2


# Beside vLLM's own parsers

VLLM_PARSERS = {
    "hermes": "hermes_json",
    "qwen3_coder": "qwen_xml",
    "step3p5": "step_xml",
    "mimo": "compact_xml",
    "seed_oss": "seed_xml",
    "glm45": "glm_xml",
    "glm47": "glm_compact",
    "poolside_v1": "laguna_xml",
    "kimi_k2": "kimi_section",
    "deepseek_v3": "deepseek_fence",
    "deepseek_v31": "deepseek_json",
    "deepseek_v32": "dsml_function_calls",
    "deepseek_v4": "dsml_tool_calls",
    "deepseek_v41": "dsml_calls",
    "minimax_m2": "minimax_invoke",
    "mistral": "mistral",
    "longcat": "longcat_json",
    "llama3_json": "llama_json",
    "gemma4": "gemma_call",
    "lfm2": "lfm2_python",
    "pythonic": "python_list",
    "granite": "granite_array",
    "hunyuan_a13b": "tool_calls_array",
    "apertus": "apertus_keys",
    "minicpm5": "minicpm_xml",
    "step3": "step3_invoke",
    "dots": "dots_invoke",
}
SPECIAL = tuple(
    sorted(
        {
            mark
            for call_format in VLLM_PARSERS.values()
            for mark in FORMATS[call_format].markers
            if mark[:1] + mark[-1:] in ("<>", "[]")
        }
        | {"<|python_tag|>"}
    )
)
PLAIN = {
    "one": [("Read", {"file_path": "/a", "limit": 5})],
    "two": [("Read", {"file_path": "/a b", "limit": 0}), ("Write", {"file_path": "x", "content": 'say "é"'})],
    "lines": [("Write", {"file_path": "/a", "content": "one\n  two\n\nthree"})],
}


@pytest.mark.parametrize("case", sorted(PLAIN))
@pytest.mark.parametrize("vllm_parser", sorted(VLLM_PARSERS))
def test_a_tidy_reply_is_read_as_vllms_parser_reads_it(vllm_parser: str, case: str) -> None:
    tokenizer = tokenizer_of("xml_calls", SPECIAL)
    text = write_calls(VLLM_PARSERS[vllm_parser], PLAIN[case])
    from_plugin = whole(make(VLLM_PARSERS[vllm_parser]), text, chat())
    assert from_plugin.made == PLAIN[case]
    request = chat()
    parser = type(
        "VllmParser",
        (parser_of("messages_xml"),),
        {"tool_parser_cls": ToolParserManager.get_tool_parser(vllm_parser)},
    )
    ids = tokenizer.encode(text, add_special_tokens=False)
    _, content, calls = parser(tokenizer, request.tools).parse(text, request, True, ids)
    made = [(call.name, json.loads(call.arguments)) for call in calls or ()]
    assert (made, (content or "").strip()) == (from_plugin.made, from_plugin.content)


# The choice by template


@pytest.mark.parametrize(
    ("template", "call_format"),
    [("qwen_like", "hermes_json"), ("xml_calls", "qwen_xml"), ("strict_alternation", "hermes_json")],
)
def test_auto_reads_what_the_template_writes(template: str, call_format: str) -> None:
    assert MessagesAuto(tokenizer_of(template)).call_format == call_format


def test_auto_leaves_what_only_vllm_reads_to_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny.model_directory())
    written = "<|plamo:begin_tool_request:plamo|>{{ call.function.name }}{{ call.function.arguments }}"
    tokenizer.chat_template = tokenizer.chat_template.replace("<tool_call>", written)
    assert template_format(tokenizer).tool_parser == "plamo3"
    monkeypatch.setitem(ToolParserManager.tool_parsers, "plamo3", tool_parser_class("mistral"))
    assert MessagesAuto(tokenizer).call_format == "mistral"


def test_the_template_is_probed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    MessagesAuto(tokenizer_of())
    monkeypatch.delattr("vllm_messages_plugin.engine.openai_routes.reasoning_parsers.choose_parsers")
    for _ in range(3):
        assert MessagesAuto(tokenizer_of(), chat().tools).call_format


# Requests


def tag_of(call_format: str, **fields: Any) -> dict[str, Any] | None:
    request = make(call_format).adjust_request(chat(**fields))
    outputs = request.structured_outputs
    return None if outputs is None or outputs.structural_tag is None else json.loads(outputs.structural_tag)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "Read"}}])
@pytest.mark.parametrize("call_format", sorted(FORMATS))
def test_a_demanded_call_is_bound_by_a_grammar(call_format: str, choice: Any) -> None:
    tag = tag_of(call_format, tool_choice=choice)
    assert tag is not None
    text = json.dumps(tag)
    assert "Read" in text
    assert ("Write" in text) == (choice == "required")
    if not STRUCTURAL_TAGS.get(call_format, "hermes").startswith(("deepseek", "kimi")):  # those name tokens
        Grammar.from_structural_tag(text)


@pytest.mark.parametrize(
    ("call_format", "mark"), [("qwen_xml", "<function=Read>"), ("toolcall_array", "<tool_call>")]
)
def test_the_grammar_is_in_the_models_markup_where_vllm_has_one(call_format: str, mark: str) -> None:
    assert mark in json.dumps(tag_of(call_format, tool_choice="required"))


def test_a_call_that_may_be_is_left_to_the_model() -> None:
    assert tag_of("qwen_xml") is None


@pytest.mark.parametrize(
    ("special", "fields", "kept"),
    [
        (("<tool_call>", "</tool_call>"), {}, True),
        (("<tool_call>",), {"tool_choice": "none"}, False),
        ((), {}, False),
    ],
)
def test_tags_that_are_special_tokens_are_read_as_text(
    special: tuple[str, ...], fields: dict[str, Any], kept: bool
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny.model_directory())
    if special:
        tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    request = tool_parser_class("hermes_json")(tokenizer).adjust_request(chat(**fields))
    assert request.skip_special_tokens is not kept
