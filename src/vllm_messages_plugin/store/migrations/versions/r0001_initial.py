"""Create the tables of files, batches and threads."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create all tables and indexes."""
    _create_files()
    _create_batches()
    _create_batch_items()
    _create_batch_results()
    _create_thread_messages()


def _create_files() -> None:
    op.create_table(
        "files",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("mime_type", sa.String(160), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("deleted_at", sa.Float),
    )
    op.create_index("files_of_owner", "files", ["owner", "number"])


def _create_batches() -> None:
    op.create_table(
        "batches",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("items", sa.Integer, nullable=False),
        sa.Column("remaining", sa.Integer, nullable=False),
        sa.Column("succeeded", sa.Integer, nullable=False),
        sa.Column("errored", sa.Integer, nullable=False),
        sa.Column("canceled", sa.Integer, nullable=False),
        sa.Column("expired", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("cancel_initiated_at", sa.Float),
        sa.Column("ended_at", sa.Float),
        sa.Column("archived_at", sa.Float),
        sa.Column("deleted_at", sa.Float),
    )
    op.create_index("batches_of_owner", "batches", ["owner", "number"])
    op.create_index("batches_by_status", "batches", ["status", "number"])


def _batch_key() -> list[sa.Column]:  # type: ignore[type-arg]
    """The primary key of what belongs to a batch: the batch and the item's number in it."""
    return [
        sa.Column("batch", _NUMBER, sa.ForeignKey("batches.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
    ]


def _create_batch_items() -> None:
    op.create_table(
        "batch_items",
        *_batch_key(),
        sa.Column("custom_id", sa.String(64), nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("done", sa.Boolean, nullable=False),
        sa.Column("worker", sa.String(64)),
        sa.Column("leased_until", sa.Float, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
    )
    is_open = sa.column("done", sa.Boolean).is_(False)
    op.create_index(
        "open_batch_items",
        "batch_items",
        ["batch", "number"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def _create_batch_results() -> None:
    op.create_table(
        "batch_results",
        *_batch_key(),
        sa.Column("custom_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("body", sa.Text),
    )


def _create_thread_messages() -> None:
    op.create_table(
        "thread_messages",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("root", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
        sa.Column("messages", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("used_at", sa.Float, nullable=False),
        sa.Column("claimed_at", sa.Float),
        sa.Column("continued_by", sa.String(64)),
    )
    op.create_index("threads_by_use", "thread_messages", ["root", "used_at"])
