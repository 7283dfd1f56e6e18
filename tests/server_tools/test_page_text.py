"""HTML as text, with and without html-to-markdown."""

import sys

import pytest

from vllm_messages_plugin.server_tools import page_text
from vllm_messages_plugin.server_tools.page_text import markdown, plain_text

PAGE = (
    "<html><head><title>T</title><style>p{}</style></head><body><nav>Menu</nav><h1>Herons</h1>"
    "<p>They wait in <a href='/reeds'>the reeds</a>.</p><script>track()</script><ul><li>one<li>two</ul>"
)


def test_html_becomes_markdown() -> None:
    text = markdown(PAGE)
    assert text.startswith("# Herons")
    assert "[the reeds](/reeds)" in text
    assert "Menu" not in text
    assert "track" not in text


def test_the_standard_library_reads_what_the_converter_does_not() -> None:
    assert plain_text(PAGE) == "Herons\nThey wait in [the reeds](/reeds).\none\ntwo"


def test_deeply_nested_elements_lose_no_text() -> None:
    nested = "<div>" * 20_000 + "deep" + "</div>" * 20_000
    assert (markdown(nested) or plain_text(nested)) == "deep"


def test_without_the_extra_pages_are_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "html_to_markdown", None)
    assert page_text.markdown(PAGE) == ""
