"""Which MCP servers may be asked, and how a setting names one tool of a server.

The operator's list has URLs. An entry covers its own URL and those below its path. What the list covers may
have a private address and need no TLS; any other server must be on the public internet and speak https.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

Mode = Literal["off", "listed", "any"]

TOOL_SETTING: Final = "mcp:"


@dataclass(frozen=True, slots=True)
class McpAddress:
    """One tool of an MCP server, as a setting names it: `mcp:URL#TOOL`."""

    url: str
    tool: str


def tool_address(setting: str, variable: str) -> McpAddress:
    """Read a setting `mcp:URL#TOOL`.

    Args:
        setting: Its value.
        variable: The name of the setting, for errors.

    Raises:
        ValueError: It names no tool of an http(s) URL.
    """
    url, _, tool = setting.strip().removeprefix(TOOL_SETTING).partition("#")
    if (
        not setting.strip().startswith(TOOL_SETTING)
        or not url.startswith(("http://", "https://"))
        or not tool
    ):
        raise ValueError(f"{variable}: the value must be mcp:URL#TOOL, such as mcp:http://HOST:8080/mcp#run")
    return McpAddress(url, tool)


class _Place(NamedTuple):
    """A URL in parts that can be compared."""

    scheme: str
    host: str
    port: int
    path: str


def place_of(url: str) -> _Place | None:
    """The parts of an http(s) URL without credentials, fragment or dot segments; None for any other text."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or parts.fragment:
        return None
    if {".", ".."} & set(unquote(parts.path).replace("\\", "/").split("/")):
        return None
    return _Place(parts.scheme, host, port, parts.path.rstrip("/"))


@dataclass(frozen=True, slots=True)
class AllowedServers:
    """The operator's rules for the URLs of MCP servers.

    Attributes:
        mode: `listed`: only what the list covers; `any`: every public https URL besides.
        urls: The operator's list.
    """

    mode: Mode = "off"
    urls: Sequence[str] = ()

    def lists(self, url: str) -> bool:
        """Whether the operator's list covers a URL."""
        place = place_of(url)
        return place is not None and any(_covers(place_of(entry), place) for entry in self.urls)

    def refusal(self, url: str) -> str | None:
        """Why a URL may not be asked; None if it may."""
        place = place_of(url)
        if place is None:
            return "Input should be an http or https URL without credentials"
        if self.lists(url):
            return None
        if self.mode != "any":
            return "this server connects only the MCP servers of VLLM_MESSAGES_MCP_URLS"
        return None if place.scheme == "https" else "Input should be an https URL"


def _covers(entry: _Place | None, place: _Place) -> bool:
    return (
        entry is not None
        and entry[:3] == place[:3]
        and (place.path == entry.path or place.path.startswith(f"{entry.path}/"))
    )


def url_list(setting: str) -> tuple[str, ...]:
    """The URLs of a comma-separated setting."""
    return tuple(filter(None, map(str.strip, setting.split(","))))
