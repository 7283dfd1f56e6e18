"""A session in which every kind of block occurs, request by request."""

from request_table.blocks import CITATIONS, PDF, PICTURE, REPORT
from request_table.row import (
    EPHEMERAL,
    Json,
    assistant,
    change,
    document,
    found,
    reference,
    result,
    system,
    text,
    thinking,
    tool,
    use,
    user,
)
from request_table.server_blocks import FETCHED, FOUND_TOOL, RAN, SEARCH, failed, of
from request_table.turns import BILLING
from vllm_messages_plugin.translate.signature import Signer

COMPUTER = {"type": "computer_toolset_20260801"}
TOOLS = [
    tool(cache_control=EPHEMERAL),
    tool("look", input_examples=[{"city": "Oslo"}]),
    tool("late", defer_loading=True),
    tool("later", defer_loading=True),
    {"type": "bash_20250124", "name": "bash"},
    {"type": "memory_20250818", "name": "memory"},
    COMPUTER,
]
BROWSER_STATE: Json = {
    "type": "browser_state",
    "tabs": [{"tab_id": 1, "title": "News", "url": "https://n.invalid"}],
}
MCP_CALL: Json = {
    "type": "mcp_tool_use",
    "id": "m",
    "name": "page",
    "server_name": "wiki",
    "input": {"page": "Oslo"},
}
FALLBACK: Json = {
    "type": "fallback",
    "from": {"model": "a"},
    "to": {"model": "b"},
    "trigger": {"type": "refusal"},
}
UPLOAD: Json = {"type": "container_upload", "file_id": "file_1"}
LISTING: Json = {"type": "mcp_tool_listing", "mcp_server_name": "wiki", "tools": []}
ADVICE: Json = {"type": "advisor_result", "text": "Ask again.", "stop_reason": "end_turn"}
SHELL: Json = {"type": "bash_code_execution_result", **RAN, "content": []}
CODE: Json = {"type": "code_execution_result", **RAN, "content": []}
EDIT: Json = {"type": "text_editor_code_execution_create_result", "is_file_update": False}


def head(version: str) -> list[Json]:
    """The system prompt of a client whose billing line differs from turn to turn."""
    return [text(BILLING.replace("572", version)), text("Be brief.", cache_control=EPHEMERAL)]


def rounds(signer: Signer, pictures: bool) -> list[list[Json]]:
    """What the client adds before each of its requests: the last reply, and what it says to it."""
    hidden = thinking("", signer.sign("Nobody saw this."))
    shot = [PICTURE] if pictures else [text("A shot.")]
    return [
        [system("Be kind."), user("Hello."), system("The date is today.")],
        [
            assistant(thinking("I wonder."), "Hello."),
            user(REPORT, found("Revenue rose."), *shot, UPLOAD, "Why?"),
        ],
        [
            assistant(hidden, "I look.", use("a"), use("b", "look")),
            user(result("2", "b"), result("1", "a"), "And?"),
        ],
        [
            assistant({"type": "redacted_thinking", "data": "x"}, use("c", "get_weather")),
            user("First:", result("No.", "c", is_error=True), "Then?"),
            system("Tokens left: 5."),
            system(change("addition", reference("later")), "It is new."),
        ],
        [
            assistant(use("d", "look", {}), use("e", "screenshot", {}, toolset_name="computer")),
            user(
                result([{"type": "tool_reference", "tool_name": "late"}, REPORT, found("It fell.")], "d"),
                result([BROWSER_STATE, *shot], "e", toolset_name="computer"),
            ),
        ],
        [
            assistant(SEARCH, of("web_search_tool_result", []), text("It rose.", citations=CITATIONS)),
            user("Go on."),
            user("Do."),
        ],
        [
            assistant(
                of("web_fetch_tool_result", FETCHED),
                of("code_execution_tool_result", CODE),
                of("bash_code_execution_tool_result", SHELL),
                of("text_editor_code_execution_tool_result", EDIT),
                failed("tool_search_tool_result"),
                of("advisor_tool_result", ADVICE),
                MCP_CALL,
                of("mcp_tool_result", "A city."),
                LISTING,
                FALLBACK,
                {"type": "compaction", "content": None},
                {"type": "hologram", "shows": "a cat"},
                "Done.",
            ),
            system(change("removal", reference("look"))),
        ],
        [assistant("Good."), user(document(PDF, citations={"enabled": True}), "Read this.")],
        [assistant(of("tool_search_tool_result", FOUND_TOOL), thinking("Hm."), "I have."), user("Thanks.")],
        [assistant("Bye."), user("Bye.")],
    ]
