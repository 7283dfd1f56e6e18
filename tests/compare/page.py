"""The page, its plots and README's lines, all made of the results alone."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.tables import Table, as_markdown
from compare import plot
from compare.contenders import CONTENDERS, LITELLM, LLAMA, NATIVE, PLUGIN, ROUTER, TITLES
from compare.results import Group, Outcome, Results, Search, counts
from compare.untidy import all_cases

ROOT = Path(__file__).parents[2]
PAGE, README, IMAGES = ROOT / "docs" / "compare.md", ROOT / "README.md", ROOT / "docs" / "images"
REUSE_TOLERANCE = 0.005  # a cache holds whole blocks, so the last tokens of a turn may fall out of it
STREAMS = 64
"""How many streams at once `tokens` measures."""
BEGIN, END = "<!-- compare:begin -->", "<!-- compare:end -->"
COMMAND = "make compare ARGS=--write"
NONE = "–"  # noqa: RUF001 - the sign for "nothing here" in tables
KINDS = ("passed", "failed", "refused")
VERDICTS = ("right", "wrong", "lost", "refused")

HEAD = """\
# Compared with other servers

A self-hosted model can speak the Messages API in several ways. `{command}` puts the same requests to \
each of them and writes this page: its tables, its plots and the lines in the README come from that \
run, and nothing is added by hand but the notes that say so. The raw results are in \
[tests/compare/results.json](../tests/compare/results.json)."""
TRIED = """\
## What was tried and is not here

Only PyPI, npm and Debian's packages were reachable where this was made (2026-11-28).

| | |
|---|---|
| SGLang | `sglang` 0.5.23 on PyPI is built for CUDA (it requires `cuda-python`, `flashinfer_python[cu13]`); \
its CPU build is made from source |
| Ollama | the packages of that name on PyPI and npm are clients; no package has the server |
| llama-cpp-python | its own Python server has no Messages route. llama.cpp's C++ server has one; \
`xllamacpp` packs that, and is what is measured here |
| mistral.rs | `mistralrs` on PyPI is the library, without its HTTP server |
| claude-code-router 3.1.1 | a package that it needs (`@the-next-ai/ai-gateway`) was not there; 2.0.0 \
is measured |
| LiteLLM 1.110.2 | packages that its `proxy` extra pins were not there; 1.108.0 is the newest that \
installed |"""
BEYOND = """\
What no row shows, and speaks for another:

- **vLLM alone** needs no further package, and its Rust front end (for its OpenAI routes) loads no \
plugin.
- **LiteLLM** routes to a hundred providers, with budgets, keys and fallbacks over all of them; this \
plugin serves the models of one vLLM.
- **claude-code-router** picks a model by the kind of request, and runs on the developer's own machine.
- **llama.cpp** is one C++ program. It runs quantised models on a laptop, which vLLM does not.
- **This plugin** is a part of one server and follows vLLM's releases: a new vLLM may need a new \
version of it."""
NOTES = {
    "conformance": """\
`vllm-messages smoke-test` on each server: passed / failed / refused. A check that needs what a server \
says it does not have is skipped and not counted. "Refused": the server answered 400, 404, 405, 422 or \
501 to what the protocol allows. The checks are this project's own, written from Anthropic's \
documentation and SDK: read them in `src/vllm_messages_plugin/conformance/checks`. The model has random \
weights. It is scripted only where a reply of noise would never end or where a thought is needed \
(`tests/compare/conformance.py`), for all servers alike except llama.cpp, whose model can't be scripted; a \
check that noise can't decide is skipped.""",
    "untidy": """\
The scripted model writes what real models have written, and the official Python SDK reads the stream. \
"Right": the blocks, names, arguments and stop reason are as they must be. "Lost": something that the \
model wrote is in no block. "Refused": a 4xx. "Wrong": anything else. The untidy rows are those of \
`tests/field` in the two formats that vLLM's parsers read too; they were collected while the plugin's \
own reader was made, so it had its chance to learn them. The tidy rows are as the formats demand. \
llama.cpp is left out: its model can't be scripted.""",
    "requests": """\
Each request is judged on its own. A picture that a text model can't see should be refused in words \
that say so, but not when it stands in an earlier turn, where a refusal would end the conversation. The \
engine is killed while a reply is streamed: only an `error` event tells the client that it is cut.""",
    "websearch": """\
The real Claude Code is asked a question for which its model calls WebSearch. It sends the search as a \
request of its own to the server, and hands what comes back to the model. LiteLLM and this plugin are \
given a search service on loopback; the others have no setting for one (claude-code-router can send such a \
request to another model, one that searches by itself). "Right": the service was asked once, its three \
addresses and texts reached the model, and the user got the answer. "Refused": the model was given the \
server's error. "Lost": it was given nothing of the search, and no error. The model is scripted to answer if \
it reads how to install, and else to say that it could not find out. Queries are those that the search \
service had; the searches shown are those that Claude Code tells its user of. The times are Claude Code's \
own, the median of three: of the search, and of the whole question.""",
    "session": """\
`vllm-messages bench --turns 10`: an agent's session of growing turns with tools, a system prompt and \
Claude Code's changing billing line. Reuse is the part of each turn that the next one found in the \
prefix cache, as the server reports it ("–": it reports none). The time to the first text is the \
median of the turns after the first, and the CPU time is that of all processes, the engine included. \
llama.cpp computes the same tiny model with its own kernels, so its times say nothing about the protocol.""",  # noqa: RUF001
    "tokens": f"""\
CPU time for each token of {STREAMS} streams of text, without the model: vLLM's real API server on a \
scripted engine, as in `make bench ARGS='--only frontend'`. A gateway's cost is that of its own \
processes and of the API server behind it.""",
}


def machine() -> str:
    """Return the cores and the memory of this machine."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {gigabytes:.0f} GB"


def markdown(results: Results) -> str:
    """The whole page."""
    sections = [HEAD.format(command=COMMAND), *_overview(results), _who(results)]
    sections += [
        made for name, section in SECTIONS.items() if getattr(results, name) for made in section(results)
    ]
    return "\n\n".join((*sections, _better(results), TRIED)) + "\n"


def write(results: Results) -> None:
    """Write the page, its plots, and the lines in README."""
    PAGE.write_text(markdown(results), encoding="utf-8")
    for name, text in plots(results).items():
        (IMAGES / name).write_text(text, encoding="utf-8")
    README.write_text(
        between_marks(README.read_text(encoding="utf-8"), five_lines(results)), encoding="utf-8"
    )


def between_marks(text: str, lines: str) -> str:
    """Return a text with what is between the marks replaced."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n{lines}\n{END}{after}"


# The lines at the head.


def five_lines(results: Results) -> str:
    """The table of README."""
    lines: Mapping[str, Callable[[str], str]] = {
        "Protocol checks passed": lambda name: _checks(results.conformance.get(name)),
        "Untidy replies of models read right": lambda name: _share(_untidy_of(results, name, tidy=False)),
        "Awkward requests handled right": lambda name: _share(results.requests.get(name, {})),
        "An agent's turn found in the prefix cache": lambda name: _reuse(results, name),
        f"CPU for a streamed token, {STREAMS} streams": lambda name: _cost(results, name),
    }
    columns = ["", *(TITLES[name] for name in CONTENDERS)]
    return as_markdown(Table(columns, [[what, *map(cell, CONTENDERS)] for what, cell in lines.items()]))


def _checks(groups: Mapping[str, Group] | None) -> str:
    if not groups:
        return NONE
    passed = sum(group.passed for group in groups.values())
    return f"{passed} of {passed + sum(group.failed + group.refused for group in groups.values())}"


def _share(outcomes: Mapping[str, Outcome]) -> str:
    number = counts(outcomes)
    asked = len(outcomes) - number["none"]
    return f"{number['right']} of {asked}" if asked else NONE


def _reuse(results: Results, name: str) -> str:
    session = results.session.get(name)
    if session is None or session.error:
        return NONE if session is None else "fails"
    return NONE if session.reuse is None else f"{100 * session.reuse:.0f} %"


def _cost(results: Results, name: str) -> str:
    return f"{results.tokens[name]:.0f} µs" if name in results.tokens else NONE


def _untidy_of(results: Results, name: str, *, tidy: bool) -> dict[str, Outcome]:
    chosen = {case.name for case in all_cases() if case.tidy is tidy}
    return {case: outcome for case, outcome in results.untidy.get(name, {}).items() if case in chosen}


def _overview(results: Results) -> list[str]:
    return [five_lines(results), _facts(results)]


def _facts(results: Results) -> str:
    runs: dict[tuple[str, str], list[str]] = {}
    for part, facts in results.run.items():
        text = f"{facts['date']}, on {facts['machine']}, Python {facts['python']}, by `{facts['command']}`"
        whole = f"{text} ({facts['minutes']} minutes)"
        runs.setdefault((whole, facts.get("note", "")), []).append(part)
    return "\n".join(
        f"- Measured {text}: {', '.join(parts)}. {note}".rstrip() for (text, note), parts in runs.items()
    )


def _who(results: Results) -> str:
    rows = [[TITLES[name], text] for name, text in _in_order(results.versions).items()]
    return f"## Who is compared\n\n{as_markdown(Table(['', 'What runs'], rows, names=2))}"


def _in_order(by_name: Mapping[str, str]) -> dict[str, str]:
    return {name: by_name[name] for name in CONTENDERS if name in by_name}


# The sections.


def _section(title: str, name: str, *parts: str) -> list[str]:
    return [f"## {title}", NOTES[name], *parts]


def conformance_section(results: Results) -> list[str]:
    """The checks by group, and the names of those that did not pass."""
    names = [name for name in CONTENDERS if name in results.conformance]
    groups = list(dict.fromkeys(group for name in names for group in results.conformance[name]))
    rows = [[group, *(_numbers(results.conformance[name].get(group)) for name in names)] for group in groups]
    table = as_markdown(Table(["group", *(TITLES[name] for name in names)], rows))
    picture = "![How many checks each server passes](images/compare-conformance.svg)"
    return _section(
        "Protocol checks", "conformance", picture, table, *(_failures(results, name) for name in names)
    )


def _numbers(group: Group | None) -> str:
    return f"{group.passed} / {group.failed} / {group.refused}" if group else NONE


def _failures(results: Results, name: str) -> str:
    found = [text for group in results.conformance[name].values() for text in group.names]
    lines = "\n".join(f"- {_plain(text)}" for text in found) or "None."
    return f"<details><summary>What {TITLES[name]} does not pass</summary>\n\n{lines}\n\n</details>"


def untidy_section(results: Results) -> list[str]:
    """The replies by verdict, then each reply."""
    names = [name for name in CONTENDERS if name in results.untidy]
    rows = []
    for tidy, label in ((True, "tidy"), (False, "untidy")):
        for verdict in VERDICTS:
            numbers = [counts(_untidy_of(results, name, tidy=tidy))[verdict] for name in names]
            rows.append([label, verdict, *map(str, numbers)])
    titles = [TITLES[name] for name in names]
    table = as_markdown(Table(["replies", "", *titles], rows, names=2))
    cases = list(dict.fromkeys(case for name in names for case in results.untidy[name]))
    each = [[_plain(case), *(_verdict(results.untidy[name].get(case)) for name in names)] for case in cases]
    whole = as_markdown(Table(["reply", *titles], each, names=len(titles) + 1))
    picture = "![How many untidy replies each server reads right](images/compare-untidy.svg)"
    folded = f"<details><summary>Each reply</summary>\n\n{whole}\n\n</details>"
    known = len(all_cases())
    missing = [f"Measured so far: {len(cases)} of the {known} replies."] if len(cases) < known else []
    return _section("Untidy replies", "untidy", picture, *missing, table, folded)


def requests_section(results: Results) -> list[str]:
    """The requests by verdict, then what was seen."""
    names = [name for name in CONTENDERS if name in results.requests]
    rows = list(dict.fromkeys(row for name in names for row in results.requests[name]))
    cells = [[row, *(_verdict(results.requests[name].get(row)) for name in names)] for row in rows]
    table = as_markdown(Table(["request", *(TITLES[name] for name in names)], cells, names=len(names) + 1))
    seen = [
        f"- {row}, {TITLES[name]}: {_plain(results.requests[name][row].detail)}"
        for row in rows
        for name in names
        if row in results.requests[name]
    ]
    folded = f"<details><summary>What was seen</summary>\n\n{chr(10).join(seen)}\n\n</details>"
    return _section("Awkward requests", "requests", table, folded)


def websearch_section(results: Results) -> list[str]:
    """What came of each search."""
    rows = [
        [
            TITLES[name],
            _verdict(search),
            _plain(search.found),
            _plain(search.answer) or NONE,
            str(search.queries),
            NONE if search.shown is None else str(search.shown),
            _optional(search.seconds),
            _optional(search.total),
        ]
        for name, search in _searches(results).items()
    ]
    words = ["", "WebSearch", "what reaches the model", "what the user reads"]
    numbers = ["queries", "searches shown", "search, s", "answer, s"]
    table = as_markdown(Table([*words, *numbers], rows, names=len(words)))
    return _section("WebSearch by the real Claude Code", "websearch", table)


def _searches(results: Results) -> dict[str, Search]:
    return {name: results.websearch[name] for name in CONTENDERS if name in results.websearch}


def session_section(results: Results) -> list[str]:
    """The session's reuse and times."""
    rows = []
    for name in (name for name in CONTENDERS if name in results.session):
        session = results.session[name]
        if session.error:
            rows.append([TITLES[name], f"fails: {_plain(session.error)}", NONE, NONE])
            continue
        rows.append([TITLES[name], _reuse(results, name), f"{session.first_delta:.0f}", f"{session.cpu:.1f}"])
    columns = ["", "reuse", "first text, ms", "CPU of the session, s"]
    return _section("A session of an agent", "session", as_markdown(Table(columns, rows)))


def tokens_section(results: Results) -> list[str]:
    """What a token costs."""
    names = [name for name in CONTENDERS if name in results.tokens]
    rows = [
        [TITLES[name], f"{results.tokens[name]:.0f}", f"{results.tokens[name] / results.tokens[PLUGIN]:.1f}"]
        for name in names
        if PLUGIN in results.tokens
    ]
    table = as_markdown(Table(["", "µs for a token", "times this plugin's"], rows))
    picture = "![What a streamed token costs behind each server](images/compare-tokens.svg)"
    return _section("A streamed token", "tokens", picture, table)


SECTIONS: Mapping[str, Callable[[Results], list[str]]] = {
    "conformance": conformance_section,
    "untidy": untidy_section,
    "requests": requests_section,
    "websearch": websearch_section,
    "session": session_section,
    "tokens": tokens_section,
}


# Where another is better.


def _better(results: Results) -> str:
    lines = better(results)
    text = "\n".join(lines) if lines else "In no row that was measured."
    return f"## Where another is better\n\n{text}\n\n{BEYOND}"


def better(results: Results) -> list[str]:
    """Every row in which another server comes out better than this plugin."""
    lines = []
    for part in (results.untidy, results.requests):
        lines += _right_elsewhere(part)
    lines += _searches_elsewhere(_searches(results))
    for name in (NATIVE, LITELLM, ROUTER, LLAMA):
        lines += _checks_elsewhere(results, name) + _numbers_elsewhere(results, name)
    return lines


def _right_elsewhere(outcomes: Mapping[str, Mapping[str, Outcome]]) -> list[str]:
    lines = []
    for row, own in outcomes.get(PLUGIN, {}).items():
        others = [
            TITLES[name]
            for name, found in outcomes.items()
            if row in found and found[row].verdict == "right" and own.verdict != "right"
        ]
        if others:
            lines.append(f"- {_plain(row)}: right with {', '.join(others)}; {own.verdict} with this plugin.")
    return lines


def _searches_elsewhere(searches: Mapping[str, Search]) -> list[str]:
    own = searches.get(PLUGIN)
    if own is None:
        return []
    right = {name: search for name, search in searches.items() if search.verdict == "right"}
    if own.verdict != "right":
        others = ", ".join(TITLES[name] for name in right)
        return [f"- WebSearch: right with {others}; {own.verdict} with this plugin."] if others else []
    return [
        f"- A search by Claude Code takes {_number(search.seconds)} s with {TITLES[name]}, "
        f"{_number(own.seconds)} s with this plugin."
        for name, search in right.items()
        if search.seconds is not None and own.seconds is not None and search.seconds < own.seconds
    ]


def _checks_elsewhere(results: Results, name: str) -> list[str]:
    own, other = (_failed(results, each) for each in (PLUGIN, name))
    if PLUGIN not in results.conformance or name not in results.conformance:
        return []
    missed = sorted(own - other)
    return (
        [f"- Checks that {TITLES[name]} does not fail and this plugin does: {', '.join(missed)}."]
        if missed
        else []
    )


def _failed(results: Results, name: str) -> set[str]:
    groups = results.conformance.get(name, {}).values()
    return {text.partition(" ")[0] for group in groups for text in group.names}


def _numbers_elsewhere(results: Results, name: str) -> list[str]:
    lines = []
    own, other = results.session.get(PLUGIN), results.session.get(name)
    if own and other and not (own.error or other.error):
        pairs = (
            ("time to the first text", own.first_delta, other.first_delta, "ms"),
            ("CPU time", own.cpu, other.cpu, "s"),
        )
        lines += [
            f"- The session's {what}: {_number(theirs)} {unit} with {TITLES[name]}, "
            f"{_number(ours)} {unit} with this plugin."
            for what, ours, theirs, unit in pairs
            if ours is not None and theirs is not None and theirs < ours
        ]
        if (other.reuse or 0) > (own.reuse or 0) + REUSE_TOLERANCE:
            lines.append(
                f"- Reuse of the prefix cache is higher with {TITLES[name]}: {_reuse(results, name)}."
            )
    if PLUGIN in results.tokens and results.tokens.get(name, float("inf")) < results.tokens[PLUGIN]:
        lines.append(f"- A streamed token costs {_cost(results, name)} with {TITLES[name]}.")
    return lines


def _optional(value: float | None) -> str:
    return NONE if value is None else _number(value)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


# The plots.


def plots(results: Results) -> dict[str, str]:
    """The pictures by file name, of the parts that there are."""
    made = {}
    if results.conformance:
        made["compare-conformance.svg"] = plot.chart("Protocol checks", _check_bars(results))
    if results.untidy:
        made["compare-untidy.svg"] = plot.chart("Untidy replies of models", _untidy_bars(results))
    if results.tokens:
        made["compare-tokens.svg"] = plot.chart(
            f"CPU for a streamed token, {STREAMS} streams", _cost_bars(results)
        )
    return made


def _check_bars(results: Results) -> list[plot.Bar]:
    bars = []
    for name in (name for name in CONTENDERS if name in results.conformance):
        groups = results.conformance[name].values()
        parts: dict[str, float] = {kind: sum(getattr(group, kind) for group in groups) for kind in KINDS}
        bars.append(plot.Bar(TITLES[name], parts, _checks(results.conformance[name])))
    return bars


def _untidy_bars(results: Results) -> list[plot.Bar]:
    bars = []
    for name in (name for name in CONTENDERS if name in results.untidy):
        outcomes = _untidy_of(results, name, tidy=False)
        found = counts(outcomes)
        parts: dict[str, float] = {verdict: found[verdict] for verdict in VERDICTS}
        bars.append(plot.Bar(TITLES[name], parts, _share(outcomes)))
    return bars


def _cost_bars(results: Results) -> list[plot.Bar]:
    names = [name for name in CONTENDERS if name in results.tokens]
    return [plot.Bar(TITLES[name], {"cost": results.tokens[name]}, _cost(results, name)) for name in names]


# Cells.


def _verdict(outcome: Outcome | Search | None) -> str:
    if outcome is None or outcome.verdict == "none":
        return NONE
    return "**right**" if outcome.verdict == "right" else outcome.verdict


def _plain(text: str) -> str:
    """A text on one line in which Markdown and HTML have no meaning."""
    line = " ".join(text.split())
    for sign in "\\`*_[]<>|":
        line = line.replace(
            sign, f"\\{sign}" if sign not in "<>|" else {"<": "&lt;", ">": "&gt;", "|": "\\|"}[sign]
        )
    return line
