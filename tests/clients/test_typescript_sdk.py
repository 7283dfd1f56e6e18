"""The official TypeScript SDK against the live server: accumulated messages and the tool runner."""

import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients import npm, play
from clients.program import PROGRAMS, run
from clients.replies import (
    APIS,
    LARGE_WINDOW,
    PARSED,
    SMALL_WINDOW,
    Case,
    Json,
    ParseCase,
    by_api,
    is_as_scripted,
    raw_reply,
    table,
    without_ids,
)
from support.server import Server, start_server
from vllm_messages_plugin.testing import tiny

PACKAGES = ("@anthropic-ai/sdk@1.14.0", "zod@4.6.7")
WEATHER = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
SAID = """<think>
Let me look.
</think>

I look.
<tool_call>
{"name": "weather", "arguments": {"city": "Ulm"}}
</tool_call>"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return npm.program(PROGRAMS / "typescript_sdk.mjs", tmp_path_factory.mktemp("typescript"), *PACKAGES)


def do(program: Path, server: Server, task: str, text: str, **body: Any) -> Any:
    """Return the program's result for one request."""
    request = {"model": server.model, "max_tokens": 200, "messages": [{"role": "user", "content": text}]}
    return run(["node", program], server, [task, request | body])


def test_a_streamed_reply_is_accumulated(program: Path, server: Server) -> None:
    with server.playbook([{"when": "Weather in Ulm", "say": SAID}]):
        thinking = {"type": "adaptive"}
        reply = do(program, server, "stream", "Weather in Ulm?", tools=[WEATHER], thinking=thinking)
    message = reply["message"]
    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use"]
    thought, text, use = message["content"]
    assert thought["thinking"].strip() == reply["thinking"].strip() == "Let me look."
    assert text["text"].strip() == reply["text"].strip() == "I look."
    assert (use["name"], use["input"]) == ("weather", {"city": "Ulm"})
    assert json.loads(reply["inputJson"]) == {"city": "Ulm"}
    assert message["stop_reason"] == "tool_use"
    assert reply["events"][0] == "message_start"
    assert reply["events"][-1] == "message_stop"


@pytest.fixture(scope="module")
def storeless() -> Iterator[Server]:
    """A server that keeps nothing, as one without the extra `store`."""
    with start_server(tiny.model_directory(), env={"VLLM_MESSAGES_STORE": "off"}) as running:
        yield running


THREADED = [["create", 1], ["continue", 1], ["continue", 1]]
WHOLE = [["create", 1], [None, 1], [None, 3], [None, 5]]
"""What its tool runner sends in the loop: the type of the thread, and how many messages."""


@pytest.mark.parametrize(("of", "sent"), [("server", THREADED), ("storeless", WHOLE)])
@pytest.mark.parametrize("streamed", [False, True])
def test_its_tool_runner_finishes_the_loop(
    program: Path, request: pytest.FixtureRequest, of: str, sent: Any, streamed: bool
) -> None:
    server: Server = request.getfixturevalue(of)
    with server.playbook(play.loop()):
        done = do(program, server, "runner", play.QUESTION, stream=streamed)
    stops = [message["stop_reason"] for message in done["messages"]]
    assert stops == ["tool_use", "tool_use", "end_turn"]
    assert done["messages"][-1]["content"][0]["text"] == play.ANSWER
    assert done["sent"] == sent


def test_a_reply_cut_by_max_tokens_has_that_stop_reason(program: Path, server: Server) -> None:
    with server.playbook([{"when": "Count", "say": SAID.split("<tool")[0] + "one two three four five six"}]):
        reply = do(program, server, "stream", "Count.", thinking={"type": "adaptive"}, max_tokens=14)
    assert reply["message"]["stop_reason"] == "max_tokens"
    assert reply["message"]["usage"]["output_tokens"] == 14
    assert "six" not in reply["text"]


def test_a_refused_request_raises_the_sdks_own_error(program: Path, server: Server) -> None:
    with pytest.raises(AssertionError, match=r"NotFoundError: 404.*not_found_error"):
        do(program, server, "stream", "x", model="no-such-model")


# Every kind of block: the raw replies first, then all of the SDK's in one run of its program.

Replies = dict[tuple[str, str], tuple[Json, Json]]  # by case and api: the raw reply, the SDK's two


def ask_all(program: Path, server: Server, key: str, cases: Sequence[Case]) -> Replies:
    """Send every case without an SDK, then with both interfaces of the SDK."""
    headers = {"x-api-key": key}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=120) as http:
        raw = {case.name: raw_reply(http, case, server.model) for case in cases}
    pairs = [(case, api) for case in cases for api in case.apis]
    asked = [{"api": api, "asked": case.body(server.model), "headers": case.headers} for case, api in pairs]
    outcomes = run(["node", program], server, ["replies", asked], ANTHROPIC_API_KEY=key)
    return {
        (case.name, api): (raw[case.name], both) for (case, api), both in zip(pairs, outcomes, strict=True)
    }


@pytest.fixture(scope="module")
def large(program: Path, server: Server) -> Replies:
    return ask_all(program, server, "x", LARGE_WINDOW)


@pytest.fixture(scope="module")
def small(program: Path, strict_server: Server, strict_key: str) -> Replies:
    return ask_all(program, strict_server, strict_key, SMALL_WINDOW)


@by_api(LARGE_WINDOW)
def test_a_reply_is_the_same_streamed_and_not(large: Replies, case: Case, api: str) -> None:
    raw, outcomes = large[case.name, api]
    is_as_scripted(raw, case)
    assert without_ids(outcomes["whole"]) == without_ids(raw)
    assert without_ids(outcomes["streamed"]) == without_ids(raw)


@by_api(SMALL_WINDOW)
def test_a_reply_at_the_end_of_the_window_is_the_same_streamed_and_not(
    small: Replies, case: Case, api: str
) -> None:
    raw, outcomes = small[case.name, api]
    is_as_scripted(raw, case)
    assert without_ids(outcomes["whole"]) == without_ids(raw)
    assert without_ids(outcomes["streamed"]) == without_ids(raw)


# Structured outputs.


@pytest.fixture(scope="module")
def birds(program: Path, server: Server) -> dict[tuple[str, str], Json]:
    asked = [{"api": api, "asked": case.body(server.model)} for case, api in product(PARSED, APIS)]
    outcomes = run(["node", program], server, ["parse", asked])
    return {(case.name, api): both for (case, api), both in zip(product(PARSED, APIS), outcomes, strict=True)}


@pytest.mark.parametrize("form", ["whole", "streamed"])
@pytest.mark.parametrize("api", APIS)
@table(PARSED)
def test_parse_gives_the_object(
    birds: dict[tuple[str, str], Json], case: ParseCase, api: str, form: str
) -> None:
    message = birds[case.name, api][form]
    assert [block["type"] for block in message["content"]] == list(case.kinds)
    assert message["parsed_output"] == case.parsed
