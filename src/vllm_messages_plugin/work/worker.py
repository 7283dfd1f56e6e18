"""One server process's worker: leases items, runs them, and stores their results.

The loop wakes when an item ends, when a batch is created here, and every `poll_seconds` for what other
processes created or left behind. Results are stored before new items are leased, all that are there in one
transaction. While the store is away, finished results wait here, no new items begin, and the time between two
tries doubles up to LONGEST_PAUSE. Without an open batch the worker does one short query for each poll.
"""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from vllm_messages_plugin.store.leases import LeasedItem, LeaseStore
from vllm_messages_plugin.store.retention import Retention
from vllm_messages_plugin.wire.batches import BatchResult, ItemRequest
from vllm_messages_plugin.wire.errors import MessagesError, error_body, new_request_id
from vllm_messages_plugin.wire.sse import dump

log = logging.getLogger("vllm.messages.work")

BUSY_SECONDS: Final = 0.2
"""How soon the engine is looked at again while it has no free slot."""
STOP_SECONDS: Final = 2.0
LONGEST_PAUSE: Final = 60.0
RETRY_SECONDS: Final = 2.0
"""After how long an item is tried again whose error names no time."""
PASSING: Final = frozenset({"overloaded_error", "rate_limit_error"})


class Runner(Protocol):
    """Runs items on this server."""

    def free_slots(self, begun: int) -> int:
        """Return how many more items may begin without a request having to wait for them.

        Args:
            begun: How many items have begun and not ended.
        """
        ...

    async def run(self, item: ItemRequest) -> BatchResult:
        """Run an item and return its result.

        Raises:
            MessagesError: The server can't serve the item now; another try may succeed.
        """
        ...


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works.

    Attributes:
        concurrency: How many items run at once; 0 for none.
        lease_seconds: For how long items are leased at a time.
        poll_seconds: Time between two looks at the store for what other processes did.
        prune_seconds: Time between two removals of what is no longer kept.
    """

    concurrency: int = 16
    lease_seconds: float = 60.0
    poll_seconds: float = 10.0
    prune_seconds: float = 600.0


class Worker:
    """Works on the batches of a store until it is canceled."""

    def __init__(
        self,
        leases: LeaseStore,
        retention: Retention,
        runner: Runner,
        created: asyncio.Event,
        options: WorkerOptions,
    ) -> None:
        """Make the worker.

        Args:
            leases: The store's leases.
            retention: Removes what the store no longer keeps.
            runner: Runs items.
            created: Is set when a batch was created in this process.
            options: How it works.
        """
        self._leases = leases
        self._retention = retention
        self._runner = runner
        self._created = created
        self._options = options
        self._name = f"{socket.gethostname()[:32]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._running: dict[asyncio.Task[BatchResult], LeasedItem] = {}
        self._finished: list[tuple[LeasedItem, BatchResult]] = []
        self._given_back: dict[LeasedItem, float] = {}
        self._has_items = False  # whether the last look at the store found items to lease
        self._extended_at = self._polled_at = self._pruned_at = float("-inf")

    async def run(self) -> None:
        """Work until canceled; then give the unfinished items back."""
        failures = 0
        try:
            while True:
                try:
                    pause = await self._step()
                    failures = 0
                except MessagesError as error:  # the store has logged its cause
                    log.debug("Batches wait for the store: %s", error.message)
                    pause = min(self._options.poll_seconds * 2**failures, LONGEST_PAUSE)
                    failures = min(failures + 1, 10)
                await self._wait(pause)
        finally:
            await self._stop()

    async def _step(self) -> float:
        """Store what is finished and begin what may begin; return for how long nothing else is due."""
        if not self._leases.exists:
            return self._options.poll_seconds
        self._collect()
        await self._store()
        await self._extend()
        await self._poll()
        return await self._begin()

    async def _poll(self) -> None:
        """Look for items, and end or remove what is due, as often as the options say."""
        now = asyncio.get_running_loop().time()
        if now - self._polled_at >= self._options.poll_seconds:
            self._has_items = await self._leases.any_open()
            if self._has_items:
                await self._leases.close_batches()
            self._polled_at = now
        if now - self._pruned_at >= self._options.prune_seconds:
            pruned = await self._retention.prune()
            if not pruned.more:
                self._pruned_at = now

    async def _begin(self) -> float:
        """Lease and begin items while the engine has free slots for them."""
        while self._has_items and (count := self._places()) > 0:
            items = await self._leases.lease(self._name, count, self._options.lease_seconds)
            self._has_items = bool(items)
            for item in items:
                self._running[asyncio.create_task(self._run(item))] = item
        is_full = len(self._running) >= self._options.concurrency
        return BUSY_SECONDS if self._has_items and not is_full else self._options.poll_seconds

    def _places(self) -> int:
        """How many more items may begin."""
        begun = len(self._running)
        return min(self._options.concurrency - begun, self._runner.free_slots(begun))

    async def _run(self, item: LeasedItem) -> BatchResult:
        try:
            request = await self._leases.request(item)
        except MessagesError as error:
            if error.kind in PASSING:
                raise
            body = dump(error_body(error, new_request_id())).decode()
            return BatchResult(item.custom_id, "errored", body)
        return await self._runner.run(request)

    def _collect(self) -> None:
        """Sort the items that have ended into finished ones and those to be tried again."""
        for task in [task for task in self._running if task.done()]:
            item = self._running.pop(task)
            error = None if task.cancelled() else task.exception()
            if task.cancelled():
                self._given_back[item] = 0.0
            elif error is None:
                self._finished.append((item, task.result()))
            elif isinstance(error, MessagesError) and error.kind in PASSING:
                self._given_back[item] = RETRY_SECONDS if error.retry_after is None else error.retry_after
            else:  # the lease runs out, and the attempt counts
                log.error("An item of a batch could not be run and is tried again", exc_info=error)

    async def _store(self) -> None:
        if self._finished:
            await self._leases.finish(self._finished)
            self._finished = []
        if self._given_back:
            await self._leases.release(self._name, self._given_back)
            self._given_back = {}

    async def _extend(self) -> None:
        """Extend the leases, each time a third of them is over."""
        now = asyncio.get_running_loop().time()
        if self._running and now - self._extended_at >= self._options.lease_seconds / 3:
            await self._leases.extend(self._name, list(self._running.values()), self._options.lease_seconds)
            self._extended_at = now

    async def _wait(self, seconds: float) -> None:
        """Wait until an item ends, a batch is created, a lease must be extended, or the time is over."""
        if self._running:
            seconds = min(seconds, self._options.lease_seconds / 3)
        created = asyncio.ensure_future(self._created.wait())
        try:
            waiting: Sequence[asyncio.Future[Any]] = [created, *self._running]
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            created.cancel()
        if self._created.is_set():
            self._created.clear()
            self._has_items = True

    async def _stop(self) -> None:
        """Cancel what runs and give it back, if the store can take it soon; else the leases run out."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._collect()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._store()
        except (MessagesError, TimeoutError) as error:
            log.warning("The leases of this server's batch items run out by themselves: %s", error)
