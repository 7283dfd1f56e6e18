"""The tables, as SQLAlchemy Core describes them. `migrations` creates them; a test compares the two.

Times are Unix seconds by the clock of `Database.now`. A `number` counts up in the order of creation. What an
API deletes keeps its row for a while (`deleted_at`), so that a client that deletes while it pages through a
list still finds its place.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata: Final = MetaData()

Number: Final = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts a primary key up only if its type is exactly INTEGER."""

files: Final = Table(
    "files",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner", String(128), nullable=False),
    Column("filename", String(255), nullable=False),
    Column("mime_type", String(160), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("deleted_at", Float),
    Index("files_of_owner", "owner", "number"),
)

batches: Final = Table(
    "batches",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner", String(128), nullable=False),
    Column("status", String(16), nullable=False),
    Column("headers", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("items", Integer, nullable=False),
    Column("remaining", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False, default=0),
    Column("errored", Integer, nullable=False, default=0),
    Column("canceled", Integer, nullable=False, default=0),
    Column("expired", Integer, nullable=False, default=0),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("cancel_initiated_at", Float),
    Column("ended_at", Float),
    Column("archived_at", Float),
    Column("deleted_at", Float),
    Index("batches_of_owner", "owner", "number"),
    Index("batches_by_status", "status", "number"),
)

batch_items: Final = Table(
    "batch_items",
    metadata,
    Column("batch", Number, ForeignKey("batches.number", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("custom_id", String(64), nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("length", Integer, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("worker", String(64)),
    Column("leased_until", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
)
Index(
    "open_batch_items",
    batch_items.c.batch,
    batch_items.c.number,
    sqlite_where=batch_items.c.done.is_(False),
    postgresql_where=batch_items.c.done.is_(False),
)

batch_results: Final = Table(
    "batch_results",
    metadata,
    Column("batch", Number, ForeignKey("batches.number", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("custom_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("body", Text),
)
"""One row for each item that is done. `body` is the message or the error, as JSON."""

thread_messages: Final = Table(
    "thread_messages",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("root", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    Column("fields", Text, nullable=False),
    Column("messages", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("used_at", Float, nullable=False),
    Column("claimed_at", Float),
    Column("continued_by", String(64)),
    Index("threads_by_use", "root", "used_at"),
)
"""One row for each reply in a thread, with the messages that its request added and the reply."""
