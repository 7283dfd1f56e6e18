"""A model that says what a test scripts, through vLLM's real engine, detokenizer and parsers.

    vllm serve MODEL --logits-processors vllm_messages_plugin.testing.scripted:ScriptedModel

It runs inside vLLM's engine process (the V1 model runner) and leaves the chosen token as the only
possible one, so temperature and penalties don't matter. What is said is `script`'s business; requests
without a script are untouched. The environment variable VLLM_MESSAGES_PLAYBOOK names the playbook file,
which is read again when it changes.

A position is the length of the request's list of output tokens, which vLLM shares with us; it is right with
async scheduling too, where the list holds placeholders, and after preemption, when a request comes again.
A delay holds up the whole batch. Structured output (a `required` tool choice) checks the forced tokens
against its grammar: script what the grammar allows.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

from vllm_messages_plugin.testing.script import (
    Rule,
    Script,
    choose,
    follow,
    from_arguments,
    parse_playbook,
    token_at,
    tokenise,
)

PLAYBOOK_VARIABLE = "VLLM_MESSAGES_PLAYBOOK"
TAIL_TOKENS = 32_768  # how much of a prompt's end the rules see
FILLER = " and"  # said after a script without an end
RELUCTANCE = 1e4  # keeps a free model from what a grammar would let it write for ever


@dataclass(frozen=True)
class Part:
    """One request's tokens to say, and the engine's running list of what it has said."""

    tokens: tuple[int, ...]
    after: int | None
    delay: float
    said: Sequence[int]

    def next_token(self) -> int | None:
        return token_at(self.tokens, len(self.said), self.after)


class PlaybookFile:
    """The rules in a file, read again when it changes; without a file there are none."""

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None
        self._seen: tuple[int, ...] = ()
        self._rules: tuple[Rule, ...] = ()

    def rules(self) -> tuple[Rule, ...]:
        if self._path is None or not self._path.exists():
            return ()
        stat = self._path.stat()
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen != self._seen:
            self._rules = parse_playbook(self._path.read_text(encoding="utf-8"))
            self._seen = seen
        return self._rules


def endless_tokens(vocabulary: Mapping[str, int]) -> list[int]:
    """The tokens that a grammar may allow for ever: blanks and digits, in the spelling of byte-level BPE."""
    return [number for text, number in vocabulary.items() if not text.strip("ĠĊĉč0123456789")]


class ScriptedModel(LogitsProcessor):  # type: ignore[misc] # vLLM is not seen by the type checker
    """Forces each scripted request of the batch to its next token."""

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuse a malformed script with a 400, before the engine sees it."""
        from_arguments(sampling_params.extra_args)

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:  # noqa: ARG002
        self._tokenizer = AutoTokenizer.from_pretrained(vllm_config.model_config.tokenizer)
        self._after = {
            "eos": self._tokenizer.eos_token_id,
            "none": self._encode(FILLER)[0],
            "free": None,
        }
        self._endless = endless_tokens(self._tokenizer.get_vocab())
        self._playbook = PlaybookFile(os.environ.get(PLAYBOOK_VARIABLE))
        self._parts: dict[int, Part] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow the requests through the batch."""
        if batch_update is None:
            return
        added = [(row, self._part(*request)) for row, *request in batch_update.added]
        swap = MoveDirectionality.SWAP
        moved = [(source, target, direction == swap) for source, target, direction in batch_update.moved]
        follow(self._parts, batch_update.removed, added, moved)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Leave each row one possible token while its script lasts."""
        if delay := max((part.delay for part in self._parts.values()), default=0):
            time.sleep(delay)
        for row, part in self._parts.items():
            token = part.next_token()
            if token is None:
                logits[row, self._endless] -= RELUCTANCE
            else:
                logits[row] = float("-inf")
                logits[row, token] = 0
        return logits

    def _part(self, params: Any, prompt: list[int] | None, said: list[int]) -> Part | None:
        script = from_arguments(params.extra_args) or self._from_playbook(prompt or [])
        if script is None:
            return None
        tokens = tokenise(script.pieces, self._encode)
        return Part(tokens, self._after[script.end], script.delay_ms / 1000, said)

    def _from_playbook(self, prompt: list[int]) -> Script | None:
        try:
            rules = self._playbook.rules()
        except (OSError, ValueError) as problem:  # raised here, it would end the engine
            return Script((f"[the playbook is broken: {problem}]",))
        return choose(rules, self._tokenizer.decode(prompt[-TAIL_TOKENS:], skip_special_tokens=False))

    def _encode(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return tokens
