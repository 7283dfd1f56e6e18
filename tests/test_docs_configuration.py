"""Every setting is documented."""

from pathlib import Path

import pytest

from vllm_messages_plugin.settings import Settings

ROOT = Path(__file__).parent.parent
NAMES = [f"VLLM_MESSAGES_{name.upper()}" for name in Settings.model_fields]


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_a_heading_and_a_row(name: str) -> None:
    assert f"## {name}\n" in (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert f"`{name}`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_heading_is_a_setting() -> None:
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == NAMES
