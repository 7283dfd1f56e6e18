"""Outputs read from vLLM's own collector arrive, merge, fail and are aborted as by vLLM's `generate`."""

import asyncio
import gc
import time
import weakref
from collections.abc import Callable, Sequence
from itertools import pairwise
from traceback import format_exception
from typing import Any

import pytest
from vllm.exceptions import VLLMValidationError
from vllm.outputs import CompletionOutput, RequestOutput
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError
from vllm.v1.engine.output_processor import RequestOutputCollector

from vllm_messages_plugin.engine.vllm.request_outputs import (
    TURN_SECONDS,
    CollectedOutputs,
    Outputs,
    _Deliveries,
    start_request,
)


def output(text: str, finished: bool = False) -> RequestOutput:
    reason = "stop" if finished else None
    completion = CompletionOutput(0, text, [ord(letter) for letter in text], None, None, finish_reason=reason)
    return RequestOutput("r", None, [1], None, [completion], finished)


class Client(AsyncLLM):
    """vLLM's client with its own `generate`, and a collector that a test fills."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.log_requests = False
        self.refusal = refusal
        self.added: list[tuple[Any, ...]] = []
        self.aborted: list[str] = []
        self.collector = RequestOutputCollector(RequestOutputKind.DELTA, "r-1")

    def shutdown(self, timeout: float | None = None) -> None:
        pass

    async def add_request(  # type: ignore[override]
        self, request_id: str, prompt: Any, params: Any, priority: int = 0, **_others: Any
    ) -> Any:
        if self.refusal is not None:
            raise self.refusal
        self.added.append((request_id, prompt, params, priority))
        return self.collector

    async def abort(self, request_id: Any, internal: bool = False) -> None:
        assert internal
        self.aborted.append(request_id)


class OtherClient(Client):
    """A client that does more in `generate` than vLLM's."""

    async def generate(self, *arguments: Any, **keywords: Any) -> Any:
        yield output(f"own {arguments[2]}", finished=True)


PARAMS = SamplingParams(output_kind=RequestOutputKind.DELTA)


def started(client: Client) -> Outputs:
    return start_request(client, {"prompt_token_ids": [1]}, PARAMS, "r", priority=3)


def texts(outputs: Sequence[RequestOutput]) -> list[str]:
    return [each.outputs[0].text for each in outputs]


async def read_iterated(outputs: Outputs, take: Callable[[Any], bool]) -> None:
    try:
        async for each in outputs:
            if not take(each):
                return
    finally:
        await outputs.aclose()


async def read_delivered(outputs: Outputs, take: Callable[[Any], bool]) -> None:
    await outputs.deliver(take)


WAYS = pytest.mark.parametrize("read", [read_iterated, read_delivered])
Read = Any


async def begin(read: Read, client: Client, most: int = 100) -> tuple[list[Any], asyncio.Task[None]]:
    found: list[Any] = []

    def take(each: Any) -> bool:
        found.append(each)
        return len(found) < most

    task = asyncio.ensure_future(read(started(client), take))
    await asyncio.sleep(0.01)
    return found, task


@WAYS
async def test_each_output_arrives_and_the_last_one_ends_them(read: Read) -> None:
    client = Client()
    found, task = await begin(read, client)
    for text in "abc":
        client.collector.put(output(text))
        await asyncio.sleep(0.01)
    client.collector.put(output("d", finished=True))
    await task
    assert texts(found) == ["a", "b", "c", "d"]
    assert client.added == [("r", {"prompt_token_ids": [1]}, PARAMS, 3)]
    assert client.aborted == []


@WAYS
async def test_outputs_that_come_in_one_turn_are_merged(read: Read) -> None:
    client = Client()
    found, task = await begin(read, client)
    client.collector.put(output("a"))
    client.collector.put(output("b"))
    client.collector.put(output("c", finished=True))
    await task
    assert texts(found) == ["abc"]


@WAYS
async def test_who_wants_no_more_aborts_the_request(read: Read) -> None:
    client = Client()
    found, task = await begin(read, client, most=1)
    client.collector.put(output("a"))
    await task
    assert (texts(found), client.aborted) == (["a"], ["r-1"])


@WAYS
async def test_a_cancelled_reader_aborts_the_request(read: Read) -> None:
    client = Client()
    _, task = await begin(read, client)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.aborted == ["r-1"]


@WAYS
@pytest.mark.parametrize(
    ("error", "expected", "aborted"),
    [
        (EngineDeadError(), EngineDeadError, []),
        (ValueError("odd"), EngineGenerateError, ["r-1"]),
    ],
)
async def test_a_failing_engine_fails_as_in_generate(
    read: Read, error: Exception, expected: type[Exception], aborted: list[str]
) -> None:
    client = Client()
    _, task = await begin(read, client)
    client.collector.put(error)
    with pytest.raises(expected):
        await task
    own = Client()
    generated = asyncio.ensure_future(anext(own.generate({"prompt_token_ids": [1]}, PARAMS, "r")))
    await asyncio.sleep(0)
    own.collector.put(error)
    with pytest.raises(expected):
        await generated
    assert client.aborted == own.aborted == aborted


@WAYS
@pytest.mark.parametrize(
    ("error", "expected"),
    [(VLLMValidationError("too long"), VLLMValidationError), (ValueError("odd"), EngineGenerateError)],
)
async def test_a_refusal_is_that_of_generate(read: Read, error: Exception, expected: type[Exception]) -> None:
    _, task = await begin(read, Client(refusal=error))
    with pytest.raises(expected):
        await task


async def test_while_paused_outputs_are_merged_and_then_handed_on() -> None:
    client, found = Client(), []
    outputs = started(client)

    def take(each: Any) -> bool:
        found.append(each)
        outputs.pause()
        return True

    task = asyncio.ensure_future(outputs.deliver(take))
    await asyncio.sleep(0.01)
    for text in "abc":
        client.collector.put(output(text))
        await asyncio.sleep(0.01)
    assert texts(found) == ["a"]
    outputs.resume()
    await asyncio.sleep(0.01)
    assert texts(found) == ["a", "bc"]
    client.collector.put(output("d", finished=True))
    outputs.resume()
    await task
    assert texts(found) == ["a", "bc", "d"]


async def test_outputs_for_many_streams_leave_room_between_them() -> None:
    """The first streams have written, and others have had their turn, before the last stream is looked at."""
    clients = [Client() for _ in range(10)]
    order: list[int] = []

    def taker(number: int) -> Callable[[Any], bool]:
        def take(_: Any) -> bool:
            time.sleep(TURN_SECONDS / 3)
            order.append(number)
            return False

        return take

    readers = [
        asyncio.ensure_future(read_delivered(started(client), taker(number)))
        for number, client in enumerate(clients)
    ]
    await asyncio.sleep(0.01)
    for client in clients:
        client.collector.put(output("a"))
    seen: list[int] = []
    while len(order) < len(clients):
        await asyncio.sleep(0)
        seen.append(len(order))
    await asyncio.gather(*readers)
    assert order == sorted(order)
    assert max(after - before for before, after in pairwise([0, *seen])) <= 3


async def test_a_delivery_that_fails_does_not_hold_back_the_others() -> None:
    """Nothing that is delivered raises; if it does, the other streams must not wait without end."""
    loop, reported, called = asyncio.get_running_loop(), list[dict[str, Any]](), asyncio.Event()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    deliveries = _Deliveries(loop)
    deliveries.add(lambda: [][0])
    deliveries.add(called.set)
    await asyncio.wait_for(called.wait(), 5)
    assert isinstance(reported[0]["exception"], IndexError)


async def test_what_the_handler_raises_is_raised_as_it_is() -> None:
    def take(each: Any) -> bool:
        raise LookupError(each)

    client = Client()
    task = asyncio.ensure_future(started(client).deliver(take))
    await asyncio.sleep(0.01)
    client.collector.put(output("a"))
    with pytest.raises(LookupError):
        await task
    assert client.aborted == ["r-1"]


async def test_a_client_with_its_own_generate_is_asked_by_it() -> None:
    outputs = start_request(OtherClient(), {"prompt_token_ids": [1]}, PARAMS, "r")
    assert not isinstance(outputs, CollectedOutputs)
    assert texts([each async for each in outputs]) == ["own r"]


async def test_outputs_that_have_ended_are_freed_without_the_collector_of_cycles() -> None:
    class Reader:
        def __init__(self, outputs: Outputs) -> None:
            self.outputs = outputs

        def take(self, _output: Any) -> bool:
            return True

    client = Client()
    reader = Reader(started(client))
    client.collector.put(output("a", finished=True))
    gc.disable()
    try:
        await reader.outputs.deliver(reader.take)
        freed = weakref.ref(reader)
        del reader
        assert freed() is None
    finally:
        gc.enable()


@WAYS
@pytest.mark.parametrize("shared", [EngineDeadError(), RuntimeError("odd")])
async def test_an_error_of_all_requests_is_no_longer_in_the_log_for_the_last_of_them(
    read: Read, shared: Exception
) -> None:
    """vLLM hands one exception to all of them, and each of them raises it."""
    lengths = []
    for _ in range(5):
        client = Client()
        _, task = await begin(read, client)
        client.collector.put(shared)
        with pytest.raises(type(shared) if isinstance(shared, EngineDeadError) else EngineGenerateError) as e:
            await task
        lengths.append(len("".join(format_exception(e.value))))
    assert lengths == lengths[:1] * 5
