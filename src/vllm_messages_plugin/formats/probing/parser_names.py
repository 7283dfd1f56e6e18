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
        "minimax": "tool_calls_array",
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
