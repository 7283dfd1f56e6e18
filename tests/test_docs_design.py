"""docs/design.md describes the packages that exist and the imports that import-linter allows."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src/vllm_messages_plugin"
PACKAGES = {str(init.parent.relative_to(SOURCE)) for init in SOURCE.rglob("__init__.py")} - {"."}
TOP_LEVEL = {path.stem for path in SOURCE.iterdir() if path.name[0] != "_" and path.suffix in ("", ".py")}
TEXT = (ROOT / "docs/design.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| `")
]
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "tool"
]["importlinter"]["contracts"]


def named(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_the_table_names_every_package_and_no_other() -> None:
    assert {name for row in ROWS for name in named(row[0])} == PACKAGES


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", TEXT))))
def test_every_module_that_the_page_names_exists(path: str) -> None:
    assert (SOURCE / path).is_file()


@pytest.mark.parametrize(
    "step", sorted(set(re.findall(r"\b(?:http|wire|translate|engine|stream)\.\w+", TEXT)))
)
def test_every_step_of_the_request_path_exists(step: str) -> None:
    path = SOURCE / step.replace(".", "/")
    assert path.is_dir() or path.with_suffix(".py").is_file()


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract["id"])
def test_the_table_and_the_import_contract_allow_the_same(contract: dict[str, Any]) -> None:
    (source,) = (name.removeprefix("vllm_messages_plugin.") for name in contract["source_modules"])
    forbidden = {name.removeprefix("vllm_messages_plugin.") for name in contract["forbidden_modules"]}
    documented = [named(row[2]) & TOP_LEVEL for row in ROWS if f"`{source}`" == row[0]]
    if documented:
        assert documented == [TOP_LEVEL - forbidden - {source}]
    else:
        assert f"`{source}.py`" in TEXT
        assert forbidden >= TOP_LEVEL - {source}
