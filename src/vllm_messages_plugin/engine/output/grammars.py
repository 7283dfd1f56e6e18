"""Grammars that bind a reply: which schemas they can express, and how they let the model think first.

Used by `generate` and `backend`. A call that is demanded is held to its tool's schema where a grammar can
do so; where it can't, the call's form is enforced and its arguments are the model's best effort, said once
in the log.
"""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

from vllm_messages_plugin.engine.vllm.compat import MissingFeatureError, pick, pick_if_there
from vllm_messages_plugin.formats.probing.template_probe import ThinkingProfile
from vllm_messages_plugin.translate.chat_message import Function
from vllm_messages_plugin.translate.tools.schema_cycles import has_unsatisfiable_cycle
from vllm_messages_plugin.translate.tools.tool_choice import ToolChoice

log = logging.getLogger("vllm.messages")


def bound_tools(functions: Sequence[Function], choice: ToolChoice) -> list[dict[str, Any]]:
    """The tools as the parser gets them, `strict` where arguments are to be held to their schema."""
    return [_bound(function, choice.forced) for function in functions]


def _bound(function: Function, forced: bool) -> dict[str, Any]:
    inner: Mapping[str, Any] = function["function"]
    asked = inner.get("strict")
    if not (forced or asked):
        return dict(function)
    strict = _expressible(json.dumps(inner.get("parameters"), sort_keys=True))
    if asked and not strict:
        _warn_once(str(inner["name"]))
    return {**function, "function": {**inner, "strict": strict}}


def after_thinking(constraint: Any, thinking: ThinkingProfile, special: Collection[str]) -> Any:
    """The constraint of a reply, to hold once the thinking is over.

    vLLM's engine waits for the end of the reasoning only where it was started with --reasoning-parser.
    `special` are the special tokens, which a grammar must name as tokens; a tag may begin with one.

    Raises:
        MissingFeatureError: this vLLM or its xgrammar lacks what it takes.
    """
    formats = import_module("xgrammar.structural_tag")
    to_format = pick_if_there("vllm.parser.abstract_parser:structured_outputs_to_format") or _format_of
    params = pick("vllm.sampling_params:StructuredOutputsParams")

    def tag(text: str | None) -> Any:
        token = next((token for token in special if text and text.startswith(token)), None)
        return formats.TokenFormat(token=token) if token else text or ""

    bound = to_format(constraint)
    if bound is None:
        return constraint
    opening = "" if thinking.prompt_opens else tag(thinking.open_tag)
    thought = formats.TagFormat(begin=opening, content=formats.AnyTextFormat(), end=tag(thinking.close_tag))
    gap = formats.RegexFormat(pattern=BLANK_LINES)
    thoughtful = formats.SequenceFormat(elements=[thought, gap, bound])
    whole = thoughtful if thinking.prompt_opens else formats.OrFormat(elements=[thoughtful, bound])
    structural = formats.StructuralTag(format=whole)
    return params(structural_tag=json.dumps(structural.model_dump()))


def _format_of(constraint: Any) -> Any:
    """A StructuredOutputsParams as xgrammar's format, where vLLM has no function for it (before 0.31)."""
    formats = import_module("xgrammar.structural_tag")
    if constraint.json_object:
        return formats.JSONSchemaFormat(json_schema={"type": "object"})
    if constraint.json is not None:
        schema = constraint.json
        return formats.JSONSchemaFormat(json_schema=json.loads(schema) if isinstance(schema, str) else schema)
    if constraint.structural_tag is None:
        raise MissingFeatureError("this vLLM can't hold such a grammar back until the thinking is over")
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


@lru_cache(maxsize=512)
def _expressible(schema: str) -> bool:
    try:
        unsupported = pick(
            "vllm.v1.structured_output.backend_xgrammar:has_xgrammar_unsupported_json_features",
            "vllm.v1.structured_output.utils:has_xgrammar_unsupported_json_features",
        )
        grammar = pick("xgrammar:Grammar")
    except MissingFeatureError:
        return False
    check_nesting = pick_if_there("vllm.sampling_params:check_json_nesting")
    try:
        if unsupported(json.loads(schema)) or has_unsatisfiable_cycle(json.loads(schema)):
            return False
        if check_nesting is not None:
            check_nesting(schema)
        grammar.from_json_schema(schema)
    except Exception as error:  # noqa: BLE001 - the compiler raises what it likes; the answer is no
        log.debug("No grammar for a tool's schema: %s", error)
        return False
    return True


@lru_cache(maxsize=512)
def _warn_once(name: str) -> None:
    log.warning("The schema of tool %s can't be expressed as a grammar: strict is a best effort for it", name)
