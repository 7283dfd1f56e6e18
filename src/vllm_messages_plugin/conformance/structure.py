"""The structure of responses that the checks rely on.

A check reads fields of a response without testing the type of each. That is safe because every response is
compared with one of the templates below first, and because a missing field of a `JsonObject` raises
MismatchError. Whatever else a check raises is therefore a bug in the check, and is reported as such.
"""

import json
from collections.abc import Mapping
from types import NoneType
from typing import Any

from vllm_messages_plugin.conformance.outcome import MismatchError, expect

# A type or types, a list with the template of each item, or an object with the templates of its fields.
# A field that is absent always fits.
Template = Any

TEXT = (str, NoneType)
COUNT = (int, NoneType)
USAGE: Template = {
    "input_tokens": COUNT,
    "output_tokens": COUNT,
    "cache_read_input_tokens": COUNT,
    "cache_creation_input_tokens": COUNT,
}
BLOCK: Template = {"type": str, "id": TEXT, "name": TEXT, "text": TEXT, "thinking": TEXT}
MESSAGE: Template = {"content": [BLOCK], "stop_reason": TEXT, "usage": USAGE}
ERROR: Template = {"error": {"details": (dict, NoneType)}}
MODEL_LIST: Template = {"data": [{"id": str}]}
TOKEN_COUNT: Template = {"input_tokens": int}


class JsonObject(dict[str, Any]):
    """A JSON object of a response: reading a field that is absent ends the check as failed."""

    def __missing__(self, name: str) -> Any:
        raise MismatchError(f"an object of the response has no `{name}`")


def parse_json(text: str) -> Any:
    """Parse JSON; objects become JsonObjects.

    Raises:
        ValueError: The text is not JSON, or is nested too deeply to be parsed.
    """
    try:
        return json.loads(text, object_pairs_hook=JsonObject)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def misfit(value: Any, template: Template, path: str = "") -> str | None:
    """Return what keeps a value from fitting a template, with the path of the field; None if it fits."""
    if isinstance(template, list):
        if not isinstance(value, list):
            return f"`{path}` is not a list"
        found = (misfit(item, template[0], f"{path}.{index}") for index, item in enumerate(value))
        return next(filter(None, found), None)
    if isinstance(template, Mapping):
        if not isinstance(value, Mapping):
            return f"`{path}` is not an object"
        prefix = f"{path}." if path else ""
        known = ((name, inner) for name, inner in template.items() if name in value)
        return next(filter(None, (misfit(value[name], inner, prefix + name) for name, inner in known)), None)
    return None if isinstance(value, template) else f"`{path}` is {json.dumps(value)[:60]}"


def expect_fit(value: Any, template: Template, what: str) -> None:
    """End the check as failed unless a value fits a template."""
    found = misfit(value, template)
    expect(found is None, f"{what}: {found}")
