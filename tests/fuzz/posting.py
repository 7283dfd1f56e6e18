"""Posts a body to the routes in this process, and judges the reply."""

import asyncio
import atexit
import json
import re
from functools import cache
from typing import Any

import httpx

from fuzz import tally
from request_table.rendering import NAMES, Renderer, template
from vllm_messages_plugin.stream.deltas import EngineText, EngineThinking, EngineToolCall, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import FakeModels, app_with

Json = dict[str, Any]

REPLY = (
    EngineThinking("Hm."),
    EngineText("Yes."),
    EngineToolCall(0, "get_weather", "{}"),
    ReplyFinished("stop", 9),
)
WINDOW = 100_000
FIELD = re.compile(r"([a-z_]\w*)(\.[^\s:]+)*: .")
REQUIRED = {"model", "messages", "max_tokens"}


@cache
def _runner() -> asyncio.Runner:
    """The one event loop of all posts: the app is built once and belongs to it."""
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner


@cache
def _client(template_name: str) -> httpx.AsyncClient:
    """Return a client of the routes of a server with this chat template."""
    chosen = template(template_name)
    engine = Renderer(
        REPLY, traits=chosen.traits(images=False), window=WINDOW, models=FakeModels(NAMES), template=chosen
    )
    transport = httpx.ASGITransport(app_with(engine))
    return httpx.AsyncClient(transport=transport, base_url="http://server")


def post(body: Json, template_name: str, path: str) -> httpx.Response:
    """Post a body to a server with this chat template; what escapes the routes is raised."""
    sending = _client(template_name).post(path, content=json.dumps(body).encode())
    reply = _runner().run(sending)
    tally.count(reply.status_code)
    return reply


def assert_fair(reply: httpx.Response, body: Json) -> None:
    """Fail unless the reply is a message, or a refusal that names one of the body's fields."""
    if reply.status_code == 200:
        return
    assert reply.status_code in (400, 404), reply.text
    message = reply.json()["error"]["message"]
    if message.startswith(("The request body is not valid JSON: recursion", "prompt is too long: ")):
        return
    named = FIELD.match(message)
    assert named, message
    assert named[1] in REQUIRED | set(body), message
    unknown = named[1] == "model" and isinstance(body.get("model"), str) and body["model"] != ""
    assert (reply.status_code == 404) is unknown, message
