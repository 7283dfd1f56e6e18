"""What doctor says about fetching pages."""

import importlib.util
from collections.abc import Iterator

import pytest

from support.page_site import PageSite, page_site
from vllm_messages_plugin.cli.doctor import fetch as module
from vllm_messages_plugin.cli.doctor.fetch import FORBIDDEN_ADVICE, INACCESSIBLE_ADVICE, INSTALL_ADVICE, fetch
from vllm_messages_plugin.cli.doctor.line import Line


@pytest.fixture
def site() -> Iterator[PageSite]:
    with page_site() as running:
        yield running


def lines(domains: str, switch: str = "on") -> list[Line]:
    return list(fetch({"VLLM_MESSAGES_FETCH": switch, "VLLM_MESSAGES_FETCH_DOMAINS": domains}))


def test_a_page_of_a_listed_origin_is_fetched(site: PageSite) -> None:
    (found,) = lines(site.host)
    assert (found.status, found.found) == ("ok", f"{site.url}/ is fetched: 18 characters")


def test_a_private_address_without_a_port_gets_advice_on_what_to_list() -> None:
    (found,) = lines("127.0.0.1")
    assert (found.status, found.advice) == ("fail", FORBIDDEN_ADVICE)


def test_a_site_that_can_not_be_reached_gets_advice() -> None:
    (found,) = lines("127.0.0.1:9")
    assert (found.status, found.advice) == ("fail", INACCESSIBLE_ADVICE)


def test_without_a_list_a_page_of_the_public_web_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", "http://127.0.0.1:9/")
    (found,) = lines("")
    assert found.found.startswith("http://127.0.0.1:9/ can't be fetched")


def test_a_missing_converter_is_a_warning(site: PageSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    found = lines(site.host)
    assert [(line.status, line.advice) for line in found][1:] == [("warn", INSTALL_ADVICE)]


@pytest.mark.parametrize("switch", ["off", ""])
def test_where_it_is_off_nothing_is_reported(switch: str) -> None:
    assert lines("example.com", switch) == []
