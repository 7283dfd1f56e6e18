"""The scripted model through vLLM's own Chat Completions route."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tokenizers import Tokenizer

from support.server import Server
from vllm_messages_plugin.testing import tiny

HELLO = [{"role": "user", "content": "Hello."}]
TEXTS = [
    "Hello, world!",
    '<think>\nWell.\n</think>\n\n<tool_call>\n{"name": "get", "arguments": {"n": 12345}}\n</tool_call>',
    "\n\n  leading and trailing blanks \t\n",
    "déjà vu, 漢字, 🙂👩‍👩‍👧, \u200b, \\n stays \\n",
    "<<SAY:not a marker here>>",
    "",
]


def chat(http: httpx.Client, **body: Any) -> dict[str, Any]:
    reply = http.post("/v1/chat/completions", json={"model": "tiny", "messages": HELLO} | body)
    assert reply.status_code == 200, reply.text
    return reply.json()


def content_of(reply: dict[str, Any]) -> str:
    return reply["choices"][0]["message"]["content"] or ""


def finish(reply: dict[str, Any]) -> str:
    return reply["choices"][0]["finish_reason"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(Path(tiny.model_directory()) / "tokenizer.json"))


@pytest.mark.parametrize("text", TEXTS)
def test_a_script_is_generated_exactly(http: httpx.Client, text: str) -> None:
    reply = chat(http, vllm_xargs={"script": text})
    assert (content_of(reply), finish(reply)) == (text, "stop")


def test_each_piece_is_tokenised_on_its_own(http: httpx.Client, tokenizer: Tokenizer) -> None:
    pieces = ["<tool", "_call>", "\n", '{"na', "me", '": ', '"x"}']
    reply = chat(http, vllm_xargs={"script_pieces": pieces}, return_token_ids=True)
    expected = [token for piece in pieces for token in tokenizer.encode(piece, add_special_tokens=False).ids]
    assert reply["choices"][0]["token_ids"][: len(expected)] == expected
    assert tokenizer.encode("".join(pieces)).ids != expected
    assert content_of(reply) == "".join(pieces)


def test_a_piece_may_be_a_token_id(http: httpx.Client, tokenizer: Tokenizer) -> None:
    emoji = tokenizer.encode("🙂").ids
    assert len(emoji) > 1
    reply = chat(http, vllm_xargs={"script_pieces": ["a ", *emoji, " b"]})
    assert content_of(reply) == "a 🙂 b"


def test_tags_in_a_text_are_single_tokens(http: httpx.Client, tokenizer: Tokenizer) -> None:
    reply = chat(http, vllm_xargs={"script": "<think></think>"}, return_token_ids=True)
    expected = [tokenizer.token_to_id(tag) for tag in ("<think>", "</think>", "<|im_end|>")]
    assert reply["choices"][0]["token_ids"] == expected


def test_concurrent_requests_each_get_their_own_script(http: httpx.Client) -> None:
    texts = [f"number {i}: " + f"w{i} " * (1 + 7 * i % 23) for i in range(30)]
    with ThreadPoolExecutor(len(texts)) as pool:
        replies = list(pool.map(lambda text: chat(http, vllm_xargs={"script": text}), texts))
    assert [content_of(reply) for reply in replies] == texts


def test_an_unscripted_request_beside_scripted_ones_is_untouched(http: httpx.Client) -> None:
    plain: dict[str, Any] = {"temperature": 0, "max_tokens": 24}
    alone = content_of(chat(http, **plain))
    bodies = [plain if i % 3 == 0 else {"vllm_xargs": {"script": f"word{i} " * i}} for i in range(18)]
    with ThreadPoolExecutor(len(bodies)) as pool:
        replies = list(pool.map(lambda body: content_of(chat(http, **body)), bodies))
    assert replies == [alone if i % 3 == 0 else f"word{i} " * i for i in range(18)]


def test_max_tokens_cuts_a_script(http: httpx.Client) -> None:
    reply = chat(http, vllm_xargs={"script": "one two three four five"}, max_tokens=3)
    assert (content_of(reply), finish(reply)) == ("one two three", "length")


def test_a_script_without_end_continues_until_max_tokens(http: httpx.Client) -> None:
    reply = chat(http, vllm_xargs={"script": "Salt", "script_end": "none"}, max_tokens=5)
    assert finish(reply) == "length"
    assert content_of(reply).endswith(" and and and")
    assert reply["usage"]["completion_tokens"] == 5


def test_a_stop_sequence_ends_a_script(http: httpx.Client) -> None:
    reply = chat(http, vllm_xargs={"script": "left STOP right"}, stop=["STOP"])
    assert (content_of(reply), finish(reply)) == ("left ", "stop")


def test_sampling_parameters_do_not_change_the_reply(http: httpx.Client) -> None:
    wild = {"temperature": 2, "top_p": 0.1, "top_k": 3, "min_p": 0.2, "seed": 7}
    penalties = {"presence_penalty": 2, "frequency_penalty": 2, "repetition_penalty": 1.5}
    text = "again " * 20
    assert content_of(chat(http, vllm_xargs={"script": text}, **wild, **penalties)) == text


def test_several_choices_are_the_same(http: httpx.Client) -> None:
    reply = chat(http, vllm_xargs={"script": "same"}, n=3)
    assert [choice["message"]["content"] for choice in reply["choices"]] == ["same"] * 3


def test_a_delay_holds_back_each_token(http: httpx.Client) -> None:
    start = time.monotonic()
    chat(http, vllm_xargs={"script": "a b c d", "script_delay_ms": 100})
    assert time.monotonic() - start >= 0.5


@pytest.mark.parametrize(
    "xargs",
    [{"script": "a", "script_end": "maybe"}, {"script": "a", "script_pieces": ["b"]}, {"script_typo": "a"}],
)
def test_a_malformed_script_is_refused(http: httpx.Client, xargs: dict[str, Any]) -> None:
    reply = http.post("/v1/chat/completions", json={"model": "tiny", "messages": HELLO, "vllm_xargs": xargs})
    assert reply.status_code == 400


def test_a_playbook_replies_by_the_prompt_while_it_is_active(http: httpx.Client, server: Server) -> None:
    rules = [{"when": "capital of (France|Gaul)", "say": "Paris."}, {"when": "capital", "say": "No idea."}]
    france, peru = ([{"role": "user", "content": f"The capital of {x}?"}] for x in ("France", "Peru"))
    with server.playbook(rules):
        assert content_of(chat(http, messages=france)) == "Paris."
        assert content_of(chat(http, messages=peru)) == "No idea."
        assert content_of(chat(http, messages=france, vllm_xargs={"script": "Lyon."})) == "Lyon."
    assert content_of(chat(http, messages=france, max_tokens=4)) != "Paris."


def test_the_last_user_turn_may_contain_the_script(http: httpx.Client) -> None:
    first = {"role": "user", "content": "<<SAY:one>>"}
    assert content_of(chat(http, messages=[first])) == "one"
    later = [
        first,
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": "<<SAY:two\nlines>>"},
    ]
    assert content_of(chat(http, messages=later)) == "two\nlines"


def test_every_name_of_the_model_is_served(http: httpx.Client, server: Server) -> None:
    served = [model["id"] for model in http.get("/v1/models").json()["data"]]
    assert served == list(server.names) == ["tiny", "tiny-alias"]


def test_the_window_has_the_given_size(http: httpx.Client, server: Server) -> None:
    assert http.get("/v1/models").json()["data"][0]["max_model_len"] == server.window == tiny.WINDOW


def test_a_long_prompt_is_read(http: httpx.Client) -> None:
    long = [{"role": "user", "content": "word " * 20_000 + "<<SAY:read>>"}]
    reply = chat(http, messages=long)
    assert content_of(reply) == "read"
    assert reply["usage"]["prompt_tokens"] > 20_000
