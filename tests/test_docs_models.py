"""docs/models.md is what the tables of the code say."""

import re
from pathlib import Path

import pytest

from vllm_messages_plugin.formats.probing.model_families import FAMILIES
from vllm_messages_plugin.formats.probing.models_page import models_page
from vllm_messages_plugin.testing import tiny

PAGE = Path(__file__).resolve().parents[1] / "docs" / "models.md"


def test_the_page_is_fresh() -> None:
    command = "python -m vllm_messages_plugin.formats.probing.models_page > docs/models.md"
    assert PAGE.read_text(encoding="utf-8") == models_page(), f"run: {command}"


EXAMPLES = re.findall(r"```python\n(.*?)```", models_page(), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_python_examples_run(example: str) -> None:
    folder = str(tiny.model_directory("qwen_like"))
    exec(compile(example.replace("MODEL_DIR", folder), "docs/models.md", "exec"), {})


def test_both_functions_have_an_example() -> None:
    assert [re.findall(r"offline import (\w+)", example) for example in EXAMPLES] == [
        ["parse_output"],
        ["render_prompt"],
    ]


def test_every_family_has_a_row() -> None:
    rows = [line for line in models_page().splitlines() if line.startswith("| ")]
    assert all(any(row.startswith(f"| {family.models} |") for row in rows) for family in FAMILIES)
