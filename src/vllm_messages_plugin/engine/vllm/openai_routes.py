"""The names of vLLM that parsers for its OpenAI routes use: base classes, registries and reply types.

Kept apart from `compat`, because only a server that is started with one of these parsers needs them.
"""

from typing import Any

from vllm_messages_plugin.engine.vllm.lookup import optional, require


def _reply_type(name: str) -> Any:
    modules = ("vllm.entrypoints.generate.base.protocol", "vllm.entrypoints.openai.engine.protocol")
    return require(*(f"{module}:{name}" for module in modules))


ToolParser = require("vllm.tool_parsers:ToolParser")
ToolParserManager = require("vllm.tool_parsers:ToolParserManager")
ReasoningParser = require("vllm.reasoning:ReasoningParser")
DeltaFunctionCall = _reply_type("DeltaFunctionCall")
DeltaMessage = _reply_type("DeltaMessage")
DeltaToolCall = _reply_type("DeltaToolCall")
ExtractedToolCallInformation = _reply_type("ExtractedToolCallInformation")
FunctionCall = _reply_type("FunctionCall")
ToolCall = _reply_type("ToolCall")
make_tool_call_id = require(
    "vllm.renderers.chat_utils:make_tool_call_id", "vllm.entrypoints.chat_utils:make_tool_call_id"
)
count_history_tool_calls = optional("vllm.parser.utils:count_history_tool_calls")
get_function_tools = optional("vllm.tool_parsers.utils:get_function_tools")


def structural_tags() -> frozenset[str]:
    """Return the names of the tool-call grammars that this vLLM can build."""
    registry = "vllm.tool_parsers.structural_tag_registry"
    models = optional(f"{registry}:SUPPORTED_STRUCTURAL_TAG_MODELS")
    more = optional(f"{registry}:_VLLM_STRUCTURAL_TAG_REGISTRY")
    return frozenset() if models is None or more is None else frozenset({*models, *more})
