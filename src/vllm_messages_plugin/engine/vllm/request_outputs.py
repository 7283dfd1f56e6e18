"""Reads the outputs of one request from vLLM's collector, without a task that wakes up for each.

`AsyncLLM.generate` is a generator around `AsyncLLM.add_request` and the collector which that returns: vLLM's
output handler puts outputs into it and sets its event, and the generator waits for the event. Here the event
is replaced by one that queues a call of a function (see `_Deliveries`). Outputs that come before that are
merged by the collector, as for the generator. Errors and aborts are those of the generator.

A client that does not have all of that, or whose `generate` is not vLLM's own, is asked by its `generate`.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from functools import cache
from typing import Any, Final, NoReturn, Protocol, cast
from weakref import WeakKeyDictionary

from vllm_messages_plugin.engine.vllm import compat
from vllm_messages_plugin.engine.vllm.lookup import accepted
from vllm_messages_plugin.stream.sources import Handler, Iterated, close

TURN_SECONDS: Final = 0.001
"""For how long outputs are delivered in one turn of the event loop. Those of 256 streams take longer."""


class Outputs(Protocol):
    """vLLM's RequestOutputs of one engine request: a source, and an iterator."""

    def __aiter__(self) -> AsyncIterator[Any]: ...

    async def deliver(self, handle: Handler[Any]) -> None:
        """Hand on the outputs; see `Source.deliver`."""
        ...

    def pause(self) -> None:
        """Hand on nothing until `resume`."""
        ...

    def resume(self) -> None:
        """Go on after `pause`."""
        ...

    async def aclose(self) -> None:
        """Abort the request unless it has ended."""
        ...


class GeneratedOutputs(Iterated[Any]):
    """The outputs of a generator."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._items

    async def aclose(self) -> None:
        """Abort the request unless it has ended."""
        await close(self._items)


class CollectedOutputs:
    """The outputs that a collector of vLLM's collects. The request begins with the first use."""

    def __init__(self, client: Any, add_request: Callable[[], Awaitable[Any]]) -> None:
        """Prepare a request.

        Args:
            client: vLLM's engine client.
            add_request: Hands the request to the engine and returns its collector.
        """
        self._client = client
        self._add_request = add_request
        self._collector: Any = None
        self._ended = False  # the engine has nothing to abort
        self._paused = False
        self._handle: Handler[Any] | None = None
        self._delivered: asyncio.Future[None] | None = None
        self._raised_by_handler: Exception | None = None

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self._ended:
            raise StopAsyncIteration
        try:
            output = await self._next(self._collector or await self._begin())
        except Exception as error:  # noqa: BLE001 - raised again
            await self._fail(error)
        self._ended = output.finished
        return output

    async def _next(self, collector: Any) -> Any:
        try:
            return collector.get_nowait() or await collector.get()
        except Exception as error:
            _forget_frames(error)
            raise

    async def deliver(self, handle: Handler[Any]) -> None:
        """Hand on the outputs; see `Source.deliver`."""
        loop = asyncio.get_running_loop()
        self._handle, self._delivered = handle, loop.create_future()
        try:
            collector = await self._begin()
            collector.ready = _Signal(_deliveries(loop), self._take)
            self._take()
            await self._delivered
        except Exception as error:
            if error is self._raised_by_handler:
                raise
            await self._fail(error)
        finally:
            await self.aclose()

    def pause(self) -> None:
        """Leave the outputs in the collector, which merges them, until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Go on after `pause`, with what has come meanwhile."""
        self._paused = False
        asyncio.get_running_loop().call_soon(self._take)

    async def aclose(self) -> None:
        """Abort the request unless it has ended."""
        if self._delivered is not None and not self._delivered.done():
            self._delivered.cancel()
        self._handle = None  # so that nothing refers in a circle
        collector, self._collector = self._collector, None
        if collector is None:
            return
        try:
            if not self._ended:
                self._ended = True
                await self._client.abort(collector.request_id, internal=True)
        finally:
            collector.close()

    async def _begin(self) -> Any:
        self._collector = await self._add_request()
        return self._collector

    async def _fail(self, error: Exception) -> NoReturn:
        """Raise an error as vLLM's `generate` raises it."""
        if isinstance(error, compat.REQUEST_ERRORS):
            self._ended = True
            raise error
        await self.aclose()
        raise compat.EngineGenerateError from error

    def _take(self) -> None:
        """Hand on what is in the collector; the event loop calls this."""
        collector, delivered = self._collector, self._delivered
        if collector is None or self._paused or delivered is None or delivered.done():
            return
        try:
            output = collector.get_nowait()
        except Exception as error:  # noqa: BLE001 - raised by `deliver`
            _forget_frames(error)
            delivered.set_exception(error)
            return
        if output is not None:
            self._ended = output.finished
            self._hand_on(output, delivered)

    def _hand_on(self, output: Any, delivered: asyncio.Future[None]) -> None:
        try:
            wants_more = self._handle is not None and self._handle(output)
        except Exception as error:  # noqa: BLE001 - raised by `deliver`
            self._raised_by_handler = error
            delivered.set_exception(error)
            return
        if self._ended or not wants_more:
            delivered.set_result(None)


def _forget_frames(error: Exception) -> None:
    """Make an error from a collector forget the frames that it passed.

    vLLM logs it and hands the one exception to all requests. Each that raises it adds frames, so that the log
    would have all of them again for each request.
    """
    error.__traceback__ = None


class _Deliveries:
    """Calls functions in the next turns of an event loop, in order, for `TURN_SECONDS` in each turn.

    A step of the engine has an output for each of hundreds of streams. What the first streams write leaves
    for their clients at the end of a turn, so it need not wait for the last stream.
    """

    __slots__ = ("_call_soon", "_functions", "_is_scheduled")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._functions: deque[Callable[[], None]] = deque()
        self._is_scheduled = False

    def add(self, function: Callable[[], None]) -> None:
        """Queue a call of a function."""
        self._functions.append(function)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._call_soon(self._run)

    def _run(self) -> None:
        functions, now = self._functions, time.perf_counter
        end = now() + TURN_SECONDS
        try:
            while functions and now() < end:
                functions.popleft()()
        finally:
            self._is_scheduled = bool(functions)
            if functions:
                self._call_soon(self._run)


_deliveries_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Deliveries] = WeakKeyDictionary()


def _deliveries(loop: asyncio.AbstractEventLoop) -> _Deliveries:
    """The deliveries of an event loop, which all its requests share."""
    found = _deliveries_of_loops.get(loop)
    if found is None:
        found = _deliveries_of_loops[loop] = _Deliveries(loop)
    return found


class _Signal:
    """What a collector uses of an `asyncio.Event`. Setting it queues a call of a function."""

    __slots__ = ("_add", "_function", "_is_set")

    def __init__(self, deliveries: _Deliveries, function: Callable[[], None]) -> None:
        self._add = deliveries.add
        self._function = function
        self._is_set = False

    def set(self) -> None:
        if not self._is_set:
            self._is_set = True
            self._add(self._function)

    def clear(self) -> None:
        self._is_set = False


def start_request(client: Any, prompt: Any, params: Any, request_id: str, /, **arguments: Any) -> Outputs:
    """Prepare a request to the engine; it begins when its outputs are asked for.

    Args:
        client: vLLM's engine client.
        prompt: The engine's input.
        params: The sampling params.
        request_id: The engine's id of the request.
        arguments: Further arguments of the client's `generate`.
    """
    if not _collects(cast(Hashable, type(client))):
        return GeneratedOutputs(client.generate(prompt, params, request_id, **arguments))
    known = accepted(client.add_request, arguments)
    return CollectedOutputs(client, lambda: client.add_request(request_id, prompt, params, **known))


@cache
def _collects(client_class: Any) -> bool:
    """Whether clients of a class have collectors that can be read here."""
    own = compat.AsyncLLM
    if own is None or not issubclass(client_class, own) or client_class.generate is not own.generate:
        return False
    needed = ("ready", "get", "get_nowait", "close", "request_id")
    collector = compat.RequestOutputCollector
    made = None if collector is None else collector(compat.RequestOutputKind.DELTA, "")
    return all(hasattr(made, name) for name in needed) and hasattr(client_class, "add_request")
