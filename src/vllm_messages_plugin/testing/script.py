"""Scripts: the text that a scripted model replies with; pure.

A request finds its script in the first of these places that has one:

1. its own `vllm_xargs` (see `from_arguments`);
2. the playbook, a file of rules that match the end of the prompt (see `parse_playbook`);
3. the last `<<SAY:...>>` in the prompt's last user turn, whose text it is.

`scripted` follows scripts inside vLLM's engine. This module also tracks which row of the engine's batch
belongs to which request (`apply_batch_update`).
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
USER_TURN = "<|im_start|>user"  # how the chat templates of `tiny` open a user turn

Piece = str | int
Row = TypeVar("Row")


@dataclass(frozen=True)
class Script:
    """The tokens to generate.

    Attributes:
        pieces: Texts, each tokenised on its own, and token ids.
        end: What follows the pieces: "eos" ends the reply, "none" repeats a filler word until max_tokens,
            "free" lets the model continue by itself.
        delay_ms: Milliseconds to wait before each token.
    """

    pieces: tuple[Piece, ...]
    end: str = "eos"
    delay_ms: float = 0

    def __post_init__(self) -> None:
        if self.end not in ENDS:
            raise ValueError(f"the end of a script must be one of {ENDS}, not {self.end!r}")
        if isinstance(self.delay_ms, bool) or not isinstance(self.delay_ms, int | float) or self.delay_ms < 0:
            raise ValueError(
                f"the delay of a script must be a number of milliseconds, at least 0, not {self.delay_ms!r}"
            )


@dataclass(frozen=True)
class Rule:
    """A script for every prompt whose end matches `when`; in it, `.` matches line breaks too."""

    when: re.Pattern[str]
    script: Script


def from_arguments(arguments: Mapping[str, Any] | None) -> Script | None:
    """Return the script in a request's `vllm_xargs`, or None if it has none.

    Args:
        arguments: `script` is a text; `script_pieces`, in its place, is a list of texts and token ids, which
            sets the token boundaries. `script_end` and `script_delay_ms` are `Script.end` and
            `Script.delay_ms`. Arguments whose names don't begin with `script` are ignored.

    Raises:
        ValueError: The script arguments are malformed.
    """
    given = {key: value for key, value in (arguments or {}).items() if key.startswith("script")}
    if not given:
        return None
    if unknown := given.keys() - ARGUMENTS:
        raise ValueError(f"unknown script arguments: {sorted(unknown)}")
    pieces = _pieces(given, "script", "script_pieces")
    return Script(pieces, given.get("script_end", "eos"), given.get("script_delay_ms", 0))


def parse_playbook(text: str) -> tuple[Rule, ...]:
    """Parse a playbook: a JSON list of rules.

    A rule has `when` (a regular expression), `say` (a text) or `say_pieces` (a list of texts and token ids),
    and optionally `end` and `delay_ms` (see `Script`).

    Raises:
        ValueError: The text is not JSON, or a rule is malformed.
    """
    rules = json.loads(text)
    if not isinstance(rules, list):
        raise ValueError("a playbook must be a list of rules")
    return tuple(_rule(rule) for rule in rules)


def script_for(rules: Iterable[Rule], prompt: str) -> Script | None:
    """Return the script of the first rule that matches the prompt, else the one in the prompt."""
    for rule in rules:
        if rule.when.search(prompt):
            return rule.script
    return from_prompt(prompt)


def from_prompt(prompt: str) -> Script | None:
    """Return the script of the last `<<SAY:...>>` in the prompt's last user turn."""
    _, _, turn = prompt.rpartition(USER_TURN)
    texts = MARKER.findall(turn)
    return Script((texts[-1],)) if texts else None


def tokenise(pieces: Iterable[Piece], encode: Callable[[str], Sequence[int]]) -> tuple[int, ...]:
    """Return the tokens of all pieces, each piece tokenised on its own."""
    runs = ([piece] if isinstance(piece, int) else encode(piece) for piece in pieces)
    return tuple(chain.from_iterable(runs))


def token_at(tokens: Sequence[int], position: int, after: int | None) -> int | None:
    """Return the token to generate at a position: `after` once the script is over; None allows any token."""
    return tokens[position] if position < len(tokens) else after


def apply_batch_update(
    rows: dict[int, Row],
    removed: Iterable[int],
    added: Iterable[tuple[int, Row | None]],
    moved: Iterable[tuple[int, int, bool]],
) -> None:
    """Change the state of each batch row as vLLM changes its batch: removed, added, then moved.

    Args:
        rows: The state of each row that has a script, by row number; changed in place.
        removed: Rows whose requests are finished.
        added: Rows with a new request, which replaces the row's old one, and its state (None: no script).
        moved: Source row, target row, and whether the two swap; otherwise the source row is left empty.
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
        raise ValueError(f"a rule must be an object with a text `when`, not {rule!r}")
    if unknown := rule.keys() - RULE_KEYS:
        raise ValueError(f"unknown keys in a rule: {sorted(unknown)}")
    try:
        when = re.compile(rule["when"], re.DOTALL)
    except re.error as problem:
        raise ValueError(f"`when` is not a regular expression: {rule['when']!r}: {problem}") from problem
    script = Script(_pieces(rule, "say", "say_pieces"), rule.get("end", "eos"), rule.get("delay_ms", 0))
    return Rule(when, script)


def _pieces(source: Mapping[str, Any], text_key: str, pieces_key: str) -> tuple[Piece, ...]:
    if (text_key in source) == (pieces_key in source):
        raise ValueError(f"give exactly one of `{text_key}` and `{pieces_key}`")
    pieces = source[pieces_key] if pieces_key in source else [source[text_key]]
    allowed: tuple[type, ...] = (str, int) if pieces_key in source else (str,)
    if not isinstance(pieces, list) or not all(type(piece) in allowed for piece in pieces):
        raise ValueError(f"`{text_key}` must be a text, `{pieces_key}` a list of texts and token ids")
    return tuple(pieces)
