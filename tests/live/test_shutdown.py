"""A server that is stopped ends its streams with an `error` event, also with several processes or engines."""

import json
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest

from support.server import start_server
from vllm_messages_plugin.testing import tiny

STREAMS = 6
LONG = {
    "model": "tiny",
    "max_tokens": 100_000,
    "stream": True,
    "messages": [{"role": "user", "content": "Stream"}],
    "vllm_xargs": {"script": "on", "script_end": "none", "script_delay_ms": 20},
}
"""It never ends. Without a delay two engines leave no processor to the clients, which share the machine."""


class Stream(threading.Thread):
    """Reads a stream until it ends; `error` is set if the connection broke."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.text = ""
        self.error: Exception | None = None
        self.begun = threading.Event()
        self._url = url

    def run(self) -> None:
        try:
            with (
                httpx.Client(trust_env=False, timeout=120) as client,
                client.stream("POST", f"{self._url}/v1/messages", json=LONG) as response,
            ):
                for text in response.iter_text():
                    self.text += text
                    self.begun.set()
        except httpx.HTTPError as error:
            self.error = error

    @property
    def last_event(self) -> dict[str, object]:
        data = [line for line in self.text.splitlines() if line.startswith("data: ")]
        found: dict[str, object] = json.loads(data[-1].removeprefix("data: "))
        return found


@pytest.mark.parametrize(
    "options",
    [
        ("--api-server-count", "1"),
        ("--api-server-count", "2"),
        ("--data-parallel-size", "2"),
        ("--data-parallel-size", "2", "--api-server-count", "1"),
    ],
    ids=" ".join,
)
def test_every_open_stream_ends_with_an_error_event(options: tuple[str, ...], tmp_path: Path) -> None:
    with start_server(
        tiny.model_directory(),
        *("--dtype", "float32", *options),
        env={"VLLM_ENABLE_V1_MULTIPROCESSING": "1"},
        home=tmp_path,
    ) as server:
        streams = [Stream(server.url) for _ in range(STREAMS)]
        for stream in streams:
            stream.start()
        assert all(stream.begun.wait(120) for stream in streams)
        server.process.send_signal(signal.SIGTERM)
        for stream in streams:
            stream.join(60)
        assert [stream.error for stream in streams] == [None] * STREAMS
        assert {str(stream.last_event["type"]) for stream in streams} == {"error"}
        server.process.wait(60)


def test_a_late_request_may_be_retried_elsewhere(tmp_path: Path) -> None:
    """With a shutdown timeout, open streams are finished while new requests are refused."""
    with start_server(
        tiny.model_directory(),
        *("--dtype", "float32", "--shutdown-timeout", "20"),
        env={"VLLM_ENABLE_V1_MULTIPROCESSING": "1"},
        home=tmp_path,
    ) as server:
        with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
            stream = Stream(server.url)
            stream.start()
            assert stream.begun.wait(120)
            assert client.get("/health").status_code == 200
            server.process.send_signal(signal.SIGTERM)
            time.sleep(1)
            late = client.post("/v1/messages", json=LONG | {"stream": False, "max_tokens": 1})
        assert (late.status_code, late.json()["error"]["type"]) == (529, "overloaded_error")
        assert int(late.headers["retry-after"]) >= 1
