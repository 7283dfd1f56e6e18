"""Tools whose schemas no grammar can express: a demanded call is still made, without the grammar."""

from typing import Any

import httpx
import pytest

from clients.play import call

DEEP: dict[str, Any] = {"type": "string"}
for _ in range(60):
    DEEP = {"type": "object", "properties": {"a": DEEP}, "required": ["a"]}
DEEP_ARGUMENTS: dict[str, Any] = {"a": "b"}
for _ in range(60):
    DEEP_ARGUMENTS = {"a": DEEP_ARGUMENTS}
ODD: dict[str, Any] = {
    "too deep": DEEP,
    "endless": {"$ref": "#"},
    "an endless property": {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}},
    "a reference to nothing": {"type": "object", "properties": {"a": {"$ref": "#/nope"}}},
    "a pattern that is none": {"type": "object", "properties": {"a": {"type": "string", "pattern": "(["}}},
    "types that are none": {"type": "nonsense", "properties": []},
}


@pytest.mark.parametrize("strict", [False, True], ids=["plain", "strict"])
@pytest.mark.parametrize("schema", ODD.values(), ids=ODD.keys())
def test_a_demanded_call_is_made(http: httpx.Client, schema: dict[str, Any], strict: bool) -> None:
    arguments = DEEP_ARGUMENTS if schema is DEEP else {"a": "b"}
    asked = {
        "model": "tiny",
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": "Call it."}],
        "tools": [{"name": "f", "input_schema": schema, "strict": strict}],
        "tool_choice": {"type": "any"},
        "vllm_xargs": {"script": call("f", **arguments)},
    }
    answer = http.post("/v1/messages", json=asked)
    assert answer.status_code == 200, answer.text
    (block,) = answer.json()["content"]
    assert (block["name"], block["input"]) == ("f", arguments)
