"""The smoke-test command: its report, its JSON and its exit statuses, over real sockets."""

import io
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from conformance.fake_anthropic import Fake, listening
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.smoke_test.checks import all_checks
from vllm_messages_plugin.conformance.check import Check
from vllm_messages_plugin.conformance.checks import GROUPS
from vllm_messages_plugin.conformance.client import Client, SentRequest
from vllm_messages_plugin.conformance.outcome import Outcome
from vllm_messages_plugin.conformance.report import Finding, curl_line, report, to_junit
from vllm_messages_plugin.conformance.run import NOT_PROMISED, choose_checks, is_anthropic, run_check


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
    assert "No server answers at http://127.0.0.1:9" in result.output


def test_a_missing_key_is_2_and_says_so(url: str, fake: Fake) -> None:
    fake.key = "sesame"
    result = smoke(url)
    assert result.exit_code == 2
    assert "--api-key" in result.output


def test_a_server_without_a_list_needs_a_model(url: str, fake: Fake) -> None:
    fake.breaks.append(lambda request, response: httpx.Response(404) if request.method == "GET" else response)
    assert "give --model NAME" in smoke(url).output
    result = smoke(url, "--model", "tiny", "--only", "message")
    assert result.exit_code == 0, result.output


def test_no_names_mean_all_checks() -> None:
    assert choose_checks(CHECKS, []) == CHECKS
    assert [check.name for check in choose_checks(CHECKS, ["cache", "models"])] == ["cache", "models"]


def test_a_group_is_all_its_checks_and_names_come_first() -> None:
    assert [check.name for check in choose_checks(CHECKS, [], ["cache"])] == [
        "cache",
        "session-cache",
        "billing-line",
    ]
    assert choose_checks(CHECKS, ["billing-line"], ["cache"])[0].name == "billing-line"
    assert len(choose_checks(CHECKS, ["cache"], ["cache"])) == 3


def test_every_check_has_a_group_and_a_name_of_its_own() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert {check.group for check in CHECKS} == set(GROUPS)


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


def test_junit_can_say_anything_a_server_said(client: Client) -> None:
    text = to_junit("http://fake", client, [finding(None, reason="a \x00 <b> \x1b ] é")])
    assert "é" in str(ElementTree.fromstring(text).find(".//failure").get("message"))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("url", "theirs"),
    [
        ("https://api.anthropic.com", True),
        ("https://anthropic.com.example.org", False),
        ("https://notanthropic.com", False),
        ("http://localhost:8000", False),
    ],
)
def test_anthropics_own_api_is_known(url: str, theirs: bool) -> None:
    assert is_anthropic(url) == theirs


@pytest.mark.parametrize("arguments", [[], ["--yes"], ["--api-key", "sk"]])
def test_anthropics_own_api_is_asked_only_with_a_key_and_yes(arguments: list[str]) -> None:
    result = smoke("https://api.anthropic.com", *arguments)
    assert result.exit_code == 2
    assert "costs money" in result.output


def test_what_anthropic_does_not_promise_is_skipped_there() -> None:
    with httpx.Client(base_url="https://api.anthropic.com", transport=httpx.MockTransport(Fake())) as http:
        results = {
            check.name: run_check(check, Client(http, "tiny")).outcome for check in CHECKS if check.beyond
        }
    assert {outcome.reason for outcome in results.values()} == {NOT_PROMISED}


def test_claude_code_is_driven_only_when_asked_for(url: str) -> None:
    assert "needs --claude-code" in smoke(url, "--only", "claude-talks", "--program", sys.executable).output
    missing = smoke(url, "--only", "claude-talks", "--claude-code", "--program", "no-such-program")
    assert "needs --claude-code" in missing.output
    driven = smoke(url, "--only", "claude-talks", "--claude-code", "--program", sys.executable)
    assert "claude ended without a result" in driven.output


def finding(sent: SentRequest | None, result: Any = "fail", reason: str = "because [of] this") -> Finding:
    check = Check("cache", "a [title]", lambda client: Outcome("skip", ""), "cache")
    return Finding(check, Outcome(result, reason), 5, sent)


@pytest.fixture
def client() -> Iterator[Client]:
    with httpx.Client(base_url="http://fake") as http:
        yield Client(http, "tiny", key="sesame")


def test_a_large_body_goes_to_a_file(client: Client) -> None:
    body = {"text": "word " * 1000}
    line = curl_line(finding(SentRequest("POST", "http://fake/x", body, {})), client) or ""
    file = Path(shlex.split(line)[-1].removeprefix("@"))
    try:
        assert json.loads(file.read_text()) == body
    finally:
        file.unlink()


def test_only_failures_have_a_curl_line(client: Client) -> None:
    sent = SentRequest("GET", "http://fake/x", None, {})
    assert curl_line(finding(sent, "pass"), client) is None
    assert curl_line(finding(None), client) is None


def test_the_report_shows_what_the_server_said_as_it_is(client: Client) -> None:
    console = Console(file=io.StringIO(), width=120)
    report(console, "http://fake", client, [finding(None)])
    assert "because [of] this" in console.file.getvalue()  # type: ignore[attr-defined]
