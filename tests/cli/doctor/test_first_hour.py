"""The ten likeliest failures of the first hour, each provoked: doctor says what the documentation says."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from conformance.fake_anthropic import METRICS, Fake, events_of, listening, to_sse
from support.loopback import QuietHandler, serving
from vllm_messages_plugin.access.metrics import Metrics
from vllm_messages_plugin.cli.doctor.claude_code import claude
from vllm_messages_plugin.cli.doctor.environment import environment
from vllm_messages_plugin.cli.doctor.line import Line
from vllm_messages_plugin.cli.doctor.server import examine_server

PAGE = Path(__file__).parents[3] / "docs/troubleshooting.md"
FIRST_HOUR = PAGE.read_text(encoding="utf-8").split("## The first hour\n")[1].split("\n## ")[0]
ROWS = re.findall(r"^\| \*\*(.+?)\*\*.*? \| (\S+?): (.+) \|$", FIRST_HOUR, re.MULTILINE)
URL = "http://localhost:8000"
Change = Callable[[httpx.Request, httpx.Response], httpx.Response]


@contextmanager
def server(fake: Fake, *changes: Change) -> Iterator[list[Line]]:
    """The lines about a server whose responses were changed."""
    fake.breaks += changes
    with listening(fake) as url:
        yield list(examine_server(url, "", "", 10.0).lines)


def vllms_own_id(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    if request.url.path != "/v1/messages" or b'"stream": true' in request.content:
        return response
    return httpx.Response(200, json={**response.json(), "id": "chatcmpl-8f3a"})


def old_version(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    return httpx.Response(200, json={"version": "0.26.1"}) if request.url.path == "/version" else response


def long_reply(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    """A reply of many deltas, which the fake sends all at once, as a buffering proxy does."""
    if b'"stream":' not in request.content:
        return response
    block = {"type": "text", "text": "one two three"}
    message = {"id": "msg_1", "content": [block] * 20, "stop_reason": "end_turn", "stop_sequence": None}
    return httpx.Response(200, text=to_sse(events_of({**message, "usage": {"output_tokens": 40}})))


class OtherProgram(QuietHandler, BaseHTTPRequestHandler):
    """Another program on the port."""

    def do_GET(self) -> None:
        self.reply(200, {"content-type": "text/html"}, b"<h1>Grafana</h1>")


def not_loaded(_: Path) -> list[Line]:
    with server(Fake(), vllms_own_id) as lines:
        return lines


def too_old(_: Path) -> list[Line]:
    with server(Fake(), old_version) as lines:
        return lines


def other_plugins_only(_: Path) -> list[Line]:
    return list(environment({"VLLM_PLUGINS": "other"}, URL))


def rust(_: Path) -> list[Line]:
    return list(environment({"VLLM_USE_RUST_FRONTEND": "1"}, URL))


def port_taken(_: Path) -> list[Line]:
    with serving(OtherProgram) as url:
        return list(examine_server(url, "", "", 10.0).lines)


def no_tools(_: Path) -> list[Line]:
    registry = CollectorRegistry()
    Metrics(registry).describe_server(native_tools=False)
    with server(Fake(metrics=METRICS + generate_latest(registry).decode())) as lines:
        return lines


def small_window(_: Path) -> list[Line]:
    with server(Fake(window=8192)) as lines:
        return lines


def no_key(_: Path) -> list[Line]:
    with server(Fake(key="secret")) as lines:
        return lines


def buffered(_: Path) -> list[Line]:
    with server(Fake(), long_reply) as lines:
        return lines


def old_claude_code(folder: Path) -> list[Line]:
    program = folder / "claude"
    program.write_text("#!/bin/sh\necho '2.0.14 (Claude Code)'\n")
    program.chmod(0o755)
    (folder / "settings.json").write_text(json.dumps({"env": {}}))
    return list(claude({"CLAUDE_CONFIG_DIR": str(folder)}, folder, URL, str(program)))


FAILURES = (
    not_loaded, too_old, other_plugins_only, rust, port_taken, no_tools, small_window, no_key, buffered,
    old_claude_code,
)  # fmt: skip


def test_the_page_has_a_row_for_each() -> None:
    assert len(ROWS) == len(FAILURES)


@pytest.mark.parametrize(
    ("provoke", "row"), list(zip(FAILURES, ROWS, strict=True)), ids=[each.__name__ for each in FAILURES]
)
def test_the_failure_is_named_in_the_words_of_the_page(
    provoke: Callable[[Path], list[Line]], row: tuple[str, str, str], tmp_path: Path
) -> None:
    _, name, advice = row
    found = next(line for line in provoke(tmp_path) if line.name == name)
    assert found.status != "ok"
    assert found.advice == advice.replace(" (with the names that it has)", "")
