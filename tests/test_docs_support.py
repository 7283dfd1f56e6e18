"""`docs/support.md` and README's table of what is supported are what the list says."""

from pathlib import Path

import pytest

from vllm_messages_plugin.wire.support import FEATURES, insert_summary, select, support_page

ROOT = Path(__file__).resolve().parents[1]
HOW = "run: python -m vllm_messages_plugin.wire.support"


def test_the_page_equals_the_support_list():
    page = ROOT / "docs" / "support.md"
    assert page.read_text(encoding="utf-8") == support_page(), f"{HOW} > docs/support.md"


def test_readme_shows_the_short_table():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    if "## What is supported" not in readme:
        pytest.skip("README.md has no such section yet")
    assert readme == insert_summary(readme), f"{HOW} --fill < README.md"


def test_every_pattern_of_the_short_table_picks_something():
    empty = [selector for selectors in FEATURES.values() for selector in selectors if not select(selector)]
    assert not empty
