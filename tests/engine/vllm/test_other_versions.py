"""What versions of vLLM other than the installed one lack, and what stands in for it."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from vllm_messages_plugin.engine.output import grammars, selection
from vllm_messages_plugin.engine.output.factory import _constrain_call_markup, _warn_schema_excludes_calls
from vllm_messages_plugin.engine.vllm import compat
from vllm_messages_plugin.engine.vllm.lookup import MissingFeatureError

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
LEGACY = {
    "type": "structural_tag",
    "structures": [{"begin": "<call>", "schema": SCHEMA, "end": "</call>"}],
    "triggers": ["<call>"],
}
FORMAT = {
    "type": "structural_tag",
    "format": {
        "type": "triggered_tags",
        "triggers": ["<call>"],
        "tags": [
            {
                "type": "tag",
                "begin": "<call>",
                "content": {"type": "json_schema", "json_schema": SCHEMA},
                "end": "</call>",
            }
        ],
    },
}


@pytest.mark.parametrize(
    "constraint",
    [
        {"json_object": True},
        {"json": SCHEMA},
        {"json": json.dumps(SCHEMA)},
        {"structural_tag": json.dumps(LEGACY)},
        {"structural_tag": json.dumps(FORMAT)},
    ],
    ids=["any object", "schema", "schema as text", "legacy tags", "tags"],
)
def test_our_own_formats_are_those_of_vllms_function(constraint: dict[str, Any]) -> None:
    theirs = compat.structured_outputs_to_format
    given = compat.StructuredOutputsParams(**constraint)
    assert grammars._to_format(given).model_dump() == theirs(given).model_dump()


def test_a_grammar_that_cannot_wait_is_logged() -> None:
    given = compat.StructuredOutputsParams(regex="a+")
    with pytest.raises(MissingFeatureError, match="until the thinking has ended"):
        grammars._to_format(given)


def parser(ended: bool | None) -> Any:
    """A parser whose reasoning parser says so of a prompt; None for one without."""
    reasoning = None if ended is None else object()
    return SimpleNamespace(reasoning_parser=reasoning, is_reasoning_end=lambda ids: ended)


@pytest.mark.parametrize(
    ("request_of_old", "ended", "expected"),
    [
        (SimpleNamespace(include_reasoning=False), False, True),
        (SimpleNamespace(include_reasoning=True, _grammar_from_parser=True), False, True),
        (SimpleNamespace(include_reasoning=True, _grammar_from_parser=False), False, False),
        (SimpleNamespace(include_reasoning=True), True, True),
        (SimpleNamespace(include_reasoning=True), None, None),
    ],
    ids=["reasoning unwanted", "parser's own grammar", "thinking open", "thinking over", "no parser"],
)
def test_where_a_grammar_begins_is_decided_as_vllms_chat_route_does(
    request_of_old: Any, ended: bool | None, expected: bool | None
) -> None:
    assert compat.reasoning_ended(request_of_old, parser(ended), [1]) is expected


def test_a_request_that_decides_itself_is_asked() -> None:
    request = SimpleNamespace(resolve_reasoning_ended=lambda parser, ids: ids == [1])
    assert compat.reasoning_ended(request, parser(None), [1]) is True


@pytest.mark.parametrize("before", [None, 0, 1, 2])
def test_calls_are_held_to_their_form_and_never_to_less_than_the_server_asks(before: int | None) -> None:
    held = SimpleNamespace(tool_strict_level=before)
    _constrain_call_markup(held)
    assert held.tool_strict_level == max(before or 0, compat.ToolStrictLevel.FUNCTION)


def test_a_vllm_without_strict_levels_is_left_alone_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compat, "ToolStrictLevel", None)
    _warn_schema_excludes_calls.cache_clear()
    held = SimpleNamespace()
    _constrain_call_markup(held)
    assert vars(held) == {}
    assert "no grammar for a call or JSON" in caplog.text


def test_a_parser_manager_gets_no_more_than_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Manager:
        @staticmethod
        def get_parser(tool_parser_name: str | None = None, model_name: str | None = None) -> Any:
            return tool_parser_name, model_name

    monkeypatch.setattr(selection, "ParserManager", Manager)
    config = SimpleNamespace(model="m", hf_config=SimpleNamespace(model_type="llama"))
    assert selection._parser_class(config, object(), "hermes", None) == ("hermes", "m")
