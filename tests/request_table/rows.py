"""The table: every kind of request that a client may send, and what must become of it."""

from request_table.blocks import BLOCKS
from request_table.fields import FIELDS
from request_table.row import Row
from request_table.server_blocks import SERVER_BLOCKS
from request_table.tools import TOOLS
from request_table.turns import TURNS

ROWS: list[Row] = [*BLOCKS, *SERVER_BLOCKS, *TURNS, *TOOLS, *FIELDS]
RENDERED = [row for row in ROWS if row.refused is None or row.refused.late]
REFUSED = [row for row in ROWS if row.refused is not None and not row.refused.late]
SEEN = [row for row in ROWS if row.with_images]
