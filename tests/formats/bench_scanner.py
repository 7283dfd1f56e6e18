"""How long the scanner takes for one long argument in each shape: `python tests/formats/bench_scanner.py`.

Fed in chunks of four characters, about a token each. Growth is the time against that of half the size;
between the sizes printed, which lie four times apart, it is the root of the quotient.
"""

import math
import sys
import time
from itertools import pairwise

from samples import SPOKEN, TOOLS, speak

from vllm_messages_plugin.formats.scanner import Scanner
from vllm_messages_plugin.formats.shapes import SHAPES

SIZES_KB = (4, 16, 64, 256)
CHUNK = 4
LINE = 'def f(x):\n    return {"a": [1, 2], "é": x < 3}  # it\'s </b> a `line`\n'


def time_of(shape: str, kilobytes: int) -> float:
    """CPU seconds for one call with an argument of that size."""
    content = (LINE * (kilobytes * 1024 // len(LINE) + 1))[: kilobytes * 1024]
    text = speak(shape, [("Write", {"file_path": "/a.py", "content": content})])
    scanner = Scanner(SHAPES[shape], tools=TOOLS)
    began = time.process_time()
    for start in range(0, len(text), CHUNK):
        scanner.feed(text[start : start + CHUNK])
    scanner.finish()
    return time.process_time() - began


def main(names: list[str]) -> None:
    """Print a row for each shape."""
    print(f"{'shape':22}" + "".join(f"{size:>7} KB" for size in SIZES_KB) + "   growth per doubling")
    for shape in names or sorted(SPOKEN):
        times = [min(time_of(shape, size) for _ in range(3)) for size in SIZES_KB]
        growths = [math.sqrt(after / before) for before, after in pairwise(times)]
        row = "".join(f"{seconds:>9.4f} " for seconds in times)
        print(f"{shape:22}{row}   " + "  ".join(f"{growth:.2f}" for growth in growths), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
