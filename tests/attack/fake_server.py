"""`python -m attack.fake_server LIMIT SECONDS`: the plugin on a fake engine, served by uvicorn on uvloop.

It prints its port once it listens, admits LIMIT requests at a time and takes SECONDS for each reply.
"""

import asyncio
import sys

import uvicorn
import uvloop

from vllm_messages_plugin.access.accounting import Accounting
from vllm_messages_plugin.http.admission import Admission
from vllm_messages_plugin.http.arrivals import spread_arrivals
from vllm_messages_plugin.http.early_refusal import EarlyRefusal
from vllm_messages_plugin.stream.deltas import EngineText, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import FakeEngine, FakeModels, Pause, app_with

BACKLOG = 4_096


async def serve(limit: int, seconds: float) -> None:
    script = (EngineText("Hello"), Pause(seconds), ReplyFinished("stop", 1))
    admission = Admission(limit)
    app = app_with(FakeEngine(script, models=FakeModels(served=("tiny",))), admission=admission)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", backlog=BACKLOG))
    server.config.load()
    spread_arrivals(server, EarlyRefusal(admission, Accounting()))
    await listen(server)


async def listen(server: uvicorn.Server) -> None:
    """Run a server and print its port once it listens."""
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await task


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))
