"""Which variables are set, and what they do. Settings are read where the server was started, not here."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from urllib.parse import urlsplit

from vllm_messages_plugin.cli.doctor.line import Line, fail, ok, warn
from vllm_messages_plugin.cli.serve import plugin_warning
from vllm_messages_plugin.conformance.client import is_loopback

PREFIX = "VLLM_MESSAGES_"
SWITCH = frozenset({"1", "0", "true", "false", "yes", "no", "on", "off", "t", "f", "y", "n"})
THINKING = frozenset({"off", "on", "template"})
FORMATS = frozenset({"auto", "vllm"})


def _any(_value: str) -> str | None:
    return None


def _switch(value: str) -> str | None:
    return None if value.lower() in SWITCH else "is neither 1 nor 0"


def _one_of(words: frozenset[str]) -> Callable[[str], str | None]:
    return lambda value: None if value in words else f"is none of {', '.join(sorted(words))}"


def _size(value: str) -> str | None:
    return None if value.isdecimal() and int(value) >= 1 else "is no whole number from 1"


def _seconds(value: str) -> str | None:
    try:
        return None if float(value) > 0 else "is not more than 0"
    except ValueError:
        return "is no number"


@dataclass(frozen=True)
class Setting:
    """A setting: what it does, and what is wrong with a value."""

    effect: str
    find_problem: Callable[[str], str | None] = _any
    secret: bool = False


# A test compares these with the server's own settings, which the command line must not import.
SETTINGS: Mapping[str, Setting] = {
    "ENABLED": Setting("whether the plugin serves /v1/messages at all", _switch),
    "ALIASES": Setting("model names answered besides the served one's own"),
    "TOOL_CALL_PARSER": Setting("the tool parser of the Messages routes"),
    "REASONING_PARSER": Setting("the reasoning parser of the Messages routes"),
    "FORMATS": Setting("whether our own parsers read replies, or vLLM's", _one_of(FORMATS)),
    "DEFAULT_THINKING": Setting("what a request without `thinking` gets", _one_of(THINKING)),
    "MAX_BODY_MB": Setting("the largest body, in MiB", _size),
    "FETCH_PRIVATE": Setting("whether documents may be fetched from private addresses", _switch),
    "FIRST_PING_SECONDS": Setting("the silence before a stream's first ping", _seconds),
    "PING_SECONDS": Setting("the silence before further pings", _seconds),
    "SIGNATURE_KEY": Setting("seals thinking, for all replicas that share it", secret=True),
}


def environment(environ: Mapping[str, str], url: str) -> Iterator[Line]:
    """The variables that decide whether and how the plugin works."""
    yield _plugins(environ)
    yield _rust(environ)
    yield from _settings(environ)
    if (proxied := _proxy(environ, url)) is not None:
        yield proxied


def _plugins(environ: Mapping[str, str]) -> Line:
    if trouble := plugin_warning(environ):
        found, _, advice = trouble.partition(". ")
        return fail("VLLM_PLUGINS", found, advice)
    return ok("VLLM_PLUGINS", environ.get("VLLM_PLUGINS") or "not set: the plugin is on")


def _rust(environ: Mapping[str, str]) -> Line:
    if environ.get("VLLM_USE_RUST_FRONTEND", "0") in {"", "0"}:
        return ok("VLLM_USE_RUST_FRONTEND", "not set")
    return fail("VLLM_USE_RUST_FRONTEND", "set", "unset it: that front end loads no Python plugin")


def _settings(environ: Mapping[str, str]) -> Iterator[Line]:
    given = {name: value for name, value in environ.items() if name.upper().startswith(PREFIX)}
    if not given:
        yield ok(f"{PREFIX}*", "none is set, and none is needed")
    for name, value in sorted(given.items()):
        yield _setting(name, value)


def _setting(name: str, value: str) -> Line:
    setting = SETTINGS.get(name.upper().removeprefix(PREFIX))
    if setting is None:
        near = get_close_matches(name.upper().removeprefix(PREFIX), SETTINGS, n=1)
        advice = f"perhaps {PREFIX}{near[0]}" if near else "docs/configuration.md lists all there are"
        return warn(name, "there is no such setting", advice)
    shown = "(not shown)" if setting.secret else repr(value)
    if wrong := setting.find_problem(value):
        return fail(
            name, f"{shown} {wrong}", "mend it: with a value that makes no sense the plugin stays off"
        )
    if name.upper() == f"{PREFIX}ENABLED" and value.lower() in {"0", "false", "no", "off", "f", "n"}:
        return warn(name, shown, "the plugin stands aside: vLLM's own /v1/messages answers")
    return ok(name, f"{shown}: {setting.effect}")


def _proxy(environ: Mapping[str, str], url: str) -> Line | None:
    """A proxy before a server on this machine breaks clients that obey it."""
    proxies = [name for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy") if environ.get(name)]
    if not proxies or not is_loopback(url):
        return None
    host = urlsplit(url).hostname or ""
    spared = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if spared == "*" or any(_covers(part.strip(), host) for part in spared.split(",")):
        return ok("proxy", f"{proxies[0]}, but not for {host}")
    return warn(
        "proxy", f"{proxies[0]} is set", f"set NO_PROXY={host}, or clients ask the proxy for this machine"
    )


def _covers(part: str, host: str) -> bool:
    try:
        return ip_address(part) == ip_address(host)
    except ValueError:
        return bool(part) and (host == part or host.endswith("." + part.lstrip(".")))
