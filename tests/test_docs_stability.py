"""docs/stability.md names what is public, and all of it is there."""

import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from vllm_messages_plugin import offline
from vllm_messages_plugin.access.accounting import log_fields
from vllm_messages_plugin.access.request_record import RequestRecord
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.plugin import MessagesEndpoint
from vllm_messages_plugin.settings import Settings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/stability.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = {
    module: re.findall(r"`(\w+)`", names)
    for module, names in re.findall(r"^\| `(vllm_messages_plugin[\w.]*)` \| (.+) \|$", PAGE, re.MULTILINE)
}
PUBLIC = [(module, name) for module, names in MODULES.items() for name in names]
DESCRIBING_THE_TREE = ("design.md", "glossary.md")
IMPORT = re.compile(r"^from (vllm_messages_plugin[\w.]*) import (.+)$", re.MULTILINE)


def words_behind(text: str) -> list[str]:
    """The words in code between a text of the page and the end of the sentence."""
    _, _, rest = PAGE.partition(text)
    return re.findall(r"`([\w-]+)`", rest.partition(".\n")[0].partition(". ")[0])


def test_the_routes_are_those_of_the_server() -> None:
    server = FastAPI(openapi_url=None)
    MessagesEndpoint(Settings()).attach_router(server)
    rows = re.findall(r"^\| `([A-Z]+)` \| (.+) \|$", PAGE, re.MULTILINE)
    listed = [(method, path) for method, paths in rows for path in re.findall(r"`(.+?)`", paths)]
    served = {
        (method, route.path.replace(":path}", "}")) for route in server.routes for method in route.methods
    }
    assert len(listed) == len(set(listed))
    assert set(listed) == served


def test_the_commands_are_those_of_the_program() -> None:
    assert words_behind("`vllm-messages` with ") == [command.name for command in app.registered_commands]


def test_the_commands_that_write_json_are_those_listed() -> None:
    with_json = [
        command.name
        for command in app.registered_commands
        if command.callback and "as_json" in inspect.signature(command.callback).parameters
    ]
    assert words_behind("These have it: ") == with_json


@pytest.mark.parametrize("name", words_behind("These have it: "))
def test_a_command_that_writes_json_has_the_option(name: str) -> None:
    shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).output
    assert "--json" in shown


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_every_public_name_can_be_imported(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


def test_whatever_a_page_imports_is_public() -> None:
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page.name not in DESCRIBING_THE_TREE]
    sources = [*pages, ROOT / "README.md", *(ROOT / "examples").rglob("*.py")]
    imported = {
        (module, name)
        for source in sources
        for module, names in IMPORT.findall(source.read_text(encoding="utf-8"))
        for name in names.split(", ")
    }
    assert len(imported) > 4
    assert imported <= set(PUBLIC)


def test_the_offline_functions_are_listed_as_the_module_exports_them() -> None:
    assert set(MODULES["vllm_messages_plugin.offline"]) == set(offline.__all__)


def test_the_extras_are_those_of_the_project() -> None:
    assert set(words_behind("and the extras ")) == set(PROJECT["optional-dependencies"]) - {"dev"}


def test_the_python_versions_are_those_of_the_project() -> None:
    found = re.findall(r"\d\.\d+", PAGE.split("**Python ")[1].split("**")[0])
    prefix = "Programming Language :: Python :: "
    assert found == [text.removeprefix(prefix) for text in PROJECT["classifiers"] if text.startswith(prefix)]
    assert PROJECT["requires-python"] == f">={found[0]}"


def test_the_fields_of_the_request_log_are_listed() -> None:
    text = (ROOT / "docs/fleet.md").read_text(encoding="utf-8").split("## Request log\n")[1]
    listed = re.findall(r"`(\w+)`", text.split("Its fields are ")[1].split(".\n")[0])
    assert listed == list(log_fields(RequestRecord("req_1", "/v1/messages")))
