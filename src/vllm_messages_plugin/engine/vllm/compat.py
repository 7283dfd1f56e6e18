"""vLLM's names, wherever the installed version keeps them, and its exceptions in our words.

Used by the rest of this room. Features are looked up, versions never compared; what is missing raises
`MissingFeatureError`, upon which `plugin` leaves vLLM's own routes in place and says why.
"""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from vllm_messages_plugin.wire.errors import ErrorKind, MessagesError, from_validation


class MissingFeatureError(RuntimeError):
    """The installed vLLM has no such name where we know to look."""


def pick(*candidates: str) -> Any:
    """The first of several `module:name` that exists."""
    for candidate in candidates:
        module, _, name = candidate.partition(":")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise MissingFeatureError(f"this vLLM has none of: {', '.join(candidates)}")


def pick_if_there(*candidates: str) -> Any:
    """As `pick`; None where the installed version has none of them."""
    try:
        return pick(*candidates)
    except MissingFeatureError:
        return None


def of_protocol(name: str) -> Any:
    """A class of what vLLM's own routes answer with; asked for by name, as only our parsers there need it."""
    places = ("vllm.entrypoints.generate.base.protocol", "vllm.entrypoints.openai.engine.protocol")
    return pick(*(f"{place}:{name}" for place in places))


def accepted(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `values` that `function` takes as keywords."""
    parameters = inspect.signature(function).parameters
    return {name: value for name, value in values.items() if name in parameters}


ChatCompletionRequest = pick("vllm.entrypoints.openai.chat_completion.protocol:ChatCompletionRequest")
ChatParams = pick("vllm.renderers.params:ChatParams", "vllm.renderers:ChatParams")
TokenizeParams = pick("vllm.renderers.params:TokenizeParams", "vllm.renderers:TokenizeParams")
ParserManager = pick("vllm.parser:ParserManager")
ReasoningParserManager = pick("vllm.reasoning:ReasoningParserManager")
RequestOutputKind = pick("vllm.sampling_params:RequestOutputKind")
EngineDeadError = pick("vllm.v1.engine.exceptions:EngineDeadError")
is_mistral_tokenizer = pick(
    "vllm.utils.mistral:is_mistral_tokenizer", "vllm.tokenizers.mistral:is_mistral_tokenizer"
)
extract_prompt_components = pick(
    "vllm.renderers.inputs.preprocess:extract_prompt_components",
    "vllm.entrypoints.openai.engine.serving:extract_prompt_components",
)
ToolStrictLevel = pick_if_there("vllm.tool_parsers.tool_strict_level:ToolStrictLevel")  # 0.31 and later
contains_trace_headers = pick("vllm.tracing:contains_trace_headers")
extract_trace_headers = pick("vllm.tracing:extract_trace_headers")


def reasoning_ended(request: Any, parser: Any, prompt_ids: list[int]) -> bool | None:
    """Whether the engine's grammar binds from the first token on; None lets the engine look.

    Versions before 0.32 decide this in their chat route and not in the request.
    """
    resolve = getattr(request, "resolve_reasoning_ended", None)
    if resolve is not None:
        ended: bool | None = resolve(parser, prompt_ids)
        return ended
    if not request.include_reasoning or getattr(request, "_grammar_from_parser", False):
        return True
    return None if parser.reasoning_parser is None else bool(parser.is_reasoning_end(prompt_ids))


ENGINE_DEAD = "The inference engine has stopped; the server must be restarted."

# vLLM's exception classes by name, so that one that a version lacks does no harm. First match wins.
_KINDS: tuple[tuple[str, ErrorKind], ...] = (
    ("EngineDeadError", "api_error"),
    ("QueueOverflowError", "overloaded_error"),
    ("MaxQueuedTokensError", "overloaded_error"),
    ("RetryableRequestError", "overloaded_error"),
    ("VLLMNotFoundError", "not_found_error"),
    ("VLLMClientError", "invalid_request_error"),
    ("VLLMServerError", "api_error"),
    ("TemplateError", "invalid_request_error"),
    ("ValueError", "invalid_request_error"),
    ("TypeError", "invalid_request_error"),
    ("OverflowError", "invalid_request_error"),
)

RETRY_AFTER = 2  # seconds, told to clients of an overloaded server


def to_messages_error(error: Exception) -> MessagesError:
    """Any exception of vLLM's as one the client can be told of. Details of a 5xx stay in the log."""
    if isinstance(error, MessagesError):
        return error
    if isinstance(error, ValidationError) and error.errors()[0]["loc"]:
        return from_validation(error)
    classes = {cls.__name__ for cls in type(error).__mro__}
    kind: ErrorKind = next((kind for name, kind in _KINDS if name in classes), "api_error")
    if "EngineDeadError" in classes:
        return MessagesError(kind, ENGINE_DEAD)
    if kind == "api_error":
        return MessagesError(kind, "Internal server error")
    retry_after = RETRY_AFTER if kind == "overloaded_error" else None
    field = getattr(error, "parameter", None)
    if isinstance(field, str) and error.args:  # its str() adds field and value at the end
        return MessagesError(kind, str(error.args[0]), param=field, retry_after=retry_after)
    return MessagesError(kind, str(error) or type(error).__name__, retry_after=retry_after)
