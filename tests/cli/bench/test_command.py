"""bench: the session it replays, what it measures, and how it shows that."""

import importlib.util
import io
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from conformance.fake_anthropic import Fake, listening
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.bench import report
from vllm_messages_plugin.cli.bench.measurement import BenchFailedError, Sample, Size, middle, sample
from vllm_messages_plugin.cli.bench.measurement import Result as Measured
from vllm_messages_plugin.cli.bench.report import bar, draw, reuse_words, to_json
from vllm_messages_plugin.cli.bench.session import MOST_TOKENS, session, text_of_tokens
from vllm_messages_plugin.conformance.client import Client


def words_in(body: dict[str, Any]) -> int:
    return len(json.dumps(body).split())


def test_a_session_only_grows() -> None:
    bodies = list(session("abc", 4, 32_768, 16))
    assert len(bodies) == 4
    for before, after in pairwise(bodies):
        assert after["messages"][: len(before["messages"])] == before["messages"]
        assert len(after["messages"]) == len(before["messages"]) + 2
        assert {name: after[name] for name in ("system", "tools")} == {
            name: before[name] for name in ("system", "tools")
        }


def test_two_sessions_differ_in_what_claude_codes_do() -> None:
    (one,), (other,) = session("abc", 1, None, 16), session("xyz", 1, None, 16)
    assert one["system"][0] != other["system"][0]
    assert one["system"][1:] == other["system"][1:]
    assert one["tools"] == other["tools"]
    assert one["messages"] != other["messages"]


@pytest.mark.parametrize("window", [4096, 8192, 32_768, 1_000_000])
@pytest.mark.parametrize("turns", [1, 10, 30])
def test_a_session_fits_its_window(window: int, turns: int) -> None:
    *_, last = session("abc", turns, window, 16)
    # A word of these texts is a token at most; the JSON around them is counted in words as well.
    assert words_in(last) < window
    assert words_in(last) < 1.5 * MOST_TOKENS


def test_a_result_answers_each_call_of_a_session() -> None:
    *_, last = session("abc", 5, None, 16)
    blocks = [
        block for turn in last["messages"] if isinstance(turn["content"], list) for block in turn["content"]
    ]
    calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    assert calls == results
    assert len(set(calls)) == 4


def test_a_text_is_about_as_long_as_asked() -> None:
    assert 1000 <= len(text_of_tokens(1000).split()) <= 1040


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
    size = Size(len(answers), 16, 1, len(turns))
    return Measured("http://fake", "tiny", 8192, size, answers, 2.0, turns)


def test_speed_is_told_from_the_first_delta_on() -> None:
    assert made().speed == pytest.approx(10.0)
    assert made(written=1).speed is None
    assert made(first_delta=1.2).speed is None
    assert measured().throughput == pytest.approx(5.5)


def test_reuse_is_the_share_of_the_turn_before() -> None:
    result = measured(made(), made(prompt=150, cached=90), made(prompt=200, cached=160))
    assert result.reuse == [0.9, 1.0]
    assert "95.0 %" in reuse_words(result)
    assert "worst 90.0 %" in reuse_words(result)
    assert "at most 10 tokens" in reuse_words(result)
    assert measured(made()).reuse == []


def test_a_server_that_tells_of_no_cache_is_not_said_to_read_all_again() -> None:
    words = reuse_words(measured(made(), made(prompt=150)))
    assert "does not say so" in words
    assert "%" not in words


def test_the_median_is_of_what_there_is() -> None:
    assert middle(iter([3.0, None, 1.0])) == 2.0
    assert middle(iter([None])) is None


@pytest.mark.parametrize(
    ("prompt", "cached", "drawn"),
    [(100, 50, "█" * 14 + "░" * 14), (50, 0, "░" * 14), (0, 0, ""), (100, 100, "█" * 28)],
)
def test_a_bar_shows_what_came_from_the_cache(prompt: int, cached: int, drawn: str) -> None:
    assert bar(made(prompt=prompt, cached=cached), 100).plain == drawn


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def url(fake: Fake) -> Iterator[str]:
    with listening(fake) as root:
        yield root


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["bench", *arguments], env={"COLUMNS": "120", "VLLM_API_KEY": ""})


def test_answers_and_a_session_are_measured(url: str, fake: Fake) -> None:
    result = run(url, "--runs", "3", "--concurrency", "2", "--turns", "4")
    assert result.exit_code == 0, result.output
    for words in (
        "3 answers of at most 64 tokens, 2 at a time",
        "tokens a second",
        "A session of 4 turns",
        "█",
    ):
        assert words in result.output
    streams = [request for request in fake.seen if request.method == "POST"]
    assert len(streams) == 1 + 3 + 4


def test_json_has_every_number(url: str) -> None:
    found = json.loads(run(url, "--runs", "2", "--turns", "3", "--json").stdout)
    assert (found["model"], found["window"], found["runs"], found["concurrency"]) == ("tiny", 8192, 2, 1)
    assert len(found["answers"]) == 2
    assert len(found["session"]) == 3
    assert len(found["reuse"]) == 2
    assert found["median_reuse"] > 0.9
    assert found["median_first_event"] > 0


def test_no_turns_show_no_session(url: str) -> None:
    result = run(url, "--runs", "1", "--turns", "0")
    assert result.exit_code == 0
    assert "session" not in result.output


def test_no_server_is_2() -> None:
    assert run("http://127.0.0.1:9").exit_code == 2


def test_a_refused_answer_is_1_and_says_why(url: str, fake: Fake) -> None:
    fake.breaks.append(
        lambda request, response: httpx.Response(500, text="Boom") if request.method == "POST" else response
    )
    result = run(url)
    assert result.exit_code == 1
    assert "HTTP 500: Boom" in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "tells no message"),
        ("event: message_start\ndata: {}\n\n", "not well formed"),
        ('event: message_start\ndata: {"type": "message_start"}\n\n', "not well formed: KeyError"),
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


def test_a_picture_without_matplotlib_is_refused_before_anything_is_measured(
    url: str, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = run(url, "--png", "x.png")
    assert result.exit_code == 2
    assert "pip install matplotlib" in result.stderr
    assert fake.seen == []


class Anything:
    """Stands in for matplotlib's objects: takes every call, and keeps what was saved."""

    def __init__(self) -> None:
        self.saved: list[Path] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None

    def savefig(self, path: Path, **options: Any) -> None:
        self.saved.append(path)


def test_a_picture_is_drawn_with_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figure = Anything()
    pyplot = SimpleNamespace(
        subplots=lambda *args, **kwargs: (figure, (Anything(), Anything())), close=lambda figure: None
    )
    modules = {"matplotlib": SimpleNamespace(use=lambda name: None), "matplotlib.pyplot": pyplot}
    monkeypatch.setattr(report, "import_module", modules.__getitem__)
    draw(measured(made(), made(cached=90)), tmp_path / "x.png")
    assert figure.saved == [tmp_path / "x.png"]


def test_the_real_matplotlib_draws_it(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(measured(made(), made(cached=90)), tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_too_few_tokens_have_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(report._answers(measured(answers=(made(written=1),))))
    assert "-" in console.file.getvalue()  # type: ignore[attr-defined]
    assert to_json(measured(answers=(made(written=1),)))["median_tokens_per_second"] is None
