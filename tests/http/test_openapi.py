"""The OpenAPI document describes the bodies of the routes."""

import re
from typing import Any

import jsonschema
import pytest
from fastapi import FastAPI

from vllm_messages_plugin.http import count_tokens, messages

BODY = {
    "model": "m",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = FastAPI()
    app.include_router(messages.router)
    app.include_router(count_tokens.router)
    return app.openapi()


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for key in reference.removeprefix("#/").split("/"):
        found = found[key.replace("~1", "/").replace("~0", "~")]
    return found


def test_every_reference_of_the_document_resolves(document: dict[str, Any]) -> None:
    references = re.findall(r"'\$ref': '([^']+)'", str(document))
    assert references
    assert all(resolve(document, reference) for reference in references)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_the_schema_accepts_a_request_and_refuses_a_wrong_one(document: dict[str, Any], path: str) -> None:
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema.Draft202012Validator({**document, **schema})
    body = BODY if path.endswith("count_tokens") else BODY | {"max_tokens": 5}
    assert not list(validator.iter_errors(body))
    assert list(validator.iter_errors(body | {"messages": "Hi"}))
