"""The names of vLLM that the Messages routes use.

A name that a reply can't be made without is required: `MissingFeatureError` is raised at import, and the
plugin leaves vLLM's own routes in place and logs why. An optional name is None where the version lacks it.
"""

from typing import Any

from vllm import envs as envs

from vllm_messages_plugin.engine.vllm.lookup import optional, require

ChatCompletionRequest = require("vllm.entrypoints.openai.chat_completion.protocol:ChatCompletionRequest")
ChatParams = require("vllm.renderers.params:ChatParams", "vllm.renderers:ChatParams")
TokenizeParams = require("vllm.renderers.params:TokenizeParams", "vllm.renderers:TokenizeParams")
ParserManager = require("vllm.parser:ParserManager")
ReasoningParserManager = require("vllm.reasoning:ReasoningParserManager")
RequestOutputKind = require("vllm.sampling_params:RequestOutputKind")
contains_trace_headers = require("vllm.tracing:contains_trace_headers")
extract_trace_headers = require("vllm.tracing:extract_trace_headers")
is_mistral_tokenizer = require(
    "vllm.utils.mistral:is_mistral_tokenizer", "vllm.tokenizers.mistral:is_mistral_tokenizer"
)
extract_prompt_components = require(
    "vllm.renderers.inputs.preprocess:extract_prompt_components",
    "vllm.entrypoints.openai.engine.serving:extract_prompt_components",
)

# The outputs of a request.
AsyncLLM = optional("vllm.v1.engine.async_llm:AsyncLLM")
RequestOutputCollector = optional("vllm.v1.engine.output_processor:RequestOutputCollector")
EngineGenerateError = optional("vllm.v1.engine.exceptions:EngineGenerateError") or RuntimeError
REQUEST_ERRORS: tuple[type[Exception], ...] = tuple(
    filter(
        None,
        (
            optional("vllm.v1.engine.exceptions:EngineDeadError"),
            optional("vllm.exceptions:VLLMClientError"),
            optional("vllm.exceptions:GracefulHTTPError"),
        ),
    )
)
"""What vLLM's `generate` passes on as it is; every other error becomes an `EngineGenerateError`."""

# Mistral's tokenizer accepts tool-call ids of nine characters only; this shortens them.

# Grammars.
ToolStrictLevel = optional("vllm.tool_parsers.tool_strict_level:ToolStrictLevel")  # 0.31 and later
StructuredOutputsParams = optional("vllm.sampling_params:StructuredOutputsParams")
structured_outputs_to_format = optional("vllm.parser.abstract_parser:structured_outputs_to_format")
check_json_nesting = optional("vllm.sampling_params:check_json_nesting")
has_unsupported_json_features = optional(
    "vllm.v1.structured_output.backend_xgrammar:has_xgrammar_unsupported_json_features",
    "vllm.v1.structured_output.utils:has_xgrammar_unsupported_json_features",
)


def reasoning_ended(request: Any, parser: Any, prompt_ids: list[int]) -> bool | None:
    """Return whether the engine's grammar applies from the first token; None lets the engine find out.

    Versions before 0.32 decide this in their chat route and not in the request.
    """
    resolve = getattr(request, "resolve_reasoning_ended", None)
    if resolve is not None:
        ended: bool | None = resolve(parser, prompt_ids)
        return ended
    if not request.include_reasoning or getattr(request, "_grammar_from_parser", False):
        return True
    return None if parser.reasoning_parser is None else bool(parser.is_reasoning_end(prompt_ids))
