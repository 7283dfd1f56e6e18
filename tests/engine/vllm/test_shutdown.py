"""The parent of several API server processes waits before it kills them."""

import importlib
import sys
import types
from typing import Any

import pytest

from vllm_messages_plugin.engine.vllm.shutdown import GRACE_SECONDS, MANAGER, MODULE, give_api_servers_time


class Manager:
    """What vLLM's manager does with the time that it is given."""

    timeouts: list[float | None]

    def __init__(self) -> None:
        self.timeouts = []

    def shutdown(self, timeout: float | None = None) -> None:
        self.timeouts.append(timeout)


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fresh manager class in the place of vLLM's."""
    found: Any = type(MANAGER, (Manager,), {"shutdown": Manager.shutdown})
    module = types.ModuleType(MODULE)
    setattr(module, MANAGER, found)
    monkeypatch.setitem(sys.modules, MODULE, module)
    return found


@pytest.mark.parametrize(
    ("timeout", "expected"), [(0, GRACE_SECONDS), (GRACE_SECONDS + 1, GRACE_SECONDS + 1), (None, None)]
)
def test_the_parent_waits_at_least_the_grace_time(
    manager: Any, timeout: float | None, expected: float | None
) -> None:
    for _ in range(2):
        give_api_servers_time()
    servers = manager()
    servers.shutdown(timeout=timeout)
    servers.shutdown(timeout)
    assert servers.timeouts == [expected, expected]


def test_a_process_without_the_manager_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    give_api_servers_time()
    assert MODULE not in sys.modules
    monkeypatch.setitem(sys.modules, MODULE, types.ModuleType(MODULE))
    give_api_servers_time()


def test_the_class_is_where_vllm_keeps_it() -> None:
    module = importlib.import_module(MODULE)
    assert callable(getattr(module, MANAGER).shutdown)
