"""How a time grows with the size."""

import math
from collections.abc import Sequence
from itertools import pairwise


def growths(sizes: Sequence[int], seconds: Sequence[float | None]) -> list[float | None]:
    """The growth per doubling up to each size; None for the first, and where a time lacks."""
    found: list[float | None] = [None]
    for (size, before), (larger, after) in pairwise(zip(sizes, seconds, strict=True)):
        known = before and after
        found.append((after / before) ** (1 / math.log2(larger / size)) if known else None)
    return found


def extrapolated(sizes: Sequence[int], seconds: Sequence[float], size: int) -> float | None:
    """The seconds of a larger size, if they grow on as between the last two; None if there are no two."""
    growth = growths(sizes[-2:], seconds[-2:])[-1]
    if growth is None:
        return None
    return float(seconds[-1] * growth ** math.log2(size / sizes[-1]))
