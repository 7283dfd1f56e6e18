"""A thinking budget needs no flag: thinking that exceeds it is closed, and the reply text follows."""

import json
import random
from typing import Any

import httpx
import pytest
from wire_checks import check, comparable, parse, stream

from support.server import Server

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
# In no order that repeats itself, as thinking that does is closed.
WORDS = [f" {word}" for word in (*NUMBERS, *random.Random(7).choices(NUMBERS, k=312))]
PONDER = "<think>\n" + "".join(WORDS).lstrip()
CUT = r"Ponder[^<]*<\|im_end\|>\n<\|im_start\|>assistant\n<think>\n[^<]+\n</think>\n\n$"
OVERSHOOT = 40  # tokens that the engine may be ahead by on a busy machine
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}},
    "required": ["answer"],
    "additionalProperties": False,
}
TOOL = {"name": "tell", "input_schema": SCHEMA}
CALL = '<tool_call>\n{"name": "tell", "arguments": {"answer": 42}}\n</tool_call>'


def play(answer: str) -> list[dict[str, Any]]:
    """The playbook of a model that thinks for hundreds of tokens and replies once its thinking is closed."""
    return [{"when": CUT, "say": answer}, {"when": "Ponder", "say": PONDER, "end": "none", "delay_ms": 5}]


def asked(budget: int | None = 32, **fields: Any) -> dict[str, Any]:
    thinking = {"type": "enabled", "budget_tokens": budget} if budget else {"type": "adaptive"}
    messages = [{"role": "user", "content": "Ponder."}]
    return {"model": "tiny", "max_tokens": 400, "messages": messages, "thinking": thinking} | fields


def reply(http: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = http.post("/v1/messages", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def thought_and_rest(message: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    thought, *rest = message["content"]
    assert thought["type"] == "thinking"
    assert thought["signature"]
    return thought["thinking"], rest


def test_thinking_over_its_budget_is_closed_and_the_reply_follows(server: Server, http: httpx.Client) -> None:
    with server.playbook(play("It is 42.")):
        message = reply(http, asked())
    thought, rest = thought_and_rest(message)
    assert PONDER.removeprefix("<think>\n").startswith(thought.rstrip())
    assert rest == [{"type": "text", "text": "It is 42."}]
    assert message["stop_reason"] == "end_turn"
    used = message["usage"]
    assert 32 <= used["output_tokens_details"]["thinking_tokens"] <= 32 + OVERSHOOT
    assert used["output_tokens_details"]["thinking_tokens"] < used["output_tokens"] < 32 + OVERSHOOT + 20


def test_the_reply_is_one_legal_stream(server: Server, http: httpx.Client) -> None:
    with server.playbook(play("It is 42.")):
        events = stream(http, asked())
    kinds = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
    assert kinds == ["thinking", "text"]
    signatures = [event for event in events if event.get("delta", {}).get("type") == "signature_delta"]
    assert len(signatures) == 1


def test_thinking_within_its_budget_is_unchanged(server: Server, http: httpx.Client) -> None:
    said = "<think>\nIt is short.\n</think>\n\nYes."
    with server.playbook([{"when": "Ponder", "say": said}]):
        bounded, free = reply(http, asked(64)), reply(http, asked(None))
    left_out = {"signature", "id"}
    for message in (bounded, free):
        message["content"] = [
            {key: value for key, value in block.items() if key not in left_out}
            for block in message["content"]
        ]
    assert comparable(bounded) == comparable(free)


def test_a_budget_that_leaves_no_tokens_for_the_reply_is_lowered(server: Server, http: httpx.Client) -> None:
    with server.playbook(play("It is 42.")):
        message = reply(http, asked(1024, max_tokens=150))
    thought, rest = thought_and_rest(message)
    assert thought
    assert rest == [{"type": "text", "text": "It is 42."}]
    assert message["usage"]["output_tokens"] <= 150


def test_low_effort_limits_thinking_if_the_template_has_no_effort_variable(
    server: Server, http: httpx.Client
) -> None:
    with server.playbook(play("It is 42.")):
        low = reply(http, asked(None, max_tokens=100, output_config={"effort": "low"}))
        high = reply(http, asked(None, max_tokens=100, output_config={"effort": "high"}))
    assert thought_and_rest(low)[1] == [{"type": "text", "text": "It is 42."}]
    assert (thought_and_rest(high)[1], high["stop_reason"]) == ([], "max_tokens")


def test_a_schema_is_enforced_after_thinking_was_closed(server: Server, http: httpx.Client) -> None:
    with server.playbook(play('{"answer": 42}')):
        body = asked(output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
        _, rest = thought_and_rest(reply(http, body))
    assert [block["type"] for block in rest] == ["text"]
    assert json.loads(rest[0]["text"]) == {"answer": 42}


@pytest.mark.parametrize("choice", [{"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "tell"}])
def test_a_call_follows_after_thinking_was_closed(
    server: Server, http: httpx.Client, choice: dict[str, Any]
) -> None:
    with server.playbook(play(CALL)):
        message = reply(http, asked(tools=[TOOL], tool_choice=choice))
    _, rest = thought_and_rest(message)
    assert [(block["type"], block["input"]) for block in rest] == [("tool_use", {"answer": 42})]
    assert message["stop_reason"] == "tool_use"


def test_thinking_that_could_start_a_stop_sequence_is_complete(server: Server, http: httpx.Client) -> None:
    with server.playbook(play("It is 42.")):
        message = reply(http, asked(stop_sequences=[" one two three four nothing that is ever said"]))
    thought, rest = thought_and_rest(message)
    told = thought.split()
    assert len(told) >= message["usage"]["output_tokens_details"]["thinking_tokens"] - 2
    assert rest == [{"type": "text", "text": "It is 42."}]


def test_a_stop_sequence_works_after_thinking_was_closed(server: Server, http: httpx.Client) -> None:
    with server.playbook(play("It is 42. HALT now")):
        message = reply(http, asked(stop_sequences=["HALT"]))
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "HALT")
    assert thought_and_rest(message)[1] == [{"type": "text", "text": "It is 42. "}]


def test_the_reply_gets_the_rest_of_max_tokens(server: Server, http: httpx.Client) -> None:
    rules = play("It is 42.")
    rules[0] |= {"end": "none"}
    with server.playbook(rules):
        message = reply(http, asked(max_tokens=120))
    assert (message["stop_reason"], message["usage"]["output_tokens"]) == ("max_tokens", 120)


def test_thinking_that_starts_again_is_closed_again(server: Server, http: httpx.Client) -> None:
    again = r"</think>\n\nWait\. <think>\n[^<]+\n</think>\n\n$"
    rules = [{"when": again, "say": "Done."}, *play("Wait. " + PONDER)]
    with server.playbook(rules):
        answer = http.post("/v1/messages", json=asked(stream=True))
    said = check(parse(answer.text))
    texts = [event["delta"]["text"] for event in said if event.get("delta", {}).get("type") == "text_delta"]
    assert "".join(texts).startswith("Wait.")
    assert said[-2]["delta"]["stop_reason"] in ("end_turn", "max_tokens")


def test_a_disconnect_also_ends_the_part_after_the_thinking(server: Server, http: httpx.Client) -> None:
    rules = play("It is 42.")
    rules[0] |= {"end": "none", "delay_ms": 20}
    with (
        server.playbook(rules),
        http.stream("POST", "/v1/messages", json=asked(max_tokens=50_000, stream=True)) as answer,
    ):
        assert any('"text_delta"' in line for line in answer.iter_lines())
    metrics = lambda: [  # noqa: E731 - read again and again
        float(line.split()[-1])
        for line in http.get("/metrics").text.splitlines()
        if line.startswith("vllm:num_requests_running{")
    ]
    for _ in range(100):
        if sum(metrics()) == 0:
            break
    assert sum(metrics()) == 0
