"""The smoke-test command: its report, its JSON and its exit statuses, over real sockets."""

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from typer.testing import CliRunner, Result

from conformance.fake_anthropic import Fake, listening
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.smoke_test.checks import all_checks


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def url(fake: Fake) -> Iterator[str]:
    with listening(fake) as root:
        yield root


CHECKS = all_checks()


def smoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["smoke-test", *arguments], env={"COLUMNS": "200", "VLLM_API_KEY": ""})


def broken_ids(_request: httpx.Request, response: httpx.Response) -> httpx.Response:
    changed = response.text.replace('"id":"msg_', '"id":"chat_')
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return httpx.Response(response.status_code, headers=headers, text=changed)


def test_a_right_server_passes(url: str) -> None:
    result = smoke(url)
    assert result.exit_code == 0, result.output
    assert f"{len(CHECKS) - 6} passed, 0 failed, 6 skipped, 0 errors" in result.output
    assert all(check.name in result.output for check in CHECKS)


def test_a_broken_server_fails_with_a_curl_line(url: str, fake: Fake) -> None:
    fake.breaks.append(broken_ids)
    result = smoke(url, "--only", "message", "--only", "models")
    assert result.exit_code == 1
    assert "1 passed, 1 failed" in result.output
    line = next(line for line in result.output.splitlines() if line.startswith("curl"))
    assert f"{url}/v1/messages" in shlex.split(line)


def test_json_is_the_only_output_and_has_it_all(url: str, fake: Fake) -> None:
    fake.breaks.append(broken_ids)
    result = smoke(url + "/v1/", "--json", "--only", "message")
    found = json.loads(result.output)
    assert result.exit_code == 1
    assert (found["url"], found["model"], found["window"]) == (url, "tiny", 8192)
    assert (found["passed"], found["failed"], found["skipped"]) == (0, 1, 0)
    check = found["checks"][0]
    assert (check["name"], check["result"]) == ("message", "fail")
    assert check["curl"].startswith("curl ")
    assert check["milliseconds"] >= 0


def test_the_key_is_used_and_never_printed(url: str, fake: Fake) -> None:
    fake.key, fake.breaks = "sesame", [broken_ids]
    result = smoke(url, "--api-key", "sesame", "--only", "auth", "--only", "message")
    assert "sesame" not in result.output
    assert "$VLLM_API_KEY" in result.output
    assert "1 passed, 1 failed" in result.output


WRONG: list[tuple[list[str], str]] = [
    (["--only", "nothing"], "no check is called nothing; there are: models, model, message"),
    (["--group", "nothing"], "no group is called nothing; there are: models, wire, errors"),
    (["--timeout", "0"], "0.1"),
    (["--junit", "/no/such/folder/j.xml", "--only", "models"], "/no/such/folder/j.xml"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG)
def test_wrong_usage_is_2(arguments: list[str], words: str, url: str) -> None:
    result = smoke(url, *arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_no_server_is_2() -> None:
    result = smoke("http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "No server responds at http://127.0.0.1:9" in result.output


def test_a_missing_key_exits_with_2_and_an_explanation(url: str, fake: Fake) -> None:
    fake.key = "sesame"
    result = smoke(url)
    assert result.exit_code == 2
    assert "--api-key" in result.output


def test_a_server_without_a_list_needs_a_model(url: str, fake: Fake) -> None:
    fake.breaks.append(lambda request, response: httpx.Response(404) if request.method == "GET" else response)
    assert "give --model NAME" in smoke(url).output
    result = smoke(url, "--model", "tiny", "--only", "message")
    assert result.exit_code == 0, result.output


def test_every_check_has_a_group_and_a_name_of_its_own() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(check.group for check in CHECKS)


def test_the_list_names_every_check_and_asks_no_server() -> None:
    result = smoke("http://127.0.0.1:9", "--list")
    assert result.exit_code == 0
    assert all(check.name in result.output and check.title in result.output for check in CHECKS)


def test_junit_has_a_suite_a_group_and_a_case_a_check(url: str, fake: Fake, tmp_path: Path) -> None:
    fake.breaks.append(broken_ids)
    path = tmp_path / "found.xml"
    smoke(url, "--only", "message", "--only", "auth", "--group", "models", "--junit", str(path))
    root = ElementTree.fromstring(path.read_text())
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("4", "1", "1")
    assert [suite.get("name") for suite in root] == ["wire", "errors", "models"]
    failure = root.find(".//testcase[@name='message']/failure")
    assert failure is not None
    assert "not msg_" in str(failure.get("message"))
    assert "curl " in str(failure.text)
    assert root.find(".//testcase[@name='auth']/skipped") is not None


@pytest.mark.parametrize("arguments", [[], ["--yes"], ["--api-key", "sk"]])
def test_anthropics_own_api_is_asked_only_with_a_key_and_yes(arguments: list[str]) -> None:
    result = smoke("https://api.anthropic.com", *arguments)
    assert result.exit_code == 2
    assert "costs money" in result.output


def test_claude_code_is_driven_only_when_asked_for(url: str) -> None:
    assert "needs --claude-code" in smoke(url, "--only", "claude-talks", "--program", sys.executable).output
    missing = smoke(url, "--only", "claude-talks", "--claude-code", "--program", "no-such-program")
    assert "needs --claude-code" in missing.output
    driven = smoke(url, "--only", "claude-talks", "--claude-code", "--program", sys.executable)
    assert "claude ended without a result" in driven.output
