"""The calls of a conversation so far: their names and ids in the prompt, and their place in their turn.

On the wire a call has whatever id its reply or its client gave it (`toolu_...`). Some chat templates print
ids, and the model imitates what it reads: Kimi K2 writes a call as `functions.NAME:N`, so an earlier call
under another id teaches it to call a tool of that name. Others refuse ids that are not nine letters or
digits. For those the prompt has ids in the form that the model writes, in the call and in its result alike.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vllm_messages_plugin.formats.template_traits import CallIdStyle

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH: Final = 9


@dataclass(frozen=True, slots=True)
class EarlierCall:
    """A call of an earlier turn: its position in the turn, and its tool's name and its id in the prompt."""

    position: int
    name: str
    prompt_id: str


class EarlierCalls:
    """The calls of a conversation by their ids on the wire. Of calls with the same id the last counts."""

    def __init__(self, style: CallIdStyle = "any") -> None:
        """`style` is the form of the ids in the prompt; "any" keeps those of the wire."""
        self._style = style
        self._calls: dict[str, EarlierCall] = {}
        self._count = 0

    def add_turn(self, calls: Sequence[tuple[str, str]]) -> None:
        """Add the calls of one turn, each as (id on the wire, tool name in the prompt)."""
        for position, (call_id, name) in enumerate(calls):
            kimi_id = f"functions.{name}:{self._count}"
            prompt_id = kimi_id if self._style == "kimi" else self._own_id(call_id)
            self._calls[call_id] = EarlierCall(position, name, prompt_id)
            self._count += 1

    def get(self, call_id: str) -> EarlierCall | None:
        """The call of an id; None for an id that no call had."""
        return self._calls.get(call_id)

    def prompt_id(self, call_id: str) -> str:
        """The id in the prompt of a call or of a result, even of one whose call is not there."""
        call = self._calls.get(call_id)
        return self._own_id(call_id) if call is None else call.prompt_id

    def place(self, call_id: str) -> int:
        """The position of a call in its turn; behind all others for an id that no call had."""
        call = self._calls.get(call_id)
        return len(self._calls) if call is None else call.position

    def _own_id(self, call_id: str) -> str:
        return nine_alphanumeric(call_id) if self._style == "nine_alphanumeric" else call_id


def nine_alphanumeric(call_id: str) -> str:
    """Nine letters and digits made of an id; always the same, so that the prompt's prefix stays stable."""
    if len(call_id) == _LENGTH and call_id.isascii() and call_id.isalnum():
        return call_id
    number = int.from_bytes(hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).digest())
    digits = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)
