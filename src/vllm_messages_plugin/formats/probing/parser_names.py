"""The names of this plugin's parsers for vLLM's own routes: `--tool-call-parser`, `--reasoning-parser`.

Data only. Each name is registered with vLLM unless vLLM has a parser of that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

AUTO: Final = "messages_auto"
"""The parser that follows the chat template."""
OWN_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "messages_xml": "qwen_xml",
        "messages_json": "hermes_json",
        "messages_pythonic": "python_list",
    }
)
"""Names made up by this plugin, and the tool-call format that each tries first."""
ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "apertus2509": "apertus_keys",
        "deepseekv3": "deepseek_fence",
        "deepseekv31": "deepseek_json",
        "deepseekv32": "dsml_function_calls",
        "deepseekv4": "dsml_tool_calls",
        "deepseekv41": "dsml_calls",
        "gigachat35": "gcml_tool_calls",
        "glm": "glm_xml",
        "hunyuan": "hunyuan_xml",
        "interns1": "internlm_plugin",
        "iquest_q1": "iquest_xml",
        "llama3": "llama_json",
        "llama_nemotron_json": "toolcall_array",
        "minimax": "tool_calls_lines",
        "minimax-m2": "minimax_invoke",
        "nanbeige": "qwen_xml",
        "nemotron_json": "toolcall_array",
        "qwen": "hermes_json",
        "qwen25": "hermes_json",
        "solar_open2": "solar_open",
        "spark25": "glm_xml",
        "trinity": "hermes_json",
    }
)
"""Names that other engines, or plugin files shipped with models, use; and the tool-call format of each."""
TOOL_PARSER_FORMATS: Final[Mapping[str, str]] = MappingProxyType({**OWN_NAMES, **ALIASES})
REASONING_ALIASES: Final = (
    "deepseek-r1",
    "deepseek-v3",
    "gigachat35",
    "interns1",
    "iquest_q1",
    "kimi",
    "longcat",
    "minimax",
    "nanbeige",
    "nemotron_3",
    "qwen3-thinking",
)
"""Names that other engines use. The template decides which tags are read, so all names mean the same."""
VLLM_PARSER_FORMATS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "apertus": ("apertus_keys",),
        "cohere_command3": ("cohere_action",),
        "cohere_command4": ("cohere_action_4",),
        "deepseek_v3": ("deepseek_fence",),
        "deepseek_v31": ("deepseek_json",),
        "deepseek_v32": ("dsml_function_calls",),
        "deepseek_v4": ("dsml_tool_calls",),
        "deepseek_v41": ("dsml_calls",),
        "dots": ("dots_invoke",),
        "ernie45": ("hermes_json",),
        "functiongemma": ("functiongemma_call",),
        "gemma4": ("gemma_call",),
        "gigachat3": ("gigachat",),
        "glm45": ("glm_xml", "glm_compact", "laguna_xml"),
        "glm47": ("glm_compact", "glm_xml", "laguna_xml"),
        "granite": ("granite_array",),
        "granite-20b-fc": ("granite_20b",),
        "granite4": ("hermes_json",),
        "hermes": ("hermes_json",),
        "hy_v3": ("hunyuan_xml",),
        "hy_v4": ("hunyuan_xml_4",),
        "internlm": ("internlm_plugin",),
        "jamba": ("tool_calls_array",),
        "kimi_k2": ("kimi_section",),
        "lfm2": ("lfm2_python",),
        "ling3": ("glm_compact", "glm_xml"),
        "llama3_json": ("llama_json",),
        "llama4_json": ("llama_json",),
        "llama4_pythonic": ("python_list",),
        "longcat": ("longcat_json",),
        "mimo": ("compact_xml", "qwen_xml", "step_xml"),
        "minicpm5": ("minicpm_xml",),
        "minimax_m2": ("minimax_invoke",),
        "mistral": ("mistral",),
        "olmo3": ("olmo_python",),
        "phi4_mini_json": ("phi_functools",),
        "poolside_v1": ("laguna_xml", "glm_xml", "glm_compact"),
        "pythonic": ("python_list",),
        "qwen3_coder": ("qwen_xml", "compact_xml", "step_xml"),
        "qwen3_json": ("hermes_json",),
        "qwen3_xml": ("qwen_xml", "compact_xml", "step_xml"),
        "seed_oss": ("seed_xml",),
        "step3": ("step3_invoke",),
        "step3p5": ("step_xml", "qwen_xml", "compact_xml"),
        "xlam": ("json_array",),
    }
)
"""vLLM's tool parsers, and the tool-call formats that each reads: its own first, then near relatives."""
