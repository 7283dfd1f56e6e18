"""Diagnoses the environment variables that vLLM and the plugin read.

The plugin reads its settings where the server was started, which may be another environment than this one.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from urllib.parse import urlsplit

from vllm_messages_plugin.cli.doctor.line import Line, fail, ok, warn
from vllm_messages_plugin.cli.doctor.plugin_settings import plugin_settings
from vllm_messages_plugin.cli.serve import plugin_warning
from vllm_messages_plugin.conformance.client import is_loopback

PREFIX = "VLLM_MESSAGES_"
OFF = frozenset({"0", "false", "no", "off", "f", "n"})


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
    settings = plugin_settings()
    setting = settings.get(name.upper().removeprefix(PREFIX))
    if setting is None:
        near = get_close_matches(name.upper().removeprefix(PREFIX), settings, n=1)
        advice = f"did you mean {PREFIX}{near[0]}?" if near else "docs/configuration.md lists all settings"
        return warn(name, "unknown setting", advice)
    shown = "(not shown)" if setting.secret else repr(value)
    if wrong := setting.problem(value):
        return fail(name, f"{shown} {wrong}", "correct it: with an invalid value the plugin stays off")
    if name.upper() == f"{PREFIX}ENABLED" and value.lower() in OFF:
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
