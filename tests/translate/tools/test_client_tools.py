"""Anthropic's client tools: every dated type of the SDK becomes a function its clients can carry out."""

import json
import re
from typing import Any, Required, get_args, get_origin, get_type_hints

import anthropic.types
import anthropic.types.beta
import pytest
from anthropic.types.beta import BetaMemoryTool20250818Command
from pydantic import TypeAdapter, ValidationError

from vllm_messages_plugin.translate.tools import client_schemas
from vllm_messages_plugin.translate.tools.client_tools import (
    ClientTool,
    callable_directly,
    client_tool,
    input_examples,
    with_examples,
)
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.request import ToolParam

Json = dict[str, Any]

FAMILY = re.compile(r"""Literal\[['"]((?:bash|text_editor|memory|computer)_[0-9]+)['"]\]""")
SCREEN = {"display_width_px": 1024, "display_height_px": 768}
COMPUTERS = ("computer_20241022", "computer_20250124", "computer_20251124")


def sdk_types() -> dict[str, type]:
    """The SDK's parameter class of each dated client tool."""
    classes = [
        each
        for module in (anthropic.types, anthropic.types.beta)
        for name, each in vars(module).items()
        if name.endswith("Param")
    ]
    declared = ((str(getattr(each, "__annotations__", {}).get("type")), each) for each in classes)
    return {found[1]: each for text, each in declared if (found := FAMILY.search(text))}


SDK_TYPES = sdk_types()


def tool(type_: str | None, **fields: Any) -> ToolParam:
    return ToolParam.model_validate({"type": type_, **fields})


def read(type_: str, **fields: Any) -> ClientTool:
    found = client_tool(tool(type_, **fields), 0)
    assert found is not None
    return found


def function(type_: str, **fields: Any) -> Json:
    if type_.startswith("computer"):
        fields = SCREEN | fields
    inner: Json = read(type_, **fields).function["function"]
    return inner


def shape(type_: str, **fields: Any) -> tuple[list[str], list[str]]:
    """The fields of the schema in their order, and those that are required."""
    parameters = function(type_, **fields)["parameters"]
    return list(parameters["properties"]), parameters["required"]


def enum(type_: str, key: str, **fields: Any) -> list[str]:
    found: list[str] = function(type_, **fields)["parameters"]["properties"][key]["enum"]
    return found


# Every type of the SDK.


def test_the_sdk_has_the_types_we_know() -> None:
    assert {
        "bash_20241022",
        "bash_20250124",
        "text_editor_20241022",
        "text_editor_20250124",
        "text_editor_20250429",
        "text_editor_20250728",
        "memory_20250818",
        *COMPUTERS,
    } <= set(SDK_TYPES)


@pytest.mark.parametrize("type_", sorted(SDK_TYPES))
def test_every_type_of_the_sdk_becomes_a_function(type_: str) -> None:
    hints = get_type_hints(SDK_TYPES[type_], include_extras=True)
    needed = {field for field, hint in hints.items() if get_origin(hint) is Required} - {"type", "name"}
    found = read(type_, **dict.fromkeys(needed, 640)).function
    assert found["type"] == "function"
    assert set(found["function"]) == {"name", "description", "parameters"}
    assert found["function"]["parameters"]["type"] == "object"
    assert found["function"]["parameters"]["additionalProperties"] is False


@pytest.mark.parametrize("type_", sorted(SDK_TYPES))
def test_a_tool_without_a_name_has_that_of_its_family(type_: str) -> None:
    assert (function(type_)["name"],) == get_args(get_type_hints(SDK_TYPES[type_])["name"])
    assert function(type_, name="mine")["name"] == "mine"


@pytest.mark.parametrize("type_", sorted(SDK_TYPES))
def test_the_same_tool_gives_the_same_bytes(type_: str) -> None:
    first = json.dumps(function(type_))
    function(type_)["parameters"]["properties"].clear()
    assert json.dumps(function(type_)) == first


@pytest.mark.parametrize("type_", sorted(SDK_TYPES))
def test_the_order_of_the_fields_sent_changes_nothing(type_: str) -> None:
    fields = {"type": type_, **SCREEN, "display_number": 1, "enable_zoom": True}
    forth = client_tool(ToolParam.model_validate(fields), 0)
    back = client_tool(ToolParam.model_validate(dict(reversed(fields.items()))), 0)
    assert forth is not None
    assert back is not None
    assert json.dumps(forth.function) == json.dumps(back.function)


@pytest.mark.parametrize(
    ("later", "newest"),
    [
        ("bash_20300101", "bash_20250124"),
        ("text_editor_20300101", "text_editor_20250728"),
        ("memory_20300101", "memory_20250818"),
        ("computer_20300101", "computer_20251124"),
    ],
)
def test_a_later_date_has_the_newest_schema(later: str, newest: str) -> None:
    assert function(later, enable_zoom=True) == function(newest, enable_zoom=True)


@pytest.mark.parametrize(
    "type_",
    [
        None,
        "custom",
        "web_search_20250305",
        "computer_toolset_20260801",
        "browser_toolset_20260801",
        "bash_code_execution_20250825",
        "text_editor_code_execution_20250825",
        "bash",
        "my_bash_20250124",
    ],
)
def test_other_types_are_left_alone(type_: str | None) -> None:
    assert client_tool(tool(type_, name="n", input_schema={}), 0) is None


def test_fields_of_the_request_replace_the_built_in_ones() -> None:
    own = {"description": "d", "input_schema": {"type": "object"}, "strict": True}
    assert function("bash_20250124", **own) == {
        "name": "bash",
        "description": "d",
        "parameters": {"type": "object"},
        "strict": True,
    }


# Families.


def test_bash() -> None:
    assert read("bash_20250124") == ClientTool(
        {
            "type": "function",
            "function": {
                "name": "bash",
                "description": client_schemas.BASH_DESCRIPTION,
                "parameters": {
                    "type": "object",
                    "properties": {
                        "command": {
                            "type": "string",
                            "description": "The command to run. Needed unless restart is true.",
                        },
                        "restart": {
                            "type": "boolean",
                            "description": "True starts the shell anew; do it when it hangs.",
                        },
                    },
                    "required": [],
                    "additionalProperties": False,
                    "minProperties": 1,
                },
            },
        }
    )


@pytest.mark.parametrize("type_", ["text_editor_20250429", "text_editor_20250728"])
def test_the_editor(type_: str) -> None:
    assert enum(type_, "command") == ["view", "create", "str_replace", "insert"]
    assert shape(type_) == (
        ["command", "path", "view_range", "file_text", "old_str", "new_str", "insert_line", "insert_text"],
        ["command", "path"],
    )


@pytest.mark.parametrize("type_", ["text_editor_20241022", "text_editor_20250124"])
def test_the_older_editor_undoes_and_inserts_new_str(type_: str) -> None:
    assert enum(type_, "command") == ["view", "create", "str_replace", "insert", "undo_edit"]
    assert shape(type_) == (
        ["command", "path", "view_range", "file_text", "old_str", "new_str", "insert_line"],
        ["command", "path"],
    )
    assert "- insert(path, insert_line, new_str): " in function(type_)["description"]


def test_the_editor_describes_how_much_a_view_shows() -> None:
    plain = function("text_editor_20250728")["description"]
    limited = function("text_editor_20250728", max_characters=10_000)["description"]
    assert limited == f"{plain}\nA view shows no more than 10000 characters; see the rest with view_range."
    assert function("text_editor_20250728", max_characters=None)["description"] == plain


def test_memory_brings_its_protocol() -> None:
    found = read("memory_20250818")
    assert found.system is not None
    assert found.system.startswith("IMPORTANT: ALWAYS VIEW YOUR MEMORY DIRECTORY")
    assert enum("memory_20250818", "command") == [
        "view",
        "create",
        "str_replace",
        "insert",
        "delete",
        "rename",
    ]
    assert shape("memory_20250818") == (
        [
            *("command", "path", "view_range", "file_text", "old_str", "new_str", "insert_line"),
            *("insert_text", "old_path", "new_path"),
        ],
        ["command"],
    )
    assert "/memories" in found.function["function"]["description"]


@pytest.mark.parametrize("type_", sorted(set(SDK_TYPES) - {"memory_20250818"}))
def test_only_memory_adds_to_the_system_prompt(type_: str) -> None:
    assert type_.startswith("memory") or read(type_, **SCREEN).system is None


OLD_ACTIONS = {
    *("key", "type", "mouse_move", "left_click", "left_click_drag", "right_click", "middle_click"),
    *("double_click", "screenshot", "cursor_position"),
}
ACTIONS = OLD_ACTIONS | {"scroll", "left_mouse_down", "left_mouse_up", "triple_click", "hold_key", "wait"}


@pytest.mark.parametrize(
    ("type_", "fields", "actions"),
    [
        ("computer_20241022", {}, OLD_ACTIONS),
        ("computer_20241022", {"enable_zoom": True}, OLD_ACTIONS),
        ("computer_20250124", {}, ACTIONS),
        ("computer_20250124", {"enable_zoom": True}, ACTIONS),
        ("computer_20251124", {}, ACTIONS),
        ("computer_20251124", {"enable_zoom": False}, ACTIONS),
        ("computer_20251124", {"enable_zoom": True}, ACTIONS | {"zoom"}),
    ],
)
def test_the_computers_actions_by_version(type_: str, fields: Json, actions: set[str]) -> None:
    found = enum(type_, "action", **fields)
    assert len(found) == len(set(found))
    assert set(found) == actions


@pytest.mark.parametrize(
    ("type_", "fields", "given"),
    [
        ("computer_20241022", {}, ["coordinate", "start_coordinate", "text"]),
        (
            "computer_20250124",
            {},
            ["coordinate", "start_coordinate", "text", "scroll_direction", "scroll_amount", "duration"],
        ),
        (
            "computer_20251124",
            {"enable_zoom": True},
            [
                *("coordinate", "start_coordinate", "text", "scroll_direction", "scroll_amount", "duration"),
                "region",
            ],
        ),
    ],
)
def test_the_computers_fields_by_version(type_: str, fields: Json, given: list[str]) -> None:
    assert shape(type_, **fields) == (["action", *given], ["action"])


def test_the_oldest_computer_clicks_where_the_cursor_is() -> None:
    """Handlers of that version refuse a coordinate with a click."""
    assert "\n- left_click(): " in function("computer_20241022")["description"]
    assert "\n- left_click(coordinate?, text?): " in function("computer_20250124")["description"]


def test_the_computer_tool_describes_its_screen() -> None:
    plain = function("computer_20250124")["description"]
    assert "1024 pixels wide and 768 pixels high. " in plain
    assert "top left corner" in plain
    numbered = function("computer_20250124", display_number=0)["description"]
    assert "768 pixels high (display number 0). " in numbered


@pytest.mark.parametrize(
    ("type_", "fields", "message"),
    [
        (
            "computer_20250124",
            {"display_height_px": 1},
            "tools.3.computer_20250124.display_width_px: Field required",
        ),
        (
            "computer_20251124",
            {"display_width_px": 1},
            "tools.3.computer_20251124.display_height_px: Field required",
        ),
        (
            "computer_20241022",
            {"display_width_px": "1", "display_height_px": 1},
            "tools.3.computer_20241022.display_width_px: Input should be a valid integer",
        ),
        (
            "computer_20241022",
            {"display_width_px": 1, "display_height_px": 0},
            "tools.3.computer_20241022.display_height_px: Input should be greater than or equal to 1",
        ),
        (
            "computer_20251124",
            SCREEN | {"enable_zoom": "yes"},
            "tools.3.computer_20251124.enable_zoom: Input should be a valid boolean",
        ),
        (
            "computer_20251124",
            SCREEN | {"display_number": True},
            "tools.3.computer_20251124.display_number: Input should be a valid integer",
        ),
        (
            "text_editor_20250728",
            {"max_characters": "many"},
            "tools.3.text_editor_20250728.max_characters: Input should be a valid integer",
        ),
    ],
)
def test_what_is_amiss_is_refused_by_name(type_: str, fields: Json, message: str) -> None:
    with pytest.raises(MessagesError) as refused:
        client_tool(tool(type_, **fields), 3)
    assert (refused.value.status, refused.value.message) == (400, message)


# What the clients carry out.

TEXT_EDITS: list[Json] = [
    {"command": "view", "path": "/memories"},
    {"command": "view", "path": "/memories/a", "view_range": [1, -1]},
    {"command": "create", "path": "/memories/a", "file_text": "x\n"},
    {"command": "str_replace", "path": "/memories/a", "old_str": "x", "new_str": ""},
    {"command": "insert", "path": "/memories/a", "insert_line": 0, "insert_text": "y"},
]
MEMORY_EDITS: list[Json] = [
    *TEXT_EDITS,
    {"command": "delete", "path": "/memories/a"},
    {"command": "rename", "old_path": "/memories/a", "new_path": "/memories/b"},
]
OLD_DEEDS: list[Json] = [
    {"action": "key", "text": "ctrl+s"},
    {"action": "type", "text": "x"},
    {"action": "mouse_move", "coordinate": [0, 0]},
    {"action": "left_click"},
    {"action": "left_click_drag", "coordinate": [3, 4], "start_coordinate": [1, 2]},
    {"action": "screenshot"},
    {"action": "cursor_position"},
]
DEEDS: list[Json] = [
    *OLD_DEEDS,
    {"action": "left_click", "coordinate": [1, 2], "text": "shift"},
    {"action": "scroll", "coordinate": [1, 2], "scroll_direction": "down", "scroll_amount": 3},
    {"action": "hold_key", "text": "shift", "duration": 1},
    {"action": "wait", "duration": 0.5},
]
ZOOMED: Json = {"action": "zoom", "region": [0, 0, 10, 10]}

CARRIED_OUT: list[tuple[str, Json, list[Json]]] = [
    ("bash_20250124", {}, [{"command": "ls"}, {"restart": True}]),
    ("text_editor_20250728", {}, TEXT_EDITS),
    (
        "text_editor_20250124",
        {},
        [
            *TEXT_EDITS[:-1],
            {"command": "insert", "path": "/a", "new_str": "y", "insert_line": 1},
            {"command": "undo_edit", "path": "/a"},
        ],
    ),
    ("memory_20250818", {}, MEMORY_EDITS),
    ("computer_20241022", SCREEN, OLD_DEEDS),
    ("computer_20250124", SCREEN, DEEDS),
    ("computer_20251124", SCREEN | {"enable_zoom": True}, [*DEEDS, ZOOMED]),
]
CALLS = [(type_, fields, call) for type_, fields, calls in CARRIED_OUT for call in calls]

REFUSED: list[tuple[str, Json, Json]] = [
    ("bash_20250124", {}, {}),
    ("bash_20250124", {}, {"cmd": "ls"}),
    ("text_editor_20250728", {}, {"command": "undo_edit", "path": "/a"}),
    ("text_editor_20250728", {}, {"command": "view"}),
    ("text_editor_20250728", {}, {"command": "view", "path": "/a", "view_range": [1]}),
    ("text_editor_20250124", {}, {"command": "insert", "path": "/a", "insert_line": 1, "insert_text": "y"}),
    ("memory_20250818", {}, {"path": "/memories"}),
    ("computer_20241022", SCREEN, {"action": "scroll"}),
    ("computer_20250124", SCREEN, {"action": "mouse_move", "coordinate": [1]}),
    ("computer_20251124", SCREEN, ZOOMED),
]


@pytest.mark.parametrize(("type_", "fields", "call"), CALLS)
def test_the_schema_takes_what_clients_carry_out(type_: str, fields: Json, call: Json) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(call, function(type_, **fields)["parameters"])


@pytest.mark.parametrize(("type_", "fields", "call"), REFUSED)
def test_the_schema_refuses_what_no_client_carries_out(type_: str, fields: Json, call: Json) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(call, function(type_, **fields)["parameters"])


@pytest.mark.parametrize("type_", sorted(SDK_TYPES))
def test_schemas_are_schemas(type_: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(function(type_, enable_zoom=True)["parameters"])


@pytest.mark.parametrize(("type_", "fields", "call"), CALLS)
def test_a_grammar_of_the_schema_lets_the_call_through(type_: str, fields: Json, call: Json) -> None:
    """A grammar writes fields in the schema's order."""
    xgrammar = pytest.importorskip("xgrammar")
    accepts = pytest.importorskip("xgrammar.testing")._is_grammar_accept_string
    parameters = function(type_, **fields)["parameters"]
    ordered = {name: call[name] for name in parameters["properties"] if name in call}
    grammar = xgrammar.Grammar.from_json_schema(json.dumps(parameters))
    assert accepts(grammar, json.dumps(ordered))


SDK_MEMORY = TypeAdapter[Any](BetaMemoryTool20250818Command)
SDK_COMMANDS = {
    get_args(model.model_fields["command"].annotation)[0]: model
    for model in get_args(get_args(BetaMemoryTool20250818Command)[0])
}


@pytest.mark.parametrize("call", MEMORY_EDITS)
def test_the_sdk_reads_the_memory_calls(call: Json) -> None:
    assert isinstance(SDK_MEMORY.validate_python(call), SDK_COMMANDS[call["command"]])


def test_memory_has_the_commands_of_the_sdk_with_their_fields() -> None:
    ours = {
        command.name: (set(command.required), set(command.optional))
        for command in client_schemas.MEMORY_COMMANDS
    }
    theirs: dict[str, tuple[set[str], set[str]]] = {}
    for name, model in SDK_COMMANDS.items():
        fields = {
            field: info.is_required() for field, info in model.model_fields.items() if field != "command"
        }
        theirs[name] = ({f for f in fields if fields[f]}, {f for f in fields if not fields[f]})
    assert ours == theirs


@pytest.mark.parametrize("command", client_schemas.MEMORY_COMMANDS, ids=lambda command: command.name)
def test_the_sdk_misses_each_field_that_a_memory_command_requires(command: client_schemas.Command) -> None:
    [call] = [each for each in MEMORY_EDITS if each["command"] == command.name][-1:]
    for field in command.required:
        with pytest.raises(ValidationError):
            SDK_COMMANDS[command.name].model_validate({k: v for k, v in call.items() if k != field})


# Examples and callers.

PLAIN: Json = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}}


def test_examples_end_the_description() -> None:
    found = with_examples(PLAIN, [{"a": 1}, {"b": "ü"}])
    assert found["function"] == {
        "name": "f",
        "description": 'd\n\nExamples of its input:\n{"a": 1}\n{"b": "ü"}',
        "parameters": {},
    }
    assert list(found["function"]) == ["name", "description", "parameters"]
    assert PLAIN["function"]["description"] == "d"


def test_examples_are_a_description_where_there_is_none() -> None:
    bare = {"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}
    assert list(with_examples(bare, [{}])["function"].items()) == [
        ("name", "f"),
        ("description", "Examples of its input:\n{}"),
        ("parameters", {}),
        ("strict", True),
    ]


def test_no_examples_change_nothing() -> None:
    assert with_examples(PLAIN, []) is PLAIN


@pytest.mark.parametrize(
    ("fields", "examples"),
    [({}, []), ({"input_examples": None}, []), ({"input_examples": [{"a": 1}]}, [{"a": 1}])],
)
def test_examples_of_a_tool(fields: Json, examples: list[Json]) -> None:
    assert input_examples(tool(None, name="f", input_schema={}, **fields), 0) == examples


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ({"a": 1}, "tools.2.input_examples: Input should be a valid list"),
        ([{}, "a"], "tools.2.input_examples.1: Input should be an object"),
    ],
)
def test_examples_that_are_none_are_refused(examples: Any, message: str) -> None:
    with pytest.raises(MessagesError) as refused:
        input_examples(tool("bash_20250124", input_examples=examples), 2)
    assert refused.value.message == message


@pytest.mark.parametrize(
    ("callers", "directly"),
    [
        (None, True),
        (["direct"], True),
        (["code_execution_20250825", "direct"], True),
        (["code_execution_20250825"], False),
        ([], False),
    ],
)
def test_who_may_call(callers: list[str] | None, directly: bool) -> None:
    assert callable_directly(tool("bash_20250124", allowed_callers=callers)) is directly
    assert callable_directly(tool("bash_20250124")) is True
