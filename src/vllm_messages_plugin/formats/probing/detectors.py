# ruff: noqa: RUF001 - DeepSeek and Hunyuan spell their tokens with a fullwidth bar
"""The tables: markup shapes, native renderers and every parser name this package may return.

Read by `probe` (shape of a rendered call) and `choose` (shape to parser). A new model family is a
line here and a line in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from vllm_messages_plugin.formats.probing import sentinels


@dataclass(frozen=True, slots=True)
class FormatDetector:
    """One way to write a tool call, and the vLLM parser that reads it."""

    name: str
    pattern: re.Pattern[str]
    tool_parser: str | None  # None: vLLM 0.32 has no parser, or none that can stream it
    needs: tuple[str, ...] = ()  # tokens without which the parser refuses to start
    trouble: str = ""  # why there is no parser


def _detector(
    name: str, pattern: str, tool_parser: str | None, *needs: str, trouble: str = ""
) -> FormatDetector:
    for word, sentinel in (("NAME", sentinels.NAME), ("KEY", sentinels.KEY), ("VALUE", sentinels.VALUE)):
        pattern = pattern.replace(word, re.escape(sentinel))
    return FormatDetector(name, re.compile(pattern, re.DOTALL), tool_parser, needs, trouble)


_NO_PARSER: Final = "vLLM has no parser for it"

# The first pattern found in the assistant's turn decides, so narrower ones come first.
DETECTORS: Final[tuple[FormatDetector, ...]] = (
    _detector("dsml_function_calls", r"<｜DSML｜function_calls>", "deepseek_v32"),
    _detector("dsml_calls", r"<｜DSML｜ calls>", "deepseek_v41"),
    _detector("dsml_tool_calls", r"<｜DSML｜tool_calls>", "deepseek_v4"),
    _detector("gcml_tool_calls", r"<｜GCML｜tool_calls>", None, trouble=_NO_PARSER),
    _detector("minimax_elements", r"\]<\]minimax\[>\[<tool_call>", "minimax_m3"),
    _detector("minimax_invoke", r'<minimax:tool_call>\s*<invoke name="NAME">', "minimax_m2"),
    _detector("seed_xml", r"<seed:tool_call>\s*<function=NAME>", "seed_oss"),
    _detector("zyphra_xml", r"<zyphra_tool_call>", None, trouble=_NO_PARSER),
    _detector("step_xml", r"<function=NAME>\s*<parameter=KEY>.*<\|im_start\|>tool_response", "step3p5"),
    _detector(
        "compact_xml", r"<tool_call>\s*<function=NAME>\s*<parameter=KEY>VALUE</parameter>", "qwen3_coder"
    ),
    _detector("qwen_xml", r"<function=NAME>\s*<parameter=KEY>", "qwen3_coder"),
    _detector("functionary_tag", r"<function=NAME>\s*\{", None, trouble=_NO_PARSER),
    _detector("functionary_arrows", r">>>NAME\s*\{", None, trouble=_NO_PARSER),
    _detector("hunyuan_xml", r"<tool_calls[^<>]*>\s*<tool_call[^<>]*>\s*NAME\s*<tool_sep", "hy_v3"),
    _detector("hunyuan_xml_4", r"<tool_calls[^<>]*>\s*<tool_call[^<>]*>\s*NAME\s*<arg_key", "hy_v4"),
    _detector("hunyuan_fence", r"<tool_call>NAME\s*```json", None, trouble=_NO_PARSER),
    _detector("laguna_xml", r"<assistant>.*<tool_call>\s*NAME\s*<arg_key>", "poolside_v1"),
    _detector("glm_compact", r"<tool_call>NAME<arg_key>", "glm47"),
    _detector("glm_xml", r"<tool_call>\s*NAME\s*<arg_key>", "glm45"),
    _detector("iquest_xml", r"<iquest_tool_call>\s*NAME\s*<arg_key>", None, trouble=_NO_PARSER),
    _detector("longcat_xml", r"<longcat_tool_call>\s*NAME\s*<longcat_arg_key>", None, trouble=_NO_PARSER),
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
        "python_fence", r"<\|tool_call_start\|>\s*```python", None, trouble="vLLM's lfm2 reads no fenced code"
    ),
    _detector("lfm2_python", r"<\|tool_call_start\|>\[NAME\(", "lfm2", "<|tool_call_start|>"),
    _detector("olmo_python", r"<function_calls>\s*NAME\(", "olmo3"),
    _detector("granite_array", r'<\|tool_call\|>\s*\[\s*\{"name": "NAME"', "granite"),
    _detector("granite_object", r"<\|tool_call\|>", None, trouble=_NO_PARSER),
    _detector("granite_20b", r"<function_call>\s*\{", "granite-20b-fc"),
    _detector("internlm_plugin", r"<\|action_start\|>\s*<\|plugin\|>", "internlm"),
    _detector("cohere_action_4", r"<\|END_TEXT\|>.*<\|START_ACTION\|>\s*\[", "cohere_command4"),
    _detector("cohere_action", r"<\|START_ACTION\|>\s*\[", "cohere_command3"),
    _detector("command_r_action", r"Action:\s*```json", None, trouble=_NO_PARSER),
    _detector("gigachat", r"function call<\|role_sep\|>\s*\{|<\|function_call\|>\s*\{", "gigachat3"),
    _detector("minicpm_xml", r'<function name="NAME">\s*<param name="KEY">', "minicpm5"),
    _detector("step3_invoke", r'<steptml:invoke name="NAME">', "step3"),
    _detector("dots_invoke", r"<dots_function_call>", "dots"),
    _detector("k2_horizon", r"<ifm\|tool_calls>", "k2_horizon"),
    _detector("plamo", r"<\|plamo:begin_tool_request", "plamo3"),
    _detector("atem_invoke", r"<atem:invoke name=", "muse_glimmer"),
    _detector("solar_open", r"<\|tool_call:(?:begin|start)\|>", None, trouble=_NO_PARSER),
    _detector("call_start", r"<\|CALL_START\|>", None, trouble=_NO_PARSER),
    _detector("toolcall_array", r"<TOOLCALL>\s*\[", None, trouble=_NO_PARSER),
    _detector("tool_call_array", r"<tool_call>\s*\[", None, trouble=_NO_PARSER),
    _detector(
        "tool_calls_array",
        r"<tool_calls>\s*\[",
        None,
        trouble="vLLM's jamba and hunyuan_a13b break such calls when they stream",
    ),
    _detector("hermes_json", r'<tool_call>\s*\{[^{}]*"name":\s*"NAME"', "hermes"),
    _detector(
        "json_array", r'\[\s*\{"name": "NAME"', None, trouble="vLLM's xlam breaks such calls when it streams"
    ),
    _detector(
        "phi_functools",
        r"functools\[",
        None,
        trouble="vLLM's phi4_mini_json emits no call when it streams",
    ),
    _detector("llama_json", r'\{"name": "NAME",\s*"parameters":', "llama3_json", "<|python_tag|>"),
    _detector("python_list", r"\[NAME\(", "pythonic"),
)
# Marks of a format in a prompt whose template lists the tools but shows no call.
PROMPT_HINTS: Final[tuple[tuple[str, str], ...]] = (
    ("<|tool_list_start|>", "lfm2_python"),
    ("List of tools: [", "lfm2_python"),
    ("<|im_system|>tool_declare", "kimi_section"),
    ("[AVAILABLE_TOOLS]", "mistral"),
    ("<tool_call>", "hermes_json"),
    ("<|tool_call|>", "granite_array"),
)
# The same by a token of the vocabulary.
TOKEN_HINTS: Final[tuple[tuple[str, str], ...]] = (
    ("<|tool_calls_section_begin|>", "kimi_section"),
    ("<|tool_call_start|>", "lfm2_python"),
    ("<|tool_call|>", "granite_array"),
    ("[TOOL_CALLS]", "mistral"),
    ("<tool_call>", "hermes_json"),
)

# (shape, words in the model's name or type, parser): twins whose templates look alike.
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
# Tags that only one reasoning parser reads.
REASONING_PARSER_BY_TAG: Final[dict[str, str]] = {
    "<seed:think>": "seed_oss",
    "<mm:think>": "minimax_m3",
    "[THINK]": "mistral",
    "<|channel>thought": "gemma4",
    "<|channel|>analysis<|message|>": HARMONY_REASONING_PARSER,
    "to=self<|message|>": "muse_glimmer",
}
# Tool parsers whose family has its own reader of <think>.
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
# <think> on any other model: by who opens the thought and how it is switched.
# Words in a model's name that tell a thinker from its twin, where the template fits both.
REASONING_MODEL_NAME: Final = re.compile(r"think|(?<!no)reason|qwq|\br1\b|\bz1\b|\bring\b|\b0528\b")
INSTRUCT_MODEL_NAME: Final = re.compile(r"instruct|\binst\b|\bchat\b")
# Models that only answer, though their template has the switch of a thinking sibling.
INSTRUCT_NAME_DESPITE_SWITCH: Final = re.compile(r"qwen3-omni\S*instruct")
FORMATS_SHARED_WITH_INSTRUCT_MODELS: Final = ("lfm2_python",)  # one template for thinkers and answerers alike
THINK_TAG_PARSERS: Final = ("qwen3", "deepseek_v3", "deepseek_r1", "holo2", "olmo3")

# What vLLM renders itself, without a template: tool parser, reasoning parser.
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
    {shape.tool_parser for shape in DETECTORS if shape.tool_parser}
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
DETECTORS_BY_NAME: Final = {shape.name: shape for shape in DETECTORS}


def detect_format(segment: str) -> str | None:
    """Name the markup of a rendered call; "unknown" if it has none we know."""
    return next((shape.name for shape in DETECTORS if shape.pattern.search(segment)), "unknown")


def format_hinted_by_prompt(prompt: str) -> str | None:
    """Name the markup that a prompt asks for when it lists tools without showing a call."""
    return next((name for mark, name in PROMPT_HINTS if mark in prompt), None)


def format_by_token(vocabulary: Container[str]) -> str | None:
    """Name the markup that a tokenizer has tokens for."""
    return next((name for token, name in TOKEN_HINTS if token in vocabulary), None)


def overriding_parser(twins: tuple[tuple[str, str, str], ...], shape: str | None, words: str) -> str | None:
    """Return the parser of the twin whose name these words carry."""
    for of_shape, pattern, parser in twins:
        if of_shape == shape and re.search(pattern, words.lower()):
            return parser
    return None
