"""Measuring one reply: its times, and what cannot be measured."""

from typing import Any

import httpx
import pytest

from vllm_messages_plugin.cli.bench.measurement import BenchFailedError, Sample, Workload, median_of, sample
from vllm_messages_plugin.cli.bench.measurement import Measurement as Measured
from vllm_messages_plugin.conformance.client import Client


def made(**changes: Any) -> Sample:
    values = {
        "first_event": 0.1,
        "first_delta": 0.2,
        "seconds": 1.2,
        "prompt": 100,
        "cached": 0,
        "written": 11,
    }
    return Sample(**{**values, **changes})


def measured(*turns: Sample, answers: tuple[Sample, ...] = (made(),)) -> Measured:
    size = Workload(len(answers), 16, 1, len(turns))
    return Measured("http://fake", "tiny", 8192, size, answers, 2.0, turns)


def test_speed_is_measured_from_the_first_delta_on() -> None:
    assert made().speed == pytest.approx(10.0)
    assert made(written=1).speed is None
    assert made(first_delta=1.2).speed is None
    assert measured().throughput == pytest.approx(5.5)


def test_the_median_is_of_what_there_is() -> None:
    assert median_of(iter([3.0, None, 1.0])) == 2.0
    assert median_of(iter([None])) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "contains no message"),
        ("event: message_start\ndata: {}\n\n", "is invalid"),
        ('event: message_start\ndata: {"type": "message_start"}\n\n', "is invalid: MismatchError"),
    ],
)
def test_a_stream_that_is_none_is_named(text: str, words: str) -> None:
    answer = httpx.MockTransport(lambda request: httpx.Response(200, text=text))
    with (
        httpx.Client(base_url="http://fake", transport=answer) as http,
        pytest.raises(BenchFailedError, match=words),
    ):
        sample(Client(http, "tiny"), {})


def test_a_broken_connection_is_named() -> None:
    def break_off(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("cut")

    with (
        httpx.Client(base_url="http://fake", transport=httpx.MockTransport(break_off)) as http,
        pytest.raises(BenchFailedError, match="cut"),
    ):
        sample(Client(http, "tiny"), {})
