"""The store of the route tests: SQLite. `tests/store` and `tests/work` have PostgreSQL too."""

from pathlib import Path

import pytest

from support.stores import store
from vllm_messages_plugin.store.opening import StoreOptions

__all__ = ["options", "store"]


@pytest.fixture
def options(tmp_path: Path) -> StoreOptions:
    """The options of an empty store."""
    return StoreOptions("", tmp_path / "data")
