"""Rows for roles and places: the order of roles, system messages anywhere, replies begun by the client."""

from typing import Any

from request_table.row import (
    CALL,
    EPHEMERAL,
    WEATHER,
    Json,
    Row,
    ask,
    assistant,
    body,
    change,
    reference,
    result,
    said,
    system,
    text,
    thinking,
    tool,
    use,
    user,
)

BILLING = "x-anthropic-billing-header: cc_version=2.1.332.572; cc_entrypoint=cli; cch=a1b2c;"
HEAD = "<|im_start|>system\n"
LATE = tool("late", defer_loading=True)
CALL_LATE = '<tool_call>\n{"name": "late", "arguments": {"city": "Oslo"}}\n</tool_call>'
CALLED_LATE: list[Json] = [{"type": "tool_use", "name": "late", "input": {"city": "Oslo"}}]


def with_system_text(name: str, words: str, *messages: Json, **fields: Any) -> Row:
    """A row whose system message stands in its place, or marked in a user turn beside it."""
    return Row(
        name,
        body(*messages),
        [words],
        native_contains=[f"{HEAD}{words}<|im_end|>"],
        prompted_contains=[f"<system-reminder>\n{words}\n</system-reminder>"],
        **fields,
    )


ROLES = [
    Row(
        "user turns in a row",
        body(said("user", "One."), user("Two."), user("Three.")),
        ["user\nOne.", "Two.", "Three.<|im_end|>"],
        lacks=["One.<|im_end|>"],
    ),
    Row(
        "replies in a row",
        body(user("Hm?"), said("assistant", "One."), assistant("Two."), user("So?")),
        ["assistant\nOne.", "Two.<|im_end|>", "So?"],
        lacks=["One.<|im_end|>"],
    ),
    Row("a reply first", body(assistant("Welcome."), user("Hi.")), ["assistant\nWelcome.", "user\nHi."]),
    Row(
        "calls and results, turn by turn",
        body(
            user("Weather?"),
            assistant(use()),
            user(result("7")),
            assistant(use("toolu_2", "get_weather", {"city": "Rome"})),
            user(result("20", "toolu_2")),
            tools=[WEATHER],
        ),
        [CALL, "7\n</tool_response>", '{"city": "Rome"}', "20\n</tool_response>"],
    ),
]

SYSTEMS = [
    Row("no system prompt", ask("Hi.", system=None), ["user\nHi."], lacks=[HEAD]),
    Row("a system prompt", ask("Hi.", system="Be brief."), [f"{HEAD}Be brief.<|im_end|>", "Hi."]),
    Row(
        "a system prompt of blocks",
        ask("Hi.", system=[text("Be brief."), text("Be kind.", cache_control={**EPHEMERAL, "ttl": "1h"})]),
        [f"{HEAD}Be brief.", "Be kind.<|im_end|>", "Hi."],
        lacks=["ephemeral"],
    ),
    Row("an empty system prompt", ask("Hi.", system=""), ["user\nHi."], lacks=[HEAD]),
    Row("a system prompt of no blocks", ask("Hi.", system=[]), ["user\nHi."], lacks=[HEAD]),
    Row(
        "a system message first",
        body(system("Be brief."), user("Hi.")),
        [f"{HEAD}Be brief.<|im_end|>", "user\nHi."],
    ),
    Row(
        "a system message first, beside a system prompt",
        body(system("Be kind."), user("Hi."), system="Be brief."),
        [f"{HEAD}Be brief.", "Be kind.<|im_end|>", "user\nHi."],
    ),
    Row(
        "nothing but a system message",
        body(system("Be brief.")),
        [f"{HEAD}Be brief.<|im_end|>", "<|im_start|>user\n"],
    ),
    with_system_text("a system message after the user", "Be brief.", user("Hi."), system("Be brief.")),
    with_system_text("a system message as a string", "Be brief.", user("Hi."), said("system", "Be brief.")),
    with_system_text(
        "a system message before a reply",
        "Be brief.",
        user("Hi."),
        system("Be brief."),
        assistant("Hi!"),
        user("So?"),
    ),
    with_system_text(
        "a system message after a reply",
        "Be brief.",
        user("Hi."),
        assistant("Hi!"),
        system("Be brief."),
        user("So?"),
    ),
    with_system_text(
        "a system message after a server's result",
        "Be brief.",
        user("Hi."),
        assistant({"type": "web_search_tool_result", "tool_use_id": "s", "content": []}),
        system("Be brief."),
    ),
    with_system_text(
        "a system message after a tool's result",
        "Be brief.",
        user("Weather?"),
        assistant(use()),
        user(result("7 degrees")),
        system("Be brief."),
    ),
    Row(
        "system messages in a row",
        body(user("Hi."), system("Be brief."), system("Be kind.")),
        ["user\nHi.", "Be brief.", "Be kind."],
        native_contains=[f"<|im_end|>\n{HEAD}Be brief.", "Be kind.<|im_end|>"],
    ),
    Row(
        "an empty system message",
        body(user("Hi."), system(), assistant("Hi!"), user("So?")),
        ["Hi!"],
        lacks=[HEAD, "reminder"],
    ),
    with_system_text(
        "a system message that stays",
        "Be brief.",
        user("Hi."),
        system("Be brief.", clear_at="never"),
        user("So?"),
    ),
    with_system_text(
        "a system message that clears nothing yet",
        "Be brief.",
        user("Hi."),
        system("Be brief.", clear_at="next_user_message"),
    ),
    Row(
        "a system message cleared by a user's turn",
        body(user("Hi."), system("Be brief.", clear_at="next_user_message"), assistant("Hi!"), user("So?")),
        ["user\nHi.", "assistant\nHi!", "user\nSo?"],
        lacks=["Be brief.", HEAD],
    ),
    Row(
        "a system message cleared by a tool's result",
        body(
            user("Hi."),
            system("Be brief.", clear_at="next_user_message"),
            assistant(use()),
            user(result("7 degrees")),
        ),
        [CALL, "7 degrees"],
        lacks=["Be brief."],
    ),
    Row(
        "an effort for the turns that follow",
        body(user("Hi."), system(output_config={"effort": "low"}), assistant("Hi!"), user("So?")),
        ["user\nHi.", "assistant\nHi!"],
        lacks=[HEAD, "effort", "reminder"],
    ),
    Row(
        "a billing line before the system prompt",
        ask("Hi.", system=[text(BILLING), text("Be brief.")]),
        [f"{HEAD}Be brief."],
        lacks=["billing"],
    ),
    Row(
        "a billing line within the system prompt",
        ask("Hi.", system=f"{BILLING}\nBe brief."),
        [f"{HEAD}Be brief."],
        lacks=["billing"],
    ),
    Row("a billing line alone", ask("Hi.", system=BILLING), ["user\nHi."], lacks=["billing", HEAD]),
    with_system_text(
        "a billing line in a system message",
        "Be brief.",
        user("Hi."),
        system(BILLING, "Be brief."),
        lacks=["billing"],
    ),
]

ADDED = change("addition", reference("late"))

TOOL_CHANGES = [
    Row(
        "a deferred tool added",
        body(user("Hi."), system(ADDED), tools=[WEATHER, LATE]),
        ['"name": "get_weather"', "Hi.", '"name": "late"', "Does late."],
        output=CALL_LATE,
        reply=CALLED_LATE,
        stop_reason="tool_use",
    ),
    Row(
        "a deferred tool added, and words",
        body(user("Hi."), system("A new tool:", ADDED), tools=[WEATHER, LATE]),
        ["Hi.", "A new tool:", '"name": "late"'],
    ),
    Row(
        "a tool brought along",
        body(
            user("Hi."),
            system(change("addition", {"type": "tool_definition", "definition": tool("late")})),
            tools=[WEATHER],
        ),
        ['"name": "get_weather"', "Hi.", '"name": "late"', "Does late."],
        output=CALL_LATE,
        reply=CALLED_LATE,
        stop_reason="tool_use",
    ),
    Row(
        "a tool brought along by its type",
        body(
            user("Hi."),
            system(
                change(
                    "addition",
                    {"type": "tool_definition", "definition": {"type": "bash_20250124", "name": "bash"}},
                )
            ),
        ),
        ["Hi.", '"name": "bash"', '"restart"'],
        output='<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}}\n</tool_call>',
        reply=[{"type": "tool_use", "name": "bash", "input": {"command": "ls"}}],
        stop_reason="tool_use",
    ),
    Row(
        "a tool of an MCP server added",
        body(
            user("Hi."),
            system(change("addition", {"type": "mcp_tool_reference", "server_name": "w", "name": "page"})),
        ),
        ["Hi.", "page"],
    ),
    Row(
        "an MCP server added",
        body(
            user("Hi."), system(change("addition", {"type": "mcp_toolset_reference", "server_name": "wiki"}))
        ),
        ["Hi.", "wiki"],
    ),
    Row(
        "a tool added that nobody knows",
        body(user("Hi."), system(change("addition", reference("lost")))),
        ["Hi.", "lost"],
    ),
    Row(
        "a tool removed",
        body(user("Hi."), system(change("removal", reference("look"))), tools=[WEATHER, tool("look")]),
        ['"name": "get_weather"', '"name": "look"', "Hi.", "look is no longer available"],
    ),
    Row(
        "an MCP server removed",
        body(
            user("Hi."), system(change("removal", {"type": "mcp_toolset_reference", "server_name": "wiki"}))
        ),
        ["Hi.", "wiki is no longer available"],
    ),
    Row(
        "a tool change in a user turn",
        body(user("Hi.", ADDED), tools=[WEATHER, LATE]),
        ["Hi.", "late"],
    ),
]


def begun(name: str, *blocks: Any, ends: str, **fields: Any) -> Row:
    return Row(name, body(user("Hi."), assistant(*blocks)), ["user\nHi."], ends=ends, **fields)


PREFILLS = [
    begun("a reply begun", "The answer is", ends="assistant\nThe answer is"),
    Row("nothing but a reply begun", body(assistant("The answer is")), ends="assistant\nThe answer is"),
    begun("a reply begun with a brace", "{", ends="assistant\n{"),
    begun("a reply begun with what ends a turn", "<", ends="assistant\n<"),
    begun("a reply begun in two blocks", "The answer ", "is", ends="assistant\nThe answer is"),
    begun("a reply begun and a blank", "The answer is ", ends="assistant\nThe answer is "),
    Row(
        "a reply begun as a string",
        body(user("Hi."), said("assistant", "Hi.")),
        ["user\nHi.<|im_end|>"],
        ends="assistant\nHi.",
    ),
    begun(
        "a reply begun after thinking",
        thinking("Hm."),
        "So",
        ends="So",
        native_contains=["assistant\n<think>\nHm.\n</think>\n\nSo"],
    ),
    Row(
        "a reply begun after a result",
        body(
            user("Weather?"), assistant(use()), user(result("7 degrees")), assistant("It is"), tools=[WEATHER]
        ),
        [CALL, "7 degrees"],
        ends="assistant\nIt is",
    ),
    Row(
        "a reply begun with a call",
        body(user("Weather?"), assistant("I look.", use()), tools=[WEATHER]),
        ["I look.\n" + CALL + "<|im_end|>"],
    ),
]

TURNS = [*ROLES, *SYSTEMS, *TOOL_CHANGES, *PREFILLS]
