"""The smoke-test command: its report, its JSON and its exit statuses, over real sockets."""

import io
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from cli.fake_anthropic import Fake, listening
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.checks import CHECKS, Check
from vllm_messages_plugin.cli.client import Client, Sent
from vllm_messages_plugin.cli.outcome import Outcome
from vllm_messages_plugin.cli.smoke_run import Finding, choose_checks, curl_line, report


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def url(fake: Fake) -> Iterator[str]:
    with listening(fake) as root:
        yield root


def smoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["smoke-test", *arguments], env={"COLUMNS": "200", "VLLM_API_KEY": ""})


def broken_ids(_request: httpx.Request, response: httpx.Response) -> httpx.Response:
    changed = response.text.replace('"id":"msg_', '"id":"chat_')
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return httpx.Response(response.status_code, headers=headers, text=changed)


def test_a_right_server_passes(url: str) -> None:
    result = smoke(url)
    assert result.exit_code == 0, result.output
    assert f"{len(CHECKS) - 1} passed, 0 failed, 1 skipped" in result.output
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
    (["--only", "nothing"], "no check is called nothing; there are: models, message"),
    (["--timeout", "0"], "0.1"),
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
    assert choose_checks([]) == CHECKS
    assert [check.name for check in choose_checks(["cache", "models"])] == ["cache", "models"]


def finding(sent: Sent | None, result: Any = "fail") -> Finding:
    check = Check("cache", "a [title]", lambda client: Outcome("skip", ""))
    return Finding(check, Outcome(result, "because [of] this"), 5, sent)


@pytest.fixture
def client() -> Iterator[Client]:
    with httpx.Client(base_url="http://fake") as http:
        yield Client(http, "tiny", key="sesame")


def test_a_large_body_goes_to_a_file(client: Client) -> None:
    body = {"text": "word " * 1000}
    line = curl_line(finding(Sent("POST", "http://fake/x", body, {})), client) or ""
    file = Path(shlex.split(line)[-1].removeprefix("@"))
    try:
        assert json.loads(file.read_text()) == body
    finally:
        file.unlink()


def test_only_failures_have_a_curl_line(client: Client) -> None:
    sent = Sent("GET", "http://fake/x", None, {})
    assert curl_line(finding(sent, "pass"), client) is None
    assert curl_line(finding(None), client) is None


def test_the_report_shows_what_the_server_said_as_it_is(client: Client) -> None:
    console = Console(file=io.StringIO(), width=120)
    report(console, "http://fake", client, [finding(None)])
    assert "because [of] this" in console.file.getvalue()  # type: ignore[attr-defined]
