"""Limits on the grammars that a request gives vLLM's engine in its field `structured_outputs`.

The schemas and patterns in them have the limits of `output_config`: the same compiler reads them, for
everybody.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from vllm_messages_plugin.translate.tools.schema_limits import (
    MAX_PATTERN_CHARACTERS,
    MAX_PATTERN_LENGTH,
    MAX_VALUES,
    check_schema,
    pattern_length,
)
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.field_sizes import characters

FIELD: Final = "structured_outputs"
MAX_GRAMMAR_CHARACTERS: Final = 50_000
"""Characters of a grammar that is no JSON schema."""
MAX_JSON_TEXT: Final = 300_000
"""Characters of a schema that is given as a text."""


def check_engine_grammars(extra: Mapping[str, Any]) -> None:
    """Refuse grammars that would take the engine seconds to compile.

    A value of a wrong kind is left to vLLM, which refuses it.

    Args:
        extra: The request's fields beyond Anthropic's.

    Raises:
        MessagesError: 400, begins with the path of the grammar.
    """
    grammars = extra.get(FIELD)
    if not isinstance(grammars, Mapping):
        return
    others = {kind: value for kind, value in grammars.items() if kind != "json"}
    if characters(others) > MAX_GRAMMAR_CHARACTERS:
        raise invalid(f"Input should have at most {MAX_GRAMMAR_CHARACTERS} characters", FIELD)
    schema = _parsed(grammars.get("json"), f"{FIELD}.json")
    if isinstance(schema, Mapping):
        check_schema(schema, f"{FIELD}.json")
    _check_pattern(grammars.get("regex"), f"{FIELD}.regex")
    choices = grammars.get("choice")
    if isinstance(choices, list) and len(choices) > MAX_VALUES:
        raise invalid(f"lists more than {MAX_VALUES} values", f"{FIELD}.choice")
    path = f"{FIELD}.structural_tag"
    _check_tag(_parsed(grammars.get("structural_tag"), path), path)


def _parsed(value: Any, path: str) -> Any:
    """A value that may be given as JSON text; None for text that is not JSON."""
    if not isinstance(value, str):
        return value
    if len(value) > MAX_JSON_TEXT:
        raise invalid(f"Input should have at most {MAX_JSON_TEXT} characters", path)
    try:
        return json.loads(value)
    except ValueError:
        return None
    except RecursionError:
        raise invalid("is nested too deep", path) from None


def _check_tag(tag: Any, path: str) -> None:
    """Check the schemas and patterns anywhere in a structural tag."""
    waiting = [tag]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            for name in ("schema", "json_schema"):
                if isinstance(schema := part.get(name), Mapping):
                    check_schema(schema, path)
            _check_pattern(part.get("pattern"), path)
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _check_pattern(pattern: Any, path: str) -> None:
    if not isinstance(pattern, str):
        return
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise invalid(f"has a pattern of more than {MAX_PATTERN_CHARACTERS} characters", path)
    if pattern_length(pattern) > MAX_PATTERN_LENGTH:
        raise invalid(f"has a pattern that describes more than {MAX_PATTERN_LENGTH} characters", path)
