"""The tables, as SQLAlchemy Core describes them. `migrations` creates them; a test compares the two.

Times are Unix seconds by the clock of `Database.now`. A `number` counts up in the order of creation. What an
API deletes keeps its row for a while (`deleted_at`), so that a client that deletes while it pages through a
list still finds its place.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
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
    Column("items", Integer, nullable=False),
    Column("remaining", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False, default=0),
    Column("errored", Integer, nullable=False, default=0),
    Column("canceled", Integer, nullable=False, default=0),
    Column("expired", Integer, nullable=False, default=0),
    Column("body_size", BigInteger, nullable=False),
    Column("results_size", BigInteger, nullable=False, default=0),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("served_at", Float, nullable=False),
    Column("cancel_initiated_at", Float),
    Column("ended_at", Float),
    Column("archived_at", Float),
    Column("deleted_at", Float),
    Index("batches_of_owner", "owner", "number"),
    Index("batches_by_status", "status", "served_at"),
)
"""`body_size` and `results_size` are the bytes that are kept; 0 once they are removed. `served_at` is when
items were last leased: the batch that waited longest is served next."""

batch_items: Final = Table(
    "batch_items",
    metadata,
    Column("batch", Number, ForeignKey("batches.number", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("custom_id", String(64), nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("length", Integer, nullable=False),
    Column("worker", String(64)),
    Column("leased_until", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("kind", String(16)),
    Column("body", Text),
)
"""One row for each item. `kind` and `body` are its result, set once; `kind` is null while it is open."""

Index(
    "open_batch_items",
    batch_items.c.batch,
    batch_items.c.number,
    sqlite_where=batch_items.c.kind.is_(None),
    postgresql_where=batch_items.c.kind.is_(None),
)

threads: Final = Table(
    "threads",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("owner", String(128), nullable=False),
    Column("start", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("turns", Integer, nullable=False),
    Column("claim", String(16)),
    Column("claimed_until", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Index("threads_of_owner", "owner", "expires_at"),
    Index("threads_by_expiry", "expires_at"),
)
"""`claim` is the request that continues the thread; the claim holds until `claimed_until`."""

thread_turns: Final = Table(
    "thread_turns",
    metadata,
    Column("thread", Number, ForeignKey("threads.number", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("message_id", String(64), nullable=False, unique=True),
    Column("messages", LargeBinary, nullable=False),
    Column("reply", LargeBinary, nullable=False),
)
"""What each request added to a thread: its messages and its reply, as JSON text."""
