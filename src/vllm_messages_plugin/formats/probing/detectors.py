# ruff: noqa: RUF001 - DeepSeek and Hunyuan spell their tokens with a fullwidth bar
"""Tables of tool-call formats: how each is recognised in rendered text, and which vLLM parsers read it.

`DETECTORS` maps the markup of a rendered call to a format's name and to vLLM's tool parser. The other
tables serve the cases in which a rendered call is not enough: templates that list tools without showing a
call, models whose templates look alike, reasoning parsers, and models that vLLM renders without a template.

A new format also needs the scanner's grammar in `formats.scanning.formats`; CONTRIBUTING.md lists every
table that it touches.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from vllm_messages_plugin.formats.probing import sentinels


@dataclass(frozen=True, slots=True)
class FormatDetector:
    """Recognises one tool-call format in rendered text.

    Attributes:
        name: the format's name, as in `formats.scanning.formats.FORMATS`.
        pattern: matches the assistant's turn of the probe's rendered call.
        tool_parser: vLLM's tool parser for the format; None if vLLM 0.32 has none that can stream it.
        required_tokens: vocabulary entries without which that parser refuses to start.
        why_no_parser: half a sentence for the log, if `tool_parser` is None.
    """

    name: str
    pattern: re.Pattern[str]
    tool_parser: str | None
    required_tokens: tuple[str, ...] = ()
    why_no_parser: str = ""


def _detector(
    name: str, pattern: str, tool_parser: str | None, *required_tokens: str, why_no_parser: str = ""
) -> FormatDetector:
    """Make a detector; NAME, KEY and VALUE in the pattern stand for the sentinels of the probe's call."""
    for word, sentinel in (("NAME", sentinels.NAME), ("KEY", sentinels.KEY), ("VALUE", sentinels.VALUE)):
        pattern = pattern.replace(word, re.escape(sentinel))
    return FormatDetector(name, re.compile(pattern, re.DOTALL), tool_parser, required_tokens, why_no_parser)


_NO_PARSER: Final = "vLLM has no parser for it"

# The first pattern that matches the assistant's turn decides, so narrower patterns come first.
DETECTORS: Final[tuple[FormatDetector, ...]] = (
    _detector("dsml_function_calls", r"<｜DSML｜function_calls>", "deepseek_v32"),
    _detector("dsml_calls", r"<｜DSML｜ calls>", "deepseek_v41"),
    _detector("dsml_tool_calls", r"<｜DSML｜tool_calls>", "deepseek_v4"),
    _detector("gcml_tool_calls", r"<｜GCML｜tool_calls>", None, why_no_parser=_NO_PARSER),
    _detector("minimax_elements", r"\]<\]minimax\[>\[<tool_call>", "minimax_m3"),
    _detector("minimax_invoke", r'<minimax:tool_call>\s*<invoke name="NAME">', "minimax_m2"),
    _detector("seed_xml", r"<seed:tool_call>\s*<function=NAME>", "seed_oss"),
    _detector("zyphra_xml", r"<zyphra_tool_call>", None, why_no_parser=_NO_PARSER),
    _detector("step_xml", r"<function=NAME>\s*<parameter=KEY>.*<\|im_start\|>tool_response", "step3p5"),
    _detector(
        "compact_xml", r"<tool_call>\s*<function=NAME>\s*<parameter=KEY>VALUE</parameter>", "qwen3_coder"
    ),
    _detector("qwen_xml", r"<function=NAME>\s*<parameter=KEY>", "qwen3_coder"),
    _detector("functionary_tag", r"<function=NAME>\s*\{", None, why_no_parser=_NO_PARSER),
    _detector("functionary_arrows", r">>>NAME\s*\{", None, why_no_parser=_NO_PARSER),
    _detector("hunyuan_xml", r"<tool_calls[^<>]*>\s*<tool_call[^<>]*>\s*NAME\s*<tool_sep", "hy_v3"),
    _detector("hunyuan_xml_4", r"<tool_calls[^<>]*>\s*<tool_call[^<>]*>\s*NAME\s*<arg_key", "hy_v4"),
    _detector("hunyuan_fence", r"<tool_call>NAME\s*```json", None, why_no_parser=_NO_PARSER),
    _detector("laguna_xml", r"<assistant>.*<tool_call>\s*NAME\s*<arg_key>", "poolside_v1"),
    _detector("glm_compact", r"<tool_call>NAME<arg_key>", "glm47"),
    _detector("glm_xml", r"<tool_call>\s*NAME\s*<arg_key>", "glm45"),
    _detector("iquest_xml", r"<iquest_tool_call>\s*NAME\s*<arg_key>", None, why_no_parser=_NO_PARSER),
    _detector(
        "longcat_xml", r"<longcat_tool_call>\s*NAME\s*<longcat_arg_key>", None, why_no_parser=_NO_PARSER
    ),
    _detector("longcat_json", r'<longcat_tool_call>\s*\{"name":', "longcat"),
    _detector("kimi_section", r"<\|tool_call_begin\|>.*<\|tool_call_argument_begin\|>", "kimi_k2"),
    _detector(
        "deepseek_fence",
        r"<｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\s*```json",
        "deepseek_v3",
        "<｜tool▁calls▁begin｜>",
    ),
    _detector(
        "deepseek_json",
        r"<｜tool▁call▁begin｜>NAME<｜tool▁sep｜>\s*\{",
        "deepseek_v31",
        "<｜tool▁calls▁begin｜>",
    ),
    _detector("gemma_call", r"<\|tool_call>call:NAME\{", "gemma4"),
    _detector("functiongemma_call", r"<start_function_call>call:NAME\{", "functiongemma"),
    _detector("mistral", r"\[TOOL_CALLS\]", "mistral", "[TOOL_CALLS]"),
    _detector("harmony", r"to=functions\.NAME", "openai"),
    _detector("apertus_keys", r'<\|tools_prefix\|>\[\{"NAME":', "apertus"),
    _detector(
        "python_fence",
        r"<\|tool_call_start\|>\s*```python",
        None,
        why_no_parser="vLLM's lfm2 reads no fenced code",
    ),
    _detector("lfm2_python", r"<\|tool_call_start\|>\[NAME\(", "lfm2", "<|tool_call_start|>"),
    _detector("olmo_python", r"<function_calls>\s*NAME\(", "olmo3"),
    _detector("granite_array", r'<\|tool_call\|>\s*\[\s*\{"name": "NAME"', "granite"),
    _detector("granite_object", r"<\|tool_call\|>", None, why_no_parser=_NO_PARSER),
    _detector("granite_20b", r"<function_call>\s*\{", "granite-20b-fc"),
    _detector("internlm_plugin", r"<\|action_start\|>\s*<\|plugin\|>", "internlm"),
    _detector("cohere_action_4", r"<\|END_TEXT\|>.*<\|START_ACTION\|>\s*\[", "cohere_command4"),
    _detector("cohere_action", r"<\|START_ACTION\|>\s*\[", "cohere_command3"),
    _detector("command_r_action", r"Action:\s*```json", None, why_no_parser=_NO_PARSER),
    _detector("gigachat", r"function call<\|role_sep\|>\s*\{|<\|function_call\|>\s*\{", "gigachat3"),
    _detector("minicpm_xml", r'<function name="NAME">\s*<param name="KEY">', "minicpm5"),
    _detector("step3_invoke", r'<steptml:invoke name="NAME">', "step3"),
    _detector("dots_invoke", r"<dots_function_call>", "dots"),
    _detector("k2_horizon", r"<ifm\|tool_calls>", "k2_horizon"),
    _detector("plamo", r"<\|plamo:begin_tool_request", "plamo3"),
    _detector("atem_invoke", r"<atem:invoke name=", "muse_glimmer"),
    _detector("solar_open", r"<\|tool_call:(?:begin|start)\|>", None, why_no_parser=_NO_PARSER),
    _detector("call_start", r"<\|CALL_START\|>", None, why_no_parser=_NO_PARSER),
    _detector("toolcall_array", r"<TOOLCALL>\s*\[", None, why_no_parser=_NO_PARSER),
    _detector("tool_call_array", r"<tool_call>\s*\[", None, why_no_parser=_NO_PARSER),
    _detector(
        "tool_calls_array",
        r"<tool_calls>\s*\[",
        None,
        why_no_parser="vLLM's jamba and hunyuan_a13b break such calls when they stream",
    ),
    _detector("tool_calls_lines", r'<tool_calls>\s*\{"name": "NAME"', None, why_no_parser=_NO_PARSER),
    _detector("hermes_json", r'<tool_call>\s*\{[^{}]*"name":\s*"NAME"', "hermes"),
    _detector(
        "json_array",
        r'\[\s*\{"name": "NAME"',
        None,
        why_no_parser="vLLM's xlam breaks such calls when it streams",
    ),
    _detector(
        "phi_functools",
        r"functools\[",
        None,
        why_no_parser="vLLM's phi4_mini_json emits no call when it streams",
    ),
    _detector("llama_json", r'\{"name": "NAME",\s*"parameters":', "llama3_json", "<|python_tag|>"),
    _detector("python_list", r"\[NAME\(", "pythonic"),
)
# Text in the prompt of a template that lists tools but renders no call, and the format it asks for.
PROMPT_HINTS: Final[tuple[tuple[str, str], ...]] = (
    ("<|tool_list_start|>", "lfm2_python"),
    ("List of tools: [", "lfm2_python"),
    ("<|im_system|>tool_declare", "kimi_section"),
    ("[AVAILABLE_TOOLS]", "mistral"),
    ("<tool_calls>", "tool_calls_lines"),
    ("functools[", "phi_functools"),
    ("<tool_call>", "hermes_json"),
    ("<|tool_call|>", "granite_array"),
)
# Vocabulary entries that suggest a format, where the prompt does not.
TOKEN_HINTS: Final[tuple[tuple[str, str], ...]] = (
    ("<|tool_calls_section_begin|>", "kimi_section"),
    ("<|tool_call_start|>", "lfm2_python"),
    ("<|tool_call|>", "granite_array"),
    ("[TOOL_CALLS]", "mistral"),
    ("<tool_call>", "hermes_json"),
)

# (format, pattern in the model's name or type, parser): models whose templates look alike but whose output
# vLLM reads with a parser of their own.
TOOL_PARSER_OVERRIDES: Final[tuple[tuple[str, str, str], ...]] = (
    ("compact_xml", r"mimo.?v?2\.5", "mimo"),
    ("glm_compact", r"ling.?3", "ling3"),
    ("glm_xml", r"ling.?3", "ling3"),
    ("hermes_json", r"ernie", "ernie45"),
)
REASONING_PARSER_OVERRIDES: Final[tuple[tuple[str, str, str], ...]] = (
    ("qwen_xml", r"nemotron", "nemotron_v3"),
    ("qwen_xml", r"granite", "granite_thinking_parser"),
    ("hermes_json", r"ernie", "ernie45"),
)

HARMONY_REASONING_PARSER: Final = "openai_gptoss"
# Opening tags of thinking that only one reasoning parser reads.
REASONING_PARSER_BY_TAG: Final[dict[str, str]] = {
    "<seed:think>": "seed_oss",
    "<mm:think>": "minimax_m3",
    "[THINK]": "mistral",
    "<|channel>thought": "gemma4",
    "<|channel|>analysis<|message|>": HARMONY_REASONING_PARSER,
    "to=self<|message|>": "muse_glimmer",
}
# Tool parsers of model families that have a reasoning parser of their own.
REASONING_PARSER_BY_TOOL_PARSER: Final[dict[str, str]] = {
    "cohere_command3": "cohere_command3",
    "cohere_command4": "cohere_command4",
    "deepseek_v32": "deepseek_v3",
    "deepseek_v4": "deepseek_v4",
    "deepseek_v41": "deepseek_v41",
    "gemma4": "gemma4",
    "glm45": "glm45",
    "glm47": "glm45",
    "hy_v3": "hy_v3",
    "hy_v4": "hy_v4",
    "kimi_k2": "kimi_k2",
    "ling3": "ling3",
    "mimo": "mimo",
    "minimax_m2": "minimax_m2",
    "plamo3": "plamo3",
    "poolside_v1": "poolside_v1",
    "step3": "step3",
    "step3p5": "step3p5",
}
# Words in a model's name that distinguish a model from an instruct
# model, where both have one template.
REASONING_MODEL_NAME: Final = re.compile(r"think|(?<!no)reason|qwq|\br1\b|\bz1\b|\bring\b|\b0528\b")
INSTRUCT_MODEL_NAME: Final = re.compile(r"instruct|\binst\b|\bchat\b")
# Instruct models whose template nevertheless has the switch of the reasoning model.
INSTRUCT_NAME_DESPITE_SWITCH: Final = re.compile(r"qwen3-omni\S*instruct")
# Formats whose reasoning and instruct models have one template without a switch.
FORMATS_SHARED_WITH_INSTRUCT_MODELS: Final = ("lfm2_python",)
# Parsers of plain <think> tags, chosen by how the template switches thinking.
THINK_TAG_PARSERS: Final = ("qwen3", "deepseek_v3", "deepseek_r1", "holo2", "olmo3")

# Models that vLLM renders without a chat template: tool parser and reasoning parser of each renderer.
BUILTIN_RENDERER_PARSERS: Final[dict[str, tuple[str, str | None]]] = {
    "kimi_k3": ("kimi_k3", "kimi_k3"),
    "deepseek_v32": ("deepseek_v32", "deepseek_v3"),
    "deepseek_v4": ("deepseek_v4", "deepseek_v4"),
    "deepseek_v41": ("deepseek_v41", "deepseek_v41"),
    "inkling": ("inkling", "inkling"),
    "gpt_oss": ("openai", "openai_gptoss"),
    "mistral": ("mistral", "mistral"),
}
RESPONSE_TEMPLATE_PARSER: Final = "hf"

TOOL_PARSERS: Final[frozenset[str]] = frozenset(
    {detector.tool_parser for detector in DETECTORS if detector.tool_parser}
    | {parser for _, _, parser in TOOL_PARSER_OVERRIDES}
    | {tool for tool, _ in BUILTIN_RENDERER_PARSERS.values()}
    | {RESPONSE_TEMPLATE_PARSER}
)
REASONING_PARSERS: Final[frozenset[str]] = frozenset(
    {
        *REASONING_PARSER_BY_TAG.values(),
        *REASONING_PARSER_BY_TOOL_PARSER.values(),
        *THINK_TAG_PARSERS,
        RESPONSE_TEMPLATE_PARSER,
    }
    | {parser for _, _, parser in REASONING_PARSER_OVERRIDES}
    | {reasoning for _, reasoning in BUILTIN_RENDERER_PARSERS.values() if reasoning}
)
DETECTORS_BY_NAME: Final = {detector.name: detector for detector in DETECTORS}


def detect_format(segment: str) -> str:
    """Return the name of the tool-call format of a rendered call; "unknown" if no detector matches."""
    return next((detector.name for detector in DETECTORS if detector.pattern.search(segment)), "unknown")


def format_hinted_by_prompt(prompt: str) -> str | None:
    """Return the format that a prompt asks for when it lists tools without showing a call."""
    return next((name for text, name in PROMPT_HINTS if text in prompt), None)


def format_by_token(vocabulary: Container[str]) -> str | None:
    """Return the format that a tokenizer has tokens for."""
    return next((name for token, name in TOKEN_HINTS if token in vocabulary), None)


def overriding_parser(
    overrides: tuple[tuple[str, str, str], ...], call_format: str | None, model_words: str
) -> str | None:
    """Return the parser for a model whose name calls for another one than its format does.

    Args:
        overrides: `TOOL_PARSER_OVERRIDES` or `REASONING_PARSER_OVERRIDES`.
        call_format: the model's tool-call format.
        model_words: the model's name, type and architecture.
    """
    for overridden_format, pattern, parser in overrides:
        if overridden_format == call_format and re.search(pattern, model_words.lower()):
            return parser
    return None
