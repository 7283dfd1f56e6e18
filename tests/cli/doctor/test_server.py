"""doctor's look at a running server."""

import json
from collections.abc import Iterable, Iterator

import httpx
import pytest

from conformance.fake_anthropic import METRICS, Fake, listening
from vllm_messages_plugin.cli.doctor.line import Line
from vllm_messages_plugin.cli.doctor.server import examine_server, identify_server
from vllm_messages_plugin.conformance.client import Response, SentRequest

URL = "http://localhost:8000"


def named(lines: Iterable[Line], name: str) -> Line:
    return next(line for line in lines if line.name == name)


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def url(fake: Fake) -> Iterator[str]:
    with listening(fake) as root:
        yield root


def test_no_server_fails_with_a_way_on() -> None:
    (found,) = examine_server("http://127.0.0.1:9", "", "", 1.0).lines
    assert (found.status, "vllm serve" in found.advice) == ("fail", True)


def test_a_servers_models_window_and_cache_are_reported(url: str, fake: Fake) -> None:
    fake.metrics = METRICS + 'vllm:cache_config_info{enable_prefix_caching="True"} 1.0'
    lines = examine_server(url, "", "", 10.0).lines
    assert named(lines, "models") == Line("models", "ok", "tiny")
    assert named(lines, "window").advice.startswith("Claude Code needs 32k")
    assert named(lines, "capabilities").found == "thinking, effort, no images"
    assert named(lines, "prefix cache").found == "on"
    assert named(lines, "/v1/messages").found.startswith("another Messages server responds")


def test_what_is_unusual_about_a_server_is_warned_of(url: str, fake: Fake) -> None:
    fake.metrics = 'vllm:cache_config_info{enable_prefix_caching="False"} 1.0'
    listed = {"data": [{"id": "claude-sonnet-4-5"}]}
    fake.breaks.append(
        lambda request, response: (
            httpx.Response(200, json=listed) if "models" in request.url.path else response
        )
    )
    lines = examine_server(url, "", "", 10.0).lines
    assert {line.name for line in lines if line.status == "warn"} == {"models", "window", "prefix cache"}
    assert named(lines, "/v1/messages").status == "fail"


ANSWERS: list[tuple[int, str, str, str, str]] = [
    (200, "msg_" + "0123456789ab" * 2, "req_1", "ok", "this plugin"),
    (200, "msg_1", "req_1", "warn", "another Messages server"),
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
    reply = Response(SentRequest("POST", URL, None, {}), status, headers, json.dumps({"id": message_id}))
    found = identify_server(reply)
    assert (found.status, words in found.found) == (result, True)


@pytest.mark.parametrize(
    ("version", "status"), [("0.26.1", "fail"), ("0.27.0", "ok"), ("1.0", "ok"), ("dev", "ok"), (None, "ok")]
)
def test_an_unsupported_vllm_is_one_clear_line(
    version: str | None, status: str, url: str, fake: Fake
) -> None:
    def answer(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        return httpx.Response(200, json={"version": version}) if request.url.path == "/version" else response

    fake.breaks.append(answer)
    found = named(examine_server(url, "", "", 10.0).lines, "server")
    assert found.status == status
    assert (found.advice == "") == (status == "ok")
