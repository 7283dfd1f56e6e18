"""A client that closes the connection ends the work done for it."""

import time
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from support.search_services import SearchServices
from support.server import Server

HTTPX_KEEPS_SECONDS = 5
ENDLESS = {"script": "on", "script_end": "none", "script_delay_ms": 20}
BODY = {
    "model": "tiny",
    "max_tokens": 100_000,
    "messages": [{"role": "user", "content": "x"}],
    "vllm_xargs": ENDLESS,
}

CALL = '<tool_call>\n{"name": "web_search", "arguments": {"query": "heron"}}\n</tool_call>'
RULES = [
    {"when": "Run pip install", "say": "It stands in the reeds and waits. " * 500},
    {"when": "What does the heron do", "say": CALL},
]
SEARCH = {
    "model": "tiny",
    "max_tokens": 100_000,
    "messages": [{"role": "user", "content": "What does the heron do?"}],
    "tools": [{"type": "web_search_20250305", "name": "web_search"}],
    "stream": True,
}


def metric(http: httpx.Client, name: str) -> float:
    lines = http.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name}{{"))


def running(http: httpx.Client) -> float:
    return metric(http, "vllm:num_requests_running")


def wait_for(http: httpx.Client, busy: bool) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if (running(http) > 0) is busy:
            return True
        time.sleep(0.1)
    return False


def test_closing_a_stream_aborts_the_request(http: httpx.Client) -> None:
    with http.stream("POST", "/v1/messages", json=BODY | {"stream": True}) as answer:
        lines = answer.iter_lines()
        assert any(line.startswith("event: content_block_delta") for line in lines)
        assert wait_for(http, busy=True)
    assert wait_for(http, busy=False)


def test_closing_an_unanswered_request_aborts_it(http: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/messages", json=BODY, timeout=2)
    assert wait_for(http, busy=False)


def charged(http: httpx.Client) -> float:
    lines = http.get("/metrics").text.splitlines()
    output = [line for line in lines if line.startswith("vllm_messages_tokens_total{") and '"output"' in line]
    return sum(float(line.split()[-1]) for line in output)


def leave_after(http: httpx.Client, seconds: float, body: Any) -> None:
    end = time.monotonic() + seconds
    try:
        with http.stream("POST", "/v1/messages", json=body, timeout=seconds) as answer:
            for _ in answer.iter_raw():
                if time.monotonic() > end:
                    break
    except httpx.ReadTimeout:
        pass


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_generated_for_a_client_that_left_is_counted(http: httpx.Client, stream: bool) -> None:
    """Also where one event, or none yet, stands for many tokens."""
    generated, counted = metric(http, "vllm:generation_tokens_total"), charged(http)
    leave_after(http, 3, BODY | {"stream": stream})
    assert wait_for(http, busy=False)
    generated = metric(http, "vllm:generation_tokens_total") - generated
    assert generated > 80
    assert charged(http) - counted >= generated - 40


def test_closing_a_stream_during_a_search_begins_no_further_round(
    server: Server, http: httpx.Client, services: SearchServices
) -> None:
    services.asked.clear()
    services.released.clear()
    services.mode = "slow"
    try:
        with server.playbook(RULES):
            with http.stream("POST", "/v1/messages", json=SEARCH) as answer:
                assert any('"server_tool_use"' in line for line in answer.iter_lines())
            assert wait_for(http, busy=False)
            before = metric(http, "vllm:prompt_tokens_total")
            services.released.set()
            time.sleep(2)
            assert metric(http, "vllm:prompt_tokens_total") == before > 0
    finally:
        services.mode = "ok"


def test_closing_a_stream_in_a_later_round_aborts_it(
    server: Server, http: httpx.Client, services: SearchServices
) -> None:
    with server.playbook(RULES):
        with http.stream("POST", "/v1/messages", json=SEARCH) as answer:
            lines = answer.iter_lines()  # kept: without its iterator the stream would be closed here
            assert any("text_delta" in line for line in lines)
            assert wait_for(http, busy=True)
        assert wait_for(http, busy=False)


def test_a_connection_outlasts_the_pause_after_which_clients_drop_theirs(server: Server) -> None:
    address = urlsplit(server.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.request("GET", "/v1/models")
    assert connection.getresponse().read()
    kept = connection.sock
    time.sleep(HTTPX_KEEPS_SECONDS + 1)
    connection.request("GET", "/v1/models")
    assert connection.getresponse().read()
    assert connection.sock is kept  # else it was opened anew
    connection.close()
