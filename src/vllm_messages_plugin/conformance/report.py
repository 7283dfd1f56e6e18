"""The smoke test's findings as a table, as JSON and as JUnit's XML. `smoke_run` calls it."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vllm_messages_plugin.conformance.checks import CHECKS, Check
from vllm_messages_plugin.conformance.client import Client, Sent, curl
from vllm_messages_plugin.conformance.outcome import Outcome

STYLES = {"pass": "green", "fail": "bold red", "skip": "yellow"}
# A longer body goes to a file, which the curl line names.
LONGEST_BODY_IN_CURL = 2000


@dataclass(frozen=True)
class Finding:
    """One check, what it found, how long it took and the request that it sent last."""

    check: Check
    outcome: Outcome
    milliseconds: int
    last: Sent | None = None


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
            "group": finding.check.group,
            "title": finding.check.title,
            "result": finding.outcome.result,
            "reason": finding.outcome.reason,
            "milliseconds": finding.milliseconds,
            "curl": curl_line(finding, client),
        }
        for finding in findings
    ]
    return {"url": url, "model": client.model, "window": client.window, **summary(findings), "checks": rows}


def to_junit(url: str, client: Client, findings: Sequence[Finding]) -> str:
    """The report as JUnit's XML: a suite a group, a case a check."""
    root = ElementTree.Element("testsuites", {"name": "vllm-messages smoke-test", **_counts(findings)})
    for group, found in groupby(findings, key=lambda finding: finding.check.group):
        members = list(found)
        named = {"name": group, "hostname": url, **_counts(members)}
        suite = ElementTree.SubElement(root, "testsuite", named)
        for finding in members:
            _add_case(suite, finding, curl_line(finding, client))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _counts(findings: Sequence[Finding]) -> dict[str, str]:
    told = summary(findings)
    seconds = sum(finding.milliseconds for finding in findings) / 1000
    return {
        "tests": str(len(findings)),
        "failures": str(told["failed"]),
        "skipped": str(told["skipped"]),
        "errors": "0",
        "time": f"{seconds:.3f}",
    }


def _add_case(suite: ElementTree.Element, finding: Finding, repeat: str | None) -> None:
    check, outcome = finding.check, finding.outcome
    seconds = f"{finding.milliseconds / 1000:.3f}"
    case = ElementTree.SubElement(suite, "testcase", classname=check.group, name=check.name, time=seconds)
    if outcome.result == "fail":
        failure = ElementTree.SubElement(case, "failure", message=_printable(outcome.reason))
        failure.text = _printable(f"{check.title}\n{outcome.reason}\n{repeat or ''}")
    elif outcome.result == "skip":
        ElementTree.SubElement(case, "skipped", message=_printable(outcome.reason))


def _printable(text: str) -> str:
    """Without the characters that XML 1.0 has no way to write."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)


def report(console: Console, url: str, client: Client, findings: Sequence[Finding]) -> None:
    """The table, the totals, and a curl line for each failure."""
    table = Table(title=f"{escape(client.model)} at {escape(url)}", title_justify="left")
    for name in ("group", "check", "result"):
        table.add_column(name, no_wrap=True)
    table.add_column("reason", overflow="fold")
    table.add_column("ms", justify="right", no_wrap=True)
    for group, found in groupby(findings, key=lambda finding: finding.check.group):
        for place, finding in enumerate(found):
            table.add_row("" if place else group, *_cells(finding))
        table.add_section()
    console.print(table)
    for finding in findings:
        if line := curl_line(finding, client):
            console.print(f"\n[bold red]{finding.check.name}[/]: {escape(finding.check.title)}")
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print("\n" + ", ".join(f"{count} {name}" for name, count in summary(findings).items()))


def _cells(finding: Finding) -> tuple[str, str, str, str]:
    outcome = finding.outcome
    mark = f"[{STYLES[outcome.result]}]{outcome.result}[/]"
    return finding.check.name, mark, escape(outcome.reason), str(finding.milliseconds)


def list_checks(console: Console) -> None:
    """The table of all checks, for --list."""
    table = Table()
    for name in ("group", "check", "what"):
        table.add_column(name, no_wrap=name != "what")
    for group, found in groupby(CHECKS, key=lambda check: check.group):
        for place, check in enumerate(found):
            table.add_row("" if place else group, check.name, check.title)
        table.add_section()
    console.print(table)
