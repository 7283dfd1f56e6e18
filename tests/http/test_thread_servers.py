"""A thread goes on behind another server on the same store, and after the one that held it was killed."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.batch_server import CLAIM_SECONDS, BatchServer, batch_server, two_batch_servers
from support.stores import options, postgres_url
from vllm_messages_plugin.store.opening import StoreOptions

__all__ = ["options", "postgres_url"]


async def post(http: httpx.AsyncClient, server: BatchServer, text: str, after: Any = None) -> Any:
    """Begin a thread, or continue it behind a message."""
    thread = {"type": "continue", "previous_message_id": after["id"]} if after else {"type": "create"}
    message = {"role": "user", "content": text}
    asked = {"model": "fake", "max_tokens": 9, "messages": [message], "thread": thread}
    return (await http.post(f"{server.url}/v1/messages", json=asked)).json()


async def test_a_thread_goes_on_behind_another_server_and_after_a_kill(
    options: StoreOptions, tmp_path: Path
) -> None:
    with two_batch_servers(options, tmp_path / "log") as (first, second, servers):
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            one = await post(http, first, "a b")
            two = await post(http, second, "c", one)
            assert [each["usage"]["input_tokens"] for each in (one, two)] == [2, 5]
            assert (await post(http, first, "c", one))["error"]["details"] == {
                "error_code": "thread_already_continued"
            }
            second.kill()
            three = await post(http, first, "d", two)
            first.kill()
            third = servers.enter_context(batch_server(options, tmp_path / "log"))
            third.wait()
            four = await post(http, third, "e", three)
            assert [each["usage"]["input_tokens"] for each in (three, four)] == [7, 9]


async def served(http: httpx.AsyncClient, server: BatchServer, text: str, after: Any) -> Any:
    """Continue a thread as soon as no other request is continuing it."""
    while "error" in (reply := await post(http, server, text, after)):
        assert reply["error"]["details"] == {"error_code": "thread_continue_in_flight"}
        await asyncio.sleep(0.1)
    return reply


async def test_a_reply_that_is_killed_is_continued_elsewhere_and_one_that_lasts_is_not(
    options: StoreOptions, tmp_path: Path
) -> None:
    """Both replies last longer than a claim, which only a running server extends."""
    with two_batch_servers(options, tmp_path / "log") as (first, second, _):
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            one = await post(http, first, "a b")
            lasting = asyncio.create_task(post(http, first, f"sleep {5 * CLAIM_SECONDS}", one))
            await asyncio.sleep(2 * CLAIM_SECONDS)
            assert (await post(http, second, "c", one))["error"]["details"] == {
                "error_code": "thread_continue_in_flight"
            }
            two = await lasting
            killed = asyncio.create_task(post(http, first, f"sleep {3 * CLAIM_SECONDS}", two))
            await asyncio.sleep(CLAIM_SECONDS)
            first.kill()
            with pytest.raises(httpx.RemoteProtocolError):
                await killed
            async with asyncio.timeout(2 * CLAIM_SECONDS):
                three = await served(http, second, "d", two)
            assert [each["usage"]["input_tokens"] for each in (two, three)] == [6, 9]
