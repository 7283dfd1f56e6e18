"""The real Claude Code, asked for something that its WebSearch finds, against each contender.

The scripted model calls WebSearch as a model does that needs it. Claude Code sends the search as a request
of its own to the contender, and gives what comes back to the model, which answers if it can read there what
the search service said.
"""

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from clients import claude_code, play
from compare import requests
from compare.contenders import Contender
from compare.results import Search, Verdict
from compare.script import answers
from support.search_services import PAGES, SearchServices

Json = dict[str, Any]
TOOL = "WebSearch"
QUESTION = "Look up how it is installed."
NO_ANSWER = "I could not find out how it is installed."
ROUNDS = 3
LONGEST_TEXT = 200
PLAYBOOK: Sequence[Json] = [
    *requests.SEARCH_RULES,
    *answers("<tool_response>", NO_ANSWER),
    *answers("Look up how", play.call(TOOL, query=requests.QUERY)),
]


def measure(contender: Contender, services: SearchServices, quick: bool) -> Search:
    """Ask Claude Code several times; the worst round counts, with the median of each time."""
    server = contender.server
    if server is None:
        return Search("none", "not asked: its model can't be scripted to call WebSearch")
    with server.playbook(PLAYBOOK):
        rounds = [_round(contender, services) for _ in range(1 if quick else ROUNDS)]
    worst = next((each for each in rounds if each.verdict != "right"), rounds[0])
    seconds, total = _median(each.seconds for each in rounds), _median(each.total for each in rounds)
    return replace(worst, seconds=seconds, total=total)


def _median(times: Iterable[float | None]) -> float | None:
    told = [time for time in times if time is not None]
    return median(told) if told else None


def _round(contender: Contender, services: SearchServices) -> Search:
    services.asked.clear()
    with TemporaryDirectory(prefix="compare-claude-") as directory:
        place = Path(directory) / "work"
        place.mkdir()
        try:
            run = claude_code.ask(contender, place, QUESTION, "--allowedTools", TOOL)
        except subprocess.TimeoutExpired:
            return Search("wrong", f"nothing within {claude_code.RUN_SECONDS} s")
    return judged(run.events, services.queries)


def judged(events: Sequence[Mapping[str, Any]], queries: Sequence[str | None]) -> Search:
    """Judge what Claude Code printed.

    Args:
        events: Its lines of `--output-format stream-json`.
        queries: What the search service was asked meanwhile.

    Returns:
        `right`: the service was asked once, its addresses and texts reached the model, and it answered.
        `refused`: the model was given the server's error. `lost`: it was given nothing of the search, and
        no error. `wrong`: anything else.
    """
    end = next((event for event in events if event["type"] == "result"), {})
    duration = end.get("duration_ms")
    seen = Search(
        "wrong",
        "no search was asked for",
        answer=_short(str(end.get("result", ""))),
        queries=len(queries),
        total=None if duration is None else duration / 1000,
    )
    event = next((event for event in events if _result_block(event)), None)
    if event is None:
        return seen
    block, told = _result_block(event), event.get("tool_use_result")
    if block.get("is_error"):
        return replace(seen, verdict="refused", found=_short(_text(block)))
    verdict, found = _reached(_text(block), queries, seen.answer)
    if isinstance(told, dict):
        seen = replace(seen, shown=told.get("searchCount"), seconds=told.get("durationSeconds"))
    return replace(seen, verdict=verdict, found=found)


def _reached(text: str, queries: Sequence[str | None], answer: str) -> tuple[Verdict, str]:
    """Judge the result of the search that the model read."""
    addresses, texts = (sum(page[key] in text for page in PAGES) for key in ("url", "text"))
    found = f"{addresses} of {len(PAGES)} addresses, {texts} of {len(PAGES)} texts"
    if not addresses and not texts:
        return "lost", "nothing, and no error"
    asked_once = len(queries) == 1 and requests.QUERY in (queries[0] or "")
    is_right = addresses == texts == len(PAGES) and asked_once and answer == requests.ANSWER
    return ("right" if is_right else "wrong"), found


def _result_block(event: Mapping[str, Any]) -> Json:
    """The result of a tool in an event; empty if it has none."""
    content = event["message"]["content"] if event["type"] == "user" else ()
    blocks = [block for block in content if isinstance(block, dict)]
    return next((block for block in blocks if block["type"] == "tool_result"), {})


def _text(block: Mapping[str, Any]) -> str:
    content = block.get("content")
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}…"
