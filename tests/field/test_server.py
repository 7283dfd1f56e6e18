"""Reports from the field against a real server: each gets the right reply, streamed and not."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from families_server import SPECIAL, awkward, served
from server_rows import BASH, HI, ROWS, TEXT, Json, Row, tool
from tokenizers import Tokenizer

from support.both_modes import Reply, ask_in_both_modes
from support.server import Server, start_families
from vllm_messages_plugin.testing import tiny

pytestmark = pytest.mark.live

KEY = "sekret"


@pytest.fixture(scope="module")
def field_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One engine behind every family's chat template."""
    model = tiny.model_directory(special=SPECIAL)
    with start_families(model, served(KEY), tmp_path_factory.mktemp("field")) as running:
        yield running


@pytest.fixture
def http(field_server: Server) -> Iterator[httpx.Client]:
    """A plain client of the family with thinking and Hermes calls."""
    url = f"{field_server.url}/qwen3"
    with httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
        yield client


def request_of(row: Row, tokenizer: Tokenizer) -> Json:
    pieces = awkward(row.text)
    script = {"script_pieces": pieces, "script_end": "none" if row.cut else "eos"}
    tokens = sum(len(tokenizer.encode(piece, add_special_tokens=False).ids) for piece in pieces)
    asked = {"model": "tiny", "max_tokens": tokens if row.cut else 2000, "messages": HI}
    return asked | row.fields | {"extra_body": {"vllm_xargs": script, "temperature": 0}}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(tiny.model_directory(special=SPECIAL) / "tokenizer.json"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.family}: {row.report}")
def test_a_reported_reply_is_right(field_server: Server, tokenizer: Tokenizer, row: Row) -> None:
    reply = ask_in_both_modes(f"{field_server.url}/{row.family}", request_of(row, tokenizer))
    assert reply.message["stop_reason"] == row.stop_reason
    assert [name for name, _ in reply.blocks] == [name for name, _ in row.blocks]
    for (name, found), (_, wanted) in zip(reply.blocks, row.blocks, strict=True):
        if wanted is not None:  # None: a cut call, whose arguments are anything but complete
            assert (name, found) == (name, wanted)
    if row.cut and row.blocks[-1][1] is None:
        assert_visibly_cut(reply)


def assert_visibly_cut(reply: Reply) -> None:
    """A client that joins the pieces of the arguments sees that they are not complete."""
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.partial_json)


def history(*calls: tuple[str, str]) -> list[Json]:
    """A conversation in which these calls, by id and path, were run one after the other."""
    turns: list[Json] = [{"role": "user", "content": "read it"}]
    for number, path in calls:
        call = {"type": "tool_use", "id": number, "name": "Read", "input": {"path": path}}
        result = {"type": "tool_result", "tool_use_id": number, "content": f"RESULT {path}"}
        turns += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    return turns


READ = tool("Read", path=TEXT)


def test_kimi_reads_its_own_call_ids_and_not_the_clients(field_server: Server) -> None:
    """Kimi K2's template prints ids; it imitated `toolu_abc` and called a tool of that name."""
    body = {
        "model": "tiny",
        "max_tokens": 50,
        "tools": [READ],
        "messages": history(("toolu_a", "a"), ("toolu_b", "b")),
    }
    rules = [
        {"when": "toolu_", "say": "The prompt shows the client's id."},
        {
            "when": r"functions\.Read:0<.*Return of functions\.Read:0.*"
            r"functions\.Read:1<.*Return of functions\.Read:1",
            "say": "right",
        },
    ]
    with field_server.playbook(rules):
        reply = post(f"{field_server.url}/kimi-k2", body)
    assert reply["content"][0]["text"] == "right"


def test_a_kimi_call_by_an_id_that_names_no_tool_is_no_call_of_that_name(field_server: Server) -> None:
    text = (
        "<|tool_calls_section_begin|><|tool_call_begin|>toolu_abc<|tool_call_argument_begin|>"
        '{"path": "a"}<|tool_call_end|><|tool_calls_section_end|>'
    )
    body = {"model": "tiny", "max_tokens": 200, "tools": [READ, BASH], "messages": HI}
    reply = post(f"{field_server.url}/kimi-k2", body | {"vllm_xargs": {"script_pieces": awkward(text)}})
    assert "toolu_abc" not in [block.get("name") for block in reply["content"]]
    assert reply["content"]


@pytest.mark.parametrize("family", ["deepseek-v4-native", "glued-system"])
def test_a_system_message_never_runs_into_the_users_words(field_server: Server, family: str) -> None:
    """DeepSeek V4 writes a system message without any mark of its own."""
    messages = [{"role": "user", "content": "fix the bug"}, {"role": "system", "content": "Plan mode is on."}]
    rules = [
        {"when": r"fix the bug\s*Plan mode", "say": "glued"},
        {"when": r"fix the bug.*<system-reminder>\s*Plan mode is on\.\s*</system-reminder>", "say": "folded"},
    ]
    with field_server.playbook(rules):
        reply = post(
            f"{field_server.url}/{family}", {"model": "tiny", "max_tokens": 20, "messages": messages}
        )
    assert reply["content"] == [{"type": "text", "text": "folded"}]


def test_half_a_surrogate_pair_is_read_as_a_replacement_character(
    http: httpx.Client, field_server: Server
) -> None:
    """JavaScript clients cut texts inside an emoji and send the half as an escape."""
    messages = [
        {"role": "user", "content": "run it"},
        {"role": "assistant", "content": [tool_use("ls @HALF@")]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "cut @HALF@…"}]},
    ]
    body = json.dumps({"model": "tiny", "max_tokens": 20, "tools": [BASH], "messages": messages})
    sent = body.replace("@HALF@", "\\ud83d").encode()
    with field_server.playbook([{"when": "cut \N{REPLACEMENT CHARACTER}", "say": "read"}]):
        reply = http.post("/v1/messages", content=sent, headers={"content-type": "application/json"})
    assert reply.status_code == 200, reply.text
    assert reply.json()["content"] == [{"type": "text", "text": "read"}]


def tool_use(command: str) -> Json:
    return {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": command}}


@pytest.mark.parametrize("seed", range(5, 9))
def test_a_schema_keyword_without_a_grammar_leaves_the_rest_enforced(http: httpx.Client, seed: int) -> None:
    """`format` and `minLength` together dropped the whole schema, and a demanded call came as text."""
    schema = {
        "type": "object",
        "properties": {"d": {"type": "string", "format": "uri", "minLength": 1}},
        "required": ["d"],
    }
    body = {
        "model": "tiny",
        "max_tokens": 200,
        "temperature": 1,
        "seed": seed,
        "tool_choice": {"type": "any"},
        "messages": [{"role": "user", "content": "call it"}],
        "tools": [{"name": "t1", "description": "d", "input_schema": schema}],
        "vllm_xargs": {"script": "", "script_end": "free"},
    }
    reply = post(str(http.base_url), body)
    assert reply["content"][0]["type"] == "tool_use"
    assert reply["content"][0]["name"] == "t1"
    assert isinstance(reply["content"][0]["input"], dict)


def test_a_tool_whose_name_has_a_space_is_called_by_that_name(http: httpx.Client) -> None:
    weather = tool("get weather", city=TEXT, required=["city"])
    text = '<tool_call>\n{"name": "get weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
    body = {"model": "tiny", "max_tokens": 200, "messages": HI, "tools": [weather]}
    for choice in ({"type": "auto"}, {"type": "tool", "name": "get weather"}):
        reply = post(str(http.base_url), body | {"tool_choice": choice, "vllm_xargs": {"script": text}})
        assert [(block.get("name"), block.get("input")) for block in reply["content"]] == [
            ("get weather", {"city": "Oslo"})
        ]


IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
}


def image_turns() -> list[Json]:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [IMAGE]}
    return [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": [tool_use("look")]},
        {"role": "user", "content": [result]},
    ]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_an_image_in_an_earlier_turn_does_not_fail_a_text_model(http: httpx.Client, path: str) -> None:
    later = [
        {"role": "assistant", "content": "I can't see it."},
        {"role": "user", "content": "Never mind. What is 2+2?"},
    ]
    body = {"model": "tiny", "messages": [*image_turns(), *later], "tools": [BASH]}
    extra = {} if path.endswith("count_tokens") else {"max_tokens": 5}
    assert http.post(path, json=body | extra).status_code == 200


def test_an_image_in_the_newest_turn_is_refused_by_name(http: httpx.Client) -> None:
    body = {"model": "tiny", "max_tokens": 5, "messages": image_turns(), "tools": [BASH]}
    refusal = http.post("/v1/messages", json=body)
    assert refusal.status_code == 400
    assert "Could not process image" in refusal.json()["error"]["message"]
    assert "messages.2.content.0" in refusal.json()["error"]["message"]


def test_a_wrong_key_is_refused_with_headers_that_a_browser_can_read(field_server: Server) -> None:
    """Without them a browser shows a CORS error in place of `invalid x-api-key`."""
    headers = {"origin": "http://localhost:5173", "x-api-key": "wrong"}
    body = {"model": "tiny", "max_tokens": 3, "messages": HI}
    with httpx.Client(base_url=f"{field_server.url}/locked", trust_env=False, timeout=120) as client:
        refusal = client.post("/v1/messages", json=body, headers=headers)
        reply = client.post("/v1/messages", json=body, headers=headers | {"x-api-key": KEY})
    assert (refusal.status_code, reply.status_code) == (401, 200)
    for response in (refusal, reply):
        assert response.headers["access-control-allow-origin"] in ("*", "http://localhost:5173")


def post(url: str, body: Json) -> Any:
    reply = httpx.post(f"{url.rstrip('/')}/v1/messages", json=body, trust_env=False, timeout=120)
    assert reply.status_code == 200, reply.text
    return reply.json()
