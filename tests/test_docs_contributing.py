"""CONTRIBUTING.md names tables that exist, and its example is the code's."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from vllm_messages_plugin.formats.scanning.formats import FORMATS

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## Add a tool-call format\n")[1].split("\n## ")[0]
TABLES = re.findall(r"`(formats\.[\w.]+)\.([A-Z_]+)`", SECTION)
FILES = (
    "src/vllm_messages_plugin/formats/probing/detectors.py",
    "src/vllm_messages_plugin/formats/scanning/formats.py",
    "tests/formats/samples.py",
)
EXAMPLES = [block.strip() for block in re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)]


def test_the_section_names_tables_and_shows_examples() -> None:
    assert len(TABLES) >= 12
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize(("module", "table"), TABLES)
def test_every_table_that_is_named_exists(module: str, table: str) -> None:
    assert getattr(import_module(f"vllm_messages_plugin.{module}"), table)


@pytest.mark.parametrize(
    ("example", "path"),
    list(zip(EXAMPLES, FILES, strict=True)),
)
def test_the_worked_example_equals_the_code(example: str, path: str) -> None:
    assert example in (ROOT / path).read_text(encoding="utf-8")


def test_the_format_of_the_example_exists() -> None:
    assert "iquest_xml" in FORMATS
