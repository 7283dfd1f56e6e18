"""The table: every shape of a request that a client may send, and what must come of it."""

from shapes.blocks import BLOCKS
from shapes.fields import FIELDS
from shapes.row import Shape
from shapes.server_blocks import SERVER_BLOCKS
from shapes.tools import TOOLS
from shapes.turns import TURNS

SHAPES: list[Shape] = [*BLOCKS, *SERVER_BLOCKS, *TURNS, *TOOLS, *FIELDS]
RENDERED = [shape for shape in SHAPES if shape.refused is None or shape.refused.late]
REFUSED = [shape for shape in SHAPES if shape.refused is not None and not shape.refused.late]
SEEN = [shape for shape in SHAPES if shape.seen]
