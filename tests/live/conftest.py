"""Marks every test in this directory as `live`."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("live")
            if "smollm2_server" in getattr(item, "fixturenames", ()):
                item.add_marker("smollm2")
