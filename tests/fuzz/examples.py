"""How many examples a fuzz test draws: as many as it says in CI, more when exploring."""

import os

EXPLORING = "FUZZ_EXPLORING"
FACTOR = 10


def examples(number: int) -> int:
    """Return the number of examples to draw for a test that draws `number` in CI."""
    return number * FACTOR if os.environ.get(EXPLORING) else number
