"""Runs the smoke test's checks. The smoke-test command and the demo call it."""

import json
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from vllm_messages_plugin.conformance.checks import CHECKS, GROUPS, Check
from vllm_messages_plugin.conformance.client import Client, UnreachableError, base_url, http_client
from vllm_messages_plugin.conformance.outcome import CannotTellError, MismatchError, Outcome, skipped
from vllm_messages_plugin.conformance.report import Finding, report, summary, to_json, to_junit
from vllm_messages_plugin.conformance.served_models import Served, choose_model, list_models

# What reading an answer of the wrong shape raises; in a check that is the server's fault.
WRONG_SHAPE = (KeyError, TypeError, IndexError, AttributeError, ValueError)
ANTHROPIC = ("anthropic.com", "claude.com")
BEYOND = "Anthropic's own API does not promise this"


@dataclass(frozen=True)
class Plan:
    """What is to be done with the findings, and how long an answer may take."""

    timeout: float = 120.0
    as_json: bool = False
    junit: Path | None = None
    claude: str | None = None
    paid: bool = False


def choose_checks(names: Iterable[str], groups: Iterable[str] = ()) -> Sequence[Check]:
    """The checks of these names and groups, or all of them."""
    wanted, chosen, known = list(names), list(groups), {check.name: check for check in CHECKS}
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"no check is called {', '.join(unknown)}; there are: {', '.join(known)}")
    if unknown := [name for name in chosen if name not in GROUPS]:
        raise ValueError(f"no group is called {', '.join(unknown)}; there are: {', '.join(GROUPS)}")
    if not wanted and not chosen:
        return CHECKS
    named = [known[name] for name in wanted]
    return named + [check for check in CHECKS if check.group in chosen and check not in named]


def run_check(check: Check, client: Client) -> Finding:
    """One check; whatever the server does wrong becomes its outcome."""
    client.last, start = None, time.perf_counter()
    outcome = _outcome(check, client)
    return Finding(check, outcome, round(1000 * (time.perf_counter() - start)), client.last)


def _outcome(check: Check, client: Client) -> Outcome:
    if check.beyond and is_anthropic(str(client.http.base_url)):
        return skipped(BEYOND)
    try:
        return check.function(client)
    except CannotTellError as doubt:
        return skipped(str(doubt))
    except MismatchError as mismatch:
        return Outcome("fail", str(mismatch))
    except httpx.TimeoutException:
        return Outcome("fail", "no answer in time (--timeout)")
    except httpx.HTTPError as error:
        return Outcome("fail", f"the connection broke: {error or type(error).__name__}")
    except WRONG_SHAPE as error:
        return Outcome("fail", f"the answer has an unexpected shape: {type(error).__name__}: {error}")


def is_anthropic(url: str) -> bool:
    """Whether the URL is Anthropic's own API, which costs money."""
    host = urlsplit(url).hostname or ""
    return any(host == name or host.endswith(f".{name}") for name in ANTHROPIC)


def run_against(url: str, model: str, key: str, checks: Sequence[Check], plan: Plan) -> int:
    """Find the server, make the checks, report them; how many failed."""
    if is_anthropic(base_url(url)) and not (key and plan.paid):
        raise UnreachableError(
            f"{base_url(url)} is Anthropic's own API, which costs money: give a key and --yes"
        )
    with http_client(url, plan.timeout) as http:
        served = choose_model(list_models(http, key or None, given=model), model)
        client = client_of(http, served, key, plan.claude)
        findings = _with_progress(client, checks, quiet=plan.as_json)
        _report(base_url(url), client, findings, plan)
    return summary(findings)["failed"]


def client_of(http: httpx.Client, served: Served, key: str, claude: str | None = None) -> Client:
    """A client that knows what the model can do."""
    found = shutil.which(claude) if claude else None
    return Client(http, served.name, served.window, key or None, served.images, served.thinking, found)


def _report(url: str, client: Client, findings: Sequence[Finding], plan: Plan) -> None:
    if plan.junit:
        plan.junit.write_text(to_junit(url, client, findings), encoding="utf-8")
    if plan.as_json:
        print(json.dumps(to_json(url, client, findings), indent=2, ensure_ascii=False))
    else:
        report(Console(), url, client, findings)


def _with_progress(client: Client, checks: Sequence[Check], *, quiet: bool) -> list[Finding]:
    """Run the checks with one line of live progress on the error stream."""
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
