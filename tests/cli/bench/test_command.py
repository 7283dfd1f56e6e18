"""bench: the session it replays, what it measures, and how it shows that."""

import importlib.util
import json
from collections.abc import Iterator

import httpx
import pytest
from typer.testing import CliRunner, Result

from conformance.fake_anthropic import Fake, listening
from vllm_messages_plugin.cli.app import app


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def url(fake: Fake) -> Iterator[str]:
    with listening(fake) as root:
        yield root


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["bench", *arguments], env={"COLUMNS": "120", "VLLM_API_KEY": ""})


def test_answers_and_a_session_are_measured(url: str, fake: Fake) -> None:
    result = run(url, "--runs", "3", "--concurrency", "2", "--turns", "4")
    assert result.exit_code == 0, result.output
    for words in (
        "3 replies of at most 64 tokens, 2 at a time",
        "tokens per second",
        "A session of 4 turns",
        "█",
    ):
        assert words in result.output
    streams = [request for request in fake.seen if request.method == "POST"]
    assert len(streams) == 1 + 3 + 4


def test_json_has_every_number(url: str) -> None:
    found = json.loads(run(url, "--runs", "2", "--turns", "3", "--json").stdout)
    assert (found["model"], found["window"], found["runs"], found["concurrency"]) == ("tiny", 8192, 2, 1)
    assert len(found["answers"]) == 2
    assert len(found["session"]) == 3
    assert len(found["reuse"]) == 2
    assert found["median_reuse"] > 0.9
    assert found["median_first_event"] > 0


def test_no_turns_show_no_session(url: str) -> None:
    result = run(url, "--runs", "1", "--turns", "0")
    assert result.exit_code == 0
    assert "session" not in result.output


def test_no_server_is_2() -> None:
    assert run("http://127.0.0.1:9").exit_code == 2


def test_a_refused_request_exits_with_1_and_the_reason(url: str, fake: Fake) -> None:
    fake.breaks.append(
        lambda request, response: httpx.Response(500, text="Boom") if request.method == "POST" else response
    )
    result = run(url)
    assert result.exit_code == 1
    assert "HTTP 500: Boom" in result.stderr


def test_a_picture_without_matplotlib_is_refused_before_anything_is_measured(
    url: str, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = run(url, "--png", "x.png")
    assert result.exit_code == 2
    assert "pip install matplotlib" in result.stderr
    assert fake.seen == []
