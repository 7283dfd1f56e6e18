"""What a scripted model says, and where in it a request stands; pure.

A request brings its script in `vllm_xargs` (see `from_arguments`), or a playbook has a rule for its prompt
(see `Rule`), or the last user turn of the prompt contains `<<SAY:...>>`, in this order. Used by `scripted`
inside vLLM's engine, and by tests to check their playbooks before a server reads them.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

ARGUMENTS = frozenset({"script", "script_pieces", "script_end", "script_delay_ms"})
RULE_KEYS = frozenset({"when", "say", "say_pieces", "end", "delay_ms"})
ENDS = ("eos", "none", "free")
MARKER = re.compile(r"<<SAY:(.*?)>>", re.DOTALL)
USER_TURN = "<|im_start|>user"  # all our chat templates write it

Piece = str | int
Row = TypeVar("Row")


@dataclass(frozen=True)
class Script:
    """Pieces of text, each tokenised on its own, or token ids; then the end, filler without end, or "free":
    the model's own words."""

    pieces: tuple[Piece, ...]
    end: str = "eos"
    delay_ms: float = 0

    def __post_init__(self) -> None:
        if self.end not in ENDS:
            raise ValueError(f"a script ends with one of {ENDS}, not {self.end!r}")
        if isinstance(self.delay_ms, bool) or not isinstance(self.delay_ms, int | float) or self.delay_ms < 0:
            raise ValueError(f"a script's delay is a number of milliseconds, not {self.delay_ms!r}")


@dataclass(frozen=True)
class Rule:
    """Says its script to every prompt in whose decoded tail `when` is found (`.` matches line ends)."""

    when: re.Pattern[str]
    script: Script


def from_arguments(arguments: Mapping[str, Any] | None) -> Script | None:
    """Read the script of a request's `vllm_xargs`, None if it has none; ValueError if it is no script.

    `script` is a text, `script_pieces` a list of texts and token ids that sets the token boundaries,
    `script_end` is "eos", "none" (filler until max_tokens) or "free" (the model goes on by itself, and so
    does a grammar), `script_delay_ms` a pause before each token.
    """
    ours = {key: value for key, value in (arguments or {}).items() if key.startswith("script")}
    if not ours:
        return None
    if unknown := ours.keys() - ARGUMENTS:
        raise ValueError(f"unknown script arguments: {sorted(unknown)}")
    pieces = _pieces(ours, "script", "script_pieces")
    return Script(pieces, ours.get("script_end", "eos"), ours.get("script_delay_ms", 0))


def parse_playbook(text: str) -> tuple[Rule, ...]:
    """Read a playbook, a JSON list of rules; ValueError if it is none.

    A rule has `when` (a regular expression), `say` (a text) or `say_pieces`, and perhaps `end` and
    `delay_ms`, which mean what `script_end` and `script_delay_ms` mean.
    """
    rules = json.loads(text)
    if not isinstance(rules, list):
        raise ValueError("a playbook is a list of rules")
    return tuple(_rule(rule) for rule in rules)


def choose(rules: Iterable[Rule], prompt: str) -> Script | None:
    """Return the script of the first rule that fits the prompt, else what its last user turn asks to say."""
    for rule in rules:
        if rule.when.search(prompt):
            return rule.script
    return marked(prompt)


def marked(prompt: str) -> Script | None:
    """Return the script of the last `<<SAY:...>>` in the prompt's last user turn."""
    _, _, turn = prompt.rpartition(USER_TURN)
    texts = MARKER.findall(turn)
    return Script((texts[-1],)) if texts else None


def tokenise(pieces: Iterable[Piece], encode: Callable[[str], Sequence[int]]) -> tuple[int, ...]:
    """Return the tokens of each piece, tokenised on its own, one after the other."""
    runs = ([piece] if isinstance(piece, int) else encode(piece) for piece in pieces)
    return tuple(chain.from_iterable(runs))


def token_at(tokens: Sequence[int], position: int, after: int | None) -> int | None:
    """Return the token to say at a position, which is `after` once the script is over; None for any."""
    return tokens[position] if position < len(tokens) else after


def follow(
    rows: dict[int, Row],
    removed: Iterable[int],
    added: Iterable[tuple[int, Row | None]],
    moved: Iterable[tuple[int, int, bool]],
) -> None:
    """Change `rows`, what each row of the batch says, as the batch changes: removed, added, then moved.

    An added request replaces the row's last one, also when it has nothing to say (None). A move has
    whether it is a swap; one that is not leaves nothing behind.
    """
    for row in removed:
        rows.pop(row, None)
    for row, state in added:
        _put(rows, row, state)
    for source, target, is_swap in moved:
        leaving, arriving = rows.pop(target, None), rows.pop(source, None)
        _put(rows, target, arriving)
        _put(rows, source, leaving if is_swap else None)


def _put(rows: dict[int, Row], row: int, state: Row | None) -> None:
    if state is None:
        rows.pop(row, None)
    else:
        rows[row] = state


def _rule(rule: Any) -> Rule:
    if not isinstance(rule, dict) or not isinstance(rule.get("when"), str):
        raise ValueError(f"a rule is an object with `when`, not {rule!r}")
    if unknown := rule.keys() - RULE_KEYS:
        raise ValueError(f"unknown keys in a rule: {sorted(unknown)}")
    try:
        when = re.compile(rule["when"], re.DOTALL)
    except re.error as problem:
        raise ValueError(f"`when` is no regular expression: {rule['when']!r}: {problem}") from problem
    script = Script(_pieces(rule, "say", "say_pieces"), rule.get("end", "eos"), rule.get("delay_ms", 0))
    return Rule(when, script)


def _pieces(source: Mapping[str, Any], text_key: str, pieces_key: str) -> tuple[Piece, ...]:
    if (text_key in source) == (pieces_key in source):
        raise ValueError(f"give one of `{text_key}` and `{pieces_key}`")
    pieces = source[pieces_key] if pieces_key in source else [source[text_key]]
    allowed: tuple[type, ...] = (str, int) if pieces_key in source else (str,)
    if not isinstance(pieces, list) or not all(type(piece) in allowed for piece in pieces):
        raise ValueError(f"`{text_key}` is a text, `{pieces_key}` a list of texts and token ids")
    return tuple(pieces)
