"""Choosing and running checks."""

import httpx
import pytest

from conformance.fake_anthropic import Fake
from vllm_messages_plugin.conformance.checks import CHECKS
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.run import NOT_PROMISED, choose_checks, is_anthropic, run_check


def test_no_names_mean_all_checks() -> None:
    assert choose_checks(CHECKS, []) == CHECKS
    assert [check.name for check in choose_checks(CHECKS, ["cache", "models"])] == ["cache", "models"]


def test_a_group_is_all_its_checks_and_names_come_first() -> None:
    assert [check.name for check in choose_checks(CHECKS, [], ["cache"])] == [
        "cache",
        "session-cache",
        "billing-line",
    ]
    assert choose_checks(CHECKS, ["billing-line"], ["cache"])[0].name == "billing-line"
    assert len(choose_checks(CHECKS, ["cache"], ["cache"])) == 3


@pytest.mark.parametrize(
    ("url", "theirs"),
    [
        ("https://api.anthropic.com", True),
        ("https://anthropic.com.example.org", False),
        ("https://notanthropic.com", False),
        ("http://localhost:8000", False),
    ],
)
def test_anthropics_own_api_is_known(url: str, theirs: bool) -> None:
    assert is_anthropic(url) == theirs


def test_what_anthropic_does_not_promise_is_skipped_there() -> None:
    with httpx.Client(base_url="https://api.anthropic.com", transport=httpx.MockTransport(Fake())) as http:
        results = {
            check.name: run_check(check, Client(http, "tiny")).outcome for check in CHECKS if check.beyond
        }
    assert {outcome.reason for outcome in results.values()} == {NOT_PROMISED}
