"""A client that closes the connection ends the work done for it."""

import time

import httpx
import pytest

ENDLESS = {"script": "on", "script_end": "none", "script_delay_ms": 20}
BODY = {
    "model": "tiny",
    "max_tokens": 100_000,
    "messages": [{"role": "user", "content": "x"}],
    "vllm_xargs": ENDLESS,
}


def running(http: httpx.Client) -> float:
    metrics = http.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in metrics if line.startswith("vllm:num_requests_running{"))


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
