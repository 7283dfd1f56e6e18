"""The server tools that this server offers, and those of one request among them.

The offer is made once, at the start of the server, from its settings. For each request it says which
entries of `tools` it runs, checks their fields, and gives the functions that run them.
"""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Protocol

from vllm_messages_plugin.rounds.ledger import ServerCall, ServerToolResult
from vllm_messages_plugin.rounds.server_tool import McpTools, ServerTool
from vllm_messages_plugin.server_tools import code_execution, tool_search, web_fetch, web_search
from vllm_messages_plugin.server_tools.code_execution import Sandbox
from vllm_messages_plugin.server_tools.known_urls import KnownUrls, url_sources
from vllm_messages_plugin.server_tools.mcp import history as mcp_history
from vllm_messages_plugin.server_tools.search import SearchBackend
from vllm_messages_plugin.server_tools.tool_search import ToolSearch, deferred_tool
from vllm_messages_plugin.server_tools.web_fetch import Fetcher, WebFetch
from vllm_messages_plugin.server_tools.web_search import WebSearch
from vllm_messages_plugin.wire.blocks import WebResultBlockParam
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.mcp import MCP_TOOLSET
from vllm_messages_plugin.wire.request import CountTokensRequest, RequestT, ToolParam

_TYPE: Final = re.compile(r"(web_search|web_fetch|tool_search_tool_regex|tool_search_tool_bm25)(_\d{8})?")
"""The types of the tools that are run here; every dated version of one is the same tool."""

NOTHING_CONNECTED: Final[Mapping[int, ServerTool]] = MappingProxyType({})

ReadResult = Callable[[Any], str | Sequence[Mapping[str, Any] | WebResultBlockParam]]
"""Reads the `content` of a result block for the model, as text or as content blocks."""

MAX_DOMAINS: Final = 100
NO_MCP: Final = "this server connects no MCP servers (VLLM_MESSAGES_MCP is off); connect them in the client"


class Connector(Protocol):
    """Connects the MCP servers of requests."""

    async def connect(self, request: RequestT, betas: Set[str]) -> McpTools[RequestT]:
        """Replace the toolsets of a request by the tools of its servers, as `McpConnector.connect` does."""
        ...


@dataclass(frozen=True, slots=True)
class NoConnector:
    """Stands for the connector of a server that connects no MCP servers.

    Attributes:
        reason: Why it does not, for the client.
    """

    reason: str = NO_MCP

    async def connect(self, request: RequestT, betas: Set[str]) -> McpTools[RequestT]:  # noqa: ARG002
        """Refuse the request.

        Raises:
            MessagesError: 400.
        """
        if request.mcp_servers:
            raise invalid(self.reason, "mcp_servers")
        place = next(place for place, tool in enumerate(request.tools or ()) if tool.type == MCP_TOOLSET)
        raise invalid(
            f"tool type '{MCP_TOOLSET}' is not supported by this server: {self.reason}", f"tools.{place}"
        )


def tool_family(tool: ToolParam) -> str | None:
    """The name of the server tool that an entry of `tools` asks for, whatever its date; None for others."""
    found = _TYPE.fullmatch(tool.type or "")
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class ServerToolOffer:
    """What this server runs.

    Attributes:
        seal: Encrypts the text of a search result for the client to carry.
        restore: Decrypts it; None for a text that is not this server's.
        search: The search service; None if the operator named none.
        fetcher: Fetches pages; None if the operator did not turn that on.
        connector: Connects MCP servers.
        sandbox: Runs code; None if the operator named none.
    """

    seal: Callable[[str], str]
    restore: Callable[[str], str | None]
    search: SearchBackend | None = None
    fetcher: Fetcher | None = None
    connector: Connector = field(default_factory=NoConnector)
    sandbox: Sandbox | None = None

    @property
    def readers(
        self,
    ) -> Mapping[str, ReadResult]:
        """How the model reads the results in a history, by the type of their block."""
        return {
            web_search.RESULT_TYPE: lambda content: web_search.restored_content(content, self.restore),
            web_fetch.RESULT_TYPE: web_fetch.restored_text,
            tool_search.RESULT_TYPE: tool_search.restored_content,
            mcp_history.RESULT_TYPE: mcp_history.restored_content,
            **dict.fromkeys(code_execution.RESULT_TYPES, code_execution.restored_text),
        }

    @property
    def families(self) -> frozenset[str]:
        """The tools that are offered."""
        found = {tool_search.REGEX_NAME, tool_search.BM25_NAME}
        if self.search is not None:
            found.add(web_search.NAME)
        if self.fetcher is not None:
            found.add(web_fetch.NAME)
        if self.sandbox is not None:
            found.add(code_execution.FAMILY)
        return frozenset(found)

    async def connect(self, request: RequestT, betas: Set[str]) -> McpTools[RequestT]:
        """Ask the servers that a request needs: those of its toolsets, and the sandbox for its code.

        Args:
            request: The request.
            betas: The values of its `anthropic-beta` headers.

        Returns:
            The request with the tools of its MCP servers in place of its toolsets, and what runs them and its
            `code_execution` tools.

        Raises:
            MessagesError: 400, the servers may not or can't be asked, or a field makes no sense.
        """
        connected = McpTools(request)
        if request.mcp_servers or any(tool.type == MCP_TOOLSET for tool in request.tools or ()):
            connected = await self.connector.connect(request, betas)
        if self.sandbox is None:
            return connected
        code = {
            place: await code_execution.tool_of_type(str(tool.type), place, self.sandbox)
            for place, tool in enumerate(connected.request.tools or ())
            if code_execution.is_code_execution(tool.type)
        }
        return replace(connected, tools={**connected.tools, **code})

    def for_request(
        self,
        request: CountTokensRequest,
        deferred: Sequence[Mapping[str, Any]],
        connected: Mapping[int, ServerTool] = NOTHING_CONNECTED,
    ) -> dict[int, ServerTool]:
        """The tools of a request that run here, by their place in `tools`.

        Args:
            request: The request, after `connect`.
            deferred: The functions of its deferred tools, in OpenAI's form.
            connected: The tools of its MCP servers, by their place.

        Raises:
            MessagesError: 400, a field of such a tool makes no sense; names the field.
        """
        known: list[KnownUrls] = []
        found = dict(connected)
        for place, tool in enumerate(request.tools or ()):
            family, path = tool_family(tool), f"tools.{place}"
            if family not in self.families:
                continue
            if family == web_fetch.NAME:
                sources = url_sources(_field(tool, "url_sources"), f"{path}.url_sources")
                known.append(KnownUrls(request, sources))
                found[place] = self._web_fetch(tool, path, known[-1])
            elif family == web_search.NAME:
                found[place] = self._web_search(tool, path)
            else:
                found[place] = _tool_search(family, tool, path, deferred)
        return {place: noting_urls(tool, known) for place, tool in found.items()}

    def _web_fetch(self, tool: ToolParam, path: str, known: KnownUrls) -> ServerTool:
        assert self.fetcher is not None, "the family is offered"
        allowed, blocked = _domain_lists(tool, path)
        citations = _field(tool, "citations")
        runner = WebFetch(
            self.fetcher,
            known,
            allowed,
            blocked,
            _positive(tool, "max_content_tokens", path),
            citations if isinstance(citations, Mapping) else None,
        )
        return ServerTool(
            web_fetch.NAME, web_fetch.definition(), runner.run, web_fetch.failed, _max_uses(tool, path)
        )

    def _web_search(self, tool: ToolParam, path: str) -> ServerTool:
        assert self.search is not None, "the family is offered"
        allowed, blocked = _domain_lists(tool, path)
        runner = WebSearch(self.search, self.seal, allowed, blocked, _country(tool, path))
        return ServerTool(
            web_search.NAME, web_search.definition(), runner.run, web_search.failed, _max_uses(tool, path)
        )


def noting_urls(tool: ServerTool, known: Sequence[KnownUrls]) -> ServerTool:
    """The tool, adding the URLs of each of its results to those that may be fetched."""
    if not known:
        return tool

    async def run(call: ServerCall) -> ServerToolResult:
        result = await tool.run(call)
        for urls in known:
            urls.add_result(tool.mcp.tool if tool.mcp else tool.name, result.text)
        return result

    return replace(tool, run=run)


def _tool_search(
    family: str, tool: ToolParam, path: str, deferred: Sequence[Mapping[str, Any]]
) -> ServerTool:
    return ServerTool(
        family,
        tool_search.definition(family),
        ToolSearch([deferred_tool(function) for function in deferred]).run,
        lambda code: tool_search.failed(code, code.replace("_", " ")),
        _max_uses(tool, path),
    )


def _field(tool: ToolParam, name: str) -> Any:
    return (tool.model_extra or {}).get(name)


def _max_uses(tool: ToolParam, path: str) -> int | None:
    return _positive(tool, "max_uses", path)


def _positive(tool: ToolParam, name: str, path: str) -> int | None:
    value = _field(tool, name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise invalid("Input should be a whole number above 0", f"{path}.{name}")
    return value


def _domain_lists(tool: ToolParam, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The allowed and the blocked domains of a tool."""
    allowed, blocked = _domains(tool, "allowed_domains", path), _domains(tool, "blocked_domains", path)
    if allowed and blocked:
        raise invalid("can't be used together with blocked_domains", f"{path}.allowed_domains")
    return allowed, blocked


def _domains(tool: ToolParam, name: str, path: str) -> tuple[str, ...]:
    value = _field(tool, name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(domain, str) and domain.strip() for domain in value):
        raise invalid("Input should be a list of domains", f"{path}.{name}")
    if len(value) > MAX_DOMAINS:
        raise invalid(f"Input should have at most {MAX_DOMAINS} domains", f"{path}.{name}")
    return tuple(value)


def _country(tool: ToolParam, path: str) -> str | None:
    location = _field(tool, "user_location")
    if location is None:
        return None
    if not isinstance(location, Mapping) or location.get("type") != "approximate":
        raise invalid('Input should be an object of the type "approximate"', f"{path}.user_location")
    country = location.get("country")
    if country is not None and not (isinstance(country, str) and re.fullmatch(r"[A-Za-z]{2}", country)):
        raise invalid("Input should be a two-letter country code", f"{path}.user_location.country")
    return country.upper() if country else None
