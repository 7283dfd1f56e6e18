"""Toolsets: which tools are offered under which names, and which requests are refused."""

import copy
from typing import Any

import pytest

from vllm_messages_plugin.server_tools.mcp.toolsets import (
    listing_block,
    prompt_name,
    toolsets,
    with_tools,
)
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.mcp import FIRST_BETA, LISTING_BETA, MCPToolParam
from vllm_messages_plugin.wire.request import CountTokensRequest

SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}
LISTING = tuple(
    MCPToolParam(name=name, description=f"Does {name}.", input_schema=SCHEMA)
    for name in ("read", "write", "drop")
)
WIKI = {"type": "url", "name": "wiki", "url": "https://wiki.example/mcp"}
DOCS = {"type": "url", "name": "docs", "url": "https://docs.example/mcp"}
TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "wiki"}
CUSTOM = {"name": "read", "input_schema": {"type": "object"}}
NEW, OLD = frozenset({"mcp-client-2025-11-20"}), frozenset({FIRST_BETA})


def request(servers: Any = (WIKI,), tools: Any = (TOOLSET,), **fields: Any) -> CountTokensRequest:
    return CountTokensRequest.model_validate(
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Hi"}],
            "mcp_servers": list(servers),
            "tools": list(tools),
            **fields,
        }
    )


def offered(given: CountTokensRequest, betas: frozenset[str] = NEW) -> list[tuple[str, str, bool]]:
    """Server, name in the prompt and whether it is deferred, for each tool that is offered."""
    found = toolsets(given, betas)
    changed, tools = with_tools(given, [(each, LISTING) for each in found])
    entries = changed.tools or []
    return [
        (tool.toolset.server.name, str(entries[tool.place].name), bool(entries[tool.place].defer_loading))
        for tool in tools
    ]


def names(*entries: Any, **fields: Any) -> list[str]:
    return [name for _, name, _ in offered(request(tools=[{**TOOLSET, **fields}, *entries]))]


def test_all_tools_of_a_server_are_offered_with_their_schemas() -> None:
    given = request()
    changed, _ = with_tools(given, [(each, LISTING) for each in toolsets(given, NEW)])
    assert changed.tools is not None
    assert [(tool.name, tool.description, tool.input_schema) for tool in changed.tools] == [
        (tool.name, tool.description, tool.input_schema) for tool in LISTING
    ]
    assert changed.mcp_servers is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["read", "write", "drop"]),
        ({"configs": {"drop": {"enabled": False}}}, ["read", "write"]),
        ({"default_config": {"enabled": False}, "configs": {"read": {"enabled": True}}}, ["read"]),
        ({"default_config": {"enabled": False}}, []),
        ({"default_config": {"enabled": False}, "configs": {"read": {"defer_loading": True}}}, []),
        ({"configs": {"absent": {"enabled": True}}}, ["read", "write", "drop"]),
        ({"default_config": None, "configs": None, "tools": None}, ["read", "write", "drop"]),
    ],
)
def test_a_tool_is_offered_as_its_config_or_the_default_has_it(
    fields: dict[str, Any], expected: list[str]
) -> None:
    assert names(**fields) == expected


def test_a_config_defers_single_tools_or_all_but_some() -> None:
    one = offered(request(tools=[{**TOOLSET, "configs": {"drop": {"defer_loading": True}}}]))
    assert [deferred for *_, deferred in one] == [False, False, True]
    fields = {"default_config": {"defer_loading": True}, "configs": {"read": {"defer_loading": False}}}
    most = offered(request(tools=[{**TOOLSET, **fields}]))
    assert [deferred for *_, deferred in most] == [False, True, True]


def test_names_of_other_tools_are_left_to_them() -> None:
    both = request([WIKI, DOCS], [CUSTOM, TOOLSET, {**TOOLSET, "mcp_server_name": "docs"}])
    assert [(server, name) for server, name, _ in offered(both)] == [
        ("wiki", "wiki_read"),
        ("wiki", "write"),
        ("wiki", "drop"),
        ("docs", "docs_read"),
        ("docs", "docs_write"),
        ("docs", "docs_drop"),
    ]


def test_a_name_in_the_prompt_has_only_characters_of_names() -> None:
    assert prompt_name("files.read/all", "a", set()) == "files_read_all"
    assert prompt_name("read", "my wiki", {"read"}) == "my_wiki_read"
    assert prompt_name("read", "a", {"read", "a_read"}) == "a_read_"


def test_the_other_entries_keep_their_places() -> None:
    given = request(tools=[TOOLSET, CUSTOM])
    changed, tools = with_tools(given, [(each, LISTING) for each in toolsets(given, NEW)])
    assert [tool.name for tool in changed.tools or ()] == ["wiki_read", "read", "write", "drop"]
    assert [tool.place for tool in tools] == [0, 2, 3]


def test_a_toolset_without_tools_leaves_no_entry() -> None:
    given = request(tools=[{**TOOLSET, "default_config": {"enabled": False}}, CUSTOM])
    changed, tools = with_tools(given, [(each, LISTING) for each in toolsets(given, NEW)])
    assert [tool.name for tool in changed.tools or ()] == ["read"]
    assert tools == []


def test_the_cache_breakpoint_of_a_toolset_moves_to_its_tools() -> None:
    given = request(tools=[{**TOOLSET, "cache_control": {"type": "ephemeral"}}])
    changed, _ = with_tools(given, [(each, LISTING) for each in toolsets(given, NEW)])
    assert (changed.tools or [])[-1].model_extra == {"cache_control": {"type": "ephemeral"}}


# The oldest beta: servers without toolsets.


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        (None, ["read", "write", "drop"]),
        ({}, ["read", "write", "drop"]),
        ({"allowed_tools": None, "enabled": None}, ["read", "write", "drop"]),
        ({"allowed_tools": ["write"]}, ["write"]),
        ({"allowed_tools": []}, []),
        ({"enabled": False}, []),
        ({"enabled": False, "allowed_tools": ["write"]}, []),
    ],
)
def test_the_oldest_beta_offers_a_server_by_its_tool_configuration(
    configuration: Any, expected: list[str]
) -> None:
    given = request([{**WIKI, "tool_configuration": configuration}], [])
    assert [name for _, name, _ in offered(given, OLD)] == expected


def test_a_tool_configuration_is_understood_without_the_beta() -> None:
    given = request([{**WIKI, "tool_configuration": {"allowed_tools": ["read"]}}], [])
    assert [name for _, name, _ in offered(given, frozenset())] == ["read"]


def test_a_disabled_server_is_not_asked() -> None:
    (found,) = toolsets(request([{**WIKI, "tool_configuration": {"enabled": False}}], []), OLD)
    assert found.listing == ()


# Listings that the request brings along.

PINNED = [{"name": "pinned", "input_schema": SCHEMA}]


def block(*tools: Any, server: str = "wiki") -> dict[str, Any]:
    return {"type": "mcp_tool_listing", "mcp_server_name": server, "tools": list(tools)}


def replied(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": list(blocks)}]}


def listed(given: CountTokensRequest) -> list[str] | None:
    (found,) = toolsets(given, NEW)
    return None if found.listing is None else [tool.name for tool in found.listing]


def test_a_pinned_listing_is_used() -> None:
    assert listed(request(tools=[{**TOOLSET, "tools": PINNED}])) == ["pinned"]
    assert listed(request(tools=[{**TOOLSET, "tools": []}])) == []
    assert listed(request()) is None


def test_the_newest_listing_of_an_earlier_reply_is_used() -> None:
    older, newer = {"name": "older", "input_schema": {}}, {"name": "newer", "input_schema": {}}
    assert listed(request(**replied(block(older), block(newer), block(server="docs")))) == ["newer"]
    assert listed(request(tools=[{**TOOLSET, "tools": PINNED}], **replied(block(older)))) == ["pinned"]


@pytest.mark.parametrize("tools", [[7], [{"name": "x"}], [{"name": "", "input_schema": {}}]])
def test_a_listing_in_the_history_that_makes_no_sense_is_not_used(tools: list[Any]) -> None:
    assert listed(request(**replied(block(*tools)))) is None
    assert listed(request(**replied({"type": "mcp_tool_listing", "mcp_server_name": "wiki"}))) is None


def test_a_listing_goes_out_as_it_comes_in() -> None:
    (found,) = toolsets(request(), NEW)
    sent = listing_block(found, LISTING)
    (again,) = toolsets(request(**replied(sent)), NEW)
    assert again.listing == LISTING


# Requests that are refused.

REFUSED = {
    "a toolset without its server": (
        {"servers": []},
        "tools.0.mcp_server_name: MCP server 'wiki' not found in mcp_servers",
    ),
    "a toolset without a name": (
        {"tools": [{"type": "mcp_toolset"}]},
        "tools.0.mcp_server_name: Field required",
    ),
    "two toolsets of a server": (
        {"tools": [TOOLSET, TOOLSET]},
        "tools.1.mcp_server_name: MCP server 'wiki' has a toolset already",
    ),
    "a server without a toolset": (
        {"servers": [WIKI, DOCS]},
        "mcp_servers.1: MCP server 'docs' is not referenced by an mcp_toolset in tools",
    ),
    "two servers of a name": ({"servers": [WIKI, WIKI]}, "mcp_servers: MCP server names must be unique."),
    "too many servers": (
        {"servers": [{**WIKI, "name": str(number)} for number in range(21)]},
        "mcp_servers: Input should have at most 20 servers",
    ),
    "a token of two lines": (
        {"servers": [{**WIKI, "authorization_token": "a\r\nx: y"}]},
        "mcp_servers.0.authorization_token: Input should be a bearer token",
    ),
    "a toolset beside a tool_configuration": (
        {"servers": [{**WIKI, "tool_configuration": {}}]},
        "mcp_servers.0.tool_configuration: can't be used together with an mcp_toolset",
    ),
    "a config that is no object": (
        {"tools": [{**TOOLSET, "configs": {"read": True}}]},
        "tools.0.configs.read: Input should be",
    ),
    "a config that is no boolean": (
        {"tools": [{**TOOLSET, "default_config": {"enabled": "yes"}}]},
        "tools.0.default_config.enabled: Input should be a valid boolean",
    ),
    "a pinned tool without schema": (
        {"tools": [{**TOOLSET, "tools": [{"name": "a"}]}]},
        "tools.0.tools.0.input_schema: Field required",
    ),
}


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED)
def test_a_request_without_sense_is_refused_by_its_field(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(MessagesError) as refused:
        toolsets(request(**fields), NEW)
    assert refused.value.message.startswith(message)
    assert refused.value.status == 400


def test_newer_betas_beside_the_oldest_want_toolsets() -> None:
    with pytest.raises(MessagesError, match="not referenced"):
        toolsets(request(tools=[]), OLD | {LISTING_BETA})


def test_the_request_stays_as_it_was() -> None:
    given = request(tools=[TOOLSET, CUSTOM])
    before = copy.deepcopy(given)
    with_tools(given, [(each, LISTING) for each in toolsets(given, NEW)])
    assert given == before
