"""Sessions with MCP servers: listings, calls, and every way in which a server can fail."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

import pytest

from support.loopback import HOST, free_port
from support.mcp_server import WEATHER, McpSite, OddSite, wait_for
from vllm_messages_plugin.media.guard import system_addresses
from vllm_messages_plugin.server_tools.mcp.addresses import AllowedServers
from vllm_messages_plugin.server_tools.mcp.connector import rules_for
from vllm_messages_plugin.server_tools.mcp.sessions import (
    McpFailedError,
    McpServer,
    McpSession,
    sessions_ended,
)

TOKEN = "a-secret-token"


def server(url: str, token: str = "") -> McpServer:
    return McpServer(url, token, rules_for(url, AllowedServers("listed", (url,))), system_addresses)


@pytest.fixture
async def session(site: McpSite) -> AsyncIterator[McpSession]:
    opened = McpSession(server(site.url))
    yield opened
    opened.close()
    await sessions_ended()


async def text_of(session: McpSession, tool: str, **arguments: str) -> str:
    result = await session.call(tool, arguments)
    return getattr(result.content[0], "text", "")


async def test_a_listing_has_names_descriptions_and_schemas(site: McpSite) -> None:
    tools = {tool.name: tool for tool in await server(site.url).list_tools()}
    assert tools["weather"].description == "Say what the weather in a city is."
    assert tools["weather"].input_schema["required"] == ["city"]


async def test_a_tool_runs_with_its_arguments(site: McpSite, session: McpSession) -> None:
    assert await text_of(session, "weather", city="Oslo") == WEATHER.format(city="Oslo")
    assert site.calls == [("weather", {"city": "Oslo"})]


async def test_the_calls_of_a_reply_share_a_session_that_is_closed_at_its_end(site: McpSite) -> None:
    site.legacy = True
    session = McpSession(server(site.url))
    assert [await text_of(session, "count") for _ in range(2)] == ["call 1", "call 2"]
    session.close()
    await sessions_ended()
    assert site.methods[-1] == "DELETE"
    assert site.methods.count("initialize") == 1
    ids = {headers["mcp-session-id"] for headers in site.headers if "mcp-session-id" in headers}
    assert len(ids) == 1


async def test_the_token_is_sent_as_bearer_and_stands_in_no_log_and_no_repr(
    site: McpSite, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    site.token = TOKEN
    assert await server(site.url, TOKEN).list_tools()
    assert {headers["authorization"] for headers in site.headers} == {f"Bearer {TOKEN}"}
    with pytest.raises(McpFailedError, match="HTTP 401"):
        await server(site.url, f"{TOKEN}-of-another").list_tools()
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(server(site.url, TOKEN))


async def test_a_tool_that_fails_says_so_in_its_result(session: McpSession) -> None:
    result = await session.call("fail", {})
    assert result.is_error
    assert "the barometer is broken" in getattr(result.content[0], "text", "")


async def test_an_unknown_tool_is_a_failure_and_the_session_goes_on(session: McpSession) -> None:
    with contextlib.suppress(McpFailedError):
        assert (await session.call("absent", {})).is_error
    assert await text_of(session, "count") == "call 1"


async def test_a_result_that_is_too_large_fails_and_the_next_call_works(session: McpSession) -> None:
    with pytest.raises(McpFailedError, match="larger than"):
        await session.call("huge", {})
    assert await text_of(session, "count") == "call 1"


async def test_a_call_that_takes_too_long_fails_and_the_next_one_works(site: McpSite) -> None:
    session = McpSession(server(site.url), call_seconds=1)
    await session.call("count", {})
    with pytest.raises(McpFailedError, match="no result within 1 seconds"):
        await session.call("slow", {})
    patient = McpSession(server(site.url))
    assert await text_of(patient, "count") == "call 3"
    session.close()
    patient.close()
    await sessions_ended()


async def test_a_caller_that_leaves_ends_its_call(site: McpSite, session: McpSession) -> None:
    call = asyncio.create_task(session.call("slow", {}))
    await asyncio.to_thread(wait_for, lambda: ("slow", {}) in site.calls)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("html", "does not answer as an MCP server"),
        ("broken", "does not answer as an MCP server"),
        ("forbidden", "HTTP 401"),
        ("huge", "larger than"),
        ("many values", "objects and lists"),
        ("endless event", "larger than"),
        ("bomb", "content encoding is not supported"),
        ("redirect", "HTTP 307"),
        ("redirect inward", "HTTP 307"),
    ],
)
async def test_an_odd_server_fails_with_a_reason(mode: str, reason: str, odd: OddSite) -> None:
    odd.mode = mode
    with pytest.raises(McpFailedError, match=reason):
        await server(odd.url).list_tools()
    with pytest.raises(McpFailedError, match=reason):
        await McpSession(server(odd.url)).call("weather", {})


async def test_a_slow_server_fails_in_time(odd: OddSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vllm_messages_plugin.server_tools.mcp.sessions.LIST_SECONDS", 0.3)
    monkeypatch.setattr("vllm_messages_plugin.server_tools.mcp.sessions.OPEN_SECONDS", 0.3)
    odd.mode = "slow"
    with pytest.raises(McpFailedError, match=r"no answer within 0\.3 seconds"):
        await server(odd.url).list_tools()
    with pytest.raises(McpFailedError, match=r"no answer within 0\.3 seconds"):
        await McpSession(server(odd.url)).call("weather", {})


async def test_a_dead_server_fails() -> None:
    url = f"http://{HOST}:{free_port()}/mcp"
    with pytest.raises(McpFailedError, match="the connection failed"):
        await server(url).list_tools()
    with pytest.raises(McpFailedError, match="the connection failed"):
        await McpSession(server(url)).call("weather", {})


async def test_a_private_address_is_refused_unless_it_is_listed(site: McpSite) -> None:
    rules = rules_for(site.url, AllowedServers("any"))
    with pytest.raises(McpFailedError, match="outside the domains"):
        await McpServer(site.url, "", rules, system_addresses).list_tools()
    assert "tools/list" not in site.methods


async def test_a_name_that_turns_private_is_refused() -> None:
    url = "https://rebinding.example/mcp"

    async def inward(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    rules = rules_for(url, AllowedServers("any"))
    with pytest.raises(McpFailedError, match="its address is not a public one"):
        await McpServer(url, "", rules, inward).list_tools()


async def test_a_log_line_names_the_server_without_path_and_query(
    odd: OddSite, caplog: pytest.LogCaptureFixture
) -> None:
    place: Callable[[str], McpServer] = lambda url: McpServer(  # noqa: E731
        url, "", rules_for(odd.url, AllowedServers("listed", (odd.url,))), system_addresses
    )
    with pytest.raises(McpFailedError):
        await place(f"{odd.url}?key=a-secret-key").list_tools()
    ours = [record.getMessage() for record in caplog.records if record.name == "vllm.messages"]
    assert ours
    assert "a-secret-key" not in "".join(ours)
