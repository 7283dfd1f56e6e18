"""`python -m attack`: attacks a server with the plugin, then one with vLLM's own routes; prints a table.

A request that is served keeps its neighbour waiting for the engine, whose time differs from run to run:
several rounds, each with fresh servers and in the other order, tell that from what the server adds.
"""

import argparse
import os
import signal
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from attack.attacks import ATTACKS, MB, Attack
from attack.long_strings import PLACES, SIZES, TEXTS, long_string
from attack.run import Result, measure, send_all, take_stall
from support.server import Server, start_server
from vllm_messages_plugin.testing import tiny

FLAGS = ("--dtype", "float32", "--middleware", "attack.probe.Probe")
NOTHING = Attack("no attack: a body without a model", lambda: b"{}")
HEADINGS = (
    "attack",
    "reply",
    "stall, ms",
    "neighbour, ms",
    "memory, MiB",
    "vLLM's reply",
    "vLLM's stall, ms",
    "vLLM's neighbour, ms",
)
VLLM_TOOLS = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes")
"""Without these flags vLLM's own route refuses all tools."""
NO_THINKING = ("--default-chat-template-kwargs", '{"enable_thinking": false}')
"""The plugin closes the thinking where a request asks for none; with this flag vLLM has the same prompts."""
NO_PLUGIN = "none"
"""No plugin has this name, so vLLM loads none and serves its own routes."""
SLOW_REQUEST_SECONDS = 5  # so that the attacks by slow clients need not take long
STALL = 45.0  # milliseconds after which a long string is tried once more
BEGIN, END = "<!-- attacks:begin -->", "<!-- attacks:end -->"


@contextmanager
def serving(enabled: bool) -> Iterator[Server]:
    """Start a server, with the plugin or with vLLM's own routes; its engine has a process of its own."""
    paths = (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    environment = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
        **({} if enabled else {"VLLM_PLUGINS": NO_PLUGIN}),
        "VLLM_MESSAGES_SLOW_REQUEST_SECONDS": str(SLOW_REQUEST_SECONDS),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    flags = FLAGS if enabled else (*FLAGS, *VLLM_TOOLS, *NO_THINKING)
    with start_server(tiny.model_directory(), *flags, env=environment) as server:
        yield server


def attacked(server: Server, attacks: Sequence[Attack]) -> dict[str, Result]:
    """Run attacks one after the other, each reported as soon as it is over."""
    results = {}
    for attack in attacks:
        results[attack.name] = result = measure(attack, server)
        print(_line(attack, result), file=sys.stderr, flush=True)
    return results


def on_vllm(attack: Attack) -> Attack:
    """The attack as vLLM's own route gets it."""
    return attack if attack.native_body is None else replace(attack, body=attack.native_body)


def _line(attack: Attack, result: Result) -> str:
    head = result.replies[0].head.decode(errors="replace")[:160]
    return (
        f"{attack.name}: {_statuses(result)} after {result.seconds:.1f} s, stall {result.stall:.0f} ms, "
        f"health {result.health:.0f} ms, neighbour {result.neighbour:.0f} ms ({result.failed} failed), "
        f"memory {result.memory:.0f} MiB, tokens {result.tokens}, "
        f"refused within {result.refused_within or 0:.0f} ms\n    {head}"
    )


def _statuses(result: Result) -> str:
    found = sorted(result.statuses.items())
    return ", ".join(str(status) if count == 1 else f"{count} times {status}" for status, count in found)


def of_rounds(rounds: Sequence[Mapping[str, Result]]) -> dict[str, Result]:
    """For each attack the worst stall and memory of the rounds, and the median of the neighbour."""
    return {name: _of_rounds([results[name] for results in rounds]) for name in rounds[0]}


def _of_rounds(results: Sequence[Result]) -> Result:
    """The numbers of some rounds of one attack, and the replies of the first."""
    return replace(
        results[0],
        stall=max(result.stall for result in results),
        neighbour=statistics.median(result.neighbour for result in results),
        failed=max(result.failed for result in results),
        memory=max(result.memory for result in results),
    )


def rows(plugin: Mapping[str, Result], native: Mapping[str, Result]) -> Iterator[Sequence[str]]:
    """The rows of the table."""
    for name, result in plugin.items():
        row = [name, _statuses(result), *_numbers(result), f"{result.memory:.0f}"]
        vllm = native.get(name)
        yield [*row, *([_statuses(vllm), *_numbers(vllm)] if vllm else ["-"] * 3)]


def _numbers(result: Result) -> list[str]:
    failed = f" ({result.failed} failed)" if result.failed else ""
    return [f"{result.stall:.0f}", f"{result.neighbour:.0f}{failed}"]


def markdown(plugin: Mapping[str, Result], native: Mapping[str, Result]) -> str:
    """The table as Markdown."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *rows(plugin, native)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def prompts(plugin: Mapping[str, Result], native: Mapping[str, Result]) -> dict[str, tuple[int, int]]:
    """The lengths of the prompts that both servers served: here and on vLLM's own route."""
    lengths = {name: (plugin[name].tokens, vllm.tokens) for name, vllm in native.items()}
    return {name: (here, there) for name, (here, there) in lengths.items() if here and there}


def write_table(page: Path, table: str, names: Sequence[str]) -> None:
    """Put a table between the marks of a page, where the rows of attacks that did not run stay.

    Args:
        page: The page.
        table: The table as Markdown.
        names: All attacks, in the order of the rows. Rows of others are removed.
    """
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    lines = _by_attack(old) | _by_attack(table)
    kept = [lines[name] for name in (HEADINGS[0], "---", *names) if name in lines]
    page.write_text("\n".join((before + BEGIN, *kept, END + after)), encoding="utf-8")


def _by_attack(table: str) -> dict[str, str]:
    """The lines of a Markdown table by their first cells."""
    return {line.split("|")[1].strip(): line for line in table.splitlines() if "|" in line}


def try_long_strings() -> int:
    """Put long strings into every place of a request; print the longest stall of each place, in milliseconds.

    A string that stalls for long is sent once more, and the shorter of both stalls counts.

    Returns:
        1 if a reply has a status that it must not get.
    """
    wrong = []
    with serving(enabled=True) as server:
        for place in PLACES:
            stalls = {}
            for size in SIZES:
                for unit in TEXTS:
                    attack = long_string(place, unit, size)
                    stall, status = _stall(server, attack)
                    stalls[unit, size] = stall if stall < STALL else min(stall, _stall(server, attack)[0])
                    if status not in attack.statuses:
                        wrong.append(f"{attack.name}: {status}")
            unit, size = max(stalls, key=lambda key: stalls[key])
            print(f"{place:32} {stalls[unit, size]:6.0f} ms, {size // MB} MB of {unit!r}", flush=True)
    print("\n".join(f"WRONG STATUS: {name}" for name in wrong))
    return 1 if wrong else 0


def _stall(server: Server, attack: Attack) -> tuple[float, int]:
    """The longest stall while a request is answered, and the status of the answer."""
    take_stall(server)
    (reply,) = send_all(server, attack)
    return take_stall(server)["stall"], reply.status


def main(given: Sequence[str]) -> int:
    """Run the attacks; 1 if a reply has a status that its attack must not get, or the prompts differ."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the servers as well
    parser = argparse.ArgumentParser("attack", description="Hostile requests, and what other clients notice.")
    parser.add_argument(
        "--only", nargs="+", default=[""], help="attacks whose names contain one of these texts"
    )
    parser.add_argument("--no-native", action="store_true", help="leave vLLM's own routes out")
    parser.add_argument("--rounds", type=int, default=1, help="how often, each time on fresh servers")
    parser.add_argument("--markdown", type=Path, help="write the table into this page")
    parser.add_argument(
        "--long-strings", action="store_true", help="put long strings into every place of a request instead"
    )
    options = parser.parse_args(given)
    if options.long_strings:
        return try_long_strings()
    attacks = [attack for attack in (NOTHING, *ATTACKS) if any(part in attack.name for part in options.only)]
    on_plugin: list[dict[str, Result]] = []
    on_native: list[dict[str, Result]] = []
    for number in range(options.rounds):
        for enabled in (True, False) if number % 2 == 0 else (False, True):
            if enabled:
                with serving(enabled) as server:
                    on_plugin.append(attacked(server, attacks))
            elif not options.no_native:
                with serving(enabled) as server:
                    on_native.append(
                        attacked(server, [on_vllm(attack) for attack in attacks if attack.native])
                    )
    plugin, native = of_rounds(on_plugin), of_rounds(on_native) if on_native else {}
    table = markdown(plugin, native)
    print(table)
    if options.markdown is not None:
        write_table(options.markdown, table, [attack.name for attack in (NOTHING, *ATTACKS)])
    served = prompts(plugin, native)
    print(
        "\n".join(
            f"{name}: a prompt of {here} tokens, {there} there" for name, (here, there) in served.items()
        )
    )
    unequal = [name for name, (here, there) in served.items() if here != there]
    wrong = [
        attack.name
        for attack in attacks
        if any(set(results[attack.name].statuses) - attack.statuses for results in on_plugin)
    ]
    print("\n".join(f"WRONG STATUS: {name}" for name in wrong))
    print("\n".join(f"NOT THE SAME PROMPT: {name}" for name in unequal))
    return 1 if wrong or unequal else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
