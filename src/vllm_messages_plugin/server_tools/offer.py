"""The server tools that this server offers, and those of one request among them.

The offer is made once, at the start of the server, from its settings. For each request it says which
entries of `tools` it runs, checks their fields, and gives the functions that run them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vllm_messages_plugin.rounds.server_tool import ServerTool
from vllm_messages_plugin.server_tools import tool_search, web_search
from vllm_messages_plugin.server_tools.search import SearchBackend
from vllm_messages_plugin.server_tools.tool_search import ToolSearch, deferred_tool
from vllm_messages_plugin.server_tools.web_search import WebSearch
from vllm_messages_plugin.wire.blocks import WebResultBlockParam
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.request import ToolParam

_TYPE: Final = re.compile(r"(web_search|tool_search_tool_regex|tool_search_tool_bm25)(_\d{8})?")
"""The types of the tools that are run here; every dated version of one is the same tool."""

ReadResult = Callable[[Any], str | Sequence[Mapping[str, Any] | WebResultBlockParam]]
"""Reads the `content` of a result block for the model, as text or as content blocks."""

MAX_DOMAINS: Final = 100


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
    """

    seal: Callable[[str], str]
    restore: Callable[[str], str | None]
    search: SearchBackend | None = None

    @property
    def readers(
        self,
    ) -> Mapping[str, ReadResult]:
        """How the model reads the results in a history, by the type of their block."""
        return {
            web_search.RESULT_TYPE: lambda content: web_search.restored_content(content, self.restore),
            tool_search.RESULT_TYPE: tool_search.restored_content,
        }

    @property
    def families(self) -> frozenset[str]:
        """The tools that are offered."""
        searches = frozenset({web_search.NAME}) if self.search is not None else frozenset()
        return searches | {tool_search.REGEX_NAME, tool_search.BM25_NAME}

    def for_request(
        self, tools: Sequence[ToolParam], deferred: Sequence[Mapping[str, Any]]
    ) -> dict[int, ServerTool]:
        """The tools of a request that run here, by their place in `tools`.

        Args:
            tools: The request's `tools`.
            deferred: The functions of its deferred tools, in OpenAI's form.

        Raises:
            MessagesError: 400, a field of such a tool makes no sense; names the field.
        """
        found = {}
        for place, tool in enumerate(tools):
            family = tool_family(tool)
            if family in self.families:
                found[place] = self._tool(family, tool, f"tools.{place}", deferred)
        return found

    def _tool(
        self, family: str, tool: ToolParam, path: str, deferred: Sequence[Mapping[str, Any]]
    ) -> ServerTool:
        if family == web_search.NAME:
            return self._web_search(tool, path)
        search = ToolSearch([deferred_tool(function) for function in deferred])
        return ServerTool(
            family,
            tool_search.definition(family),
            search.run,
            lambda code: tool_search.failed(code, code.replace("_", " ")),
            _max_uses(tool, path),
        )

    def _web_search(self, tool: ToolParam, path: str) -> ServerTool:
        assert self.search is not None, "the family is offered"
        allowed, blocked = _domains(tool, "allowed_domains", path), _domains(tool, "blocked_domains", path)
        if allowed and blocked:
            raise invalid("can't be used together with blocked_domains", f"{path}.allowed_domains")
        runner = WebSearch(self.search, self.seal, allowed, blocked, _country(tool, path))
        return ServerTool(
            web_search.NAME, web_search.definition(), runner.run, web_search.failed, _max_uses(tool, path)
        )


def _field(tool: ToolParam, name: str) -> Any:
    return (tool.model_extra or {}).get(name)


def _max_uses(tool: ToolParam, path: str) -> int | None:
    value = _field(tool, "max_uses")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise invalid("Input should be a whole number above 0", f"{path}.max_uses")
    return value


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
