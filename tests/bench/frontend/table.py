"""The costs as tables, verdicts and a plot."""

from collections.abc import Sequence

from bench.frontend.measure import LEAST, NATIVE, OURS, ROWS, SHORT, RequestCost, TokenCost
from bench.tables import Table
from bench.verdicts import Verdict

NOTES = """\
Real API servers of vLLM (app, serving layers, AsyncLLM, output processor, detokenizer), one with the \
plugin and one without, are connected to a scripted engine core in another process, which also sends the \
requests. So the CPU time of the server's process is that of the front end alone. A step of the engine \
has one token for each stream, and the next step waits until the server sleeps, so that nothing is \
merged: the costs are those of one event a token, whatever else the machine is doing. The first two rows \
are what no route can be cheaper than: ready bytes, and ready bytes for each output of the engine. All \
rows are measured in turn; the numbers are medians of the rounds, in microseconds of CPU for each token \
after the first. What a request costs until its first token is in the next table.

![What a streamed token costs](images/frontend.svg)"""
REQUEST_NOTES = """\
Milliseconds of CPU for everything before the engine: from the first byte of a request until the engine \
has it and the server sleeps. The last column is the ratio for the whole request, whose reply is one \
token. A session's first turn shares the system prompt and the tools with other sessions; its next turn \
has one more call and its result."""

FLOOR_LIMIT, LOW_LIMIT = 1.1, 0.9
"""Of engine + least SSE, for a streamed token at `MANY` streams and more; the lower one for `LOW`."""
LOW = ("text", "arguments (Hermes JSON)", "arguments (Qwen XML)")
MANY = 64
SHORT_LIMITS = (0.8,)
FIRST_TURN_LIMITS = (1.0, 1.0, 0.5, 0.5)
NEXT_TURN_LIMITS = (0.17, 0.12, 0.10, 0.07)
"""Of vLLM's own Messages route, for the sizes of `measure.Sizes`."""


def token_table(rows: Sequence[TokenCost]) -> Table:
    """A line for each scenario and number of streams."""
    columns = ["scenario", "streams", *ROWS, "plugin / vLLM", "plugin / least"]
    return Table(columns, [_token_line(row) for row in rows])


def _token_line(row: TokenCost) -> list[str]:
    micros = row.micros
    ratios = (micros[OURS] / micros[other] for other in (NATIVE, LEAST))
    costs = (f"{micros[name]:.1f}" for name in ROWS)
    return [row.scenario, str(row.streams), *costs, *(f"{ratio:.2f}" for ratio in ratios)]


def request_table(rows: Sequence[RequestCost]) -> Table:
    """A line for each request."""
    columns = ["request", "prompt tokens", NATIVE, OURS, "ratio", "ratio, whole request"]
    return Table(columns, [_request_line(row) for row in rows])


def _request_line(row: RequestCost) -> list[str]:
    costs = (f"{cost:.1f}" for cost in (row.native, row.plugin))
    return [row.name, f"{row.tokens:,}", *costs, *(f"{ratio:.2f}" for ratio in (row.ratio, row.whole))]


def token_verdicts(tokens: Sequence[TokenCost]) -> list[Verdict]:
    """Whether the limits of streamed tokens hold."""
    rows = [row for row in tokens if row.streams >= MANY and row.streamed]
    ratios = [(row, row.micros[OURS] / row.micros[LEAST]) for row in rows]
    misses = [
        f"{row.scenario}, {row.streams} streams ({ratio:.2f})"
        for row, ratio in ratios
        if ratio > (LOW_LIMIT if row.scenario in LOW else FLOOR_LIMIT)
    ]
    subject = (
        f"A streamed token costs at most {FLOOR_LIMIT} x engine + least SSE, and {LOW_LIMIT} x for text and "
        f"arguments, from {MANY} streams on"
    )
    return [Verdict(subject, f"{max((ratio for _, ratio in ratios), default=0.0):.2f} of it at most", misses)]


def request_verdicts(requests: Sequence[RequestCost]) -> list[Verdict]:
    """Whether the limits of requests hold."""
    return [
        _request_verdict(f"A {SHORT}", SHORT, requests, SHORT_LIMITS),
        _request_verdict("A session's first turn", "first turn", requests, FIRST_TURN_LIMITS),
        _request_verdict("A session's next turn", "next turn", requests, NEXT_TURN_LIMITS),
    ]


def _request_verdict(
    subject: str, name: str, rows: Sequence[RequestCost], limits: Sequence[float]
) -> Verdict:
    pairs = list(zip((row for row in rows if row.name == name), limits, strict=False))
    misses = [f"{row.tokens:,} tokens ({row.ratio:.2f})" for row, limit in pairs if row.ratio > limit]
    found = ", ".join(f"{row.ratio:.2f}" for row, _ in pairs)
    shown = ", ".join(f"{limit:.2f}" for _, limit in pairs)
    return Verdict(f"{subject} costs at most {shown} of vLLM's", found, misses)


# The plot.

WIDTH, BAR, GAP, LABELS, HEAD = 760, 13, 12, 190, 40
COLORS = dict(zip(ROWS, ("#c8ccd0", "#8c959f", "#54aeff", "#0550ae", "#1a7f37"), strict=True))


def plot(rows: Sequence[TokenCost]) -> str:
    """A bar chart in SVG of the costs at the largest number of streams."""
    most = max(row.streams for row in rows)
    shown = [row for row in rows if row.streams == most]
    scale = (WIDTH - LABELS - 60) / max(max(row.micros.values()) for row in shown)
    parts = [_text(0, 14, f"µs of server CPU for each token, {most} streams"), *_legend()]
    for at, row in enumerate(shown):
        parts += _bars(row, HEAD + at * (len(ROWS) * BAR + GAP), scale)
    height = HEAD + len(shown) * (len(ROWS) * BAR + GAP)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
    return "\n".join((f'{head} font-family="sans-serif" font-size="11">', *parts, "</svg>", ""))


def _bars(row: TokenCost, top: float, scale: float) -> list[str]:
    parts = [_text(0, top + len(ROWS) * BAR / 2 + 4, row.scenario)]
    for place, name in enumerate(ROWS):
        y, width = top + place * BAR, row.micros[name] * scale
        size = f'width="{width:.1f}" height="{BAR - 2}"'
        parts.append(f'<rect x="{LABELS}" y="{y}" {size} fill="{COLORS[name]}"/>')
        parts.append(_text(LABELS + width + 4, y + BAR - 3, f"{row.micros[name]:.0f}"))
    return parts


def _legend() -> list[str]:
    parts = []
    for place, name in enumerate(ROWS):
        x = LABELS + place * 112
        parts.append(f'<rect x="{x}" y="22" width="10" height="10" fill="{COLORS[name]}"/>')
        parts.append(_text(x + 14, 31, name))
    return parts


def _text(x: float, y: float, text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.0f}" y="{y:.0f}">{escaped}</text>'
