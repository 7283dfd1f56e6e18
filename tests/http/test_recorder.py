"""Records of requests and replies: complete, without media and keys, and never in the way."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from vllm_messages_plugin.http.recorder import Recorder, without_secrets
from vllm_messages_plugin.offline.record import read_record
from vllm_messages_plugin.stream.deltas import EngineText, ReplyFailed, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with
from vllm_messages_plugin.wire.errors import MessagesError

TOOL = {"name": "Read", "input_schema": {"type": "object"}}
ASK: dict[str, Any] = {
    "model": "fake",
    "max_tokens": 10,
    "messages": [{"role": "user", "content": "one two"}],
    "tools": [TOOL],
}
DONE = (EngineText("Hello"), ReplyFinished("stop", 1))


async def post(directory: Path, engine: FakeEngine, body: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The reply to a request on a server that records, and the records."""
    recorder = Recorder(directory)
    app = app_with(engine, recorder=recorder)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as http:
        reply = await http.post("/v1/messages", json=body)
    assert reply.status_code == 200
    await recorder.flush()
    return reply.text, records(directory)


def records(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in directory.glob("*.json")]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_is_recorded_with_its_reply(tmp_path: Path, stream: bool) -> None:
    body = ASK | {"stream": stream}
    directory = tmp_path / "new"
    _, (record,) = await post(directory, FakeEngine(DONE), body)
    assert record["request"] == body
    assert record["reply"]["content"] == [{"type": "text", "text": "Hello"}]
    assert record["tools"][0]["function"]["name"] == "Read"
    assert {"prompt", "output_text", "format", "thinking_open"} <= set(record)
    (path,) = directory.glob("*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    read = read_record(path.read_text())
    assert read is not None
    assert read.request == body


async def test_a_reply_that_failed_is_recorded_with_its_error(tmp_path: Path) -> None:
    engine = FakeEngine((EngineText("Hel"), ReplyFailed(MessagesError("api_error", "gone"))))
    _, (record,) = await post(tmp_path, engine, ASK | {"stream": True})
    assert record["error"] == {"type": "api_error", "message": "gone"}


async def test_a_write_that_fails_is_logged_once_and_changes_no_reply(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    text, _ = await post(blocked, FakeEngine(DONE), ASK)
    assert "Hello" in text
    assert caplog.text.count("can't be recorded") == 1
    recorder = Recorder(blocked)
    for number in range(3):
        recorder.write(str(number), {})
    await recorder.flush()
    assert caplog.text.count("can't be recorded") == 2


def test_a_server_that_records_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Recorder(tmp_path)
    assert f"requests and replies are written to {tmp_path}" in caplog.text


def test_media_and_keys_are_left_out() -> None:
    request = {
        "mcp_servers": [{"name": "a", "authorization_token": "secret"}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
                    },
                    {"type": "image", "source": {"type": "url", "url": "data:image/png;base64,AAAA"}},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                    {"type": "text", "text": "data AAAA"},
                ],
            }
        ],
    }
    kept = json.dumps(without_secrets(request))
    assert "secret" not in kept
    assert kept.count("AAAA") == 1
    assert "https://example.com/a.png" in kept
    assert request["mcp_servers"][0]["authorization_token"] == "secret"  # type: ignore[index]
