"""`python -m compare`: runs the parts that are asked for, prints the page's tables, writes them if asked."""

import argparse
import platform
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from clients import claude_code
from compare import conformance, page, requests, results, session, untidy, websearch
from compare.contenders import (
    CONTENDERS,
    HERMES,
    LLAMA,
    QWEN_XML,
    Contender,
    contenders,
    litellm_python,
    llama_python,
    router_package,
    versions,
)
from compare.results import Results
from support.search_services import SearchServices, search_services

PARTS = ("conformance", "session", "requests", "websearch", "untidy", "tokens")
ON_HERMES = frozenset(PARTS) - {"tokens"}
SCRIPTED = tuple(name for name in CONTENDERS if name != LLAMA)
QUICK_CASES = 4


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("compare", description="Servers of the Messages API, side by side.")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part instead of all; repeatable")
    parser.add_argument(
        "--contender", choices=CONTENDERS, action="append", help="one contender instead of all; repeatable"
    )
    parser.add_argument("--quick", action="store_true", help="few cases and few rounds")
    parser.add_argument("--write", action="store_true", help="write the page, its plots and README's lines")
    asked = parser.parse_args(given)
    if asked.write and asked.quick:
        parser.error("--write keeps whole parts: leave --quick out")
    return asked


def say(line: str) -> None:
    """Say how far the comparison is."""
    print(f"  {line}", file=sys.stderr, flush=True)


def on_hermes(
    parts: Sequence[str], names: Sequence[str], quick: bool, services: SearchServices, found: Results
) -> None:
    """The parts whose servers have the model with Hermes calls; the engines are killed at the end."""
    with TemporaryDirectory(prefix="compare-") as home:
        say(f"starting {', '.join(names)}")
        with contenders(names, HERMES, Path(home), services.url) as running:
            for contender in running.values():
                _measure(contender, parts, quick, found)
                if "websearch" in parts:
                    say(f"websearch: {contender.name}")
                    found.websearch[contender.name] = websearch.measure(contender, services, quick)
            if "untidy" in parts:
                _untidy(
                    running, [case for case in untidy.all_cases() if case.setting is HERMES], quick, found
                )
            if "requests" in parts:
                _killed(running, found)


def _measure(contender: Contender, parts: Sequence[str], quick: bool, found: Results) -> None:
    name = contender.name
    if "session" in parts:
        say(f"session: {name}")
        found.session[name] = session.measure(contender, quick)
    if "requests" in parts:
        say(f"requests: {name}")
        found.requests[name] = requests.measure(contender)
    if "conformance" in parts:
        say(f"conformance: {name}")
        found.conformance[name] = conformance.measure(contender, quick)


def _untidy(
    running: Mapping[str, Contender], cases: Sequence[untidy.Case], quick: bool, found: Results
) -> None:
    shown = cases[:: max(1, len(cases) // QUICK_CASES)] if quick else cases
    for name, contender in running.items():
        if contender.server is not None:
            say(f"untidy: {name}, {len(shown)} replies")
            found.untidy[name] = found.untidy.get(name, {}) | untidy.measure(contender, shown)


def _killed(running: Mapping[str, Contender], found: Results) -> None:
    """Kill each engine once, with a stream open from every contender that uses it."""
    sharing: dict[str, list[Contender]] = {}
    for name, contender in running.items():
        sharing.setdefault(contender.server.url if contender.server else name, []).append(contender)
    for group in sharing.values():
        say(f"killing the engine behind {', '.join(contender.name for contender in group)}")
        for name, outcome in requests.kill_engine(group):
            found.requests[name][requests.KILLED] = outcome


def on_qwen_xml(names: Sequence[str], quick: bool, found: Results) -> None:
    """The untidy replies in Qwen3-Coder's format."""
    cases = [case for case in untidy.all_cases() if case.setting is QWEN_XML]
    scripted = [name for name in names if name in SCRIPTED]
    with TemporaryDirectory(prefix="compare-") as home:
        say(f"starting {', '.join(scripted)}, with Qwen3-Coder's format")
        with contenders(scripted, QWEN_XML, Path(home), "") as running:
            _untidy(running, cases, quick, found)


def measure(parts: Sequence[str], names: Sequence[str], quick: bool, found: Results) -> None:
    """Run parts on contenders; `found` has what is done, also if a later part fails."""
    with search_services() as services:
        if ON_HERMES & {*parts}:
            on_hermes(parts, names, quick, services, found)
    if "untidy" in parts:
        on_qwen_xml(names, quick, found)
    if "tokens" in parts:
        from compare import tokens  # imports vLLM, which takes some seconds

        for name, micros in tokens.measure(names, quick, say):
            found.tokens[name] = micros


def install(parts: Sequence[str], names: Sequence[str]) -> None:
    """Install what the contenders and the parts need, before anything is timed."""
    needed: dict[str, Callable[[], object]] = {
        "litellm": litellm_python,
        "router": router_package,
        LLAMA: llama_python,
    }
    for name in names:
        if name in needed:
            say(f"installing {name}, unless it is there")
            needed[name]()
    if "websearch" in parts:
        say("installing Claude Code, unless it is there")
        claude_code.program()


def merged(before: Results, now: Results, parts: Sequence[str]) -> Results:
    """The stored results, with those of the contenders that were measured now in their place."""
    for part in parts:
        setattr(before, part, getattr(before, part) | getattr(now, part))
    before.versions = now.versions
    return before


def run_facts(part: str, command: Sequence[str], seconds: float) -> dict[str, str]:
    """What the page says of the run of a part."""
    facts = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": page.machine(),
        "python": platform.python_version(),
        "command": "PYTHONPATH=tests python -m compare " + shlex.join(command),
        "minutes": f"{seconds / 60:.0f}",
    }
    client = {"note": f"Claude Code {claude_code.VERSION}."} if part == "websearch" else {}
    return facts | client


def main(given: Sequence[str]) -> int:
    """Run the comparison."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the servers as well
    asked = arguments(given)
    parts, names = asked.only or PARTS, asked.contender or CONTENDERS
    begin = time.monotonic()
    install(parts, names)
    found = Results(versions=versions())
    try:
        measure(parts, names, asked.quick, found)
    finally:
        done = [part for part in parts if getattr(found, part)]
        found.run = {part: run_facts(part, given, time.monotonic() - begin) for part in done}
        if asked.write:
            store(found, done)
        print(page.markdown(found))
    return 0


def store(found: Results, parts: Sequence[str]) -> None:
    """Keep the results of these parts, and write the page of all that are kept."""
    kept = merged(results.stored(), found, parts)
    kept.run = kept.run | found.run
    results.FILE.write_text(results.to_text(kept), encoding="utf-8")
    page.write(kept)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
