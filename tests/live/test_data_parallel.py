"""Two data-parallel engines behind one address, with an API server process for each, and one for both."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from support.both_modes import ask_in_both_modes
from support.server import Server, start_server
from vllm_messages_plugin.testing import tiny

RANKS = (0, 1)
RUNNING_PER_RANK = 4
ROUNDS = 30
CONNECTIONS = 12  # new connections, which the kernel spreads over the processes: one gets none once in 2,048
SECONDS = 30
Json = dict[str, Any]

ENDLESS = {"script": "on", "script_end": "none", "script_delay_ms": 20}
THINKING = "A quiet thought."
CALL = '<tool_call>\n{"name": "get_time", "arguments": {"city": "Oslo"}}\n</tool_call>'
TOOL = {"name": "get_time", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
QUESTION = {"role": "user", "content": "What time is it?"}


@pytest.fixture(
    scope="module",
    params=[(), ("--api-server-count", "1")],
    ids=["a process for each rank", "one process"],
)
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two ranks that run four requests each, and no queue."""
    options = ("--data-parallel-size", str(len(RANKS)), "--max-num-seqs", str(RUNNING_PER_RANK))
    env = {"VLLM_ENABLE_V1_MULTIPROCESSING": "1", "VLLM_MESSAGES_MAX_QUEUED_REQUESTS": "0"}
    home = tmp_path_factory.mktemp("ranks")
    with start_server(tiny.model_directory(), *options, *request.param, env=env, home=home) as running:
        yield running


def on(rank: int) -> dict[str, str]:
    """The header that sends a request to a rank."""
    return {"x-data-parallel-rank": str(rank)}


def body(script: str, **fields: Any) -> Json:
    return {
        "model": "tiny", "max_tokens": 2_000, "messages": [QUESTION], "vllm_xargs": {"script": script},
    } | fields  # fmt: skip


def post(server: Server, asked: Json, path: str = "/v1/messages", **options: Any) -> httpx.Response:
    """Post on a connection of its own, so that any of the processes may take it."""
    return httpx.post(f"{server.url}{path}", json=asked, timeout=120, trust_env=False, **options)


def of_rank(server: Server, name: str, rank: int) -> float:
    """One of vLLM's metrics, of one engine."""
    page = httpx.get(f"{server.url}/metrics", timeout=120, trust_env=False).text
    lines = (line for line in page.splitlines() if line.startswith(f'{name}{{engine="{rank}"'))
    return sum(float(line.split()[-1]) for line in lines)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.1)


def wait_for_running(server: Server, rank: int, number: int) -> None:
    wait_until(
        lambda: of_rank(server, "vllm:num_requests_running", rank) == number, f"{number} run on {rank}"
    )


def process_of(server: Server, response: httpx.Response) -> str:
    """The process that answered, by the prefix of the request's line in the log."""
    line = re.compile(rf'^\((\S+ pid=\d+)\) .*"request_id":"{response.headers["request-id"]}"', re.MULTILINE)
    wait_until(lambda: line.search(server.log_text()) is not None, "the log line of a request")
    found = line.search(server.log_text())
    assert found is not None
    return found[1]


@pytest.mark.parametrize("rank", RANKS)
def test_each_rank_gives_text_and_calls_whole_and_streamed(ranks: Server, rank: int) -> None:
    before = of_rank(ranks, "vllm:request_success_total", rank)
    for script, blocks in (
        ("Hello there.", [("text", "Hello there.")]),
        (CALL, [("get_time", {"city": "Oslo"})]),
    ):
        asked = {
            "model": "tiny", "max_tokens": 200, "messages": [QUESTION], "tools": [TOOL],
            "extra_headers": on(rank), "extra_body": {"vllm_xargs": {"script": script}},
        }  # fmt: skip
        assert ask_in_both_modes(ranks.url, asked).blocks == blocks
    wait_until(
        lambda: of_rank(ranks, "vllm:request_success_total", rank) == before + 4, f"4 more replies of {rank}"
    )


def test_a_rank_that_does_not_exist_is_refused(ranks: Server) -> None:
    refused = post(ranks, body("Hello.", stream=True), headers=on(len(RANKS)))
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "data_parallel_rank 2" in refused.json()["error"]["message"]


def test_requests_at_once_run_on_both_ranks(ranks: Server) -> None:
    before = [of_rank(ranks, "vllm:request_success_total", rank) for rank in RANKS]
    slow = body("word " * 20, vllm_xargs={"script": "word " * 20, "script_delay_ms": 20})
    with ThreadPoolExecutor(RUNNING_PER_RANK) as pool:
        replies = list(pool.map(lambda _: post(ranks, slow), range(RUNNING_PER_RANK)))
    assert [reply.json()["content"][0]["text"].strip() for reply in replies] == [("word " * 20).strip()] * 4
    for rank in RANKS:
        wait_until(
            lambda rank=rank: of_rank(ranks, "vllm:request_success_total", rank) > before[rank],
            f"replies of {rank}",
        )


def test_a_rank_finds_what_it_has_cached_itself(ranks: Server) -> None:
    asked = body("Hello.", messages=[{"role": "user", "content": "What time is it where you are? " * 50}])
    cached = [
        post(ranks, asked, headers=on(rank)).json()["usage"]["cache_read_input_tokens"] for rank in (0, 0, 1)
    ]
    assert cached[1] > cached[0] == cached[2] == 0


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_its_request(ranks: Server, rank: int, stream: bool) -> None:
    content = json.dumps(body("", vllm_xargs=ENDLESS, max_tokens=100_000, stream=stream))
    head = ["POST /v1/messages HTTP/1.1", "host: ranks", f"content-length: {len(content)}"]
    fields = on(rank) | {"content-type": "application/json"}
    head += [f"{name}: {value}" for name, value in fields.items()]
    url = httpx.URL(ranks.url)
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall("\r\n".join([*head, "", content]).encode())
        wait_for_running(ranks, rank, 1)
    wait_for_running(ranks, rank, 0)


def test_each_process_counts_tokens_and_lists_models(ranks: Server) -> None:
    asked = {"model": "tiny", "messages": [QUESTION], "tools": [TOOL]}
    counts = {post(ranks, asked, "/v1/messages/count_tokens").text for _ in range(CONNECTIONS)}
    assert len(counts) == 1
    assert post(ranks, asked, "/v1/messages/count_tokens").json()["input_tokens"] > 0
    for _ in range(CONNECTIONS):
        models = httpx.get(
            f"{ranks.url}/v1/models", headers={"anthropic-version": "2023-06-01"}, trust_env=False
        )
        assert {"tiny", "tiny-alias"} <= {model["id"] for model in models.json()["data"]}


def test_a_signature_of_one_process_is_restored_by_each(ranks: Server) -> None:
    asked = body(
        f"<think>\n{THINKING}\n</think>\n\n{CALL}",
        thinking={"type": "enabled", "budget_tokens": 1_024, "display": "omitted"},
        tools=[TOOL],
    )
    first = post(ranks, asked)
    thinking, call = first.json()["content"]
    assert (thinking["type"], thinking["thinking"], call["type"]) == ("thinking", "", "tool_use")
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "Noon."}
    history = [
        QUESTION,
        {"role": "assistant", "content": [thinking, call]},
        {"role": "user", "content": [result]},
    ]
    seen = {process_of(ranks, first)}
    with ranks.playbook(
        [{"when": f"{THINKING}.*Noon", "say": "Restored."}, {"when": "Noon", "say": "Lost."}]
    ):
        processes = ranks.log_text().count("Messages API: tool calls by")
        continued = asked | {"messages": history, "vllm_xargs": {}}
        for _ in range(ROUNDS):  # an idle process may take every connection, one after the other
            with ThreadPoolExecutor(RUNNING_PER_RANK) as pool:
                replies = list(pool.map(lambda _: post(ranks, continued), range(RUNNING_PER_RANK)))
            seen |= {process_of(ranks, reply) for reply in replies}
            assert {reply.json()["content"][-1]["text"] for reply in replies} == {"Restored."}
            if len(seen) == processes:
                break
    assert len(seen) == processes


def test_as_many_requests_are_admitted_as_both_ranks_run(ranks: Server) -> None:
    endless = body("", vllm_xargs=ENDLESS, max_tokens=100_000, stream=True)
    with ExitStack() as opened:
        for rank in RANKS * RUNNING_PER_RANK:
            wait_until(lambda rank=rank: admitted(opened, ranks, endless, rank), f"one more on {rank}")
        for rank in RANKS:
            wait_for_running(ranks, rank, RUNNING_PER_RANK)
        refused = {post(ranks, body("Hello.")).status_code for _ in range(CONNECTIONS)}
        assert refused == {529}
    for rank in RANKS:
        wait_for_running(ranks, rank, 0)


def admitted(opened: ExitStack, server: Server, asked: Json, rank: int) -> bool:
    """Open a stream on a new connection; whether a process with room took it."""
    client = opened.enter_context(httpx.Client(trust_env=False, timeout=120))
    answer = opened.enter_context(
        client.stream("POST", f"{server.url}/v1/messages", json=asked, headers=on(rank))
    )
    assert answer.status_code in (200, 529)
    return answer.status_code == 200
