"""Builds the grammars that constrain a reply.

A demanded call is constrained to its tool's schema, as far as a grammar can express that schema; see
`grammar_schema`. What `strict` asked for and no grammar can express is logged once per tool.
"""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

from vllm_messages_plugin.engine.output.grammar_schema import ReducedSchema, reduce_schema
from vllm_messages_plugin.engine.vllm import compat
from vllm_messages_plugin.engine.vllm.lookup import MissingFeatureError
from vllm_messages_plugin.translate.chat_message import Function
from vllm_messages_plugin.translate.tools.schema_cycles import has_unsatisfiable_cycle
from vllm_messages_plugin.translate.tools.tool_choice import ToolChoice

log = logging.getLogger("vllm.messages")


def strict_tools(functions: Sequence[Function], choice: ToolChoice) -> list[dict[str, Any]]:
    """Return the tools for vLLM's parser.

    A tool that must be called, or whose schema was asked to be `strict`, gets `strict` and the part of its
    schema that a grammar can express.
    """
    return [_with_strict(function, choice.forced) for function in functions]


def _with_strict(function: Function, forced: bool) -> dict[str, Any]:
    inner: Mapping[str, Any] = function["function"]
    requested = inner.get("strict")
    if not (forced or requested):
        return dict(function)
    reduced = _reduced(json.dumps(inner.get("parameters")))
    if reduced is None:
        _warn_best_effort(str(inner["name"]), "its schema")
        return {**function, "function": {**inner, "strict": False}}
    if requested and reduced.dropped:
        _warn_best_effort(str(inner["name"]), ", ".join(reduced.dropped))
    return {**function, "function": {**inner, "parameters": reduced.schema, "strict": True}}


@lru_cache(maxsize=512)
def _reduced(parameters: str) -> ReducedSchema | None:
    """The part of a schema that xgrammar can express; None where there is no grammar at all."""
    if compat.has_unsupported_json_features is None or not has_grammar({"type": "object"}):
        return None
    return reduce_schema(json.loads(parameters), has_grammar)


@lru_cache(maxsize=512)
def has_cached_grammar(schema: str) -> bool:
    """Return what `has_grammar` returns for a schema, given as JSON text."""
    return compat.has_unsupported_json_features is not None and has_grammar(json.loads(schema))


def after_thinking(
    constraint: Any, tags: tuple[str, str], starts_open: bool, special_tokens: Collection[str]
) -> Any:
    """Return a constraint that applies once the thinking has ended.

    vLLM's engine waits for the end of the reasoning only if it was started with --reasoning-parser;
    this constraint allows the thinking itself.

    Args:
        constraint: vLLM's StructuredOutputsParams.
        tags: the tags around thinking.
        starts_open: whether the prompt has opened the thinking; if not, the reply may go without.
        special_tokens: those of the tokenizer. A grammar must name them as tokens; a tag may begin with one.

    Raises:
        MissingFeatureError: this vLLM or its xgrammar can't express it.
    """
    formats = import_module("xgrammar.structural_tag")
    to_format = compat.structured_outputs_to_format or _to_format
    if compat.StructuredOutputsParams is None:
        raise MissingFeatureError("this vLLM has no StructuredOutputsParams")

    def tag(text: str) -> Any:
        token = next((token for token in special_tokens if text.startswith(token)), None)
        return formats.TokenFormat(token=token) if token else text

    constrained = to_format(constraint)
    if constrained is None:
        return constraint
    opening = "" if starts_open else tag(tags[0])
    thoughts = formats.TagFormat(begin=opening, content=formats.AnyTextFormat(), end=tag(tags[1]))
    gap = formats.RegexFormat(pattern=BLANK_LINES)
    with_thinking = formats.SequenceFormat(elements=[thoughts, gap, constrained])
    either = with_thinking if starts_open else formats.OrFormat(elements=[with_thinking, constrained])
    structural_tag = formats.StructuralTag(format=either)
    return compat.StructuredOutputsParams(structural_tag=json.dumps(structural_tag.model_dump()))


def _to_format(constraint: Any) -> Any:
    """Convert StructuredOutputsParams to xgrammar's format, for vLLM before 0.31, which can't."""
    formats = import_module("xgrammar.structural_tag")
    if constraint.json_object:
        return formats.JSONSchemaFormat(json_schema={"type": "object"})
    if constraint.json is not None:
        schema = constraint.json
        return formats.JSONSchemaFormat(json_schema=json.loads(schema) if isinstance(schema, str) else schema)
    if constraint.structural_tag is None:
        raise MissingFeatureError("this vLLM can't delay such a grammar until the thinking has ended")
    tags = json.loads(constraint.structural_tag)
    if "structures" not in tags:
        return formats.StructuralTag.model_validate(tags).format
    calls = [
        formats.TagFormat(
            begin=each["begin"],
            content=formats.JSONSchemaFormat(json_schema=each["schema"]),
            end=each["end"],
        )
        for each in tags["structures"]
    ]
    return formats.TriggeredTagsFormat(triggers=tags["triggers"], tags=calls)


BLANK_LINES = "[\\n]{0,3}"
"""What templates write between the end of the thinking and the answer."""


def has_grammar(schema: Mapping[str, Any]) -> bool:
    """Return whether vLLM and xgrammar can express a JSON schema."""
    try:
        if compat.has_unsupported_json_features(schema) or has_unsatisfiable_cycle(schema):
            return False
        text = json.dumps(schema)
        if compat.check_json_nesting is not None:
            compat.check_json_nesting(text)
        import_module("xgrammar").Grammar.from_json_schema(text)
    except Exception as error:  # noqa: BLE001 - the compiler raises errors of any type for a bad schema
        log.debug("No grammar for a schema: %s", error)
        return False
    return True


@lru_cache(maxsize=512)
def _warn_best_effort(name: str, what: str) -> None:
    log.warning("Tool %s: no grammar can express %s, so strict is a best effort there", name, what)
