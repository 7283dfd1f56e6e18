"""How long the parsers of tool calls take for one long argument, this plugin's and vLLM's on the same tokens.

Fed token by token, each through its own streaming interface: the plugin's as its backend calls it, vLLM's
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
from bench.parsers import Chunk, ParserPair, SampleReply
from bench.source import source
from vllm_messages_plugin.stream.deltas import EngineToolCall

RUNS = 7
ENOUGH_SECONDS = 3.0
"""A parser is not run again once its runs have taken so long."""
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
    """One format and size; `vllm` is None where vLLM has nothing to time."""

    call_format: str
    parser: str | None
    kilobytes: int
    plugin: Timing
    vllm: Timing | None

    @property
    def ratio(self) -> float | None:
        """vLLM's time divided by the plugin's: a lower bound where vLLM's was cut off, None if unknown."""
        if self.vllm is None or self.vllm.state == "extrapolated":
            return None
        if self.vllm.state == "cut" and self.vllm.seconds < self.plugin.seconds:
            return None
        return self.vllm.seconds / self.plugin.seconds


def measure(call_format: str, sizes: Sequence[int], cap: float) -> list[Row]:
    """The rows of a format, smallest size first."""
    pair = ParserPair(call_format)
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


def _warm_up(pair: ParserPair) -> None:
    """Have both parsers read a short call, so that what is built once is built."""
    reply = pair.write(WARM_UP)
    _plugin_run(pair, reply)(NO_CAP)
    if pair.why_not_compared is None:
        _vllm_run(pair, reply)(NO_CAP)


def _row(pair: ParserPair, kilobytes: int, before: Sequence[Row], cap: float) -> Row:
    reply = pair.write(source(kilobytes * 1024))
    predicted = _predicted(before, kilobytes, cap)
    compares = pair.why_not_compared is None and predicted is None
    plugin, vllm = _in_turn(pair, reply, cap, compares)
    return Row(pair.call_format, pair.parser_name, kilobytes, plugin, vllm or predicted)


def _predicted(before: Sequence[Row], kilobytes: int, cap: float) -> Timing | None:
    """What vLLM's parser would surely be cut off at is not run."""
    known = [(row.kilobytes, row.vllm) for row in before if row.vllm is not None]
    if not known:
        return None
    if known[-1][1].state == "cut":
        times = kilobytes / known[-1][0]  # no reader takes less than its share for more
        return Timing(known[-1][1].seconds * times, "cut", right=False)
    sizes, seconds = [size for size, _ in known], [timing.seconds for _, timing in known]
    would = extrapolated(sizes, seconds, kilobytes)
    return Timing(would, "extrapolated") if would is not None and would > cap else None


def _in_turn(
    pair: ParserPair, reply: SampleReply, cap: float, compares: bool
) -> tuple[Timing, Timing | None]:
    """Time both parsers in turn."""
    plugin: list[Timing] = []
    vllm: list[Timing] = []
    for _ in range(RUNS):
        if _go_on(plugin):
            plugin.append(_timed(_plugin_run(pair, reply), NO_CAP, reply))
        if compares and _go_on(vllm):
            vllm.append(_timed(_vllm_run(pair, reply), cap, reply))
    return _fastest(plugin), _fastest(vllm) if vllm else None


def _go_on(timings: Sequence[Timing]) -> bool:
    spent = sum(timing.seconds for timing in timings)
    return spent < ENOUGH_SECONDS and all(timing.state == "whole" for timing in timings)


def _fastest(timings: Sequence[Timing]) -> Timing:
    if timings[-1].state == "cut":
        return timings[-1]
    return Timing(min(timing.seconds for timing in timings), right=all(timing.right for timing in timings))


def _timed(run: Run, cap: float, reply: SampleReply) -> Timing:
    """One run."""
    gc.collect()
    began = time.process_time()
    arguments = run(cap)
    seconds = time.process_time() - began
    if arguments is None:
        return Timing(seconds, "cut", right=False)
    return Timing(seconds, right=_is_right(arguments, reply.content))


def _is_right(arguments: str, content: str) -> bool:
    try:
        return bool(json.loads(arguments) == {"file_path": "/a.py", "content": content})
    except ValueError:
        return False


def _plugin_run(pair: ParserPair, reply: SampleReply) -> Run:
    """A run of a new parser of this plugin."""
    parser = pair.plugin()

    def read(chunk: Chunk) -> Iterator[str]:
        text, ids, ends = chunk
        deltas = parser.parse(text, ids, (), ends)
        return (delta.arguments for delta in deltas if isinstance(delta, EngineToolCall))

    return _run(read, reply)


def _vllm_run(pair: ParserPair, reply: SampleReply) -> Run:
    """A run of a new parser of vLLM's."""
    parser, request = pair.vllm(), pair.request

    def read(chunk: Chunk) -> Iterator[str]:
        text, ids, ends = chunk
        message = parser.parse_delta(
            delta_text=text, delta_token_ids=ids, request=request, prompt_token_ids=[], finished=ends
        )
        return _arguments(message)

    return _run(read, reply)


def _run(read: Callable[[Chunk], Iterator[str]], reply: SampleReply) -> Run:
    """A run that reads token by token, with an eye on the clock."""

    def run(cap: float) -> str | None:
        parts: list[str] = []
        until = time.process_time() + cap
        for place, chunk in enumerate(reply.chunks):
            parts += read(chunk)
            if not place % CLOCK_EVERY and time.process_time() > until:
                return None
        return "".join(parts)

    return run


def _arguments(message: Any) -> Iterator[str]:
    for call in message.tool_calls or () if message is not None else ():
        if call.function is not None and call.function.arguments:
            yield call.function.arguments
