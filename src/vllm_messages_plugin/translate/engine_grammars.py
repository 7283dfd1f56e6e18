"""Limits on the grammars that a request gives vLLM's engine in its own fields, beyond Anthropic's API.

They are those of the schemas of `output_config`: the same compiler reads them, for everybody.
"""

import json
from collections.abc import Mapping
from typing import Any

from vllm_messages_plugin.translate.tools.schema_limits import (
    MAX_PATTERN_CHARACTERS,
    MAX_PATTERN_LENGTH,
    MAX_VALUES,
    check_schema,
    pattern_length,
)
from vllm_messages_plugin.wire.errors import invalid


def check_engine_grammars(extra: Mapping[str, Any]) -> None:
    """Refuse grammars that would take the engine seconds to compile.

    A value of a wrong kind is left to vLLM, which refuses it.

    Args:
        extra: The request's fields beyond Anthropic's.

    Raises:
        MessagesError: 400, begins with the path of the grammar.
    """
    constraint = extra.get("structured_outputs")
    if isinstance(constraint, Mapping):
        _check_schema(constraint.get("json"), "structured_outputs.json")
        _check_pattern(constraint.get("regex"), "structured_outputs.regex")
        choices = constraint.get("choice")
        if isinstance(choices, list) and len(choices) > MAX_VALUES:
            raise invalid(f"lists more than {MAX_VALUES} values", "structured_outputs.choice")
    form = extra.get("response_format")
    schema = form.get("json_schema") if isinstance(form, Mapping) else None
    if isinstance(schema, Mapping):
        _check_schema(schema.get("schema"), "response_format.json_schema.schema")


def _check_schema(schema: Any, path: str) -> None:
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except ValueError:
            return
    if isinstance(schema, Mapping):
        check_schema(schema, path)


def _check_pattern(pattern: Any, path: str) -> None:
    if not isinstance(pattern, str):
        return
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise invalid(f"has more than {MAX_PATTERN_CHARACTERS} characters", path)
    if pattern_length(pattern) > MAX_PATTERN_LENGTH:
        raise invalid(f"describes more than {MAX_PATTERN_LENGTH} characters", path)
