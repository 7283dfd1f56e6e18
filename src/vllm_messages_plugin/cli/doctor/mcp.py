"""Asks the MCP servers that the environment names for their tools, as the server would."""

import asyncio
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from vllm_messages_plugin.cli.doctor.line import Line, fail, ok, warn
from vllm_messages_plugin.server_tools.mcp.addresses import AllowedServers, place_of, url_list

VARIABLE = "VLLM_MESSAGES_MCP"
CODE = "VLLM_MESSAGES_CODE"
URLS = "VLLM_MESSAGES_MCP_URLS"
INSTALL = "pip install 'vllm-messages-plugin[mcp]'"
DOWN_ADVICE = "check the address; an entry may also be a prefix of servers' URLs, at which nothing answers"


def mcp(environ: Mapping[str, str]) -> Iterator[Line]:
    """Yield a line for each listed MCP server; none where no servers are connected."""
    mode = environ.get(VARIABLE, "off").strip()
    if mode == "off":
        return
    if mode not in ("listed", "any"):
        yield fail(VARIABLE, f"{mode!r} is no value", "set it to off, listed or any")
        return
    urls = url_list(environ.get(URLS, ""))
    if mode == "listed" and not urls:
        yield fail(URLS, "no MCP server is listed, so none is connected", "list the servers' URLs")
    if find_spec("httpx2") is None or find_spec("mcp") is None:
        yield fail(VARIABLE, "the MCP client library is not installed", INSTALL)
        return
    yield from asyncio.run(_ask_all(urls))


async def _ask_all(urls: tuple[str, ...]) -> list[Line]:
    return list(await asyncio.gather(*map(_ask, urls)))


async def _ask(url: str) -> Line:
    # Not at the top: importing the MCP client library takes a second or two.
    from vllm_messages_plugin.media.guard import system_addresses
    from vllm_messages_plugin.server_tools.mcp.connector import rules_for
    from vllm_messages_plugin.server_tools.mcp.sessions import McpFailedError, McpServer

    if place_of(url) is None:
        return fail(URLS, f"{url!r} is no http or https URL", "correct it: until then it covers nothing")
    server = McpServer(url, "", rules_for(url, AllowedServers("listed", (url,))), system_addresses)
    try:
        tools = await server.list_tools()
    except McpFailedError as error:
        if "HTTP 401" in str(error) or "HTTP 403" in str(error):
            return ok(URLS, f"{url} asks for a token, which clients send")
        return warn(URLS, f"{url} gives no tools: {error}", DOWN_ADVICE)
    return ok(URLS, f"{url} has {len(tools)} tools")


def code(environ: Mapping[str, str]) -> Iterator[Line]:
    """Yield a line about the sandbox for code; none where none is named."""
    setting = environ.get(CODE, "")
    if setting:
        yield asyncio.run(_ask_sandbox(setting, environ.get(f"{CODE}_KEY", "")))


async def _ask_sandbox(setting: str, key: str) -> Line:
    from vllm_messages_plugin.server_tools.code_execution import VERSIONS, CodeFailedError

    try:
        from vllm_messages_plugin.server_tools.mcp.operator_tool import operator_tool
        from vllm_messages_plugin.server_tools.mcp.sandbox import McpSandbox

        sandbox = McpSandbox(operator_tool(setting, CODE, key))
        served = [name for name, each in VERSIONS.items() if await sandbox.serves(each) is not None]
    except ImportError:
        return fail(CODE, "the MCP client library is not installed", INSTALL)
    except ValueError as error:
        return fail(CODE, str(error), "correct it: until then code_execution is refused")
    except CodeFailedError as error:
        return fail(CODE, f"no answer: {error.reason}", "start the sandbox, or correct its address and tool")
    if not served:
        return fail(CODE, "the tool takes neither code nor a command", "name another tool of the server")
    return ok(CODE, f"serves {', '.join(served)}")
