"""The tables, as SQLAlchemy Core describes them. `migrations` creates them; a test compares the two.

Times are Unix seconds by the clock of `Database.now`. A `number` counts up in the order of creation. What an
API deletes keeps its row for a while (`deleted_at`), so that a client that deletes while it pages through a
list still finds its place.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, String, Table

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
