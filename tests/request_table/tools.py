"""Rows for tools: custom ones, Anthropic's own by their types, toolsets, and what is demanded of calls."""

from typing import Any

from request_table.image_file import image_file
from request_table.row import (
    CALL,
    CALLED,
    EPHEMERAL,
    WEATHER,
    YES,
    Json,
    Refused,
    Row,
    ask,
    assistant,
    base64,
    body,
    change,
    image,
    loop,
    reference,
    result,
    system,
    tool,
    use,
    user,
)

LATE = tool("late", defer_loading=True)
PLACEHOLDER = tool("DeferredToolPlaceholder", defer_loading=True)
DEEP: Json = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"place": {"$ref": "#/$defs/place"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["place"],
    "additionalProperties": False,
    "$defs": {
        "place": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "pattern": "^[A-Z]"},
                "near": {"$ref": "#/$defs/place"},
            },
            "required": ["city"],
            "additionalProperties": False,
        }
    },
}


def offered(name: str, *tools: Json, contains: Any = ('"name": "get_weather"',), **fields: Any) -> Row:
    """A row in which these tools are offered."""
    return Row(name, ask("Weather?", tools=list(tools)), [*contains, "Weather?"], **fields)


def calls(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


CUSTOM = [
    offered(
        "a tool",
        WEATHER,
        contains=['"name": "get_weather"', "Does get_weather.", '"city"'],
        output=CALL,
        reply=[CALLED],
        stop_reason="tool_use",
    ),
    offered("a tool that says it is custom", tool(type="custom")),
    offered("a tool whose type is null", tool(type=None)),
    offered(
        "a tool without a description",
        {"name": "get_weather", "input_schema": {"type": "object"}},
        lacks=["None", "null"],
    ),
    offered("a tool whose description is null", tool(description=None), lacks=["None", "null"]),
    offered("a tool without arguments", tool(input_schema={})),
    offered(
        "a tool with a deep schema",
        tool(input_schema=DEEP),
        contains=['"name": "get_weather"', "$defs", "#/$defs/place"],
    ),
    offered("a tool with a long name", tool("mcp__server__" + "x" * 120), contains=["mcp__server__xxx"]),
    offered("a tool that is strict", tool(strict=True, input_schema=DEEP)),
    offered("a tool that is not strict", tool(strict=False)),
    offered(
        "a tool with examples",
        tool(input_examples=[{"city": "Tromsø"}, {"city": "Bodø"}]),
        contains=['"name": "get_weather"', "Does get_weather.", "Tromsø", "Bodø", '"parameters"'],
        lacks=["input_examples"],
    ),
    offered(
        "a tool with everything",
        tool(
            strict=True,
            defer_loading=False,
            eager_input_streaming=True,
            cache_control=EPHEMERAL,
            allowed_callers=["direct"],
        ),
        lacks=["defer_loading", "eager", "ephemeral", "allowed_callers"],
    ),
    offered(
        "a tool with everything empty",
        tool(
            strict=None,
            defer_loading=None,
            eager_input_streaming=None,
            cache_control=None,
            input_examples=[],
        ),
        lacks=["null", "Examples"],
    ),
    offered("a deferred tool beside one that is not", WEATHER, PLACEHOLDER, LATE, lacks=["Deferred", "late"]),
    offered("deferred tools alone", LATE, contains=['"name": "late"']),
    Row("no tools", ask("Hi.", tools=[]), ["user\nHi."], lacks=["tools"]),
    Row("tools of null", ask("Hi.", tools=None), ["user\nHi."], lacks=["tools"]),
    offered(
        "a type not yet invented that brings a schema",
        {"type": "telescope_20290101", **tool("telescope")},
        contains=['"name": "telescope"', '"city"'],
    ),
    Row(
        "tools with the same name",
        ask("Hi.", tools=[WEATHER, WEATHER]),
        refused=Refused("tools: Tool names must be unique."),
    ),
    Row(
        "a tool without a name",
        ask("Hi.", tools=[{"input_schema": {}}]),
        refused=Refused("tools.0.name: Field required"),
    ),
    Row(
        "a tool without a schema",
        ask("Hi.", tools=[WEATHER, {"name": "x"}]),
        refused=Refused("tools.1.input_schema: Field required"),
    ),
    Row(
        "a tool that only code may call",
        ask("Hi.", tools=[tool(allowed_callers=["code_execution_20260120"])]),
        refused=Refused("tools.0.allowed_callers: programmatic tool calling is not supported"),
    ),
]

SCREEN = {"display_width_px": 1024, "display_height_px": 768}
EDIT = ['"view"', '"str_replace"']
# type, name, further fields, what the model must read of it
CLIENT_TOOLS: list[tuple[str, str, Json, list[str]]] = [
    ("bash_20241022", "bash", {}, ['"command"', '"restart"']),
    (
        "bash_20250124",
        "bash",
        {"strict": True, "input_examples": [{"command": "ls"}]},
        ['{\\"command\\": \\"ls\\"}', '"restart"'],
    ),
    ("bash_20290101", "bash", {"cache_control": EPHEMERAL}, ['"command"', '"restart"']),
    ("text_editor_20241022", "str_replace_editor", {}, [*EDIT, '"undo_edit"']),
    ("text_editor_20250124", "str_replace_editor", {}, [*EDIT, '"undo_edit"']),
    ("text_editor_20250429", "str_replace_based_edit_tool", {}, [*EDIT, '"insert_text"']),
    ("text_editor_20250728", "str_replace_based_edit_tool", {"max_characters": 10_000}, ["10000", *EDIT]),
    ("computer_20241022", "computer", SCREEN, ["1024", "768", '"left_click"']),
    ("computer_20250124", "computer", SCREEN | {"display_number": 1}, ["1024", "768", '"triple_click"']),
    ("computer_20251124", "computer", SCREEN | {"enable_zoom": True}, ["1024", "768", '"zoom"']),
]
NO_SERVER_TOOLS = [
    ("code_execution_20250522", "code_execution", {}),
    ("code_execution_20250825", "code_execution", {}),
    ("code_execution_20260120", "code_execution", {}),
    ("code_execution_20260521", "code_execution", {}),
    ("advisor_20260301", "advisor", {"model": "tiny"}),
    ("telescope_20290101", "telescope", {}),
]
MEMORY = {"type": "memory_20250818", "name": "memory"}

OWN = [
    *(
        offered(f"{kind}", {"type": kind, "name": name, **fields}, contains=[f'"name": "{name}"', *contains])
        for kind, name, fields, contains in CLIENT_TOOLS
    ),
    Row(
        "memory_20250818",
        ask("Hi.", tools=[MEMORY], system="Be brief."),
        [
            "Be brief.",
            "ALWAYS VIEW YOUR MEMORY DIRECTORY",
            "ASSUME INTERRUPTION",
            '"name": "memory"',
            "/memories",
            '"view"',
            '"rename"',
            "user\nHi.",
        ],
        output=calls("memory", '{"command": "view", "path": "/memories"}'),
        reply=[{"type": "tool_use", "name": "memory", "input": {"command": "view", "path": "/memories"}}],
        stop_reason="tool_use",
    ),
    Row(
        "a screen without its size",
        ask("Hi.", tools=[{"type": "computer_20250124", "name": "computer"}]),
        refused=Refused("tools.0.computer_20250124.display_width_px: Field required"),
    ),
    *(
        Row(
            f"{kind}, which runs on a server",
            ask("Hi.", tools=[WEATHER, {"type": kind, "name": name, **fields}]),
            refused=Refused("tools.1"),
        )
        for kind, name, fields in NO_SERVER_TOOLS
    ),
    Row(
        "mcp_toolset, which runs on a server",
        ask(
            "Hi.",
            tools=[{"type": "mcp_toolset", "mcp_server_name": "wiki", "default_config": {"enabled": True}}],
        ),
        refused=Refused("tools.0"),
    ),
]

COMPUTER = {"type": "computer_toolset_20260801"}
BROWSER = {"type": "browser_toolset_20260801"}
CLICK = {
    "type": "tool_use",
    "name": "left_click",
    "input": {"coordinate": [1, 2]},
    "toolset_name": "computer",
}
SHOT = image(base64(image_file("PNG"), "image/png"))

SERVER_TOOLS = [
    offered(f"the server tool {kind}", {"type": kind, "name": name}, LATE, contains=[f'"name": "{name}"'])
    for kind, name in (
        ("web_search_20250305", "web_search"),
        ("web_search_20260209", "web_search"),
        ("web_search_20260318", "web_search"),
        ("web_fetch_20250910", "web_fetch"),
        ("web_fetch_20260209", "web_fetch"),
        ("web_fetch_20260309", "web_fetch"),
        ("web_fetch_20260318", "web_fetch"),
        ("tool_search_tool_regex", "tool_search_tool_regex"),
        ("tool_search_tool_regex_20251119", "tool_search_tool_regex"),
        ("tool_search_tool_bm25", "tool_search_tool_bm25"),
        ("tool_search_tool_bm25_20251119", "tool_search_tool_bm25"),
    )
]

TOOLSETS = [
    offered(
        "computer_toolset_20260801",
        COMPUTER,
        contains=['"name": "computer_key"', '"name": "computer_left_click"', '"name": "computer_zoom"'],
        output=calls("computer_left_click", '{"coordinate": [1, 2]}'),
        reply=[CLICK],
        stop_reason="tool_use",
    ),
    offered(
        "a toolset with members switched off and put off",
        COMPUTER | {"configs": {"zoom": {"enabled": False}, "wait": {"defer_loading": True}, "type": {}}},
        WEATHER,
        contains=['"name": "computer_left_click"', '"name": "get_weather"'],
        lacks=["computer_zoom", "computer_wait"],
    ),
    offered(
        "browser_toolset_20260801",
        BROWSER,
        contains=['"name": "browser_navigate"', '"name": "browser_find"'],
        lacks=["browser_javascript_exec", "browser_read_console"],
    ),
    offered(
        "a browser's member that is off unless switched on",
        BROWSER | {"configs": {"javascript_exec": {"enabled": True}}},
        contains=['"name": "browser_navigate"', '"name": "browser_javascript_exec"'],
    ),
    Row(
        "a toolset's member in a history",
        body(
            user("Click."),
            assistant(use("toolu_1", "left_click", {"coordinate": [1, 2]}, toolset_name="computer")),
            user(result("clicked", toolset_name="computer")),
            tools=[COMPUTER],
        ),
        [
            '"name": "computer_left_click"',
            '"name": "computer_left_click", "arguments": {"coordinate": [1, 2]}',
            "clicked",
        ],
    ),
    Row(
        "a toolset's screenshot",
        body(
            user("Look."),
            assistant(use("toolu_1", "screenshot", {}, toolset_name="computer")),
            user(result([SHOT], toolset_name="computer")),
            tools=[COMPUTER],
        ),
        refused=Refused("messages.2.content.0.tool_result.content.0: Could not process image"),
        with_images=['"name": "computer_screenshot", "arguments": {}', "<image data:image/png"],
    ),
    Row(
        "a toolset's member that is not there",
        ask("Hi.", tools=[COMPUTER | {"configs": {"fly": {"enabled": True}}}]),
        refused=Refused("tools.0.computer_toolset_20260801.configs.fly: "),
    ),
]

AUTO = {"type": "auto"}
TWICE = f"{CALL}\n{CALL}"


def chosen(name: str, choice: Any, output: str = "Yes.", *replies: Json, **fields: Any) -> Row:
    """A row with this tool choice."""
    blocks = replies or (YES,)
    stop = "tool_use" if blocks[-1]["type"] == "tool_use" else "end_turn"
    asked = ask("Weather?", tools=[WEATHER, tool("look")], tool_choice=choice, **fields)
    return Row(
        name,
        asked,
        ['"name": "get_weather"', '"name": "look"', "Weather?"],
        output=output,
        reply=blocks,
        stop_reason=stop,
        native_ends="<|im_start|>assistant\n" if "thinking" in fields else None,
    )


CHOICES = [
    chosen("no word on calls", None),
    chosen("calls as it pleases", AUTO),
    chosen("calls as it pleases, and it calls", AUTO, TWICE, CALLED, CALLED),
    chosen("one call at most", AUTO | {"disable_parallel_tool_use": True}, CALL, CALLED),
    chosen("one call at most, and none made", AUTO | {"disable_parallel_tool_use": True}),
    chosen("a call demanded", {"type": "any"}, CALL, CALLED),
    chosen("one call demanded", {"type": "any", "disable_parallel_tool_use": True}, CALL, CALLED),
    chosen("a call of one tool demanded", {"type": "tool", "name": "get_weather"}, CALL, CALLED),
    chosen(
        "a call demanded of a model that thinks",
        {"type": "tool", "name": "get_weather"},
        "<think>\nHm.\n</think>\n\n" + CALL,
        {"type": "thinking", "thinking": "Hm."},
        CALLED,
        thinking={"type": "enabled", "budget_tokens": 1024},
    ),
    chosen("no calls", {"type": "none"}),
    Row(
        "a call demanded of no tools",
        ask("Hi.", tool_choice={"type": "any"}),
        refused=Refused("tool_choice: "),
    ),
    Row(
        "a call demanded of a tool that is not there",
        ask("Hi.", tools=[WEATHER], tool_choice={"type": "tool", "name": "look"}),
        refused=Refused("tool_choice: Tool 'look' not found in provided tools"),
    ),
    Row(
        "a call demanded of a tool that was removed",
        body(
            user("Hi."),
            system(change("removal", reference("get_weather"))),
            tools=[WEATHER, tool("look")],
            tool_choice={"type": "tool", "name": "get_weather"},
        ),
        refused=Refused("tool_choice: Tool 'get_weather' not found in provided tools"),
    ),
    Row(
        "a call demanded of a deferred tool that nothing refers to",
        ask("Hi.", tools=[WEATHER, LATE], tool_choice={"type": "tool", "name": "late"}),
        refused=Refused("tool_choice: Tool 'late' not found in provided tools"),
    ),
    Row(
        "a call demanded of a tool without a name",
        ask("Hi.", tools=[WEATHER], tool_choice={"type": "tool"}),
        refused=Refused("tool_choice.name: Field required"),
    ),
    Row(
        "a call demanded of a deferred tool that a result refers to",
        loop(
            result([{"type": "tool_reference", "tool_name": "late"}]),
            tools=[WEATHER, LATE],
            tool_choice={"type": "tool", "name": "late"},
        ),
        ["Does late."],
        output=calls("late", '{"city": "Oslo"}'),
        reply=[{"type": "tool_use", "name": "late", "input": {"city": "Oslo"}}],
        stop_reason="tool_use",
    ),
]

TOOLS = [*CUSTOM, *SERVER_TOOLS, *OWN, *TOOLSETS, *CHOICES]
