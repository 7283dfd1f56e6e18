"""The report of bench: words, bars, JSON and a picture."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from vllm_messages_plugin.cli.bench import report
from vllm_messages_plugin.cli.bench.measurement import Measurement as Measured
from vllm_messages_plugin.cli.bench.measurement import Sample, Workload
from vllm_messages_plugin.cli.bench.report import bar, draw, reuse_sentence, to_json


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


def test_reuse_is_the_share_of_the_turn_before() -> None:
    result = measured(made(), made(prompt=150, cached=90), made(prompt=200, cached=160))
    assert result.reuse == [0.9, 1.0]
    assert "95.0 %" in reuse_sentence(result)
    assert "worst 90.0 %" in reuse_sentence(result)
    assert "at most 10 tokens" in reuse_sentence(result)
    assert measured(made()).reuse == []


def test_a_server_without_cache_counts_is_not_reported_as_uncached() -> None:
    words = reuse_sentence(measured(made(), made(prompt=150)))
    assert "does not report it" in words
    assert "%" not in words


@pytest.mark.parametrize(
    ("prompt", "cached", "drawn"),
    [(100, 50, "█" * 14 + "░" * 14), (50, 0, "░" * 14), (0, 0, ""), (100, 100, "█" * 28)],
)
def test_a_bar_shows_what_came_from_the_cache(prompt: int, cached: int, drawn: str) -> None:
    assert bar(made(prompt=prompt, cached=cached), 100).plain == drawn


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
