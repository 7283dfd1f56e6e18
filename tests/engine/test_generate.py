"""From the engine's outputs to deltas: budgets, loops, stop sequences and ends, with the real scanner."""

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from engine.parsing import READ
from formats.samples import TOOLS, write_calls
from formats.whole_scan import split
from vllm_messages_plugin.engine.generate import EngineDeltas
from vllm_messages_plugin.engine.output.parsers import ScannerOutputParser
from vllm_messages_plugin.engine.output.thinking_budget import ThinkingBudget
from vllm_messages_plugin.engine.output_reader import EngineRun
from vllm_messages_plugin.engine.render import Prompt
from vllm_messages_plugin.engine.vllm.request_outputs import GeneratedOutputs
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import Scanner, ThinkingTags
from vllm_messages_plugin.stream.deltas import (
    EngineDelta,
    EngineText,
    EngineThinking,
    EngineToolCall,
    ReplyFailed,
    ReplyFinished,
)
from vllm_messages_plugin.translate.sampling import Sampling
from vllm_messages_plugin.wire.errors import MessagesError

CALL = write_calls("hermes_json", [READ])
PROMPT = Prompt({"prompt_token_ids": [1, 2]}, 2, [1, 2], "hi", {}, reads_thinking=True)


class Letters:
    """A tokenizer of one letter a token."""

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [ord(letter) for letter in text]

    def decode(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        return "".join(map(chr, ids))


class Engine:
    """An engine that writes given texts, one for each time a request is started."""

    def __init__(self, *texts: str, size: int = 1, finish: str | None = "stop") -> None:
        self.texts = list(texts)
        self.size = size
        self.finish = finish
        self.aborted = 0
        self.resumed_after: list[str] = []

    async def outputs(self) -> AsyncGenerator[Any, None]:
        parts = split(self.texts.pop(0), self.size)
        ended = False
        try:
            for number, part in enumerate(parts):
                reason = self.finish if number == len(parts) - 1 else None
                completion = SimpleNamespace(
                    text=part,
                    token_ids=[ord(letter) for letter in part],
                    finish_reason=reason,
                    stop_reason=None,
                )
                ended = reason is not None
                yield SimpleNamespace(outputs=[completion], num_cached_tokens=0)
        finally:
            self.aborted += not ended

    def resume(self, ids: Sequence[int]) -> GeneratedOutputs:
        self.resumed_after.append("".join(map(chr, ids)))
        return GeneratedOutputs(self.outputs())


def run_of(
    engine: Engine,
    *,
    max_tokens: int = 1000,
    stop: tuple[str, ...] = (),
    budget: int | None = None,
    repeats: int = 0,
    single_call: bool = False,
    call_demanded: bool = False,
    **fields: Any,
) -> EngineRun:
    tags = ThinkingTags("<think>", "</think>")
    parser = ScannerOutputParser(Scanner(FORMATS["hermes_json"], tools=TOOLS, thinking=tags), True, None)
    limits = ThinkingBudget(budget, repeats, "</think>", [1, 2], Letters(), True, engine.resume)
    return EngineRun(
        outputs=GeneratedOutputs(engine.outputs()),
        parser=parser,
        prompt=PROMPT,
        single_call=single_call,
        call_demanded=call_demanded,
        sampling=Sampling(max_tokens, fields.pop("asked", max_tokens), None, None, None, stop, fields),
        decode=lambda ids: "".join(map(chr, ids)),
        budget=limits if budget or repeats else None,
    )


async def iterated(deltas: EngineDeltas) -> list[EngineDelta]:
    return [delta async for delta in deltas]


async def delivered(deltas: EngineDeltas) -> list[EngineDelta]:
    found: list[EngineDelta] = []

    def take(several: Sequence[EngineDelta]) -> bool:
        found.extend(several)
        return True

    await deltas.deliver(take)
    return found


WAYS: dict[str, Callable[[EngineDeltas], Coroutine[Any, Any, list[EngineDelta]]]] = {"way": iterated}
"""How `play` reads the deltas."""


@pytest.fixture(autouse=True, params=[iterated, delivered])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs on both ways to read deltas."""
    monkeypatch.setitem(WAYS, "way", request.param)


def play(run: EngineRun) -> list[EngineDelta]:
    return asyncio.run(WAYS["way"](EngineDeltas(run)))


def text_of(found: Sequence[EngineDelta], kind: type[EngineText] | type[EngineThinking] = EngineText) -> str:
    return "".join(delta.text for delta in found if isinstance(delta, kind))


def end_of(found: Sequence[EngineDelta]) -> ReplyFinished:
    (end,) = (delta for delta in found if isinstance(delta, ReplyFinished))
    assert found[-1] is end
    return end


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_stop_sequence_ends_the_reply_in_its_text_and_aborts_the_engine(size: int) -> None:
    engine = Engine("<think>\nThe END is near.\n</think>\n\nIt is END of it.", size=size)
    found = play(run_of(engine, stop=("END",)))
    assert text_of(found, EngineThinking) == "The END is near."
    assert text_of(found) == "It is "
    assert (end_of(found).reason, end_of(found).stop_sequence) == ("stop_sequence", "END")
    assert size == 1000 or engine.aborted == 1


@pytest.mark.parametrize("size", [1, 5])
def test_a_stop_sequence_in_arguments_does_not_end_the_reply(size: int) -> None:
    text = write_calls("hermes_json", [("Read", {"file_path": "/END"})])
    found = play(run_of(Engine(text, size=size), stop=("END",)))
    arguments = "".join(delta.arguments for delta in found if isinstance(delta, EngineToolCall))
    assert "/END" in arguments
    assert end_of(found).reason == "stop"


def test_the_beginning_of_a_stop_sequence_at_the_end_is_text() -> None:
    found = play(run_of(Engine("It is EN"), stop=("END",)))
    assert (text_of(found), end_of(found).reason) == ("It is EN", "stop")


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_no_token_behind_a_stop_sequence_is_counted(size: int) -> None:
    found = play(run_of(Engine("It is END of it", size=size), stop=("END",)))
    assert (text_of(found), end_of(found).output_tokens) == ("It is ", len("It is END"))


@pytest.mark.parametrize("size", [2, 5, 1000])
def test_min_tokens_holds_however_the_engine_joins_its_outputs(size: int) -> None:
    found = play(run_of(Engine("a END b END c", size=size), stop=("END",), min_tokens=6))
    assert text_of(found) == "a END b "


def test_a_stop_sequence_counts_after_min_tokens() -> None:
    found = play(run_of(Engine("a END b END c"), stop=("END",), min_tokens=6))
    assert text_of(found) == "a END b "


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("Yes.", "stop", "stop"),
        ("Yes.", "length", "length"),
        ("Yes.", "content_filter", "refusal"),
        (CALL, "stop", "stop"),
        (CALL[: CALL.index("limit")], "stop", "incomplete_call"),
        (CALL[: CALL.index("limit")], "length", "length"),
    ],
)
def test_why_a_reply_ended(text: str, finish: str, reason: str) -> None:
    found = play(run_of(Engine(text, finish=finish)))
    assert (end_of(found).reason, end_of(found).output_tokens) == (reason, len(text))


def test_a_max_tokens_that_was_lowered_to_the_window_ends_at_the_window() -> None:
    found = play(run_of(Engine("Yes.", finish="length"), max_tokens=4, asked=4000))
    assert end_of(found).reason == "window"


def test_max_tokens_0_reads_only_the_prompt() -> None:
    engine = Engine("Yes.")
    found = play(run_of(engine, asked=0))
    assert (len(found), end_of(found).output_tokens) == (2, 0)
    assert engine.aborted == 1


def test_thinking_over_its_budget_is_closed_and_the_reply_goes_on_after_it() -> None:
    engine = Engine("<think>\nI think and think and think", "Done.")
    found = play(run_of(engine, budget=16))
    assert text_of(found) == "Done."
    assert engine.resumed_after[0].endswith("\n</think>\n\n")
    assert engine.resumed_after[0].startswith(f"<think>\n{text_of(found, EngineThinking)[:10]}")
    assert engine.aborted == 1


def test_thinking_that_repeats_itself_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine("<think>\n" + "Wait, no. " * 100, "Done.")
    found = play(run_of(engine, repeats=12))
    assert text_of(found) == "Done."
    assert 10 <= text_of(found, EngineThinking).count("Wait") <= 15
    assert end_of(found).reason == "stop"
    assert "repeated itself" in caplog.text


@pytest.mark.parametrize(
    "text", ["ha " * 200, write_calls("hermes_json", [("Write", {"content": "0, " * 200})])]
)
def test_text_and_arguments_may_repeat_themselves(text: str) -> None:
    engine = Engine(text)
    found = play(run_of(engine, repeats=12))
    assert engine.resumed_after == []
    written = text_of(found) + "".join(d.arguments for d in found if isinstance(d, EngineToolCall))
    assert written.count("ha ") + written.count("0, ") >= 199


def test_with_the_limit_switched_off_thinking_may_repeat_itself() -> None:
    found = play(run_of(Engine("<think>\n" + "Wait, no. " * 100)))
    assert text_of(found, EngineThinking).count("Wait") == 100


def test_an_error_before_the_first_output_is_a_refusal_and_later_the_end_of_the_reply() -> None:
    async def failing(after: int) -> AsyncGenerator[Any, None]:
        engine = Engine("Yes.")
        if after == 0:
            raise ValueError("top_k is wrong")
        async for output in engine.outputs():
            yield output
            raise ValueError("too late")

    run = run_of(Engine(""))
    object.__setattr__(run, "outputs", GeneratedOutputs(failing(0)))
    with pytest.raises(MessagesError, match="top_k is wrong"):
        play(run)
    run = run_of(Engine(""))
    object.__setattr__(run, "outputs", GeneratedOutputs(failing(1)))
    assert isinstance(play(run)[-1], ReplyFailed)


def test_closing_the_deltas_aborts_the_request() -> None:
    engine = Engine("A long reply.")

    async def leave() -> None:
        stream = EngineDeltas(run_of(engine))
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(leave())
    assert engine.aborted == 1


def test_what_was_generated_is_counted_when_the_deltas_are_closed() -> None:
    counted: list[int] = []

    async def leave(read: int) -> None:
        stream = EngineDeltas(replace(run_of(Engine("<think>ab</think>c")), on_tokens=counted.append))
        for _ in range(read):
            await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(leave(2))
    assert counted == [len("<think>a")]
    asyncio.run(leave(0))
    assert counted[1:] == [0]


def test_tokens_on_both_sides_of_closed_thinking_are_counted_once() -> None:
    counted: list[int] = []
    found = play(replace(run_of(Engine("<think>abcdefgh", "text"), budget=4), on_tokens=counted.append))
    assert sum(counted) == end_of(found).output_tokens


def test_what_was_delivered_is_freed_without_the_collector_of_cycles() -> None:
    class Reply:
        def __init__(self, source: EngineDeltas) -> None:
            self.source = source

        def take(self, _several: Sequence[EngineDelta]) -> bool:
            return True

    async def deliver() -> "weakref.ref[EngineDeltas]":
        reply = Reply(EngineDeltas(run_of(Engine("Yes."))))
        await reply.source.deliver(reply.take)
        return weakref.ref(reply.source)

    gc.disable()
    try:
        assert asyncio.run(deliver())() is None
    finally:
        gc.enable()


CALL_AND_NOISE = f"{write_calls('hermes_json', [('read_file', {'path': 'a'})])}\nNoise. "


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_reply_that_must_have_one_call_ends_behind_it(size: int) -> None:
    engine = Engine(CALL_AND_NOISE * 2, size=size)
    found = play(run_of(engine, single_call=True, call_demanded=True))
    assert {delta.call for delta in found if isinstance(delta, EngineToolCall)} == {0}
    assert text_of(found).strip() == ""
    assert end_of(found).reason == "stop"
    assert engine.aborted == (size < 1000)


@pytest.mark.parametrize(
    ("choice", "calls"), [({"single_call": True}, {0}), ({"call_demanded": True}, {0, 1})]
)
def test_other_replies_keep_the_text_behind_a_call(choice: dict[str, bool], calls: set[int]) -> None:
    found = play(run_of(Engine(CALL_AND_NOISE * 2), **choice))
    assert {delta.call for delta in found if isinstance(delta, EngineToolCall)} == calls
    assert text_of(found).count("Noise") == len(calls)
