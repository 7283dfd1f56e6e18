"""Stores for tests, on SQLite and on PostgreSQL: fixtures that several packages import."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from support.postgres import postgres_cluster
from vllm_messages_plugin.store.database import Database
from vllm_messages_plugin.store.opening import Store, StoreOptions, open_store


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a real PostgreSQL."""
    with postgres_cluster() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> StoreOptions:
    """The options of an empty store."""
    if request.param == "sqlite":
        return StoreOptions("", tmp_path / "data")
    url: str = request.getfixturevalue("postgres_url")
    asyncio.run(_empty(url))
    return StoreOptions(url, tmp_path / "data")


async def _empty(url: str) -> None:
    database = Database(url)
    async with database._engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await database.close()


@pytest.fixture
async def store(options: StoreOptions) -> AsyncIterator[Store]:
    """An empty store."""
    opened = open_store(options)
    yield opened
    await opened.close()
