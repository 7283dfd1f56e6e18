"""Runs checks against a server, and reports what they found.

A check has four results. `pass`, `fail` and `skip` come from the check; `error` means that the check raised
an exception other than those of `outcome`: a bug in the check, which is no verdict on the server.
"""

import json
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from vllm_messages_plugin.conformance.check import Check
from vllm_messages_plugin.conformance.client import Client, UnreachableError, base_url, http_client
from vllm_messages_plugin.conformance.outcome import CannotTellError, MismatchError, Outcome, skipped
from vllm_messages_plugin.conformance.report import Finding, report, summary, to_json, to_junit
from vllm_messages_plugin.conformance.served_models import ModelEntry, choose_model, list_models

ANTHROPIC_DOMAINS = ("anthropic.com", "claude.com")
NOT_PROMISED = "Anthropic's own API does not promise this"


@dataclass(frozen=True)
class RunOptions:
    """How checks are run and reported.

    Attributes:
        timeout: Seconds to wait for one response.
        as_json: Print one JSON object instead of the table.
        junit: The file that receives the report as JUnit XML.
        allow_paid: Whether Anthropic's own API may be called, which costs money.
        tracebacks: Whether the table is followed by the traceback of each check that raised an exception.
    """

    timeout: float = 120.0
    as_json: bool = False
    junit: Path | None = None
    allow_paid: bool = False
    tracebacks: bool = False


def choose_checks(
    checks: Sequence[Check], names: Iterable[str], groups: Iterable[str] = ()
) -> Sequence[Check]:
    """Select checks by name and by group.

    Args:
        checks: All checks there are.
        names: The names to select, in this order.
        groups: The groups to select, after the names.

    Returns:
        The selected checks, each once; all checks if no name and no group is given.

    Raises:
        ValueError: There is no check or group of that name.
    """
    names, groups = list(names), list(groups)
    by_name, all_groups = {check.name: check for check in checks}, [check.group for check in checks]
    if unknown := [name for name in names if name not in by_name]:
        raise ValueError(f"no check is called {', '.join(unknown)}; there are: {', '.join(by_name)}")
    if unknown := [name for name in groups if name not in all_groups]:
        known = ", ".join(dict.fromkeys(all_groups))
        raise ValueError(f"no group is called {', '.join(unknown)}; there are: {known}")
    if not names and not groups:
        return checks
    named = [by_name[name] for name in names]
    return named + [check for check in checks if check.group in groups and check not in named]


def run_check(check: Check, client: Client) -> Finding:
    """Run one check and time it. No exception of the check leaves this function."""
    client.last_request, start = None, time.perf_counter()
    outcome = _outcome(check, client)
    return Finding(check, outcome, round(1000 * (time.perf_counter() - start)), client.last_request)


def _outcome(check: Check, client: Client) -> Outcome:
    if check.beyond and is_anthropic(str(client.http.base_url)):
        return skipped(NOT_PROMISED)
    try:
        return check.function(client)
    except CannotTellError as doubt:
        return skipped(str(doubt))
    except MismatchError as mismatch:
        return Outcome("fail", str(mismatch))
    except httpx.TimeoutException:
        return Outcome("fail", "the server did not respond in time (--timeout)")
    except httpx.HTTPError as error:
        return Outcome("fail", f"the connection broke: {error or type(error).__name__}")
    except Exception as error:  # noqa: BLE001 - whatever a check raises is its own bug, not the server's
        reason = f"the check itself failed, please report this: {type(error).__name__}: {error}"
        return Outcome("error", reason, traceback.format_exc())


def is_anthropic(url: str) -> bool:
    """Whether the URL is Anthropic's own API, which costs money."""
    host = urlsplit(url).hostname or ""
    return any(host == name or host.endswith(f".{name}") for name in ANTHROPIC_DOMAINS)


def run_against(
    url: str, model: str, key: str, checks: Sequence[Check], options: RunOptions
) -> Sequence[Finding]:
    """Find the server and its model, run the checks and report what they found.

    Args:
        url: The server's URL; a trailing /v1 is removed.
        model: The model's name; empty for the first one served.
        key: The API key; empty for none.
        checks: The checks to run, in this order.
        options: How to run them, and where the report goes.

    Returns:
        One finding per check.

    Raises:
        UnreachableError: No server responds there, or it is Anthropic's and paying was not allowed.
    """
    if is_anthropic(base_url(url)) and not (key and options.allow_paid):
        raise UnreachableError(
            f"{base_url(url)} is Anthropic's own API, which costs money: give a key and --yes"
        )
    with http_client(url, options.timeout) as http:
        served = choose_model(list_models(http, key or None, given=model), model)
        client = client_for(http, served, key)
        findings = _run_with_progress(client, checks, quiet=options.as_json)
        _report(base_url(url), client, findings, options)
    return findings


def client_for(http: httpx.Client, served: ModelEntry, key: str) -> Client:
    """Return a client for one model that knows the model's window and capabilities."""
    return Client(http, served.name, served.window, key or None, served.images, served.thinking)


def exit_status(findings: Sequence[Finding]) -> int:
    """Return 1 if a check failed, 3 if none failed but a check raised an exception, else 0."""
    counts = summary(findings)
    return 1 if counts["failed"] else 3 if counts["errors"] else 0


def _report(url: str, client: Client, findings: Sequence[Finding], options: RunOptions) -> None:
    if options.junit:
        options.junit.write_text(to_junit(url, client, findings), encoding="utf-8")
    if options.as_json:
        print(json.dumps(to_json(url, client, findings), indent=2, ensure_ascii=False))
    else:
        report(Console(), url, client, findings, tracebacks=options.tracebacks)


def _run_with_progress(client: Client, checks: Sequence[Check], *, quiet: bool) -> list[Finding]:
    """Run the checks, with one line of live progress on the error stream if that is a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.completed}/{task.total} {task.description}"))
    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=len(checks))
        findings = []
        for check in checks:
            bar.update(task, description=f"{check.group}: {check.title}")
            findings.append(run_check(check, client))
            bar.advance(task)
    return findings
