"""`vllm-messages top`: what it shows comes from two pages of metrics."""

import json
from collections.abc import Iterator
from io import StringIO

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console
from typer.testing import CliRunner

from conformance.fake_anthropic import Fake, listening
from vllm_messages_plugin.access.keys import ApiKey, Caller
from vllm_messages_plugin.access.metrics import Metrics as Counting
from vllm_messages_plugin.access.request_record import RequestRecord
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.doctor.metrics import Metrics
from vllm_messages_plugin.cli.top.snapshot import snapshot
from vllm_messages_plugin.cli.top.view import NoMetricsError, draw, fetch

ENGINE = 'vllm:num_requests_running{engine="0"} 3\nvllm:num_requests_waiting{engine="0"} 2\n'


class Server:
    """A server that counts requests of keys."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Counting(self.registry)

    def serve(self, name: str, **fields: int) -> None:
        caller = Caller(name, ApiKey(name=name, sha256="0" * 64))
        self.metrics.count(
            RequestRecord("r", "/v1/messages", caller, model="m", status=200, **fields)  # type: ignore[arg-type]
        )

    def page(self) -> str:
        return ENGINE + generate_latest(self.registry).decode()


def test_rates_are_those_between_the_two_pages() -> None:
    server = Server()
    server.serve("alice", input_tokens=1000, cached_tokens=0, output_tokens=500)
    before = Metrics(server.page())
    server.serve("alice", input_tokens=20, cached_tokens=180, output_tokens=40)
    server.serve("bob", output_tokens=10)
    found = snapshot(before, Metrics(server.page()), 2.0)
    alice, bob = found.keys
    assert (alice.requests, alice.input_tokens, alice.output_tokens, alice.cached) == (0.5, 10, 20, 0.9)
    assert (bob.key, bob.output_tokens, bob.cached) == ("bob", 5, None)
    assert (found.running, found.waiting, found.output_tokens, found.kv_cache) == (3, 2, 25, None)


def test_a_server_that_was_started_again_counts_from_zero() -> None:
    old, new = Server(), Server()
    for _ in range(9):
        old.serve("alice", output_tokens=100)
    new.serve("alice", output_tokens=40)
    assert snapshot(Metrics(old.page()), Metrics(new.page()), 1.0).keys[0].output_tokens == 40


def test_the_table_has_a_row_for_each_key() -> None:
    server = Server()
    server.serve("alice", input_tokens=1)
    console = Console(width=120, record=True, file=StringIO())
    console.print(draw(snapshot(None, Metrics(server.page()), 0)))
    shown = console.export_text()
    assert "waiting 2" in shown
    assert "alice" in shown


@pytest.fixture
def url() -> Iterator[str]:
    fake, server = Fake(), Server()
    server.serve("alice", input_tokens=1)
    fake.metrics = server.page()
    with listening(fake) as root:
        yield root


def test_one_snapshot_is_printed_for_people_and_for_programs(url: str) -> None:
    arguments = ["top", url, "--interval", "0.1"]
    found = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert (found["waiting"], found["keys"][0]["key"]) == (2, "alice")
    assert "alice" in CliRunner().invoke(app, [*arguments, "--once"]).stdout


def test_a_server_without_metrics_is_named() -> None:
    with (
        httpx.Client(base_url="http://127.0.0.1:9") as http,
        pytest.raises(NoMetricsError, match="no response"),
    ):
        fetch(http)
    assert CliRunner().invoke(app, ["top", "http://127.0.0.1:9", "--once"]).exit_code == 2
