"""The settings for MCP servers and for the sandbox, as the server joins them."""

import logging
from typing import Any

import pytest

from vllm_messages_plugin import composition
from vllm_messages_plugin.media.reader import MediaReader
from vllm_messages_plugin.server_tools.mcp.connector import McpConnector
from vllm_messages_plugin.server_tools.mcp.sandbox import McpSandbox
from vllm_messages_plugin.server_tools.offer import NoConnector, ServerToolOffer
from vllm_messages_plugin.settings import Settings

WINDOW = 8_000


def offer(**settings: Any) -> ServerToolOffer:
    built = composition._server_tools(Settings(**settings), "key", MediaReader(), WINDOW)
    assert isinstance(built, ServerToolOffer)
    return built


def test_by_default_nothing_is_connected() -> None:
    assert offer().connector == NoConnector()
    assert offer().sandbox is None


def test_listed_servers_are_connected_and_results_fit_the_window() -> None:
    connector = offer(mcp="listed", mcp_urls="https://a.example, http://b.lan:8080/mcp").connector
    assert isinstance(connector, McpConnector)
    assert connector.allowed.lists("http://b.lan:8080/mcp/x")
    assert connector.max_result_tokens == WINDOW // 4


def test_an_entry_that_is_no_url_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "vllm.messages")
    assert isinstance(offer(mcp="any", mcp_urls="nonsense").connector, McpConnector)
    assert "'nonsense' is no http or https URL" in caplog.text


def test_without_the_package_servers_are_refused_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(composition, "MCP_PACKAGES", ("a_package_that_is_not_installed",))
    found = offer(mcp="any", code="mcp:http://a.lan/mcp#run")
    assert found.connector == NoConnector(composition.MCP_MISSING)
    assert found.sandbox is None


def test_a_sandbox_is_named_and_a_setting_that_names_none_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = offer(code="mcp:http://a.lan:8100/mcp#run", code_key="the-secret")
    assert isinstance(found.sandbox, McpSandbox)
    assert "code_execution" in found.families
    assert "the-secret" not in repr(found)
    assert offer(code="docker").sandbox is None
    assert "mcp:URL#TOOL" in caplog.text
