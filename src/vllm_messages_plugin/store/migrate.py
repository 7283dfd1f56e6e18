"""Brings a store's tables up to date, once, however many processes start at the same time.

The caller's transaction is the lock: SQLite's `BEGIN IMMEDIATE` admits one writer, and on PostgreSQL an
advisory lock is taken first. Both databases undo a half-run migration with the transaction.
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, inspect, text

LATEST: Final = "0003"
"""The newest migration. A store that has it needs none of Alembic's work."""

_ADVISORY_LOCK: Final = 7_305_808_869
"""Any number that nothing else in the database locks."""


class UnknownSchemaError(Exception):
    """The tables were made by a newer version of the plugin."""


def upgrade(connection: Connection) -> None:
    """Run the migrations that a store lacks, within the connection's transaction.

    Raises:
        UnknownSchemaError: The tables were made by a newer version of the plugin.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
    if current_revision(connection) == LATEST:
        return
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise UnknownSchemaError(str(error)) from error


def current_revision(connection: Connection) -> str | None:
    """Return the newest migration that a store has; None for an empty database."""
    if not inspect(connection).has_table("messages_store_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM messages_store_version")).scalar()
    return found
