"""A vLLM logits processor that makes any model reply with a given text.

    vllm serve MODEL --logits-processors vllm_messages_plugin.testing.scripted:ScriptedModel

The scheduler, the detokenizer and the output parsers are vLLM's own; only the choice of each token is forced,
so temperature and penalties have no effect. `script` describes where a request's text comes from. The
environment variable VLLM_MESSAGES_PLAYBOOK names the playbook, a file that is read again whenever it changes.
Requests without a script are not touched.

How it works: vLLM shares with a logits processor the list of each request's output tokens. Its length is the
position in the script, which stays right with async scheduling, where the list contains placeholders, and
after preemption, where a request returns with the tokens it had. A delay holds up the whole batch. Structured
output checks the forced tokens against its grammar, so a script must write what the grammar allows.
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
    apply_batch_update,
    from_arguments,
    parse_playbook,
    script_for,
    token_at,
    tokenise,
)

PLAYBOOK_VARIABLE = "VLLM_MESSAGES_PLAYBOOK"
TAIL_TOKENS = 32_768  # the rules match the last tokens of a prompt
FILLER = " and"  # repeated after a script that ends with "none"
PENALTY = 1e4  # keeps a free model from tokens that a grammar would let it repeat for ever


@dataclass(frozen=True)
class ScriptedRequest:
    """A request in the batch: its script's tokens, and vLLM's live list of its output tokens."""

    tokens: tuple[int, ...]
    after: int | None
    delay: float  # seconds before each token
    output: Sequence[int]

    def next_token(self) -> int | None:
        """Return the token to force, or None to leave the choice to the model."""
        return token_at(self.tokens, len(self.output), self.after)


class PlaybookFile:
    """The rules in a file, which is read again when it changes; a missing file has none."""

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None
        self._seen: tuple[int, ...] = ()
        self._rules: tuple[Rule, ...] = ()

    def rules(self) -> tuple[Rule, ...]:
        """Return the file's current rules.

        Raises:
            ValueError: The file is not a playbook.
        """
        if self._path is None or not self._path.exists():
            return ()
        stat = self._path.stat()
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen != self._seen:
            self._rules = parse_playbook(self._path.read_text(encoding="utf-8"))
            self._seen = seen
        return self._rules


def repeatable_tokens(vocabulary: Mapping[str, int]) -> list[int]:
    """Return the tokens that a JSON grammar may allow without end: whitespace and digits.

    `Ġ`, `Ċ`, `č` and `ĉ` are space, line feed, carriage return and tab in byte-level BPE.
    """
    return [number for text, number in vocabulary.items() if not text.strip("ĠĊĉč0123456789")]


class ScriptedModel(LogitsProcessor):  # type: ignore[misc] # the type checker skips vLLM
    """Forces the next token of each request that has a script."""

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
        self._repeatable = repeatable_tokens(self._tokenizer.get_vocab())
        self._playbook = PlaybookFile(os.environ.get(PLAYBOOK_VARIABLE))
        self._requests: dict[int, ScriptedRequest] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Track which row of the batch belongs to which request."""
        if batch_update is None:
            return
        added = [(row, self._scripted(*request)) for row, *request in batch_update.added]
        swap = MoveDirectionality.SWAP
        moved = [(source, target, direction == swap) for source, target, direction in batch_update.moved]
        apply_batch_update(self._requests, batch_update.removed, added, moved)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Leave one possible token in each row that has a script, until the script is over."""
        if delay := max((request.delay for request in self._requests.values()), default=0):
            time.sleep(delay)
        for row, request in self._requests.items():
            token = request.next_token()
            if token is None:
                logits[row, self._repeatable] -= PENALTY
            else:
                logits[row] = float("-inf")
                logits[row, token] = 0
        return logits

    def _scripted(self, params: Any, prompt: list[int] | None, output: list[int]) -> ScriptedRequest | None:
        script = from_arguments(params.extra_args) or self._from_playbook(prompt or [])
        if script is None:
            return None
        tokens = tokenise(script.pieces, self._encode)
        return ScriptedRequest(tokens, self._after[script.end], script.delay_ms / 1000, output)

    def _from_playbook(self, prompt: list[int]) -> Script | None:
        try:
            rules = self._playbook.rules()
        except (OSError, ValueError) as problem:  # an exception here would end the engine
            return Script((f"[the playbook is broken: {problem}]",))
        return script_for(rules, self._tokenizer.decode(prompt[-TAIL_TOKENS:], skip_special_tokens=False))

    def _encode(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return tokens
