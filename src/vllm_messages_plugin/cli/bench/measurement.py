"""Measures a server: single replies, then a session."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import httpx
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from vllm_messages_plugin.cli.bench.session import Body, session
from vllm_messages_plugin.conformance.client import MESSAGES, Client, auth_headers, base_url, http_client
from vllm_messages_plugin.conformance.outcome import MismatchError
from vllm_messages_plugin.conformance.served_models import choose_model, list_models
from vllm_messages_plugin.conformance.stream_rules import accumulate, parse_events

VERSION = {"anthropic-version": "2023-06-01"}
PROMPT = "Story {}: tell me at length, without an end, how the river came down from the hills."
TURN_TOKENS = 16
FIRST_EVENT, FIRST_DELTA = "event: message_start", "event: content_block_delta"


class BenchFailedError(Exception):
    """A reply failed or cannot be measured; the text says why."""


@dataclass(frozen=True)
class Workload:
    """How much is measured: replies, tokens per reply, replies at a time, turns of the session."""

    runs: int
    tokens: int
    concurrency: int
    turns: int


@dataclass(frozen=True)
class Sample:
    """One streamed reply.

    Attributes:
        first_event: Seconds until the first event.
        first_delta: Seconds until the first content_block_delta.
        seconds: Seconds until the end of the stream.
        prompt: Prompt tokens, cached ones included.
        cached: Prompt tokens read from the cache.
        written: Output tokens.
    """

    first_event: float
    first_delta: float
    seconds: float
    prompt: int
    cached: int
    written: int

    @property
    def speed(self) -> float | None:
        """Tokens per second from the first delta on; None if there are too few."""
        span = self.seconds - self.first_delta
        return (self.written - 1) / span if self.written > 1 and span > 0 else None


@dataclass(frozen=True)
class Measurement:
    """Everything measured of one server."""

    url: str
    model: str
    window: int | None
    size: Workload
    answers: Sequence[Sample]
    wall_seconds: float
    turns: Sequence[Sample]

    @property
    def throughput(self) -> float:
        """Tokens per second of all replies together."""
        return (
            sum(sample.written for sample in self.answers) / self.wall_seconds if self.wall_seconds else 0.0
        )

    @property
    def reuse(self) -> list[float]:
        """The fraction of each turn that the next turn found in the cache, from 0 to 1."""
        pairs = pairwise(self.turns)
        return [min(1.0, after.cached / before.prompt) if before.prompt else 0.0 for before, after in pairs]


def median_of(values: Iterator[float | None]) -> float | None:
    """Return the median of the values that are not None; None if there are none."""
    there = [value for value in values if value is not None]
    return median(there) if there else None


def measure(url: str, model: str, key: str, size: Workload, timeout: float, *, quiet: bool) -> Measurement:
    """Find the server, measure replies and replay a session.

    Args:
        url: The server's URL.
        model: The model's name; empty for the first one served.
        key: The API key; empty for none.
        size: How much to measure.
        timeout: Seconds to wait for one reply.
        quiet: Whether to show no progress.

    Raises:
        UnreachableError: No server responds.
        BenchFailedError: A reply failed.
    """
    with http_client(url, timeout) as http, _progress(quiet) as show_progress:
        served = choose_model(list_models(http, key or None, given=model), model)
        client = Client(http, served.name, served.window, key or None)
        show_progress("warming up")
        sample(client, _uncached_request(0, 2))
        answers, wall_seconds = _answers(client, size, show_progress)
        turns = _session(client, size, show_progress)
    return Measurement(base_url(url), served.name, served.window, size, answers, wall_seconds, turns)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show one line on the error stream that says what is being measured."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=None)
        yield lambda what: bar.update(task, description=what)


def _uncached_request(number: int, tokens: int) -> Body:
    """Return a short request whose prompt starts unlike any earlier one, so that none of it is cached."""
    prompt = f"{uuid.uuid4().hex} " + PROMPT.format(number)
    return {"max_tokens": tokens, "messages": [{"role": "user", "content": prompt}]}


def _answers(
    client: Client, size: Workload, show_progress: Callable[[str], None]
) -> tuple[list[Sample], float]:
    show_progress(f"{size.runs} replies, {size.concurrency} at a time")
    bodies = [_uncached_request(number, size.tokens) for number in range(size.runs)]
    start = time.perf_counter()
    with ThreadPoolExecutor(size.concurrency) as pool:
        samples = list(pool.map(lambda body: sample(client, body), bodies))
    return samples, time.perf_counter() - start


def _session(client: Client, size: Workload, show_progress: Callable[[str], None]) -> list[Sample]:
    samples = []
    for turn, body in enumerate(session(uuid.uuid4().hex, size.turns, client.window, TURN_TOKENS), 1):
        show_progress(f"turn {turn} of {size.turns}")
        samples.append(sample(client, body))
    return samples


def sample(client: Client, body: Mapping[str, Any]) -> Sample:
    """Stream one reply and time it."""
    sent = {"model": client.model, **body, "stream": True}
    headers = {**VERSION, **auth_headers(client.key)}
    start = time.perf_counter()
    try:
        with client.http.stream("POST", MESSAGES, json=sent, headers=headers) as response:
            if response.status_code != 200:
                response.read()
                raise BenchFailedError(
                    f"HTTP {response.status_code}: {' '.join(response.text.split())[:300]}"
                )
            times = _times(response.iter_text(), start)
    except httpx.HTTPError as error:
        raise BenchFailedError(f"the connection broke: {error or type(error).__name__}") from None
    return _sample(times, time.perf_counter() - start)


@dataclass(frozen=True)
class _Times:
    text: str
    first_event: float | None
    first_delta: float | None


def _times(chunks: Iterator[str], start: float) -> _Times:
    pieces: list[str] = []
    event = delta = None
    for chunk in chunks:
        now = time.perf_counter() - start
        # A name may be split over two chunks: the previous chunk is searched again.
        seen = (pieces[-1] if pieces else "") + chunk
        pieces.append(chunk)
        event = now if event is None and FIRST_EVENT in seen else event
        delta = now if delta is None and FIRST_DELTA in seen else delta
    return _Times("".join(pieces), event, delta)


def _sample(times: _Times, seconds: float) -> Sample:
    if times.first_event is None:
        raise BenchFailedError(f"the stream contains no message: {times.text[:200]!r}")
    try:
        usage = accumulate(parse_events(times.text))["usage"]
    except (KeyError, TypeError, IndexError, ValueError, MismatchError) as error:
        raise BenchFailedError(f"the stream is invalid: {type(error).__name__}: {error}") from None
    cached = usage.get("cache_read_input_tokens") or 0
    prompt = usage["input_tokens"] + cached + (usage.get("cache_creation_input_tokens") or 0)
    first_delta = times.first_delta if times.first_delta is not None else seconds
    return Sample(times.first_event, first_delta, seconds, prompt, cached, usage["output_tokens"])
