"""Diagnoses the environment variables that vLLM and the plugin read.

The plugin reads its settings where the server was started, which may be another environment than this one.
"""

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
    return lambda value: None if value in words else f"is not one of {', '.join(sorted(words))}"


def _size(value: str) -> str | None:
    return None if value.isdecimal() and int(value) >= 1 else "is not a whole number of at least 1"


def _count(value: str) -> str | None:
    return None if value.isdecimal() else "is not a whole number of at least 0"


def _seconds_or_zero(value: str) -> str | None:
    return None if value.strip() in {"0", "0.0"} else _seconds(value)


def _seconds(value: str) -> str | None:
    try:
        return None if float(value) > 0 else "is not greater than 0"
    except ValueError:
        return "is not a number"


@dataclass(frozen=True)
class Setting:
    """A setting: its effect, and a function that says what is wrong with a value."""

    effect: str
    find_problem: Callable[[str], str | None] = _any
    secret: bool = False


# A test compares these with the server's own settings, which the command line must not import.
SETTINGS: Mapping[str, Setting] = {
    "ENABLED": Setting("whether the plugin serves /v1/messages at all", _switch),
    "ALIASES": Setting("further names for the served model"),
    "TOOL_CALL_PARSER": Setting("the tool parser of the Messages routes"),
    "REASONING_PARSER": Setting("the reasoning parser of the Messages routes"),
    "FORMATS": Setting("whether the plugin's or vLLM's parsers read the output", _one_of(FORMATS)),
    "DEFAULT_THINKING": Setting("the thinking of a request that does not set it", _one_of(THINKING)),
    "MAX_BODY_MB": Setting("the largest body, in MiB", _size),
    "SLOW_REQUEST_SECONDS": Setting("how long a client may take to send a request", _seconds_or_zero),
    "MAX_QUEUED_REQUESTS": Setting("how many requests may wait before more are refused", _count),
    "TOKEN_CACHE_MB": Setting("the memory for the tokens of earlier prompts, in MiB", _count),
    "THINKING_LOOP_REPEATS": Setting("after how many repetitions a thinking loop is ended", _count),
    "FETCH_PRIVATE": Setting("whether documents may be fetched from private addresses", _switch),
    "FIRST_PING_SECONDS": Setting("the silence before a stream's first ping", _seconds),
    "PING_SECONDS": Setting("the silence before further pings", _seconds),
    "SIGNATURE_KEY": Setting("signs thinking, for all replicas that share it", secret=True),
}


def environment(environ: Mapping[str, str], url: str) -> Iterator[Line]:
    """Yield the lines about the variables that decide whether and how the plugin works."""
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
    return fail("VLLM_USE_RUST_FRONTEND", "set", "unset it: the Rust front end loads no Python plugins")


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
        advice = f"did you mean {PREFIX}{near[0]}?" if near else "docs/configuration.md lists all settings"
        return warn(name, "unknown setting", advice)
    shown = "(not shown)" if setting.secret else repr(value)
    if wrong := setting.find_problem(value):
        return fail(name, f"{shown} {wrong}", "correct it: with an invalid value the plugin stays off")
    if name.upper() == f"{PREFIX}ENABLED" and value.lower() in {"0", "false", "no", "off", "f", "n"}:
        return warn(name, shown, "the plugin is off: vLLM's own /v1/messages responds")
    return ok(name, f"{shown}: {setting.effect}")


def _proxy(environ: Mapping[str, str], url: str) -> Line | None:
    """Diagnose a proxy in front of a server on this machine, which breaks clients that use it."""
    proxies = [name for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy") if environ.get(name)]
    if not proxies or not is_loopback(url):
        return None
    host = urlsplit(url).hostname or ""
    spared = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if spared == "*" or any(_covers(part.strip(), host) for part in spared.split(",")):
        return ok("proxy", f"{proxies[0]}, but not for {host}")
    return warn(
        "proxy",
        f"{proxies[0]} is set",
        f"set NO_PROXY={host}, or clients send requests for this machine to the proxy",
    )


def _covers(part: str, host: str) -> bool:
    try:
        return ip_address(part) == ip_address(host)
    except ValueError:
        return bool(part) and (host == part or host.endswith("." + part.lstrip(".")))
