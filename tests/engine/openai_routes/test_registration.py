"""Our names in vLLM's registries: at once, later, again, and never in the way."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vllm_messages_plugin.engine.openai_routes import registration
from vllm_messages_plugin.formats.probing.parser_names import TOOL_PARSER_FORMATS
from vllm_messages_plugin.formats.scanning.formats import FORMATS

PACKAGES = sorted(registration.REGISTRIES)
packages = pytest.mark.parametrize("package", PACKAGES)
SOURCE = """
class {manager}:
    lazy_parsers = {{"glm": ("theirs", "Theirs")}}
    @classmethod
    def list_registered(cls):
        return sorted(cls.lazy_parsers)
    @classmethod
    def register_lazy_module(cls, name, module_path, class_name):
        cls.lazy_parsers[name] = (module_path, class_name)
"""


@pytest.fixture(autouse=True)
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stand-in for vLLM's two packages, not loaded yet; importing the real ones takes ten seconds."""
    real = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "vllm"}
    for name in real:
        del sys.modules[name]
    for package in PACKAGES:
        directory = tmp_path / package.replace(".", "/")
        directory.mkdir(parents=True)
        source = SOURCE.format(manager=registration.REGISTRIES[package][0])
        (directory / "__init__.py").write_text(source, encoding="utf-8")
    (tmp_path / "vllm" / "__init__.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = list(sys.meta_path)
    yield
    sys.meta_path[:] = before
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        del sys.modules[name]
    sys.modules.update(real)


def registry(package: str) -> dict[str, Any]:
    module = importlib.import_module(package)
    return getattr(module, registration.REGISTRIES[package][0]).lazy_parsers


def hooks() -> list[Any]:
    return [finder for finder in sys.meta_path if isinstance(finder, registration.RegistryImportHook)]


@packages
def test_names_are_entered_at_once_where_the_registry_is_loaded(package: str) -> None:
    importlib.import_module(package)
    registration.register()
    assert set(registration.REGISTRIES[package][2]) <= set(registry(package))
    assert package not in {hook.package for hook in hooks()}


@packages
def test_names_are_entered_later_where_it_is_not(package: str) -> None:
    registration.register()
    assert package not in sys.modules
    assert set(registration.REGISTRIES[package][2]) <= set(registry(package))
    assert package not in {hook.package for hook in hooks()}


def test_vllms_own_name_is_left_alone() -> None:
    registration.register()
    assert registry("vllm.tool_parsers")["glm"] == ("theirs", "Theirs")


def test_registering_again_changes_nothing() -> None:
    for _ in range(3):
        registration.register()
    assert len(hooks()) == len(PACKAGES)
    found = dict(registry("vllm.tool_parsers"))
    registration.register()
    assert registry("vllm.tool_parsers") == found


def test_an_unknown_kind_of_registry_is_left_alone_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "vllm.tool_parsers", ModuleType("vllm.tool_parsers"))
    registration.register()
    assert "not available in this vLLM" in caplog.text


def test_a_package_that_is_missing_is_missing_still(tmp_path: Path) -> None:
    (tmp_path / "vllm" / "reasoning" / "__init__.py").unlink()
    (tmp_path / "vllm" / "reasoning").rmdir()
    registration.register()
    with pytest.raises(ModuleNotFoundError, match=r"vllm\.reasoning"):
        importlib.import_module("vllm.reasoning")


def test_every_parser_name_has_a_known_format() -> None:
    assert set(TOOL_PARSER_FORMATS.values()) <= set(FORMATS)


def test_registering_imports_nothing_of_vllms() -> None:
    code = (
        "import sys\n"
        "from vllm_messages_plugin.engine.openai_routes import registration\n"
        "registration.register()\n"
        "print('registered', *[name for name in sys.modules if name.startswith(('vllm.', 'torch'))])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["registered"]
