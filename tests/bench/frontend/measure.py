"""What a streamed token and a request cost the API server's process, for each route."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from transformers import AutoTokenizer

from bench import prompts
from bench.frontend import floor, load
from bench.frontend.servers import ApiServer, Pair, server_pair
from bench.source import source
from formats.samples import SAMPLE_WRITERS
from vllm_messages_plugin.testing import tiny

BARE, LEAST, CHAT, NATIVE, OURS = "bare ASGI", "engine + least SSE", "vLLM chat", "vLLM Messages", "plugin"
ROWS = (BARE, LEAST, CHAT, NATIVE, OURS)

Json = dict[str, Any]
WRITE = {
    "name": "Write",
    "description": "Writes a file.",
    "input_schema": {
        "type": "object",
        "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["file_path", "content"],
    },
}
CHAT_WRITE = {
    "type": "function",
    "function": {"name": "Write", "description": "Writes a file.", "parameters": WRITE["input_schema"]},
}
FLAGS: Mapping[str, tuple[str, ...]] = {
    "qwen_like": ("--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3"),
    "xml_calls": ("--enable-auto-tool-choice", "--tool-call-parser", "qwen3_xml"),
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of reply: the chat template it belongs to, its text, and the fields of the requests."""

    name: str
    template: str
    reply: Callable[[str], str]
    messages: Json = field(default_factory=dict)
    chat: Json = field(default_factory=dict)
    streamed: bool = True


def _call(call_format: str) -> Callable[[str], str]:
    return lambda text: SAMPLE_WRITERS[call_format]([("Write", {"file_path": "/a.py", "content": text})])


def _answer(text: str) -> str:
    return f"<think>\n\n</think>\n\n{text}"


THINKS = {"thinking": {"type": "enabled", "budget_tokens": 2_048}}
TOOLS, CHAT_TOOLS = {"tools": [WRITE]}, {"tools": [CHAT_WRITE]}
SCENARIOS = (
    Scenario("text", "qwen_like", _answer),
    Scenario("thinking", "qwen_like", lambda text: f"<think>\n{text}\n</think>\n\nDone.", THINKS),
    Scenario("text + tools", "qwen_like", _answer, TOOLS, CHAT_TOOLS),
    Scenario("arguments (Hermes JSON)", "qwen_like", _call("hermes_json"), TOOLS, CHAT_TOOLS),
    Scenario("text, not streamed", "qwen_like", _answer, streamed=False),
    Scenario("text + tools (Qwen XML)", "xml_calls", lambda text: text, TOOLS, CHAT_TOOLS),
    Scenario("arguments (Qwen XML)", "xml_calls", _call("qwen_xml"), TOOLS, CHAT_TOOLS),
)


@dataclass(frozen=True, slots=True)
class TokenCost:
    """Microseconds of server CPU for each token, by row: the medians of the rounds."""

    scenario: str
    streamed: bool
    streams: int
    micros: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RequestCost:
    """Milliseconds of server CPU for a request until the engine has it, on both servers.

    Attributes:
        ratio: The plugin's cost by vLLM's.
        whole: The same ratio for the whole request, whose reply is one token.
    """

    name: str
    tokens: int
    native: float
    plugin: float
    ratio: float
    whole: float


class Cost(NamedTuple):
    """Milliseconds of server CPU for a request: until the engine has it, and in all."""

    before: float
    whole: float


Costs = tuple[Cost, Cost]
"""Those of a request on vLLM's own route and on the plugin's."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int = 5
    streams: Sequence[int] = (1, 16, 64, 256)
    characters: int = 700  # of a reply: about 250 tokens
    turns: Sequence[int] = (3, 32, 95, 330)  # for prompts of about 12,500, 30,000, 68,000 and 209,000 tokens


QUICK = Sizes(rounds=1, streams=(2,), characters=60, turns=(0,))
"""As little as shows that everything runs."""


# Streamed tokens.


def measure_tokens(sizes: Sizes, logs: Path, progress: Callable[[str], None]) -> list[TokenCost]:
    """Measure every scenario on every row."""
    found = []
    for template, flags in FLAGS.items():
        progress(f"starting two servers with the template {template}")
        with server_pair(template, flags, logs=logs, name=template) as pair:
            for scenario in (each for each in SCENARIOS if each.template == template):
                for streams in sizes.streams:
                    progress(f"{scenario.name}, {streams} streams")
                    found.append(_token_cost(pair, scenario, streams, sizes))
    return found


def _token_cost(pair: Pair, scenario: Scenario, streams: int, sizes: Sizes) -> TokenCost:
    """Rounds of all rows in turn; the first warms up."""
    reply = token_ids(scenario.template, scenario.reply(source(sizes.characters)))
    rounds: list[dict[str, float]] = []
    for number in range(sizes.rounds + 1):
        order = ROWS if number % 2 else tuple(reversed(ROWS))
        rounds.append(
            {
                row: _once(pair.plugin if row == OURS else pair.native, row, scenario, streams, reply)
                for row in order
            }
        )
    kept = rounds[1:]
    return TokenCost(
        scenario.name,
        scenario.streamed,
        streams,
        {row: statistics.median(each[row] for each in kept) for row in ROWS},
    )


def _once(server: ApiServer, row: str, scenario: Scenario, streams: int, reply: Sequence[int]) -> float:
    """Microseconds of CPU for each token of some streams at once, after the first.

    What the requests themselves cost is measured with replies of one token, and taken off.
    """
    whole, first = (_cpu_seconds(server, row, scenario, streams, ids) for ids in (reply, reply[-1:]))
    return (whole - first) / (streams * (len(reply) - 1)) * 1e6


def _cpu_seconds(
    server: ApiServer, row: str, scenario: Scenario, streams: int, reply: Sequence[int]
) -> float:
    """CPU of the server for some streams of a reply at once."""
    path, body = _request(row, scenario, len(reply))
    core = server.core
    core.reply, core.streams = reply, streams
    before = server.cpu_seconds()
    load.post(server.port, path, [json.dumps(body).encode()] * streams)
    return server.cpu_seconds() - before


def _request(row: str, scenario: Scenario, tokens: int) -> tuple[str, Json]:
    common = {"model": "tiny", "max_tokens": 8_192, "stream": scenario.streamed}
    messages = [{"role": "user", "content": "Write."}]
    if row == BARE:
        return f"{floor.BARE}?{tokens}", {}
    if row == LEAST:
        return floor.LEAST, {"max_tokens": 8_192}
    if row == CHAT:
        return "/v1/chat/completions", {**common, "messages": messages, **scenario.chat}
    return "/v1/messages", {**common, "messages": messages, **scenario.messages}


def token_ids(template: str, text: str) -> list[int]:
    tokenizer = AutoTokenizer.from_pretrained(tiny.model_directory(template))
    return [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


# Requests.

SHORT = "short question"
QUESTIONS = 20
"""So many short questions make one measurement."""
REQUEST_TEMPLATE = "qwen_like"


def measure_requests(sizes: Sizes, logs: Path, progress: Callable[[str], None]) -> list[RequestCost]:
    """Measure short questions, and first and next turns of each size."""
    progress("starting two servers for requests")
    with server_pair(REQUEST_TEMPLATE, FLAGS[REQUEST_TEMPLATE], logs=logs, name="requests") as pair:
        found = [_short_question(pair, sizes.rounds)]
        for turns in sizes.turns:
            progress(f"requests behind {turns} turns")
            found += _request_costs(pair, turns, sizes.rounds)
        return found


def _short_question(pair: Pair, rounds: int) -> RequestCost:
    """Requests with one short message and nothing else, one after the other."""
    pairs: list[Costs] = []
    for number in range(rounds + 1):
        bodies = [
            {"model": "tiny", "max_tokens": 16, "messages": [{"role": "user", "content": f"{number}: {at}?"}]}
            for at in range(QUESTIONS)
        ]
        costs = _mean(pair.native, bodies), _mean(pair.plugin, bodies)
        if number:
            pairs.append(costs)
    return _request_cost(SHORT, pair.plugin.core.prompt_tokens, pairs)


def _request_costs(pair: Pair, turns: int, rounds: int) -> list[RequestCost]:
    """A session's first request and its next turn. Sessions share the system prompt and the tools."""
    costs: dict[str, list[Costs]] = {"first turn": [], "next turn": []}
    for number in range(rounds + 1):
        for name, body in zip(costs, prompts.session(number, turns), strict=True):
            both = _one(pair.native, body), _one(pair.plugin, body)
            if number:
                costs[name].append(both)
    return [_request_cost(name, pair.plugin.core.prompt_tokens, pairs) for name, pairs in costs.items()]


def _request_cost(name: str, tokens: int, pairs: Sequence[Costs]) -> RequestCost:
    median = statistics.median
    return RequestCost(
        name,
        tokens,
        native=median(native.before for native, _ in pairs),
        plugin=median(plugin.before for _, plugin in pairs),
        ratio=median(plugin.before / native.before for native, plugin in pairs),
        whole=median(plugin.whole / native.whole for native, plugin in pairs),
    )


def _mean(server: ApiServer, bodies: Sequence[Json]) -> Cost:
    costs = [_one(server, body) for body in bodies]
    return Cost(*(statistics.fmean(column) for column in zip(*costs, strict=True)))


def _one(server: ApiServer, body: Json) -> Cost:
    """What one request costs whose reply is one token."""
    core = server.core
    core.reply, core.streams, core.settles = (1,), 1, True
    encoded = json.dumps(body).encode()
    begun = server.cpu_seconds()
    load.post(server.port, "/v1/messages", [encoded])
    return Cost((core.cpu_before_first_step - begun) * 1e3, (server.cpu_seconds() - begun) * 1e3)
