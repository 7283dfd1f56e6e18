"""The request bodies in the server's OpenAPI document.

The routes parse bodies themselves, because Anthropic's error messages differ from FastAPI's. FastAPI
therefore does not know the type of a body; `request_body` describes it.
"""

from typing import Any

from pydantic import BaseModel


def request_body(path: str, model: type[BaseModel]) -> dict[str, Any]:
    """Return a route's `openapi_extra` with the JSON schema of its body.

    Args:
        path: The route's path. References in the schema contain it, as they count from the document's root.
        model: The body's type.
    """
    pointer = f"paths/{path.replace('/', '~1')}/post/requestBody/content/application~1json/schema"
    schema = model.model_json_schema(ref_template=f"#/{pointer}/$defs/{{model}}")
    content = {"application/json": {"schema": _with_overlapping_alternatives(schema)}}
    return {"requestBody": {"required": True, "content": content}}


def _with_overlapping_alternatives(schema: Any) -> Any:
    """Return the schema with `anyOf` for `oneOf`, as unknown types are accepted and types overlap."""
    if isinstance(schema, list):
        return [_with_overlapping_alternatives(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        "anyOf" if key == "oneOf" else key: _with_overlapping_alternatives(value)
        for key, value in schema.items()
    }
