"""Pages of a table whose rows have an owner, an id and a number: newest first, as the API lists them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from vllm_messages_plugin.store.ids import askable
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.pages import PageQuery


async def page(
    connection: AsyncConnection, table: Table, owner: str, query: PageQuery, *conditions: ColumnElement[bool]
) -> tuple[Sequence[Row[Any]], bool]:
    """Return the rows of a page, and whether more follow in its direction.

    Args:
        connection: A transaction.
        table: The table.
        owner: Whose rows are listed.
        query: Which page.
        conditions: What listed rows must satisfy besides. The row of a cursor need not: a client may have
            deleted it since.

    Raises:
        MessagesError: 400, the owner has no row of the cursor's id.
    """
    number = table.c.number
    rows = select(table).where(table.c.owner == owner, *conditions)
    if query.before_id is not None:
        at = await _number(connection, table, owner, query.before_id, "before_id")
        rows = rows.where(number > at).order_by(number)
    elif query.after_id is not None:
        at = await _number(connection, table, owner, query.after_id, "after_id")
        rows = rows.where(number < at).order_by(number.desc())
    else:
        rows = rows.order_by(number.desc())
    found = (await connection.execute(rows.limit(query.limit + 1))).all()
    listed = found[: query.limit]
    return listed[::-1] if query.before_id is not None else listed, len(found) > query.limit


async def _number(connection: AsyncConnection, table: Table, owner: str, id_: str, field: str) -> int:
    row = select(table.c.number).where(table.c.owner == owner, table.c.id == askable(id_))
    found: int | None = (await connection.execute(row)).scalar()
    if found is None:
        raise invalid("There is no such entry", field)
    return found
