"""What flags and settings do to the choice of parsers on the Messages routes."""

from argparse import Namespace
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from engine.parsing import tokenizer_of
from vllm_messages_plugin.engine.openai_routes import registration
from vllm_messages_plugin.engine.output.selection import ParserSelection, facts_of, select_parsers
from vllm_messages_plugin.formats.probing.detectors import DETECTORS, FormatDetector
from vllm_messages_plugin.formats.probing.parser_names import TOOL_PARSER_FORMATS, VLLM_PARSER_FORMATS
from vllm_messages_plugin.formats.probing.parser_selection import choose_parsers
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.settings import Settings


def chosen(
    tool: str | None = None, reasoning: str = "", template: str = "qwen_like", **settings: Any
) -> ParserSelection:
    """The selection of a server that was started with two flags; what was said of them is left out."""
    model = SimpleNamespace(
        hf_config=SimpleNamespace(architectures=["LlamaForCausalLM"], model_type="llama"),
        tokenizer_mode="auto",
        model="tiny",
    )
    args = Namespace(
        tool_call_parser=tool,
        enable_auto_tool_choice=tool is not None,
        structured_outputs_config=SimpleNamespace(reasoning_parser=reasoning),
    )
    selection = select_parsers(model, tokenizer_of(template), args, Settings(**settings), None)
    return replace(selection, reasons=(), full=None, plain=None, without_tools=None)


@pytest.mark.parametrize("template", ["qwen_like", "xml_calls", "strict_alternation"])
@pytest.mark.parametrize("reasoning", ["", *registration.REASONING_NAMES])
def test_auto_changes_nothing_on_the_messages_routes(template: str, reasoning: str) -> None:
    assert chosen("messages_auto", reasoning, template) == chosen(template=template)


def test_auto_may_also_be_a_setting() -> None:
    assert chosen(tool_call_parser="messages_auto", reasoning_parser="messages_auto") == chosen()


@pytest.mark.parametrize("name", list(TOOL_PARSER_FORMATS))
def test_a_parser_name_of_this_plugin_selects_the_scanner_without_an_adapter(name: str) -> None:
    call_format = TOOL_PARSER_FORMATS[name]
    selection = chosen(name, "messages_auto")
    assert (selection.tool_parser, selection.call_format) == (name, call_format)
    assert selection.reasoning_parser == chosen().reasoning_parser


@pytest.mark.parametrize(
    ("template", "tool", "reasoning"),
    [
        ("qwen_like", "hermes", "qwen3"),
        ("qwen_like", "qwen3_json", "deepseek_r1"),
        ("xml_calls", "qwen3_xml", ""),
        ("xml_calls", "qwen3_coder", ""),
    ],
)
def test_a_parser_that_reads_the_scanners_format_keeps_the_scanner(
    template: str, tool: str, reasoning: str
) -> None:
    selection = chosen(tool, reasoning, template)
    assert selection.call_format == chosen(template=template).call_format is not None
    assert chosen(tool, reasoning, template, formats="vllm").call_format is None


def test_with_formats_set_to_vllm_no_scanner_format_is_selected() -> None:
    assert chosen("messages_xml", formats="vllm").call_format is None


@pytest.mark.parametrize(
    ("template", "tool", "call_format"),
    [
        ("qwen_like", "hermes", "hermes_json"),
        ("qwen_like", "qwen3_json", "hermes_json"),
        ("qwen_like", "granite4", "hermes_json"),
        ("xml_calls", "qwen3_coder", "qwen_xml"),
        ("xml_calls", "qwen3_xml", "qwen_xml"),
        ("xml_calls", "step3p5", "qwen_xml"),
    ],
)
def test_a_flag_whose_parser_reads_a_format_of_the_scanner_keeps_the_scanner(
    template: str, tool: str, call_format: str
) -> None:
    selection = chosen(tool, template=template)
    assert (selection.tool_parser, selection.call_format) == (tool, call_format)
    assert chosen(template=template, tool_call_parser=tool).call_format == call_format
    assert chosen(tool, template=template, formats="vllm").call_format is None


@pytest.mark.parametrize("reasoning", ["qwen3", "deepseek_r1"])
def test_a_reasoning_parser_with_the_templates_tags_keeps_the_scanner(reasoning: str) -> None:
    assert chosen("hermes", reasoning).call_format == "hermes_json"


def test_a_reasoning_parser_with_other_tags_gives_the_scanner_up() -> None:
    selection = chosen("hermes", "olmo3")
    assert (selection.reasoning_parser, selection.call_format) == ("olmo3", "hermes_json")
    assert chosen("hermes", "granite").call_format is None


@pytest.mark.parametrize(
    ("template", "tool"), [("qwen_like", "k2_horizon"), ("qwen_like", "qwen3_xml"), ("xml_calls", "hermes")]
)
def test_a_parser_of_another_format_gives_the_scanner_up(template: str, tool: str) -> None:
    selection = chosen(tool, template=template)
    assert (selection.tool_parser, selection.call_format) == (tool, None)


@pytest.mark.parametrize("name", VLLM_PARSER_FORMATS)
def test_every_format_in_the_table_is_one_of_the_scanner(name: str) -> None:
    assert set(VLLM_PARSER_FORMATS[name]) <= set(FORMATS)


@pytest.mark.parametrize(
    "detector", [each for each in DETECTORS if each.tool_parser and each.name in FORMATS]
)
def test_the_table_agrees_with_the_choice_by_template(detector: FormatDetector) -> None:
    assert detector.name in VLLM_PARSER_FORMATS[str(detector.tool_parser)]


def test_the_log_names_who_reads(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="vllm.messages")
    chosen("qwen3_xml", template="xml_calls")
    assert "read by this plugin's scanner as qwen_xml" in caplog.text
    chosen("qwen3_xml", template="xml_calls", formats="vllm")
    assert "tool calls by qwen3_xml, read by vLLM, " in caplog.text


class MistralLike:
    """A tokenizer without an added vocabulary, as vLLM's for Mistral's own files."""

    chat_template = None
    all_special_tokens = ("[INST]", "[TOOL_CALLS]")

    def get_added_vocab(self) -> dict[str, int]:
        return {}


def test_the_special_tokens_are_the_vocabulary_of_a_tokenizer_without_added_tokens() -> None:
    model = SimpleNamespace(hf_config=None, tokenizer_mode="mistral", model="mistralai/Devstral")
    facts = facts_of(model, MistralLike(), None)
    assert facts.vocabulary == {"[INST]", "[TOOL_CALLS]"}
    assert choose_parsers(facts).reasoning_parser is None
