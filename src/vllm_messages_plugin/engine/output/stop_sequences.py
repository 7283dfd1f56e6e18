"""Finds the client's stop sequences in the text of a reply, and nowhere else.

vLLM's engine stops at a `stop` string wherever the model writes it, so also inside thinking and inside the
arguments of a call, where a stop sequence has no meaning to the client. Therefore the engine is not given
the client's sequences: they are looked for in the text that the output parser returns.

How it works: an Aho-Corasick automaton reads the text once, character by character. Its state is the longest
end of the text that is the beginning of a sequence. That many characters are buffered, because they may
become part of one; all others are returned at once. The first sequence to be complete stops the reply, and
the longest of those that end at the same character. So the result does not depend on how the text is split.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from vllm_messages_plugin.stream.deltas import EngineDelta, EngineText


class StopSequences:
    """An automaton for the stop sequences of one request. Building it takes time linear in their length."""

    def __init__(self, sequences: Iterable[str]) -> None:
        self.next: list[dict[str, int]] = [{}]  # state -> character -> state, along the sequences
        self.fallback: list[int] = [0]  # state -> the state of its longest proper end
        self.depth: list[int] = [0]  # state -> how many characters it stands for
        self.found: list[str | None] = [None]  # state -> the longest sequence that ends here
        for sequence in sequences:
            self._add(sequence)
        self._link()

    def _add(self, sequence: str) -> None:
        state = 0
        for character in sequence:
            following = self.next[state].get(character)
            if following is None:
                following = len(self.next)
                self.next[state][character] = following
                self.next.append({})
                self.fallback.append(0)
                self.depth.append(self.depth[state] + 1)
                self.found.append(None)
            state = following
        if sequence:
            self.found[state] = sequence

    def _link(self) -> None:
        """Set the fallback states, in the order of their depth."""
        waiting = deque(self.next[0].values())
        while waiting:
            state = waiting.popleft()
            for character, following in self.next[state].items():
                self.fallback[following] = self.step(self.fallback[state], character)
                if self.found[following] is None:
                    self.found[following] = self.found[self.fallback[following]]
                waiting.append(following)

    def step(self, state: int, character: str) -> int:
        """Return the state after one more character."""
        while state and character not in self.next[state]:
            state = self.fallback[state]
        return self.next[state].get(character, 0)


class StopMatcher:
    """Matches the stop sequences of one reply; feed it every delta in order.

    Attributes:
        matched: the stop sequence that ended the reply; None so far.
    """

    def __init__(self, sequences: StopSequences) -> None:
        self._sequences = sequences
        self._state = 0
        self._buffer = ""
        self.matched: str | None = None

    def feed(self, deltas: Sequence[EngineDelta]) -> list[EngineDelta]:
        """Return the deltas up to a stop sequence, without text that may be the beginning of one."""
        passed: list[EngineDelta] = []
        for delta in deltas:
            if isinstance(delta, EngineText):
                passed += _text(self._feed_text(delta.text))
            else:
                passed += self.finish()
                passed.append(delta)
            if self.matched is not None:
                break
        return passed

    def finish(self) -> list[EngineDelta]:
        """Return the buffered text: no sequence reaches over the end of a text block."""
        held, self._buffer, self._state = self._buffer, "", 0
        return _text(held)

    def _feed_text(self, text: str) -> str:
        sequences, state = self._sequences, self._state
        buffered = self._buffer + text
        for place, character in enumerate(text, len(self._buffer) + 1):
            state = sequences.step(state, character)
            found = sequences.found[state]
            if found is not None:
                self.matched, self._buffer, self._state = found, "", 0
                return buffered[: place - len(found)]
        self._state = state
        split = len(buffered) - sequences.depth[state]
        self._buffer = buffered[split:]
        return buffered[:split]


def _text(text: str) -> list[EngineDelta]:
    return [EngineText(text)] if text else []
