"""The results of all parts, kept as JSON: a run of one part replaces that part only."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

FILE = Path(__file__).with_name("results.json")

Verdict = Literal["right", "wrong", "lost", "refused", "none"]
VERDICTS: tuple[Verdict, ...] = ("right", "wrong", "lost", "refused", "none")


@dataclass(frozen=True)
class Outcome:
    """What a contender did with one request.

    Attributes:
        verdict: `right`; `refused`: it said that it does not do this; `lost`: a part of the model's reply or
            of the request vanished; `wrong`: anything else; `none`: the question does not apply.
        detail: What was seen, in one line.
    """

    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True)
class Group:
    """How many checks of one group came out in each way, and the names of those that did not pass."""

    passed: int = 0
    failed: int = 0
    refused: int = 0
    skipped: int = 0
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Session:
    """An agent's session: cache reuse from 0 to 1, times in milliseconds, CPU in seconds; None: not told."""

    reuse: float | None = None
    first_delta: float | None = None
    cpu: float | None = None
    error: str = ""


@dataclass(frozen=True)
class Search:
    """What came of Claude Code's WebSearch.

    Attributes:
        verdict: Whether the search was made and read (see `websearch.judged`).
        found: What of the results reached the model, or the error that did, shortened.
        answer: What the user reads in the end, shortened.
        queries: How many queries the search service had.
        shown: How many searches Claude Code says that it did; None: it does not say.
        seconds: How long the search took, as Claude Code says; None: it does not say.
        total: How long the user waited for the answer, in seconds.
    """

    verdict: Verdict
    found: str = ""
    answer: str = ""
    queries: int = 0
    shown: int | None = None
    seconds: float | None = None
    total: float | None = None


@dataclass
class Results:
    """Everything that was measured, by contender."""

    run: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    conformance: dict[str, dict[str, Group]] = field(default_factory=dict)
    untidy: dict[str, dict[str, Outcome]] = field(default_factory=dict)
    requests: dict[str, dict[str, Outcome]] = field(default_factory=dict)
    session: dict[str, Session] = field(default_factory=dict)
    websearch: dict[str, Search] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)


def to_text(results: Results) -> str:
    """Return results as JSON."""
    return json.dumps(asdict(results), indent=1, ensure_ascii=False) + "\n"


def from_text(text: str) -> Results:
    """Read what `to_text` wrote."""
    raw = json.loads(text)
    return Results(
        run=raw["run"],
        versions=raw["versions"],
        conformance={name: _groups(groups) for name, groups in raw["conformance"].items()},
        untidy={name: _outcomes(rows) for name, rows in raw["untidy"].items()},
        requests={name: _outcomes(rows) for name, rows in raw["requests"].items()},
        session={name: Session(**values) for name, values in raw["session"].items()},
        websearch={name: Search(**values) for name, values in raw["websearch"].items()},
        tokens=raw["tokens"],
    )


def _groups(raw: Mapping[str, Any]) -> dict[str, Group]:
    return {name: Group(**(values | {"names": tuple(values["names"])})) for name, values in raw.items()}


def _outcomes(raw: Mapping[str, Any]) -> dict[str, Outcome]:
    return {name: Outcome(**values) for name, values in raw.items()}


def stored() -> Results:
    """Return the results of the last runs that were written."""
    return from_text(FILE.read_text(encoding="utf-8")) if FILE.exists() else Results()


def counts(outcomes: Mapping[str, Outcome]) -> dict[Verdict, int]:
    """Return how many outcomes have each verdict."""
    found = [outcome.verdict for outcome in outcomes.values()]
    return {verdict: found.count(verdict) for verdict in VERDICTS}
