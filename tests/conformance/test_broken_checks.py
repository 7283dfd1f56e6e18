"""An exception inside a check is the check's own error; a strange response is the server's failure."""

import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from conformance.fake_anthropic import Fake, listening, to_sse
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.smoke_test import checks as smoke_checks
from vllm_messages_plugin.conformance.check import Check
from vllm_messages_plugin.conformance.checks import CHECKS, streams
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import Outcome
from vllm_messages_plugin.conformance.run import run_check
from vllm_messages_plugin.conformance.stream_rules import parse_events

JUNK: tuple[Any, ...] = (None, True, 0, -1, 1.5, "", "junk", [], [None], {}, {"type": "junk"}, [[]], [{}])


def buggy(client: Client) -> Outcome:
    body = client.message({"max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}).json()
    return Outcome("pass", str(len(body["content"][0]["text"].no_such_attribute)))


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    broken = Check("buggy", "a check with a bug", buggy, "wire")
    monkeypatch.setattr(smoke_checks, "CHECKS", (broken, *CHECKS[:1]))
    with listening(Fake()) as root:
        yield root


def smoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["smoke-test", *arguments], env={"COLUMNS": "300", "VLLM_API_KEY": ""})


def test_a_bug_in_a_check_is_its_own_error_with_exit_status_3(url: str) -> None:
    result = smoke(url, "--group", "wire", "--group", "models")
    assert result.exit_code == 3
    assert "the check itself failed, please report this: AttributeError" in result.output
    assert "1 passed, 0 failed, 0 skipped, 1 errors" in result.output
    assert "Traceback" not in result.output
    assert "curl " not in result.output


def test_the_traceback_is_shown_on_demand(url: str) -> None:
    assert "in buggy" in smoke(url, "--only", "buggy", "--traceback").output


def test_programs_get_the_traceback_too(url: str, tmp_path: Any) -> None:
    junit = tmp_path / "found.xml"
    found = json.loads(smoke(url, "--only", "buggy", "--json", "--junit", str(junit)).output)
    assert (found["failed"], found["errors"]) == (0, 1)
    assert "in buggy" in found["checks"][0]["traceback"]
    assert 'errors="1"' in junit.read_text()
    assert "in buggy" in junit.read_text()


def test_a_server_that_fails_a_check_too_is_still_1(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Check("failing", "a check that fails", lambda client: Outcome("fail", "no"), "wire")
    monkeypatch.setattr(smoke_checks, "CHECKS", (*smoke_checks.CHECKS, failing))
    assert smoke(url, "--group", "wire").exit_code == 1


class Damage:
    """Replaces one random value of some responses by junk, or removes it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def __call__(self, _request: httpx.Request, response: httpx.Response) -> httpx.Response:
        kind = response.headers.get("content-type", "")
        if "json" in kind:
            return self._with(response, json.dumps(self._damaged(response.json())))
        if "event-stream" in kind:
            events = [event.data for event in parse_events(response.text)]
            place = self.random.randrange(len(events))
            damaged = self._damaged(events[place])
            if isinstance(damaged, dict) and isinstance(damaged.get("type"), str):
                events[place] = damaged
            return self._with(response, to_sse(events))
        return response

    def _with(self, response: httpx.Response, content: str) -> httpx.Response:
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        return httpx.Response(response.status_code, headers=headers, content=content)

    def _damaged(self, value: Any) -> Any:
        children = (
            list(value)
            if isinstance(value, dict)
            else list(range(len(value)))
            if isinstance(value, list)
            else []
        )
        if not children or self.random.random() < 0.2:
            return self.random.choice(JUNK)
        place = self.random.choice(children)
        copy = value.copy()
        if self.random.random() < 0.2:
            del copy[place]
        else:
            copy[place] = self._damaged(value[place])
        return copy


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(min_value=0, max_value=1 << 32))
def test_no_response_however_strange_makes_a_check_raise(check: Check, seed: int) -> None:
    saved = streams.SETTLE_SECONDS, streams.DISCONNECT_SECONDS
    streams.SETTLE_SECONDS = streams.DISCONNECT_SECONDS = 0.0
    try:
        damage = Damage(seed)
        with httpx.Client(
            base_url="http://fake", transport=httpx.MockTransport(Fake(breaks=[damage]))
        ) as http:
            client = Client(http, "tiny", 8192, None, False, True)
            outcome = run_check(check, client).outcome
    finally:
        streams.SETTLE_SECONDS, streams.DISCONNECT_SECONDS = saved
    assert outcome.result != "error", outcome.traceback
