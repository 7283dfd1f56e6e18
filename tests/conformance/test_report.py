"""The report: a table, JSON, JUnit XML and curl lines."""

import io
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from rich.console import Console

from vllm_messages_plugin.conformance.check import Check
from vllm_messages_plugin.conformance.client import Client, SentRequest
from vllm_messages_plugin.conformance.outcome import Outcome
from vllm_messages_plugin.conformance.report import Finding, curl_line, report, to_junit


def test_junit_can_hold_any_text_of_a_server(client: Client) -> None:
    text = to_junit("http://fake", client, [finding(None, reason="a \x00 <b> \x1b ] é")])
    assert "é" in str(ElementTree.fromstring(text).find(".//failure").get("message"))  # type: ignore[union-attr]


def finding(sent: SentRequest | None, result: Any = "fail", reason: str = "because [of] this") -> Finding:
    check = Check("cache", "a [title]", lambda client: Outcome("skip", ""), "cache")
    return Finding(check, Outcome(result, reason), 5, sent)


@pytest.fixture
def client() -> Iterator[Client]:
    with httpx.Client(base_url="http://fake") as http:
        yield Client(http, "tiny", key="sesame")


def test_a_large_body_goes_to_a_file(client: Client) -> None:
    body = {"text": "word " * 1000}
    line = curl_line(finding(SentRequest("POST", "http://fake/x", body, {})), client) or ""
    file = Path(shlex.split(line)[-1].removeprefix("@"))
    try:
        assert json.loads(file.read_text()) == body
    finally:
        file.unlink()


def test_only_failures_have_a_curl_line(client: Client) -> None:
    sent = SentRequest("GET", "http://fake/x", None, {})
    assert curl_line(finding(sent, "pass"), client) is None
    assert curl_line(finding(None), client) is None


def test_the_report_shows_the_servers_text_unchanged(client: Client) -> None:
    console = Console(file=io.StringIO(), width=120)
    report(console, "http://fake", client, [finding(None)])
    assert "because [of] this" in console.file.getvalue()  # type: ignore[attr-defined]
