"""Runs the smoke test's checks and reports them. The smoke-test command and the demo call it."""

import json
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from vllm_messages_plugin.cli.checks import CHECKS, Check
from vllm_messages_plugin.cli.client import Client, Sent, base_url, curl, http_client
from vllm_messages_plugin.cli.models import choose_model, list_models
from vllm_messages_plugin.cli.outcome import MismatchError, Outcome

STYLES = {"pass": "green", "fail": "bold red", "skip": "yellow"}
# A longer body goes to a file, which the curl line names.
LONGEST_BODY_IN_CURL = 2000
# What reading an answer of the wrong shape raises; in a check that is the server's fault.
WRONG_SHAPE = (KeyError, TypeError, IndexError, AttributeError, ValueError)


@dataclass(frozen=True)
class Finding:
    """One check, what it found, how long it took and the request that it sent last."""

    check: Check
    outcome: Outcome
    milliseconds: int
    last: Sent | None = None


def choose_checks(names: Iterable[str]) -> Sequence[Check]:
    """The checks of these names, or all of them."""
    wanted, known = list(names), {check.name: check for check in CHECKS}
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"no check is called {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known[name] for name in wanted] if wanted else CHECKS


def run_check(check: Check, client: Client) -> Finding:
    """One check; whatever the server does wrong becomes its outcome."""
    client.last, start = None, time.perf_counter()
    outcome = _outcome(check, client)
    return Finding(check, outcome, round(1000 * (time.perf_counter() - start)), client.last)


def _outcome(check: Check, client: Client) -> Outcome:
    try:
        return check.function(client)
    except MismatchError as mismatch:
        return Outcome("fail", str(mismatch))
    except httpx.TimeoutException:
        return Outcome("fail", "no answer in time (--timeout)")
    except httpx.HTTPError as error:
        return Outcome("fail", f"the connection broke: {error or type(error).__name__}")
    except WRONG_SHAPE as error:
        return Outcome("fail", f"the answer has an unexpected shape: {type(error).__name__}: {error}")


def run_against(
    url: str, model: str, key: str, checks: Sequence[Check], *, timeout: float, as_json: bool
) -> int:
    """Find the server, make the checks, report them; how many failed."""
    with http_client(url, timeout) as http:
        served = choose_model(list_models(http, key or None, given=model), model)
        client = Client(http, served.name, served.window, key or None)
        findings = _with_progress(client, checks, quiet=as_json)
        if as_json:
            print(json.dumps(to_json(base_url(url), client, findings), indent=2, ensure_ascii=False))
        else:
            report(Console(), base_url(url), client, findings)
    return sum(finding.outcome.result == "fail" for finding in findings)


def _with_progress(client: Client, checks: Sequence[Check], *, quiet: bool) -> list[Finding]:
    """Run the checks with one line of live progress on the error stream."""
    columns = (SpinnerColumn(), TextColumn("{task.completed}/{task.total} {task.description}"))
    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=len(checks))
        findings = []
        for check in checks:
            bar.update(task, description=check.title)
            findings.append(run_check(check, client))
            bar.advance(task)
    return findings


def curl_line(finding: Finding, client: Client) -> str | None:
    """How to repeat a failed check's last request."""
    sent = finding.last
    if finding.outcome.result != "fail" or sent is None:
        return None
    if sent.body is None or len(sent.data()) <= LONGEST_BODY_IN_CURL:
        return curl(sent, client.key)
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"smoke-test-{finding.check.name}-", suffix=".json", delete=False
    ) as file:
        file.write(sent.data())
    return curl(sent, client.key, body_file=str(Path(file.name)))


def summary(findings: Sequence[Finding]) -> dict[str, int]:
    """How many checks passed, failed and were skipped."""
    results = [finding.outcome.result for finding in findings]
    return {
        "passed": results.count("pass"),
        "failed": results.count("fail"),
        "skipped": results.count("skip"),
    }


def to_json(url: str, client: Client, findings: Sequence[Finding]) -> dict[str, object]:
    """The whole report as one JSON object."""
    rows = [
        {
            "name": finding.check.name,
            "title": finding.check.title,
            "result": finding.outcome.result,
            "reason": finding.outcome.reason,
            "milliseconds": finding.milliseconds,
            "curl": curl_line(finding, client),
        }
        for finding in findings
    ]
    return {"url": url, "model": client.model, "window": client.window, **summary(findings), "checks": rows}


def report(console: Console, url: str, client: Client, findings: Sequence[Finding]) -> None:
    """The table, the totals, and a curl line for each failure."""
    table = Table(title=f"{escape(client.model)} at {escape(url)}", title_justify="left")
    for name in ("check", "result"):
        table.add_column(name, no_wrap=True)
    table.add_column("reason", overflow="fold")
    table.add_column("ms", justify="right", no_wrap=True)
    for finding in findings:
        result = finding.outcome.result
        mark = f"[{STYLES[result]}]{result}[/]"
        reason = escape(finding.outcome.reason)
        table.add_row(finding.check.name, mark, reason, str(finding.milliseconds))
    console.print(table)
    for finding in findings:
        if line := curl_line(finding, client):
            console.print(f"\n[bold red]{finding.check.name}[/]: {escape(finding.check.title)}")
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print("\n" + ", ".join(f"{count} {name}" for name, count in summary(findings).items()))
