"""The protocol as the installed Anthropic SDK defines it, read from the SDK's types and source.

`minimal` makes the smallest value that a type of the SDK allows.
"""

import ast
import inspect
import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated, Any, Literal, get_args, get_origin

import typing_extensions as te
from anthropic import resources, types
from anthropic.types import beta, message_count_tokens_params, message_create_params, shared
from anthropic.types.beta import message_count_tokens_params as beta_count_tokens_params
from anthropic.types.beta import message_create_params as beta_create_params
from pydantic import BaseModel

MARK = "marker"
"""Every free string of a minimal value, so that it can be found again."""

BLOCKS_IN = (types.ContentBlockParam, beta.BetaContentBlockParam)
BLOCKS_OUT = (types.ContentBlock, beta.BetaContentBlock)
TOOLS = (types.ToolUnionParam, beta.BetaToolUnionParam)
CREATE = (
    message_create_params.MessageCreateParamsNonStreaming,
    message_create_params.MessageCreateParamsStreaming,
    beta_create_params.MessageCreateParamsNonStreaming,
    beta_create_params.MessageCreateParamsStreaming,
)
COUNT = (
    message_count_tokens_params.MessageCountTokensParams,
    beta_count_tokens_params.MessageCountTokensParams,
)


# Reading types.


def members(shape: Any) -> list[Any]:
    """The leaf types of a type: the members of its unions, lists and annotations."""
    if get_origin(shape) is Literal:
        return [shape]
    if get_origin(shape) in (Annotated, te.Required, te.NotRequired):
        return members(get_args(shape)[0])
    if get_args(shape):
        return [leaf for part in get_args(shape) for leaf in members(part)]
    return [shape]


def models(*shapes: Any) -> list[Any]:
    """The classes with fields among the leaves of types, each once."""
    leaves = [leaf for shape in shapes for leaf in members(shape) if _has_fields(leaf)]
    return list(dict.fromkeys(leaves))


def _has_fields(leaf: Any) -> bool:
    return te.is_typeddict(leaf) or (inspect.isclass(leaf) and issubclass(leaf, BaseModel))


def fields(model: Any) -> dict[str, Any]:
    """A class's fields and their types."""
    if te.is_typeddict(model):
        return te.get_type_hints(model, include_extras=True)
    return {name: info.annotation for name, info in model.model_fields.items()}


def required(model: Any) -> set[str]:
    if te.is_typeddict(model):
        return {name for name, shape in fields(model).items() if get_origin(shape) is te.Required}
    return {name for name, info in model.model_fields.items() if info.is_required()}


def literals(shape: Any) -> set[str]:
    """The strings that a type names."""
    return {str(value) for leaf in members(shape) if get_origin(leaf) is Literal for value in get_args(leaf)}


def types_of(model: Any) -> set[str]:
    """The values of a class's discriminator `type`."""
    return literals(fields(model)["type"])


def params(*shapes: Any) -> list[Any]:
    """The request classes among the leaves of types. (The beta API also accepts reply classes.)"""
    return [model for model in models(*shapes) if te.is_typeddict(model)]


def tagged(found_in: Iterable[Any]) -> dict[str, Any]:
    """Classes by the values of their `type`; of two, the first."""
    found: dict[str, Any] = {}
    for model in found_in:
        for name in types_of(model):
            found.setdefault(name, model)
    return found


def optional_fields(found_in: Iterable[Any]) -> dict[str, set[str]]:
    """The optional fields of classes, by the values of their `type`."""
    found: dict[str, set[str]] = {}
    for model in found_in:
        for name in types_of(model):
            found.setdefault(name, set()).update(set(fields(model)) - required(model) - {"type"})
    return found


def minimal(shape: Any) -> Any:
    """The smallest value of a type, with `MARK` for every free string."""
    origin, arguments = get_origin(shape), get_args(shape)
    if origin is Literal:
        return arguments[0]
    if te.is_typeddict(shape):
        return {name: minimal(fields(shape)[name]) for name in sorted(required(shape))}
    if origin is dict or shape is object:
        return {MARK: MARK}
    if origin is list or getattr(origin, "__name__", "") in ("Iterable", "Sequence", "SequenceNotStr"):
        return [minimal(arguments[0])]
    if arguments:
        return minimal(next(part for part in arguments if part is not type(None)))
    return {str: MARK, int: 1, float: 1.0, bool: True}.get(shape, MARK)


# What a request may hold.


def blocks_in() -> dict[str, Any]:
    """Content blocks, with those that stand only in tool results, by their type."""
    results = [model for model in params(*BLOCKS_IN) if "tool_result" in types_of(model)]
    return tagged(params(*BLOCKS_IN, *(fields(model)["content"] for model in results)))


def block_fields() -> dict[str, set[str]]:
    return optional_fields(params(*BLOCKS_IN))


def sources() -> dict[str, Any]:
    """The sources of images and documents, as `image.base64`."""
    found: dict[str, Any] = {}
    for kind in ("image", "document"):
        blocks = [model for model in params(*BLOCKS_IN) if types_of(model) == {kind}]
        inner = tagged(params(*(fields(block)["source"] for block in blocks)))
        found |= {f"{kind}.{name}": model for name, model in inner.items()}
    return found


def tool_types() -> dict[str, Any]:
    return tagged(params(*TOOLS))


def tool_fields() -> set[str]:
    """The fields of a custom tool."""
    custom = [model for model in params(*TOOLS) if "custom" in types_of(model)]
    return {name for model in custom for name in fields(model)} - {"type"}


def tool_choices() -> dict[str, Any]:
    return tagged(params(types.ToolChoiceParam, beta.BetaToolChoiceParam))


def thinking_types() -> dict[str, Any]:
    return tagged(params(types.ThinkingConfigParam, beta.BetaThinkingConfigParam))


OPENED = ("messages", "thinking", "output_config", "container")
"""The request fields whose inner fields are listed separately."""


def request_fields() -> dict[str, Any]:
    """The fields of a request with their types, and those inside as `output_config.format`."""
    found: dict[str, Any] = {}
    for body in (*CREATE, *COUNT):
        for name, shape in fields(body).items():
            found.setdefault(name, shape)
            for model in params(shape) if name in OPENED else ():
                inner = {f"{name}.{key}": value for key, value in fields(model).items() if key != "type"}
                found = inner | found
    return found


def context_edits() -> dict[str, Any]:
    return tagged(params(fields(beta.BetaContextManagementConfigParam)["edits"]))


def beta_headers() -> set[str]:
    return literals(types.AnthropicBetaParam)


# What a reply may hold.


def blocks_out() -> dict[str, Any]:
    return tagged(models(*BLOCKS_OUT))


def block_fields_out() -> dict[str, set[str]]:
    return optional_fields(models(*BLOCKS_OUT))


def stream_events() -> set[str]:
    return set(tagged(models(types.RawMessageStreamEvent, beta.BetaRawMessageStreamEvent)))


DELTAS = (types.RawContentBlockDelta, beta.BetaRawContentBlockDelta)


def deltas() -> set[str]:
    return set(tagged(models(*DELTAS)))


def delta_fields() -> dict[str, set[str]]:
    return optional_fields(models(*DELTAS))


def stop_reasons() -> set[str]:
    return literals(types.StopReason) | literals(beta.BetaStopReason)


def response_fields() -> set[str]:
    """The fields of a message, and those that come at the end of the stream."""
    ends = (types.RawMessageDeltaEvent, beta.BetaRawMessageDeltaEvent)
    inside = {name for model in ends for name in fields(model)} - {"delta"}
    return inside.union(fields(types.Message), fields(beta.BetaMessage))


def usage_fields() -> set[str]:
    ends = (types.MessageDeltaUsage, beta.BetaMessageDeltaUsage)
    return {name for model in (types.Usage, beta.BetaUsage, *ends) for name in fields(model)}


def count_tokens_fields() -> set[str]:
    return set(fields(types.MessageTokensCount)) | set(fields(beta.BetaMessageTokensCount))


def error_types() -> set[str]:
    """The error types that are listed, and those that have a class."""
    named = literals(shared.ErrorType)
    return named | set(tagged(models(shared.ErrorObject, types.BetaError)))


# The API's paths.

_METHODS = {
    "_get": "GET", "_get_api_list": "GET", "_post": "POST", "_put": "PUT", "_patch": "PATCH",
    "_delete": "DELETE",
}  # fmt: skip


def endpoints() -> set[str]:
    """The endpoints that the SDK calls, as `GET /v1/models/{model_id}`, read off its source."""
    found: set[str] = set()
    for module in pkgutil.walk_packages(resources.__path__, resources.__name__ + "."):
        for node in ast.walk(ast.parse(inspect.getsource(import_module(module.name)))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                method = _METHODS.get(node.func.attr)
                found |= {f"{method} {path}" for path in _paths(node)} if method else set()
    return found


def _paths(call: ast.Call) -> set[str]:
    """The paths that one call of the SDK names; where a path is built at run time, telemetry names it."""
    strings = {
        leaf.value
        for part in (*call.args[:1], *call.keywords)
        for leaf in ast.walk(part)
        if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str) and leaf.value.startswith("/v1/")
    }
    return {path.partition("?")[0] for path in strings}
