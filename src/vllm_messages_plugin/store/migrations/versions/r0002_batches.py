"""Create the tables of batches and of their items."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create both tables."""
    _create_batches()
    _create_batch_items()


def _create_batches() -> None:
    op.create_table(
        "batches",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("items", sa.Integer, nullable=False),
        sa.Column("remaining", sa.Integer, nullable=False),
        sa.Column("succeeded", sa.Integer, nullable=False),
        sa.Column("errored", sa.Integer, nullable=False),
        sa.Column("canceled", sa.Integer, nullable=False),
        sa.Column("expired", sa.Integer, nullable=False),
        sa.Column("body_size", sa.BigInteger, nullable=False),
        sa.Column("results_size", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("served_at", sa.Float, nullable=False),
        sa.Column("cancel_initiated_at", sa.Float),
        sa.Column("ended_at", sa.Float),
        sa.Column("archived_at", sa.Float),
        sa.Column("deleted_at", sa.Float),
    )
    op.create_index("batches_of_owner", "batches", ["owner", "number"])
    op.create_index("batches_by_status", "batches", ["status", "served_at"])


def _create_batch_items() -> None:
    op.create_table(
        "batch_items",
        sa.Column("batch", _NUMBER, sa.ForeignKey("batches.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("custom_id", sa.String(64), nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(64)),
        sa.Column("leased_until", sa.Float, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16)),
        sa.Column("body", sa.Text),
    )
    is_open = sa.column("kind").is_(None)
    op.create_index(
        "open_batch_items",
        "batch_items",
        ["batch", "number"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
