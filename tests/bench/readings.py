"""How long the readers of tool calls take for one long argument, ours and vLLM's on the same text.

Streamed: fed token by token through the interface of the engine room. Whole: all at once, vLLM's
through the method that its unstreamed routes call. CPU time of this process, the best of a few runs;
the cap is by the clock, for a CPU timer makes the CPU clock coarse.
"""

import gc
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import FrameType
from typing import Any, Literal

from bench.parsers import Bench, Written
from bench.source import source
from vllm_messages_plugin.engine.replies import Reading
from vllm_messages_plugin.stream.deltas import CallPiece

Way = Literal["streamed", "whole"]
RUNS = 3
ENOUGH_SECONDS = 1.0
"""A reading is not repeated once its runs have taken so long."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One reader on one text. `read` is the share of the text that was read before the cap."""

    seconds: float
    read: float
    right: bool  # the arguments came back as they were written

    @property
    def cut(self) -> bool:
        return self.read < 1


@dataclass(frozen=True, slots=True)
class Row:
    """One shape, way and size; `theirs` is None where vLLM has nothing to time, `why` says why."""

    shape: str
    parser: str | None
    way: Way
    kilobytes: int
    ours: Timing
    theirs: Timing | None
    why: str | None

    @property
    def ratio(self) -> float | None:
        """vLLM's time by ours; where vLLM's was cut off, it is at least that."""
        return self.theirs.seconds / self.ours.seconds if self.theirs else None


class _CapError(BaseException):
    """The time is over; no `Exception`, so that no parser catches it."""


def _over(_signal: int, _frame: FrameType | None) -> None:
    raise _CapError


def _timed(run: Callable[[list[int]], Any], size: int, cap: float) -> tuple[float, float, Any]:
    """CPU seconds of a run, the share it read, and what came of it. The run counts what it has read."""
    read = [0]
    result: Any = None
    gc.collect()
    before = signal.signal(signal.SIGALRM, _over)
    began = time.process_time()
    try:
        signal.setitimer(signal.ITIMER_REAL, cap)
        result = run(read)
    except _CapError:
        return time.process_time() - began, min(read[0] / size, 0.999), None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return time.process_time() - began, 1.0, result


def _best(make: Callable[[], Callable[[list[int]], Any]], size: int, cap: float, content: str) -> Timing:
    """The best of a few runs, each with a fresh reader."""
    best: Timing | None = None
    spent = 0.0
    for _ in range(RUNS):
        seconds, read, arguments = _timed(make(), size, cap)
        spent += seconds
        if best is None or seconds < best.seconds:
            best = Timing(seconds, read, _is_right(arguments, content))
        if spent > ENOUGH_SECONDS or best.cut:
            break
    assert best is not None
    return best


def _is_right(arguments: str | None, content: str) -> bool:
    try:
        return bool(json.loads(arguments or "") == {"file_path": "/a.py", "content": content})
    except ValueError:
        return False


def _stream(reading: Reading, written: Written) -> Callable[[list[int]], str]:
    """A run that reads token by token."""
    chunks, last = written.chunks, len(written.chunks) - 1

    def run(read: list[int]) -> str:
        parts: list[str] = []
        for place, (text, ids) in enumerate(chunks):
            for delta in reading.read(text, ids, [], place == last):
                if isinstance(delta, CallPiece):
                    parts.append(delta.arguments)
            read[0] = place + 1
        return "".join(parts)

    return run


def _whole(reading: Reading, written: Written) -> Callable[[list[int]], str]:
    def run(_: list[int]) -> str:
        deltas = reading.read(written.text, written.ids, [], True)
        return "".join(delta.arguments for delta in deltas if isinstance(delta, CallPiece))

    return run


def _parse(bench: Bench, written: Written) -> Callable[[list[int]], str]:
    """A run of the method that vLLM's unstreamed routes call."""
    parser = bench.parser()

    def run(_: list[int]) -> str:
        _, _, calls = parser.parse(
            written.text, bench.request, enable_auto_tools=True, model_output_token_ids=written.ids
        )
        return calls[0].arguments if calls else ""

    return run


def rows(bench: Bench, way: Way, sizes: Sequence[int], cap: float) -> Iterator[Row]:
    """The rows of a shape. A size is not tried on vLLM's parser once a smaller one was cut off."""
    why = bench.trouble()
    for kilobytes in sizes:
        content = source(kilobytes * 1024)
        written = bench.write(content)
        ours, theirs = _runs(bench, written, way)
        size = len(written.chunks)
        timing = _best(ours, size, cap, content)
        other = None if why else _best(theirs, size, cap, content)
        yield Row(bench.shape, bench.parser_name, way, kilobytes, timing, other, why)
        if other is not None and other.cut:
            why = f"not run: cut off at {kilobytes} KB"


def _runs(bench: Bench, written: Written, way: Way) -> tuple[Callable[[], Any], Callable[[], Any]]:
    if way == "streamed":
        return lambda: _stream(bench.ours(), written), lambda: _stream(bench.theirs(), written)
    return lambda: _whole(bench.ours(), written), lambda: _parse(bench, written)


def growths(sizes: Sequence[int], seconds: Sequence[float | None]) -> list[float | None]:
    """The growth per doubling up to each size; None for the first, and where a time lacks."""
    found: list[float | None] = [None]
    for (size, before), (larger, after) in pairwise(zip(sizes, seconds, strict=True)):
        whole = before and after
        found.append((after / before) ** (1 / math.log2(larger / size)) if whole else None)
    return found
