"""`python -m attack.bare_server`: the smallest ASGI app on uvicorn, which refuses each request with 529.

It shows what uvicorn, the event loop and the kernel take of the time of a refusal. It prints its port once it
listens.
"""

from typing import Any

import uvicorn
import uvloop

from attack.fake_server import BACKLOG, listen


async def refuse(_scope: Any, _receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 529, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


async def serve() -> None:
    config = uvicorn.Config(refuse, port=0, log_level="error", lifespan="off", backlog=BACKLOG)
    await listen(uvicorn.Server(config))


if __name__ == "__main__":
    uvloop.run(serve())
