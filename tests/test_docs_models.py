"""docs/models.md is what the tables of the code say."""

from pathlib import Path

from vllm_messages_plugin.formats.probing.model_families import FAMILIES
from vllm_messages_plugin.formats.probing.models_page import models_page

PAGE = Path(__file__).resolve().parents[1] / "docs" / "models.md"


def test_the_page_is_fresh() -> None:
    command = "python -m vllm_messages_plugin.formats.probing.models_page > docs/models.md"
    assert PAGE.read_text(encoding="utf-8") == models_page(), f"run: {command}"


def test_every_family_has_a_row() -> None:
    rows = [line for line in models_page().splitlines() if line.startswith("| ")]
    assert all(any(row.startswith(f"| {family.models} |") for row in rows) for family in FAMILIES)
