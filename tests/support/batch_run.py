"""Runs a batch on a real server that is killed in the middle, and measures it; for docs/batches.md.

    PYTHONPATH=tests python -m support.batch_run --items 1000

The server serves the tiny scripted model; `kill -9` ends all of its processes when a third of the items have
results, and it is started again on the same store. Before and during the batch, streams measure the time to
their first event.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from support.server import Server, start_server
from vllm_messages_plugin.testing import tiny

PATH = "/v1/messages/batches"
WORDS = 20
STREAMS = 40
PAUSES = (0.0, 0.5)
"""Seconds between two streams."""


def message(number: int) -> dict[str, Any]:
    """A request whose reply is its number and some words."""
    script = f"{number}:" + " word" * WORDS
    messages = [{"role": "user", "content": f"Item {number}"}]
    return {"model": "tiny", "max_tokens": 200, "messages": messages, "vllm_xargs": {"script": script}}


async def direct(http: httpx.AsyncClient, count: int) -> float:
    """Return how many messages a second are served to 8 clients at once."""
    numbers = iter(range(count))

    async def client() -> None:
        for number in numbers:
            (await http.post("/v1/messages", json=message(number))).raise_for_status()

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(8)))
    return count / (time.perf_counter() - begun)


async def first_event(http: httpx.AsyncClient) -> float:
    """Return after how many seconds a stream's first content arrives."""
    begun = time.perf_counter()
    async with http.stream("POST", "/v1/messages", json={**message(0), "stream": True}) as stream:
        async for line in stream.aiter_lines():
            if "content_block_delta" in line:
                return time.perf_counter() - begun
    raise AssertionError("a stream without content")


async def first_events(http: httpx.AsyncClient, pause: float) -> str:
    """Return the median and the 90th percentile of streams one after the other, with pauses between them.

    Args:
        http: The client.
        pause: Seconds between two streams, in which items of a batch may begin.
    """
    times = []
    for _ in range(STREAMS):
        times.append(await first_event(http))
        await asyncio.sleep(pause)
    times.sort()
    return f"median {statistics.median(times) * 1000:.1f} ms, p90 {times[len(times) * 9 // 10] * 1000:.1f} ms"


async def done(http: httpx.AsyncClient, id_: str) -> int:
    """Return how many items of a batch have a result."""
    return int((await http.get(f"{PATH}/{id_}")).headers["x-batch-items-done"])


async def until_done(http: httpx.AsyncClient, id_: str, count: int) -> None:
    """Wait until so many items have results."""
    while await done(http, id_) < count:  # noqa: ASYNC110 - another process sets it
        await asyncio.sleep(0.1)


def client(server: Server) -> httpx.AsyncClient:
    """A client of a server."""
    return httpx.AsyncClient(base_url=server.url, timeout=600, trust_env=False)


async def before_the_kill(server: Server, items: int) -> str:
    """Measure, create the batch, wait for a third of it and kill the server; return the batch's id."""
    async with client(server) as http:
        print(f"direct calls, 8 at once: {await direct(http, min(items, 200)):.1f} a second")
        for pause in PAUSES:
            print(f"first event without a batch, {pause} s between: {await first_events(http, pause)}")
        asked = [{"custom_id": f"n{number}", "params": message(number)} for number in range(items)]
        made = (await http.post(PATH, json={"requests": asked})).json()
        begun = time.perf_counter()
        for pause in PAUSES:
            measured, count = await first_events(http, pause), await done(http, made["id"])
            print(f"first event beside the batch, {pause} s between: {measured}; {count} items done")
        await until_done(http, made["id"], items // 3)
        count, seconds = await done(http, made["id"]), time.perf_counter() - begun
        print(f"batch: {count / seconds:.1f} items a second; kill -9 at {count} of {items}")
    os.killpg(server.process.pid, signal.SIGKILL)
    return str(made["id"])


async def after_the_kill(server: Server, id_: str, items: int) -> None:
    """Wait for the batch on the restarted server, and check its results."""
    async with client(server) as http:
        begun, count = time.perf_counter(), await done(http, id_)
        await until_done(http, id_, items)
        seconds = time.perf_counter() - begun
        print(f"after the restart: {items - count} items in {seconds:.0f} s")
        batch = (await http.get(f"{PATH}/{id_}")).json()
        lines = [json.loads(line) for line in (await http.get(f"{PATH}/{id_}/results")).text.splitlines()]
    texts = {line["custom_id"]: line["result"]["message"]["content"][0]["text"] for line in lines}
    assert len(lines) == len(texts) == items
    assert all(texts[f"n{number}"].startswith(f"{number}:") for number in range(items))
    print(f"results: {len(lines)} lines, each item once; {batch['request_counts']}")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1000)
    items: int = parser.parse_args().items
    home = Path(tempfile.mkdtemp(prefix="batch-run-"))
    env = {"VLLM_MESSAGES_DATA": str(home / "data")}
    flags = ("--dtype", "float32", "--scheduling-policy", "priority")
    with start_server(tiny.model_directory(), *flags, env=env, home=home) as server:
        id_ = asyncio.run(before_the_kill(server, items))
    with start_server(tiny.model_directory(), *flags, env=env, home=home) as server:
        asyncio.run(after_the_kill(server, id_, items))


if __name__ == "__main__":
    main()
