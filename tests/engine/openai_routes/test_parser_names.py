"""Our names in vLLM's registries: none is vLLM's own, and each reads the format it is known for."""

# ruff: noqa: RUF001 - DeepSeek spells its tokens with a fullwidth bar

import json
import re
from typing import Any

import pytest
from vllm.parser import ParserManager
from vllm.reasoning import _REASONING_PARSERS_TO_REGISTER, ReasoningParserManager
from vllm.tool_parsers import _TOOL_PARSERS_TO_REGISTER, ToolParserManager

from engine.parsing import SIZES, ParsedReply, chat, make, parser_of, streamed, tokenizer_of, whole
from formats.whole_scan import split
from vllm_messages_plugin.engine.openai_routes import registration
from vllm_messages_plugin.engine.openai_routes.reasoning_parsers import MessagesAutoReasoning
from vllm_messages_plugin.formats.probing.parser_names import TOOL_PARSER_FORMATS

CALLS = [("Read", {"file_path": "/a", "limit": 5}), ("Write", {"file_path": "/b", "content": 'say "é"\n  x'})]
WRITTEN = r'"content": "say \"é\"\n  x"'
HERMES = f"""<tool_call>
{{"name": "Read", "arguments": {{"file_path": "/a", "limit": 5}}}}
</tool_call>
<tool_call>
{{"name": "Write", "arguments": {{"file_path": "/b", {WRITTEN}}}}}
</tool_call>"""
QWEN_XML = """<tool_call>
<function=Read>
<parameter=file_path>
/a
</parameter>
<parameter=limit>
5
</parameter>
</function>
</tool_call>
<tool_call>
<function=Write>
<parameter=file_path>
/b
</parameter>
<parameter=content>
say "é"
  x
</parameter>
</function>
</tool_call>"""
GLM = """<tool_call>Read
<arg_key>file_path</arg_key>
<arg_value>/a</arg_value>
<arg_key>limit</arg_key>
<arg_value>5</arg_value>
</tool_call>
<tool_call>Write
<arg_key>file_path</arg_key>
<arg_value>/b</arg_value>
<arg_key>content</arg_key>
<arg_value>say "é"
  x</arg_value>
</tool_call>"""
TOOLCALL = (
    '<TOOLCALL>[{"name": "Read", "arguments": {"file_path": "/a", "limit": 5}}, '
    f'{{"name": "Write", "arguments": {{"file_path": "/b", {WRITTEN}}}}}]</TOOLCALL>'
)
INVOKES = """<P:invoke name="Read">
<P:parameter name="file_path" string="true">/a</P:parameter>
<P:parameter name="limit" string="false">5</P:parameter>
</P:invoke>
<P:invoke name="Write">
<P:parameter name="file_path" string="true">/b</P:parameter>
<P:parameter name="content" string="true">say "é"
  x</P:parameter>
</P:invoke>"""


PLAIN_INVOKES = INVOKES.replace("P:", "").replace(' string="true"', "").replace(' string="false"', "")


def invokes(section: str, prefix: str = "｜DSML｜") -> str:
    return f"<{prefix}{section}>\n{INVOKES.replace('P:', prefix)}\n</{prefix}{section}>"


HUNYUAN = re.sub(r"(?<=<tool_call>)\w+", r"\g<0><tool_sep>", GLM)
# What a model of the name's family writes: two calls, as the format's own pages describe them.
SAMPLES = {
    "messages_xml": QWEN_XML,
    "messages_json": HERMES,
    "messages_pythonic": (
        "[Read(file_path='/a', limit=5), " + r"""Write(file_path='/b', content='say "é"\n  x')]"""
    ),
    "apertus2509": (
        '<|tools_prefix|>[{"Read": {"file_path": "/a", "limit": 5}}, '
        f'{{"Write": {{"file_path": "/b", {WRITTEN}}}}}]<|tools_suffix|>'
    ),
    "deepseekv3": (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>Read\n```json\n"
        '{"file_path": "/a", "limit": 5}\n```<｜tool▁call▁end｜>\n'
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>Write\n```json\n"
        f'{{"file_path": "/b", {WRITTEN}}}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
    ),
    "deepseekv31": (
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>Read<｜tool▁sep｜>{"file_path": "/a", "limit": 5}'
        "<｜tool▁call▁end｜><｜tool▁call▁begin｜>Write<｜tool▁sep｜>"
        f'{{"file_path": "/b", {WRITTEN}}}<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
    ),
    "deepseekv32": invokes("function_calls"),
    "deepseekv4": invokes("tool_calls"),
    "deepseekv41": invokes("calls", "｜DSML｜ "),
    "gigachat35": invokes("tool_calls", "｜GCML｜"),
    "glm": GLM,
    "hunyuan": f"<tool_calls>\n{HUNYUAN}\n</tool_calls>",
    "interns1": (
        '<|action_start|> <|plugin|>\n{"name": "Read", "parameters": {"file_path": "/a", "limit": 5}}'
        '<|action_end|>\n<|action_start|> <|plugin|>\n{"name": "Write", "parameters": '
        f'{{"file_path": "/b", {WRITTEN}}}}}<|action_end|>'
    ),
    "iquest_q1": GLM.replace("tool_call>", "iquest_tool_call>"),
    "llama3": (
        '<|python_tag|>{"name": "Read", "parameters": {"file_path": "/a", "limit": 5}}; '
        f'{{"name": "Write", "parameters": {{"file_path": "/b", {WRITTEN}}}}}'
    ),
    "llama_nemotron_json": TOOLCALL,
    "minimax": (
        '<tool_calls>\n{"name": "Read", "arguments": {"file_path": "/a", "limit": 5}}\n'
        f'{{"name": "Write", "arguments": {{"file_path": "/b", {WRITTEN}}}}}\n</tool_calls>'
    ),
    "minimax-m2": f"<minimax:tool_call>\n{PLAIN_INVOKES}\n</minimax:tool_call>",
    "nanbeige": QWEN_XML,
    "nemotron_json": TOOLCALL,
    "qwen": HERMES,
    "qwen25": HERMES,
    "solar_open2": (
        "<|tool_call:start|>Read<|tool_arg:start|>file_path<|tool_arg:value|>/a<|tool_arg:end|>"
        "<|tool_arg:start|>limit<|tool_arg:value|>5<|tool_arg:end|><|tool_call:end|>"
        "<|tool_call:start|>Write<|tool_arg:start|>file_path<|tool_arg:value|>/b<|tool_arg:end|>"
        '<|tool_arg:start|>content<|tool_arg:value|>say "é"\n  x<|tool_arg:end|><|tool_call:end|>'
    ),
    "spark25": re.sub(r"\n(?=<arg|</tool)", "", GLM),
    "trinity": HERMES,
}
SHAPED = list(TOOL_PARSER_FORMATS)


def by_name(name: str) -> Any:
    return parser_of(name)(tokenizer_of(), chat().tools)


def test_no_parser_name_of_this_plugin_is_one_of_vllms() -> None:
    assert not set(registration.TOOL_NAMES) & set(_TOOL_PARSERS_TO_REGISTER)
    assert not set(registration.REASONING_NAMES) & set(_REASONING_PARSERS_TO_REGISTER)


def test_vllms_own_names_still_mean_its_own_parsers() -> None:
    for name, (_, class_name) in _TOOL_PARSERS_TO_REGISTER.items():
        assert ToolParserManager.lazy_parsers[name][1] == class_name
    for name, (_, class_name) in _REASONING_PARSERS_TO_REGISTER.items():
        assert ReasoningParserManager.lazy_parsers[name][1] == class_name


@pytest.mark.parametrize("name", sorted(registration.TOOL_NAMES))
def test_every_tool_parser_can_be_built(name: str) -> None:
    parser = ToolParserManager.get_tool_parser(name)(tokenizer_of())
    assert not parser.supports_required_and_named


@pytest.mark.parametrize("name", sorted(registration.REASONING_NAMES))
def test_every_reasoning_parser_goes_by_the_template(name: str) -> None:
    assert ReasoningParserManager.get_reasoning_parser(name) is MessagesAutoReasoning


def test_a_name_that_nobody_has_is_refused_as_before() -> None:
    with pytest.raises((KeyError, TypeError), match="messages_none"):
        ParserManager.get_parser(tool_parser_name="messages_none", enable_auto_tools=True)
    with pytest.raises(KeyError, match="messages_none"):
        ReasoningParserManager.get_reasoning_parser("messages_none")


def test_every_name_of_a_format_has_a_sample() -> None:
    assert list(SAMPLES) == SHAPED


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SHAPED)
def test_a_name_reads_the_format_it_is_known_for(name: str, size: int) -> None:
    text = SAMPLES[name]
    parsed = streamed(by_name(name), split(f"I look.\n{text}", size), chat())
    assert parsed == whole(by_name(name), f"I look.\n{text}", chat())
    assert (parsed.content, parsed.made) == ("I look.", CALLS)


@pytest.mark.parametrize("thought", ["I look.</think>\n", "I look.\n"])
def test_trinitys_calls_are_read_inside_thinking_too(thought: str) -> None:
    parser = parser_of("trinity", "messages_auto")
    ids = tokenizer_of().encode("<|im_start|>assistant\n<think>\n")
    parsed = streamed(parser(tokenizer_of(), chat().tools), split(thought + HERMES, 5), chat(), ids)
    assert parsed == ParsedReply(
        "I look.", "", [(name, json.dumps(made, ensure_ascii=False)) for name, made in CALLS]
    )
    assert parsed == whole(parser(tokenizer_of(), chat().tools), thought + HERMES, chat(), ids)


@pytest.mark.parametrize("name", ["messages_json", "messages_xml", "messages_auto"])
@pytest.mark.parametrize(
    "text",
    [
        HERMES,
        QWEN_XML,
        GLM,
        f"<function_calls>\n{PLAIN_INVOKES}\n</function_calls>",
        '```json\n[{"name": "Read", "arguments": {"file_path": "/a", "limit": 5}}, '
        f'{{"name": "Write", "arguments": {{"file_path": "/b", {WRITTEN}}}}}]\n```',
    ],
    ids=["hermes", "qwen", "glm", "invoke", "fenced"],
)
def test_a_model_that_drifts_into_another_dialect_is_understood(name: str, text: str) -> None:
    parsed = streamed(by_name(name), split(text, 3), chat())
    assert parsed == whole(by_name(name), text, chat())
    assert parsed.made == CALLS


def test_a_parser_name_and_its_class_have_the_same_format() -> None:
    for name, call_format in TOOL_PARSER_FORMATS.items():
        assert by_name(name).tool_parser.call_format == call_format
    assert make("qwen_xml").tool_parser.call_format == "qwen_xml"
