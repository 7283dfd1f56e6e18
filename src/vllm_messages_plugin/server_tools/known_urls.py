"""Which URLs a request has named: those that stand in its conversation and in the results of its tools.

Only these may be fetched. A model that a page has talked into sending data to an address of its making
can't do so by fetching that address.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from vllm_messages_plugin.wire.blocks import Block, ToolResultBlockParam
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.request import CountTokensRequest, MessageParam

_URL: Final = re.compile(r"https?://[^\s<>\"`\\^{|}]+", re.IGNORECASE)
_TRAILING: Final = ".,;:!?'*_~)]"

Origin = Literal["user_input", "client_tool_results", "server_tool_results"]
ORIGINS: Final[tuple[Origin, ...]] = ("user_input", "client_tool_results", "server_tool_results")


def urls_in(text: str) -> Iterator[str]:
    """The URLs in a text, each also without the punctuation that may follow it."""
    for found in _URL.finditer(text):
        url = found[0]
        yield url
        while url and url[-1] in _TRAILING:
            url = url[:-1]
            yield url
        yield re.split(r"[)\]]", found[0], maxsplit=1)[0]


def canonical(url: str) -> str | None:
    """A URL by which two ways of writing it are equal; None for a text that is no URL."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    if not parts.netloc:
        return None
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path.rstrip('/')}{query}"


@dataclass(frozen=True, slots=True)
class OriginFilter:
    """Which tools' results contribute URLs.

    Attributes:
        type: All tools, none, only the named ones, or all except those.
        tools: The names.
    """

    type: Literal["all", "none", "only", "except"] = "all"
    tools: frozenset[str] = frozenset()

    def admits(self, tool: str) -> bool:
        """Whether the results of a tool contribute."""
        if self.type in ("only", "except"):
            return (tool in self.tools) == (self.type == "only")
        return self.type == "all"


UrlSources = Mapping[Origin, OriginFilter]


def url_sources(value: Any, path: str) -> UrlSources:
    """The filters of a tool's `url_sources`; without one every origin contributes.

    Raises:
        MessagesError: 400, it makes no sense; names the field.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise invalid("Input should be an object", path)
    return {
        origin: _origin_filter(value[origin], f"{path}.{origin}")
        for origin in ORIGINS
        if value.get(origin) is not None
    }


def _origin_filter(value: Any, path: str) -> OriginFilter:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind not in ("all", "none", "only", "except"):
        raise invalid("Input should have the type all, none, only or except", path)
    rows = value.get("tools") or []
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise invalid("Input should be a list of tool references", f"{path}.tools")
    return OriginFilter(kind, frozenset(str(row.get("name") or row.get("tool_name")) for row in rows))


@dataclass(slots=True)
class KnownUrls:
    """The URLs that one request has named.

    The conversation is read when the first URL is looked up, because most requests fetch nothing.
    """

    request: CountTokensRequest
    sources: UrlSources = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _is_read: bool = False

    def add_result(self, tool: str, text: str) -> None:
        """Add the URLs of a server tool's result in this reply."""
        if self._admits("server_tool_results", tool):
            self._add(text)

    def contains(self, url: str) -> bool:
        """Whether the request has named a URL."""
        if not self._is_read:
            self._is_read = True
            for text in self._texts():
                self._add(text)
        return canonical(url) in self._known

    def _add(self, text: str) -> None:
        self._known.update(found for url in urls_in(text) if (found := canonical(url)) is not None)

    def _admits(self, origin: Origin, tool: str = "") -> bool:
        return self.sources.get(origin, OriginFilter()).admits(tool)

    def _texts(self) -> Iterator[str]:
        system = self.request.system
        if self._admits("user_input"):
            yield from strings(system if isinstance(system, str) else [b.model_dump() for b in system or ()])
        names = _tool_names(self.request.messages)
        for message in self.request.messages:
            content = message.content
            if isinstance(content, str):
                if message.role != "assistant" and self._admits("user_input"):
                    yield content
                continue
            for block in content:
                if self._admits_block(block, message.role, names):
                    yield from strings(block.model_dump())

    def _admits_block(self, block: Block, role: str, names: Mapping[str, str]) -> bool:
        if isinstance(block, ToolResultBlockParam):
            return self._admits("client_tool_results", names.get(block.tool_use_id, ""))
        if block.type.endswith("_tool_result"):
            used = str((block.model_extra or {}).get("tool_use_id") or "")
            return self._admits("server_tool_results", names.get(used, ""))
        return role != "assistant" and self._admits("user_input")


def _tool_names(messages: Sequence[MessageParam]) -> dict[str, str]:
    """The name of the tool of each call, by the id of the call."""
    blocks = [block for message in messages if isinstance(message.content, list) for block in message.content]
    fields = [block.model_dump() for block in blocks if block.type.endswith("tool_use")]
    return {str(call.get("id")): str(call.get("name")) for call in fields}


def strings(value: Any) -> Iterator[str]:
    """All texts inside a JSON value, however deep."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
