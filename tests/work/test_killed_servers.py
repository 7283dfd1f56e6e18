"""Servers are killed in mid-batch, and each item has one result all the same."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from support.batch_server import batch_server, two_batch_servers
from vllm_messages_plugin.store.leases import item_counts
from vllm_messages_plugin.store.opening import Store, StoreOptions

ITEMS = 60
PATH = "/v1/messages/batches"


def item(number: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"Number {number}"}]
    return {"custom_id": f"n{number}", "params": {"model": "fake", "max_tokens": 9, "messages": messages}}


async def until_open(store: Store, most: int) -> None:
    """Wait until at most so many items have no result."""
    async with asyncio.timeout(120):
        while True:
            async with store.database.read() as connection:
                if (await item_counts(connection, 0.0))[0] <= most:
                    return
            await asyncio.sleep(0.02)


async def test_each_item_has_one_result_although_two_servers_of_three_are_killed(
    options: StoreOptions, store: Store, tmp_path: Path
) -> None:
    with two_batch_servers(options, tmp_path / "log") as (first, second, servers):
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            body = {"requests": [item(number) for number in range(ITEMS)]}
            made = (await http.post(f"{first.url}{PATH}", json=body)).json()
            await until_open(store, ITEMS - 10)
            first.kill()
            await until_open(store, ITEMS - 30)
            assert (await http.get(f"{second.url}{PATH}/{made['id']}")).json()["ended_at"] is None
            second.kill()
            third = servers.enter_context(batch_server(options, tmp_path / "log"))
            third.wait()
            await until_open(store, 0)
            batch = (await http.get(f"{third.url}{PATH}/{made['id']}")).json()
            text = (await http.get(batch["results_url"])).text
    assert batch["request_counts"] == {
        "processing": 0, "succeeded": ITEMS, "errored": 0, "canceled": 0, "expired": 0,
    }  # fmt: skip
    lines = [json.loads(line) for line in text.splitlines()]
    replies = {line["custom_id"]: line["result"]["message"]["content"][0]["text"] for line in lines}
    assert len(lines) == ITEMS
    assert replies == {f"n{number}": f"Number {number}" for number in range(ITEMS)}
