"""Toolsets: their members are the SDK's, and each becomes a function with a name of its own."""

import json
from typing import Any, get_args

import anthropic.types
import pytest
from anthropic._data.browser_toolset_members import BROWSER_TOOLSET_MEMBERS
from anthropic.types import BrowserToolset20260801Param, ComputerToolset20260801Param
from anthropic.types.browser_member_name import BROWSER_MEMBER_NAME_VALUES
from anthropic.types.computer_member_name import COMPUTER_MEMBER_NAME_VALUES
from pydantic import BaseModel

from vllm_messages_plugin.translate.tools.toolset_members import (
    BROWSER_MEMBERS,
    COMPUTER_MEMBERS,
    MemberDefinition,
)
from vllm_messages_plugin.translate.tools.toolsets import ToolsetMember, prompt_name, toolset_functions
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.request import ToolParam

Json = dict[str, Any]
Found = list[tuple[Json, ToolsetMember]]

COMPUTER = "computer_toolset_20260801"
BROWSER = "browser_toolset_20260801"
MEMBER_TOOLS = {"Computer": COMPUTER_MEMBERS, "Browser": BROWSER_MEMBERS}
EVERY_MEMBER = [(family, name) for family, members in MEMBER_TOOLS.items() for name in members]
OFF = {"enabled": False}
ON = {"enabled": True}


def read(type_: str, taken: tuple[str, ...] = (), **fields: Any) -> Found:
    return list(toolset_functions(ToolParam.model_validate({"type": type_, **fields}), 0, taken))


def names(found: Found) -> list[str]:
    return [member.name for _, member in found]


def definition_of(family: str, name: str) -> MemberDefinition:
    return MEMBER_TOOLS[family][name]


# The members are the SDK's.


def sdk_input(family: str, name: str) -> type[BaseModel]:
    model: type[BaseModel] = getattr(anthropic.types, f"{family}{name.title().replace('_', '')}Input")
    return model


def essence(schema: Json, definitions: Json) -> Any:
    """A schema without words, bounds and defaults, `$ref` and null resolved: what two spellings share."""
    if "$ref" in schema:
        return essence(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    if "anyOf" in schema:
        options = [essence(each, definitions) for each in schema["anyOf"] if each != {"type": "null"}]
        return options[0] if len(options) == 1 else {"anyOf": sorted(options, key=json.dumps)}
    if isinstance(schema["type"], list):
        return essence({"anyOf": [{"type": each} for each in schema["type"]]}, definitions)
    kept: Json = {key: schema[key] for key in ("type", "enum", "const") if key in schema}
    if schema["type"] == "array":
        kept["items"] = essence(schema["items"], definitions)
    if schema["type"] == "object":
        fields = schema["properties"]
        kept["properties"] = {name: essence(fields[name], definitions) for name in sorted(fields)}
        kept["required"] = sorted(schema.get("required", []))
    return kept


def test_the_computer_has_the_members_of_the_sdk() -> None:
    assert tuple(COMPUTER_MEMBERS) == COMPUTER_MEMBER_NAME_VALUES
    assert all(shape.enabled for shape in COMPUTER_MEMBERS.values())


def test_the_browser_has_the_members_of_the_sdk() -> None:
    assert tuple(BROWSER_MEMBERS) == BROWSER_MEMBER_NAME_VALUES
    assert {name: shape.enabled for name, shape in BROWSER_MEMBERS.items()} == {
        name: member["enabled_by_default"] for name, member in BROWSER_TOOLSET_MEMBERS.items()
    }


@pytest.mark.parametrize("family", MEMBER_TOOLS)
def test_every_member_can_be_configured(family: str) -> None:
    configs = getattr(anthropic.types, f"{family}ToolsetConfigsParam")
    assert set(configs.__annotations__) == set(MEMBER_TOOLS[family])


@pytest.mark.parametrize("family", MEMBER_TOOLS)
def test_every_input_of_the_sdk_is_a_members(family: str) -> None:
    inputs = set(get_args(getattr(anthropic.types, f"{family}MemberInput")))
    assert inputs == {sdk_input(family, name) for name in MEMBER_TOOLS[family]}


@pytest.mark.parametrize(("family", "name"), EVERY_MEMBER)
def test_a_member_takes_what_the_sdk_reads(family: str, name: str) -> None:
    theirs = sdk_input(family, name).model_json_schema(by_alias=True)
    ours = definition_of(family, name).parameters
    assert essence(ours, {}) == essence(theirs, theirs.get("$defs", {}))
    assert ours["additionalProperties"] is False


@pytest.mark.parametrize("type_", [COMPUTER, BROWSER])
def test_the_sdks_toolsets_have_no_fields_but_these(type_: str) -> None:
    declared = {COMPUTER: ComputerToolset20260801Param, BROWSER: BrowserToolset20260801Param}[type_]
    assert set(declared.__annotations__) == {"type", "cache_control", "configs"}


# The members as functions.


def test_a_member_is_a_function_with_the_toolset_in_its_name() -> None:
    by_name = {member.name: (function, member) for function, member in read(COMPUTER)}
    assert by_name["wait"] == (
        {
            "type": "function",
            "function": {
                "name": "computer_wait",
                "description": "Do nothing for a while, then go on.",
                "parameters": {
                    "type": "object",
                    "properties": {"duration": {"type": "integer", "minimum": 0, "description": "Seconds."}},
                    "required": ["duration"],
                    "additionalProperties": False,
                },
            },
        },
        ToolsetMember("wait", "computer"),
    )
    assert {function["function"]["name"] for function, _ in read(BROWSER)} >= {"browser_wait", "browser_zoom"}


def test_members_of_both_toolsets_have_names_of_their_own() -> None:
    prompted = [function["function"]["name"] for type_ in (COMPUTER, BROWSER) for function, _ in read(type_)]
    assert len(set(prompted)) == len(prompted)


@pytest.mark.parametrize("taken", [(), ("left_click",), ("browser_left_click",)])
def test_a_name_that_is_free_stays(taken: tuple[str, ...]) -> None:
    assert prompt_name("left_click", "computer", taken) == "computer_left_click"


def test_a_member_gives_way_to_a_tool_of_its_name() -> None:
    taken = ("computer_wait", "computer_wait_")
    [renamed] = [function for function, member in read(COMPUTER, taken) if member.name == "wait"]
    assert renamed["function"]["name"] == "computer_wait__" == prompt_name("wait", "computer", taken)


@pytest.mark.parametrize("type_", [COMPUTER, BROWSER])
def test_the_same_toolset_gives_the_same_bytes(type_: str) -> None:
    first = json.dumps([function for function, _ in read(type_)])
    for function, _ in read(type_):
        function["function"]["parameters"]["properties"].clear()
    assert json.dumps([function for function, _ in read(type_)]) == first


@pytest.mark.parametrize("type_", [COMPUTER, BROWSER])
def test_the_order_of_configs_changes_nothing(type_: str) -> None:
    configs = {"zoom": ON, "key": ON, "wait": OFF}
    assert read(type_, configs=configs) == read(type_, configs=dict(reversed(configs.items())))


@pytest.mark.parametrize(
    "type_",
    [None, "custom", "computer_20251124", "mcp_toolset", "agent_toolset_20260401", "computer_toolset"],
)
def test_other_tools_are_left_alone(type_: str | None) -> None:
    assert list(toolset_functions(ToolParam(type=type_, name="n", input_schema={}), 0)) == []


@pytest.mark.parametrize(
    ("later", "known"), [(f"{type_[:-8]}20300101", type_) for type_ in (COMPUTER, BROWSER)]
)
def test_a_later_toolset_has_the_members_we_know(later: str, known: str) -> None:
    assert read(later, configs={"teleport": ON}) == read(known)


# Configs.


@pytest.mark.parametrize("configs", [None, {}, {"wait": None}, {"wait": {}}, {"wait": {"enabled": None}}])
def test_no_override_leaves_the_defaults(configs: Any) -> None:
    assert names(read(COMPUTER, configs=configs)) == list(COMPUTER_MEMBERS)
    assert read(BROWSER, configs=configs) == read(BROWSER)


def test_some_members_of_the_browser_are_off() -> None:
    off = {"file_upload", "read_console", "read_network", "javascript_exec"}
    assert set(BROWSER_MEMBERS) - set(names(read(BROWSER))) == off
    assert names(read(BROWSER, configs=dict.fromkeys(off, ON))) == list(BROWSER_MEMBERS)


def test_members_are_switched_off() -> None:
    found = names(read(COMPUTER, configs={"zoom": OFF, "wait": OFF, "key": ON}))
    assert found == [name for name in COMPUTER_MEMBERS if name not in ("zoom", "wait")]
    assert read(COMPUTER, configs=dict.fromkeys(COMPUTER_MEMBERS, OFF)) == []


def test_members_are_deferred() -> None:
    found = read(COMPUTER, configs={"zoom": {"defer_loading": True}, "wait": {"defer_loading": False}})
    assert [member for _, member in found if member.deferred] == [
        ToolsetMember("zoom", "computer", deferred=True)
    ]


def test_a_toolset_is_deferred_except_for_members_configured_otherwise() -> None:
    found = read(COMPUTER, defer_loading=True, configs={"zoom": {"defer_loading": False}})
    assert [member.name for _, member in found if not member.deferred] == ["zoom"]


def test_strict_is_every_members() -> None:
    assert all(function["function"]["strict"] is True for function, _ in read(BROWSER, strict=True))
    assert not any("strict" in function["function"] for function, _ in read(BROWSER))


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ([], ": Input should be an object"),
        ({"teleport": ON}, ".teleport: Extra inputs are not permitted"),
        ({"zoom": True}, ".zoom: Input should be an object"),
        ({"zoom": {"enabled": "no"}}, ".zoom.enabled: Input should be a valid boolean"),
        ({"zoom": {"defer_loading": 1}}, ".zoom.defer_loading: Input should be a valid boolean"),
    ],
)
def test_configs_that_are_amiss_are_refused_by_name(configs: Any, message: str) -> None:
    tool = ToolParam.model_validate({"type": COMPUTER, "configs": configs})
    with pytest.raises(MessagesError) as refused:
        list(toolset_functions(tool, 2))
    expected = f"tools.2.computer_toolset_20260801.configs{message}"
    assert (refused.value.status, refused.value.message) == (400, expected)


# What drivers carry out.

POINT: Json = {"type": "coordinate", "x": 1, "y": 2}
REF: Json = {"type": "ref", "ref": "ref_7"}

CALLS: list[tuple[str, str, Json]] = [
    ("Computer", "screenshot", {}),
    ("Computer", "left_click", {}),
    ("Computer", "left_click", {"coordinate": [1, 2], "text": "shift"}),
    ("Computer", "left_click_drag", {"start_coordinate": [1, 2], "coordinate": [3, 4]}),
    ("Computer", "scroll", {"scroll_direction": "up", "scroll_amount": 2, "coordinate": [1, 2]}),
    ("Computer", "zoom", {"region": [0, 0, 9, 9]}),
    ("Browser", "left_click", {"target": POINT}),
    ("Browser", "left_click", {"target": REF, "modifiers": "ctrl"}),
    ("Browser", "left_click_drag", {"from": POINT, "target": POINT, "tab_id": "t"}),
    ("Browser", "form_input", {"target": REF, "value": "x"}),
    ("Browser", "form_input", {"target": REF, "value": True}),
    ("Browser", "form_input", {"target": REF, "value": 1.5}),
    ("Browser", "file_upload", {"target": REF, "paths": ["/a"]}),
    ("Browser", "read_page", {"filter": "all", "depth": 3}),
    ("Browser", "hold_key", {"text": "a", "duration": 0.5}),
]
NO_CALLS: list[tuple[str, str, Json]] = [
    ("Computer", "screenshot", {"action": "screenshot"}),
    ("Computer", "left_click", {"coordinate": [1]}),
    ("Browser", "left_click", {"target": {"type": "ref", "x": 1, "y": 2}}),
    ("Browser", "left_click", {"target": {}}),
    ("Browser", "scroll", {"target": REF, "scroll_direction": "up"}),
    ("Browser", "form_input", {"target": REF, "value": None}),
]


@pytest.mark.parametrize(("family", "name"), EVERY_MEMBER)
def test_schemas_are_schemas(family: str, name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(definition_of(family, name).parameters)


@pytest.mark.parametrize(("family", "name", "call"), CALLS)
def test_the_sdk_reads_what_the_schema_takes(family: str, name: str, call: Json) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(call, definition_of(family, name).parameters)
    parsed = sdk_input(family, name).model_validate(call)
    assert parsed.model_dump(by_alias=True, exclude_none=True) == call


@pytest.mark.parametrize(("family", "name", "call"), NO_CALLS)
def test_the_schema_refuses_what_no_driver_carries_out(family: str, name: str, call: Json) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(call, definition_of(family, name).parameters)


@pytest.mark.parametrize(
    ("family", "name", "call", "passes"),
    [(*call, True) for call in CALLS] + [(*call, False) for call in NO_CALLS],
)
def test_a_grammar_of_the_schema_knows_calls_from_others(
    family: str, name: str, call: Json, passes: bool
) -> None:
    """A grammar writes fields in the schema's order."""
    xgrammar = pytest.importorskip("xgrammar")
    accepts = pytest.importorskip("xgrammar.testing")._is_grammar_accept_string
    parameters = definition_of(family, name).parameters
    fields = [*parameters["properties"], *(field for field in call if field not in parameters["properties"])]
    ordered = {field: call[field] for field in fields if field in call}
    grammar = xgrammar.Grammar.from_json_schema(json.dumps(parameters))
    assert accepts(grammar, json.dumps(ordered)) is passes


@pytest.mark.parametrize(("family", "name"), EVERY_MEMBER)
def test_a_grammar_can_be_made_of_every_schema(family: str, name: str) -> None:
    xgrammar = pytest.importorskip("xgrammar")
    xgrammar.Grammar.from_json_schema(json.dumps(definition_of(family, name).parameters))
