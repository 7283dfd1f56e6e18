"""doctor's look at the environment's variables."""

from collections.abc import Iterable

import pytest

from vllm_messages_plugin.cli.doctor.environment import environment
from vllm_messages_plugin.cli.doctor.line import Line

URL = "http://localhost:8000"


def named(lines: Iterable[Line], name: str) -> Line:
    return next(line for line in lines if line.name == name)


VARIABLES: list[tuple[dict[str, str], str, str, str]] = [
    ({}, "VLLM_PLUGINS", "ok", "not set"),
    ({"VLLM_PLUGINS": "a,messages"}, "VLLM_PLUGINS", "ok", "a,messages"),
    ({"VLLM_PLUGINS": "a"}, "VLLM_PLUGINS", "fail", "excludes this plugin"),
    ({"VLLM_USE_RUST_FRONTEND": "1"}, "VLLM_USE_RUST_FRONTEND", "fail", "set"),
    ({"VLLM_USE_RUST_FRONTEND": "0"}, "VLLM_USE_RUST_FRONTEND", "ok", "not set"),
    ({}, "VLLM_MESSAGES_*", "ok", "none is needed"),
    ({"VLLM_MESSAGES_ENABLED": "off"}, "VLLM_MESSAGES_ENABLED", "warn", "'off'"),
    ({"VLLM_MESSAGES_ENABLED": "maybe"}, "VLLM_MESSAGES_ENABLED", "fail", "neither 1 nor 0"),
    ({"VLLM_MESSAGES_PING_SECONDS": "0.5"}, "VLLM_MESSAGES_PING_SECONDS", "ok", "further pings"),
    ({"VLLM_MESSAGES_PING_SECONDS": "soon"}, "VLLM_MESSAGES_PING_SECONDS", "fail", "not a number"),
    ({"VLLM_MESSAGES_PING_SECONDS": "0"}, "VLLM_MESSAGES_PING_SECONDS", "fail", "not greater than 0"),
    ({"VLLM_MESSAGES_MAX_BODY_MB": "1.5"}, "VLLM_MESSAGES_MAX_BODY_MB", "fail", "not a whole number"),
    ({"VLLM_MESSAGES_DEFAULT_THINKING": "on"}, "VLLM_MESSAGES_DEFAULT_THINKING", "ok", "requests without"),
    ({"VLLM_MESSAGES_DEFAULT_THINKING": "1"}, "VLLM_MESSAGES_DEFAULT_THINKING", "fail", "not one of off, on"),
    ({"VLLM_MESSAGES_ALIAS": "x"}, "VLLM_MESSAGES_ALIAS", "warn", "unknown setting"),
    ({"vllm_messages_aliases": "x"}, "vllm_messages_aliases", "ok", "'x'"),
    ({"HTTP_PROXY": "http://p"}, "proxy", "warn", "HTTP_PROXY is set"),
    ({"HTTP_PROXY": "http://p", "NO_PROXY": "a.example, localhost"}, "proxy", "ok", "not for localhost"),
    ({"ALL_PROXY": "http://p", "no_proxy": "*"}, "proxy", "ok", "not for localhost"),
]


@pytest.mark.parametrize(("environ", "name", "status", "words"), VARIABLES)
def test_each_variable_is_listed_with_its_effect(
    environ: dict[str, str], name: str, status: str, words: str
) -> None:
    found = named(environment(environ, URL), name)
    assert (found.status, words in found.found) == (status, True), found
    assert (found.advice == "") == (status == "ok")


def test_a_setting_that_is_nearly_right_is_guessed() -> None:
    found = named(environment({"VLLM_MESSAGES_PING_SECOND": "1"}, URL), "VLLM_MESSAGES_PING_SECOND")
    assert found.advice == "did you mean VLLM_MESSAGES_PING_SECONDS?"


def test_a_proxy_matters_to_this_machine_only() -> None:
    names = {line.name for line in environment({"HTTP_PROXY": "http://p"}, "http://gpu:8000")}
    assert "proxy" not in names


def test_a_secret_setting_is_not_shown() -> None:
    lines = list(environment({"VLLM_MESSAGES_SIGNATURE_KEY": "sesame"}, URL))
    assert "sesame" not in str(lines)
