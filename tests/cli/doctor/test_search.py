"""What doctor says about the search service."""

from collections.abc import Iterator

import pytest

from support.search_services import SearchServices, search_services
from vllm_messages_plugin.cli.doctor.line import Line
from vllm_messages_plugin.cli.doctor.search import NO_JSON_ADVICE, search


@pytest.fixture
def services() -> Iterator[SearchServices]:
    with search_services() as running:
        yield running


def line(services: SearchServices, setting: str = "searxng:{}") -> Line:
    (found,) = search({"VLLM_MESSAGES_SEARCH": setting.format(services.url)})
    return found


def test_a_service_that_works_is_ok(services: SearchServices) -> None:
    found = line(services)
    assert (found.status, found.found) == ("ok", "searxng finds 3 pages for 'vLLM'")


def test_searxng_without_json_gets_advice_on_what_to_change(services: SearchServices) -> None:
    services.mode = "forbidden"
    found = line(services)
    assert (found.status, found.advice) == ("fail", NO_JSON_ADVICE)


@pytest.mark.parametrize("mode", ["busy", "broken", "html"])
def test_a_service_that_fails_is_named_with_its_reason(mode: str, services: SearchServices) -> None:
    services.mode = mode
    assert line(services).status == "fail"


def test_a_service_that_finds_nothing_is_a_warning(services: SearchServices) -> None:
    services.mode = "empty"
    assert line(services).status == "warn"


def test_a_setting_that_names_no_service_fails(services: SearchServices) -> None:
    assert "unknown service" in line(services, "bing").found


def test_without_a_setting_nothing_is_reported() -> None:
    assert list(search({})) == []
