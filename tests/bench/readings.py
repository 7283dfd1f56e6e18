"""How long the readers of tool calls take for one long argument, ours and vLLM's on the same tokens.

Fed token by token, each through its own streaming interface: ours as the engine room calls it, vLLM's
as vLLM's routes call it. CPU time of this process, and the fastest of a few runs, since what else the
machine does can only add to it.
"""

import gc
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from bench.growth import extrapolated
from bench.parsers import Chunk, Pair, Written
from bench.source import source
from vllm_messages_plugin.stream.deltas import EngineToolCall

RUNS = 7
ENOUGH_SECONDS = 3.0
"""A reading is not repeated once its runs have taken so long."""
NO_CAP = float("inf")
CLOCK_EVERY = 32
"""Tokens between two looks at the clock."""
WARM_UP = "x = 1\n" * 20

State = Literal["whole", "cut", "extrapolated"]
Run = Callable[[float], str | None]
"""Reads a reply; None if that took longer than the seconds given."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One reader on one text: how long it took, was given, or would take."""

    seconds: float
    state: State = "whole"
    right: bool = True  # the arguments came back as they were written


@dataclass(frozen=True, slots=True)
class Row:
    """One shape and size; `theirs` is None where vLLM has nothing to time."""

    shape: str
    parser: str | None
    kilobytes: int
    ours: Timing
    theirs: Timing | None

    @property
    def ratio(self) -> float | None:
        """vLLM's time by ours; where vLLM's was cut off, at least that; None where that says nothing."""
        if self.theirs is None or self.theirs.state == "extrapolated":
            return None
        if self.theirs.state == "cut" and self.theirs.seconds < self.ours.seconds:
            return None
        return self.theirs.seconds / self.ours.seconds


def measure(shape: str, sizes: Sequence[int], cap: float) -> list[Row]:
    """The rows of a shape, smallest size first."""
    pair = Pair(shape)
    with _quiet():
        _warm_up(pair)
        rows: list[Row] = []
        for kilobytes in sizes:
            rows.append(_row(pair, kilobytes, rows, cap))
        return rows


@contextmanager
def _quiet() -> Iterator[None]:
    """No log of parsers that stumble for every token, and no search for garbage in what imports made."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    gc.freeze()
    try:
        yield
    finally:
        logging.disable(before)


def _warm_up(pair: Pair) -> None:
    """Have both readers read a short call, so that what is made once is made."""
    written = pair.write(WARM_UP)
    _ours(pair, written)(NO_CAP)
    if pair.trouble is None:
        _theirs(pair, written)(NO_CAP)


def _row(pair: Pair, kilobytes: int, before: Sequence[Row], cap: float) -> Row:
    written = pair.write(source(kilobytes * 1024))
    foretold = _foretold(before, kilobytes, cap)
    compares = pair.trouble is None and foretold is None
    ours, theirs = _in_turn(pair, written, cap, compares)
    return Row(pair.shape, pair.parser_name, kilobytes, ours, theirs or foretold)


def _foretold(before: Sequence[Row], kilobytes: int, cap: float) -> Timing | None:
    """What vLLM's parser would surely be cut off at is not run."""
    known = [(row.kilobytes, row.theirs) for row in before if row.theirs is not None]
    if not known:
        return None
    if known[-1][1].state == "cut":
        times = kilobytes / known[-1][0]  # no reader takes less than its share for more
        return Timing(known[-1][1].seconds * times, "cut", right=False)
    sizes, seconds = [size for size, _ in known], [timing.seconds for _, timing in known]
    would = extrapolated(sizes, seconds, kilobytes)
    return Timing(would, "extrapolated") if would is not None and would > cap else None


def _in_turn(pair: Pair, written: Written, cap: float, compares: bool) -> tuple[Timing, Timing | None]:
    """Time both readers by turns."""
    ours: list[Timing] = []
    theirs: list[Timing] = []
    for _ in range(RUNS):
        if _go_on(ours):
            ours.append(_timed(_ours(pair, written), NO_CAP, written))
        if compares and _go_on(theirs):
            theirs.append(_timed(_theirs(pair, written), cap, written))
    return _fastest(ours), _fastest(theirs) if theirs else None


def _go_on(timings: Sequence[Timing]) -> bool:
    spent = sum(timing.seconds for timing in timings)
    return spent < ENOUGH_SECONDS and all(timing.state == "whole" for timing in timings)


def _fastest(timings: Sequence[Timing]) -> Timing:
    if timings[-1].state == "cut":
        return timings[-1]
    return Timing(min(timing.seconds for timing in timings), right=all(timing.right for timing in timings))


def _timed(run: Run, cap: float, written: Written) -> Timing:
    """One run."""
    gc.collect()
    began = time.process_time()
    arguments = run(cap)
    seconds = time.process_time() - began
    if arguments is None:
        return Timing(seconds, "cut", right=False)
    return Timing(seconds, right=_is_right(arguments, written.content))


def _is_right(arguments: str, content: str) -> bool:
    try:
        return bool(json.loads(arguments) == {"file_path": "/a.py", "content": content})
    except ValueError:
        return False


def _ours(pair: Pair, written: Written) -> Run:
    """A run of our reader, fresh."""
    reading = pair.ours()

    def read(chunk: Chunk) -> Iterator[str]:
        text, ids, ends = chunk
        deltas = reading.parse(text, ids, (), ends)
        return (delta.arguments for delta in deltas if isinstance(delta, EngineToolCall))

    return _run(read, written)


def _theirs(pair: Pair, written: Written) -> Run:
    """A run of vLLM's reader, fresh."""
    parser, request = pair.theirs(), pair.request

    def read(chunk: Chunk) -> Iterator[str]:
        text, ids, ends = chunk
        message = parser.parse_delta(
            delta_text=text, delta_token_ids=ids, request=request, prompt_token_ids=[], finished=ends
        )
        return _arguments(message)

    return _run(read, written)


def _run(read: Callable[[Chunk], Iterator[str]], written: Written) -> Run:
    """A run that reads token by token, with an eye on the clock."""

    def run(cap: float) -> str | None:
        parts: list[str] = []
        until = time.process_time() + cap
        for place, chunk in enumerate(written.chunks):
            parts += read(chunk)
            if not place % CLOCK_EVERY and time.process_time() > until:
                return None
        return "".join(parts)

    return run


def _arguments(message: Any) -> Iterator[str]:
    for call in message.tool_calls or () if message is not None else ():
        if call.function is not None and call.function.arguments:
            yield call.function.arguments
