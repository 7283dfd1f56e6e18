"""One server with two API server processes: what they share, and what they say of what they don't."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from support.server import Server, start_server
from vllm_messages_plugin.testing import tiny

BETA = {"anthropic-beta": "cache-diagnosis-2026-04-07"}
MESSAGES = [{"role": "user", "content": "Say a word."}]


@pytest.fixture(scope="module")
def two_processes() -> Iterator[Server]:
    with start_server(tiny.model_directory(), "--api-server-count", "2") as running:
        yield running


def post(server: Server, **fields: Any) -> Any:
    """Send a request on a connection of its own, so that any of the processes may take it."""
    body = {"model": "tiny", "max_tokens": 200, "messages": MESSAGES} | fields
    reply = httpx.post(f"{server.url}/v1/messages", json=body, headers=BETA, timeout=120, trust_env=False)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_thinking_of_one_process_is_restored_by_the_other(two_processes: Server) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1_024}
    script = {"script": "<think>\nA quiet thought.\n</think>\n\nHello."}
    first = post(two_processes, thinking=thinking, max_tokens=2_000, vllm_xargs=script)
    assert first["content"][0]["type"] == "thinking"
    history = [*MESSAGES, {"role": "assistant", "content": first["content"]}, *MESSAGES]
    for _ in range(6):
        assert post(two_processes, messages=history, vllm_xargs={"script": "Hi."})["content"]


def test_a_thread_goes_on_in_any_process(two_processes: Server) -> None:
    script = {"script": "Hello."}
    reply = post(two_processes, thread={"type": "create"}, vllm_xargs=script)
    lengths = [reply["usage"]["input_tokens"] + reply["usage"]["cache_read_input_tokens"]]
    for _ in range(8):
        thread = {"type": "continue", "previous_message_id": reply["id"]}
        reply = post(two_processes, thread=thread, vllm_xargs=script)
        usage = reply["usage"]
        lengths.append(usage["input_tokens"] + usage["cache_read_input_tokens"])
    added = {later - earlier for earlier, later in pairwise(lengths)}
    assert len(added) == 1
    assert min(added) > 0


def test_diagnostics_never_say_that_an_earlier_reply_does_not_exist(two_processes: Server) -> None:
    script = {"vllm_xargs": {"script": "Hello."}}
    first = post(two_processes, diagnostics={"previous_message_id": None}, **script)
    reasons = set()
    for _ in range(8):
        asked = {"previous_message_id": first["id"]}
        reason = post(two_processes, diagnostics=asked, **script)["diagnostics"]["cache_miss_reason"]
        reasons.add(reason["type"] if reason is not None else None)
    assert reasons <= {None, "unavailable"}
