"""Formats findings: as a table for a terminal, as JSON, and as JUnit XML."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vllm_messages_plugin.conformance.check import Check
from vllm_messages_plugin.conformance.client import Client, SentRequest, curl
from vllm_messages_plugin.conformance.outcome import Outcome

STYLES = {"pass": "green", "fail": "bold red", "skip": "yellow", "error": "bold magenta"}
COUNTED_AS = {"pass": "passed", "fail": "failed", "skip": "skipped", "error": "errors"}
# A longer body goes to a file, which the curl line names.
LONGEST_BODY_IN_CURL = 2000


@dataclass(frozen=True)
class Finding:
    """What one check found, how long it took, and the last request it sent."""

    check: Check
    outcome: Outcome
    milliseconds: int
    last_request: SentRequest | None = None


def curl_line(finding: Finding, client: Client) -> str | None:
    """Return a curl command that repeats the last request of a failed check, or None."""
    sent = finding.last_request
    if finding.outcome.result != "fail" or sent is None:
        return None
    if sent.body is None or len(sent.text()) <= LONGEST_BODY_IN_CURL:
        return curl(sent, client.key)
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"smoke-test-{finding.check.name}-", suffix=".json", delete=False
    ) as file:
        file.write(sent.text())
    return curl(sent, client.key, body_file=str(Path(file.name)))


def summary(findings: Sequence[Finding]) -> dict[str, int]:
    """Return how many checks passed, failed, were skipped and raised an exception."""
    results: list[str] = [finding.outcome.result for finding in findings]
    return {name: results.count(result) for result, name in COUNTED_AS.items()}


def to_json(url: str, client: Client, findings: Sequence[Finding]) -> dict[str, object]:
    """Return the report as one JSON object."""
    rows = [
        {
            "name": finding.check.name,
            "group": finding.check.group,
            "title": finding.check.title,
            "result": finding.outcome.result,
            "reason": finding.outcome.reason,
            "traceback": finding.outcome.traceback or None,
            "milliseconds": finding.milliseconds,
            "curl": curl_line(finding, client),
        }
        for finding in findings
    ]
    return {"url": url, "model": client.model, "window": client.window, **summary(findings), "checks": rows}


def to_junit(url: str, client: Client, findings: Sequence[Finding]) -> str:
    """Return the report as JUnit XML: one suite per group, one case per check."""
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
    counts = summary(findings)
    seconds = sum(finding.milliseconds for finding in findings) / 1000
    return {
        "tests": str(len(findings)),
        "failures": str(counts["failed"]),
        "skipped": str(counts["skipped"]),
        "errors": str(counts["errors"]),
        "time": f"{seconds:.3f}",
    }


def _add_case(suite: ElementTree.Element, finding: Finding, curl_command: str | None) -> None:
    check, outcome = finding.check, finding.outcome
    seconds = f"{finding.milliseconds / 1000:.3f}"
    case = ElementTree.SubElement(suite, "testcase", classname=check.group, name=check.name, time=seconds)
    if outcome.result == "skip":
        ElementTree.SubElement(case, "skipped", message=_printable(outcome.reason))
    elif outcome.result != "pass":
        kind = "failure" if outcome.result == "fail" else "error"
        element = ElementTree.SubElement(case, kind, message=_printable(outcome.reason))
        details = outcome.traceback or curl_command or ""
        element.text = _printable(f"{check.title}\n{outcome.reason}\n{details}")


def _printable(text: str) -> str:
    """Replace the characters that XML 1.0 cannot contain."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)


def report(
    console: Console, url: str, client: Client, findings: Sequence[Finding], *, tracebacks: bool = False
) -> None:
    """Print the table, what helps with each failed check, and the totals."""
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
        _print_details(console, finding, curl_line(finding, client), tracebacks=tracebacks)
    console.print("\n" + ", ".join(f"{count} {name}" for name, count in summary(findings).items()))


def _cells(finding: Finding) -> tuple[str, str, str, str]:
    outcome = finding.outcome
    colored = f"[{STYLES[outcome.result]}]{outcome.result}[/]"
    return finding.check.name, colored, escape(outcome.reason), str(finding.milliseconds)


def _print_details(console: Console, finding: Finding, curl_command: str | None, *, tracebacks: bool) -> None:
    """Print the curl command of a failed check, or the traceback of one that raised an exception."""
    details = curl_command or (finding.outcome.traceback if tracebacks else "")
    if details:
        console.print(f"\n[bold red]{finding.check.name}[/]: {escape(finding.check.title)}")
        console.print(details, markup=False, highlight=False, soft_wrap=True)


def list_checks(console: Console, checks: Sequence[Check]) -> None:
    """Print the table of all checks, for --list."""
    table = Table()
    for name in ("group", "check", "what must hold"):
        table.add_column(name, no_wrap=not name.startswith("what"))
    for group, found in groupby(checks, key=lambda check: check.group):
        for place, check in enumerate(found):
            table.add_row("" if place else group, check.name, check.title)
        table.add_section()
    console.print(table)
