"""Rows for what Anthropic's own servers leave in a history: shown, never refused."""

from collections.abc import Sequence
from typing import Any

from request_table.blocks import PICTURE, SEEN
from request_table.row import (
    WEATHER,
    Json,
    Refused,
    Row,
    ask,
    assistant,
    body,
    result,
    system,
    text,
    tool,
    use,
    user,
)

NO_RESULT = "The call was not run."
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "Oslo"}}
MCP_CALL = {
    "type": "mcp_tool_use",
    "id": "mcptoolu_1",
    "name": "read_page",
    "server_name": "wiki",
    "input": {"page": "Oslo"},
}
SEALED = "RXZpbCBi" * 700  # what a page looks like to everybody but its maker


def history(name: str, *blocks: Json, contains: Sequence[str], **fields: Any) -> Row:
    """A row with these blocks in an earlier reply."""
    asked = body(user("Look it up."), assistant("I look.", *blocks, "Found."), user("And?"))
    return Row(name, asked, ["Look it up.", "I look.", *contains, "Found.", "And?"], **fields)


def web_result(number: int) -> Json:
    return {
        "type": "web_search_result",
        "url": f"https://a.invalid/{number}",
        "title": f"Page {number}",
        "encrypted_content": SEALED,
        "page_age": None,
    }


def of(kind: str, content: Any, **fields: Any) -> Json:
    return {"type": kind, "tool_use_id": "srvtoolu_1", "content": content, **fields}


def failed(kind: str, code: str = "unavailable") -> Json:
    return of(kind, {"type": f"{kind}_error", "error_code": code})


FETCHED = {
    "type": "web_fetch_result",
    "url": "https://a.invalid/1",
    "retrieved_at": None,
    "content": {
        "type": "document",
        "title": "Page 1",
        "source": {"type": "text", "media_type": "text/plain", "data": "Oslo is cold."},
    },
}
RAN = {"stdout": "42", "stderr": "a warning", "return_code": 0}
EDITS: list[tuple[str, Json, str]] = [
    ("view", {"content": "line one", "file_type": "text", "num_lines": 1, "start_line": 1}, "line one"),
    ("create", {"is_file_update": True}, "is_file_update"),
    ("str_replace", {"lines": ["-a", "+b"], "new_lines": 1, "new_start": 3}, "+b"),
]
LATE = tool("late", defer_loading=True)
FOUND_TOOL = {
    "type": "tool_search_tool_search_result",
    "tool_references": [{"type": "tool_reference", "tool_name": "late"}],
}

SERVER_BLOCKS = [
    history("a server's call", SEARCH, contains=["web_search", "Oslo"]),
    history(
        "a web search",
        SEARCH,
        of("web_search_tool_result", [web_result(1), web_result(2)], caller={"type": "direct"}),
        contains=["web_search", "Page 1", "https://a.invalid/1", "Page 2", "https://a.invalid/2"],
        lacks=[SEALED[:80]],
    ),
    history("a web search that failed", SEARCH, failed("web_search_tool_result"), contains=["not available"]),
    history(
        "a page fetched", of("web_fetch_tool_result", FETCHED), contains=["a.invalid/1", "Oslo is cold."]
    ),
    history(
        "a page not fetched", failed("web_fetch_tool_result", "url_not_allowed"), contains=["url_not_allowed"]
    ),
    history(
        "code that ran",
        of(
            "code_execution_tool_result",
            {
                "type": "code_execution_result",
                **RAN,
                "content": [{"type": "code_execution_output", "file_id": "file_1"}],
            },
        ),
        contains=["42", "a warning", "file_1"],
    ),
    history(
        "code that ran in secret",
        of(
            "code_execution_tool_result",
            {
                "type": "encrypted_code_execution_result",
                "encrypted_stdout": "c2VjcmV0",
                "stderr": "a warning",
            },
        ),
        contains=["a warning"],
    ),
    history("code that did not run", failed("code_execution_tool_result"), contains=["unavailable"]),
    history(
        "a shell command that ran",
        of("bash_code_execution_tool_result", {"type": "bash_code_execution_result", **RAN, "content": []}),
        contains=["42", "a warning"],
    ),
    history(
        "a shell command that did not run",
        failed("bash_code_execution_tool_result"),
        contains=["unavailable"],
    ),
    *(
        history(
            f"a server's editor: {kind}",
            of(
                "text_editor_code_execution_tool_result",
                {"type": f"text_editor_code_execution_{kind}_result", **content},
            ),
            contains=[words],
        )
        for kind, content, words in EDITS
    ),
    history(
        "a server's editor that failed",
        failed("text_editor_code_execution_tool_result", "file_not_found"),
        contains=["file_not_found"],
    ),
    Row(
        "a server's tool search, which makes a deferred tool callable",
        body(
            user("Look it up."),
            assistant(of("tool_search_tool_result", FOUND_TOOL), "Found."),
            user("And?"),
            tools=[WEATHER, LATE],
        ),
        ['"name": "get_weather"', "Look it up.", '"name": "late"', "Does late.", "Found.", "And?"],
        output='<tool_call>\n{"name": "late", "arguments": {"city": "Oslo"}}\n</tool_call>',
        reply=[{"type": "tool_use", "name": "late", "input": {"city": "Oslo"}}],
        stop_reason="tool_use",
    ),
    *(
        history(
            f"a tool search whose finds make no sense: {odd!r}",
            of("tool_search_tool_result", {**FOUND_TOOL, "tool_references": odd}),
            contains=["tool_search_tool_result"],
        )
        for odd in (True, 1.5, [None, ["late"], {"tool_name": ["late"]}])
    ),
    history("a tool search that failed", failed("tool_search_tool_result"), contains=["unavailable"]),
    history(
        "an advisor's words",
        of(
            "advisor_tool_result", {"type": "advisor_result", "text": "Ask again.", "stop_reason": "end_turn"}
        ),
        contains=["Ask again."],
    ),
    history(
        "an advisor's sealed words",
        of(
            "advisor_tool_result",
            {"type": "advisor_redacted_result", "encrypted_content": "c2VjcmV0", "stop_reason": "end_turn"},
        ),
        contains=["advisor"],
    ),
    history("no advisor", failed("advisor_tool_result", "overloaded"), contains=["overloaded"]),
    history(
        "a call of an MCP tool",
        MCP_CALL,
        {**of("mcp_tool_result", [text("A city.")], is_error=False), "tool_use_id": "mcptoolu_1"},
        contains=["read_page", "Oslo", "A city."],
        lacks=["mcp_tool_result"],
    ),
    history(
        "a call of an MCP tool that failed",
        MCP_CALL,
        {**of("mcp_tool_result", "No page.", is_error=True), "tool_use_id": "mcptoolu_1"},
        contains=["read_page", "No page."],
    ),
    history(
        "a result of an MCP tool without its call",
        of("mcp_tool_result", "No page.", is_error=True),
        contains=["No page."],
    ),
    history("a call of an MCP tool that was not run", MCP_CALL, contains=["read_page", NO_RESULT]),
    history(
        "the tools of an MCP server",
        {
            "type": "mcp_tool_listing",
            "mcp_server_name": "wiki",
            "tools": [{"name": "read_page", "description": "Reads.", "input_schema": {"type": "object"}}],
        },
        contains=[],
        lacks=["wiki", "read_page"],
    ),
    history(
        "a fallback",
        {
            "type": "fallback",
            "from": {"model": "claude-a"},
            "to": {"model": "claude-b"},
            "trigger": {"type": "refusal", "category": None},
        },
        contains=[],
        lacks=["claude-", "fallback"],
    ),
    history(
        "a block not yet invented", {"type": "hologram", "shows": "a cat"}, contains=["hologram", "a cat"]
    ),
    Row(
        "a block not yet invented, in a user turn",
        ask({"type": "hologram", "shows": "a cat"}, "See?"),
        ["hologram", "a cat", "See?"],
    ),
    Row(
        "a block not yet invented, in a system message",
        body(user("Hm?"), system({"type": "hologram", "shows": "a cat"})),
        ["Hm?", "hologram", "a cat"],
    ),
    Row(
        "a block without a type",
        ask({"shows": "a cat"}, "See?"),
        refused=Refused("messages.0.content.0.type: Field required"),
    ),
    Row(
        "a file for a container",
        ask({"type": "container_upload", "file_id": "file_1"}, "See?"),
        ["container_upload", "file_1", "See?"],
    ),
    Row(
        "a server's turn that was paused",
        body(user("Look it up."), assistant("I look.", SEARCH)),
        ["Look it up.", "I look.", "web_search", "Oslo", NO_RESULT],
    ),
    Row(
        "a compaction in a reply",
        body(
            user("Long ago."),
            assistant({"type": "compaction", "content": "They met.", "signature": "s"}, "Since then:"),
            user("And?"),
        ),
        ["They met.", "assistant\nSince then:", "And?"],
        lacks=["Long ago."],
    ),
    Row(
        "a compaction at the head",
        body(
            assistant(
                {
                    "type": "compaction",
                    "content": "They met.",
                    "encrypted_content": None,
                    "signature": "s",
                    "tool_changes": [],
                }
            ),
            user("And?"),
        ),
        ["They met.", "And?"],
    ),
    Row(
        "a compaction after a call that it stands for",
        body(
            user("Weather?"),
            assistant(use()),
            user(result("7 degrees"), {"type": "compaction", "content": "It was cold."}, "And?"),
            tools=[WEATHER],
        ),
        ["It was cold.", "And?"],
        lacks=["7 degrees"],
    ),
    Row(
        "a compaction before what can't be shown",
        body(user("Hm?"), assistant({"type": "compaction", "content": "They met."}), user("And", PICTURE)),
        refused=Refused("messages.2.content.1: Could not process image"),
        with_images=["They met.", "And", SEEN],
    ),
    Row(
        "a compaction of nothing",
        body(user("Long ago."), assistant({"type": "compaction", "content": None}, "Hm."), user("And?")),
        ["Long ago.", "assistant\nHm.", "And?"],
        lacks=["compaction"],
    ),
]
