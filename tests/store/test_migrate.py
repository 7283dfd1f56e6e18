"""The migrations make the tables that the schema describes, once, for any number of processes."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from vllm_messages_plugin.store import migrate
from vllm_messages_plugin.store.opening import Store, StoreOptions, open_store
from vllm_messages_plugin.store.schema import metadata
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.files import StoredFile
from vllm_messages_plugin.wire.threads import ThreadStart, ThreadTurn

FILE = StoredFile("file_1", "a.txt", "text/plain", 1, "", 1.0)


async def test_the_migrations_make_the_tables_of_the_schema(store: Store) -> None:
    async with store.database.write() as connection:
        differences = await connection.run_sync(
            lambda plain: compare_metadata(
                MigrationContext.configure(plain, opts={"version_table": "messages_store_version"}), metadata
            )
        )
    assert differences == []


def test_the_latest_revision_is_the_head_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == migrate.LATEST


async def test_several_stores_opened_at_once_migrate_once(options: StoreOptions) -> None:
    stores = [open_store(options) for _ in range(4)]
    for found in await asyncio.gather(*(store.files.find("me", ["file_x"]) for store in stores)):
        assert found == []
    for store in stores:
        await store.close()


async def test_a_store_of_a_newer_version_is_refused_and_left_alone(options: StoreOptions) -> None:
    store = open_store(options)
    async with store.database.write() as connection:
        await connection.execute(text("UPDATE messages_store_version SET version_num = '9999'"))
    await store.close()
    newer = open_store(options)
    with pytest.raises(MessagesError, match="newer version") as refused:
        await newer.files.find("me", ["file_x"])
    assert refused.value.status == 503
    await newer.close()


def test_a_process_that_leaves_its_store_open_still_ends(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from vllm_messages_plugin.store.opening import StoreOptions, open_store\n"
        "store = open_store(StoreOptions('', Path(sys.argv[1])))\n"
        "asyncio.run(store.files.find('me', ['x']))\n"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True, timeout=60)


async def test_a_store_of_an_earlier_version_is_brought_up_to_date(
    options: StoreOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = migrate.command.upgrade
    with monkeypatch.context() as earlier:
        earlier.setattr(migrate.command, "upgrade", lambda config, _head: command(config, "0002"))
        old = open_store(options)
        await old.files.add("me", FILE)
        await old.close()
    store = open_store(options)
    assert await store.files.find("me", [FILE.id]) == [FILE]
    await store.threads.create("me", ThreadStart({}, {}), ThreadTurn("msg_1", b"", b"{}"))
    assert len((await store.threads.get("me", "msg_1")).turns) == 1
    await store.close()
