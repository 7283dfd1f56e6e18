"""The support list is compared with the installed SDK and with what the code does.

The first half fails when the SDK defines something that the list lacks, or the list names something that the
SDK no longer has. The second half runs the pure packages for every entry: an entry that claims less or more
than the code does fails.
"""

import asyncio
import base64
import json
import pkgutil
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from importlib import import_module
from typing import Any, get_args

import pytest

from stream.playbook import call_piece, events_of, failure, finish, text_piece, thinking_piece
from translate.conversations import PNG_DATA, SIGNER, VISION
from vllm_messages_plugin import http
from vllm_messages_plugin.http.compaction import compaction_deltas
from vllm_messages_plugin.http.generation import direct_search
from vllm_messages_plugin.http.ports import AppContext
from vllm_messages_plugin.http.reading import translate
from vllm_messages_plugin.media.reader import MediaReader
from vllm_messages_plugin.rounds.ledger import ServerCall
from vllm_messages_plugin.server_tools import code_execution, web_fetch
from vllm_messages_plugin.server_tools.code_execution import VERSIONS, CodeOutput, CodeVersion
from vllm_messages_plugin.server_tools.mcp.addresses import AllowedServers
from vllm_messages_plugin.server_tools.mcp.connector import McpConnector
from vllm_messages_plugin.server_tools.mcp.listings import Listings
from vllm_messages_plugin.server_tools.mcp.sessions import McpServer
from vllm_messages_plugin.server_tools.offer import ServerToolOffer
from vllm_messages_plugin.server_tools.search import SearchHit, SearchQuery
from vllm_messages_plugin.server_tools.tool_search import BM25_NAME, ToolSearch
from vllm_messages_plugin.server_tools.web_fetch import PageFetcher
from vllm_messages_plugin.settings import Settings
from vllm_messages_plugin.stream.deltas import (
    CitedText,
    CitedTextEnd,
    CompactionSummary,
    CompleteBlock,
    EndReason,
    EngineDelta,
    EngineText,
    PromptProcessed,
    ReplyFinished,
    RoundUsage,
    ServerToolUse,
)
from vllm_messages_plugin.testing.fake_engine import FakeEngine
from vllm_messages_plugin.translate.cache_breakpoints import cache_breakpoints
from vllm_messages_plugin.translate.compaction import compaction_edit
from vllm_messages_plugin.translate.context_edits import plan_edit, requested_edits
from vllm_messages_plugin.translate.sampling import sampling
from vllm_messages_plugin.wire.errors import ErrorKind, MessagesError
from vllm_messages_plugin.wire.events import PING
from vllm_messages_plugin.wire.mcp import LISTING_BETA, MCPToolParam
from vllm_messages_plugin.wire.request import CountTokensRequest
from vllm_messages_plugin.wire.support import SUPPORT, VERDICTS, entries
from vllm_messages_plugin.wire.support_entry import (
    HANDLED,
    NEVER_SENT,
    REFUSED,
    STAND_IN,
    Kind,
    Support,
)
from wire import sdk_facts
from wire.bodies import Json, read
from wire.sdk_facts import MARK, minimal

# The list and the SDK.


def dotted(fields: dict[str, set[str]], kind: Kind) -> set[str]:
    """`tool_use.caller` and the like, for what we send."""
    sent = {name for name, entry in entries(kind).items() if entry.verdict == HANDLED}
    return {f"{name}.{field}" for name, inner in fields.items() if name in sent for field in inner}


FACTS: dict[Kind, set[str]] = {
    "content block in": set(sdk_facts.blocks_in()),
    "block field": set().union(*sdk_facts.block_fields().values()),
    "source": set(sdk_facts.sources()),
    "tool type": set(sdk_facts.tool_types()),
    "tool field": sdk_facts.tool_fields(),
    "tool choice": set(sdk_facts.tool_choices()),
    "thinking type": set(sdk_facts.thinking_types()),
    "request field": set(sdk_facts.request_fields()),
    "context edit": set(sdk_facts.context_edits()),
    "content block out": set(sdk_facts.blocks_out()),
    "reply block field": dotted(sdk_facts.block_fields_out(), "content block out"),
    "stream event": sdk_facts.stream_events(),
    "delta": sdk_facts.deltas() | dotted(sdk_facts.delta_fields(), "delta"),
    "stop reason": sdk_facts.stop_reasons(),
    "response field": sdk_facts.response_fields(),
    "usage field": sdk_facts.usage_fields(),
    "count_tokens field": sdk_facts.count_tokens_fields(),
    "error type": sdk_facts.error_types(),
}


@pytest.mark.parametrize("kind", FACTS)
def test_the_list_knows_all_that_the_sdk_knows(kind: Kind):
    new = FACTS[kind] - set(entries(kind))
    assert not new, f"the SDK has a new {kind}: {sorted(new)}; add it to wire/support_*.py"


@pytest.mark.parametrize("kind", [*FACTS, "beta header"])
def test_the_list_names_nothing_that_the_sdk_has_no_more(kind: Kind):
    known = FACTS.get(kind) or sdk_facts.beta_headers()
    gone = {name for name, entry in entries(kind).items() if entry.sdk} - known
    assert not gone, f"the SDK has no {kind} {sorted(gone)}; take it out, or mark it as wire-only"
    wire_only = {name for name, entry in entries(kind).items() if not entry.sdk}
    assert not wire_only & known, f"the SDK knows them now: {sorted(wire_only & known)}"


def test_the_list_knows_every_endpoint_of_the_sdk():
    called, listed = sdk_facts.endpoints(), entries("endpoint")
    new = [call for call in called if not any(covers(name, call) for name in listed)]
    assert not new, f"the SDK has new endpoints: {sorted(new)}"
    gone = [n for n, entry in listed.items() if entry.sdk and not any(covers(n, call) for call in called)]
    assert not gone, f"the SDK calls none of {gone}"


def covers(name: str, call: str) -> bool:
    """Whether an endpoint's name covers a call: `/v1/files/*` covers everything below it."""
    return name == call or (name.endswith("/*") and f"{call.partition(' ')[2]}/".startswith(name[:-1]))


def test_every_entry_is_unique_and_has_a_reason():
    assert len({(entry.kind, entry.name) for entry in SUPPORT}) == len(SUPPORT)
    assert {entry.verdict for entry in SUPPORT} <= set(VERDICTS)
    assert not [entry for entry in SUPPORT if entry.verdict != HANDLED and not entry.note]


# The list and the code.

TOOL = {"name": "f", "input_schema": {"type": "object"}}
USER, BYE = ({"role": "user", "content": text} for text in ("Hi", "Bye"))
TURN = (
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm", "signature": ""},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "a"}]},
)
BASE: Json = {
    "model": "m",
    "max_tokens": 10,
    "messages": [USER, {"role": "system", "content": "Now"}, *TURN, BYE],
    "tools": [TOOL, {**TOOL, "name": "g"}],
}
MANY_TOKENS = 1_000_000


def each(kind: Kind, verdicts: Iterable[str] = VERDICTS) -> Any:
    """A test for each entry of a kind that has a name of its own."""
    found = [e for e in entries(kind).values() if e.verdict in verdicts and not e.name.startswith("(")]
    return pytest.mark.parametrize("entry", found, ids=[entry.name for entry in found])


class Searching:
    """A search service that finds one page."""

    name = "fixed"

    async def search(self, query: SearchQuery) -> list[SearchHit]:
        return [SearchHit("https://a.example", "A")]


class Listed(Listings):
    """Gives every MCP server one tool, without asking it."""

    async def tools_of(self, server: McpServer) -> tuple[MCPToolParam, ...]:
        return (MCPToolParam(name="read", input_schema={"type": "object"}),)


CONNECTOR = McpConnector(AllowedServers("any"), listings=Listed())


class Running:
    """A sandbox that serves every version that a sandbox can."""

    async def serves(self, version: CodeVersion) -> str:
        return ""

    async def run(self, version: CodeVersion, code: str) -> CodeOutput:
        return CodeOutput("", "", 0)


OFFER = ServerToolOffer(
    SIGNER.sign, SIGNER.restore, Searching(), PageFetcher(MediaReader().pdfs), CONNECTOR, Running()
)
CONTEXT = AppContext(FakeEngine(traits=VISION), Settings(), SIGNER, server_tools=OFFER)


def effects(body: Json) -> Any:
    """All that a request leads to before its prompt is rendered."""
    connected = asyncio.run(OFFER.connect(read(body), frozenset()))
    request = asyncio.run(MediaReader().read(connected.request, images=True))
    return (
        translate(request, CONTEXT, OFFER.for_request(request, [], connected.tools)),
        replace(sampling(request, request.max_tokens), extra={}),
        cache_breakpoints(request),
        [plan_edit(path, edit, request.messages, MANY_TOKENS) for path, edit in requested_edits(request)],
        compaction_edit(request, MANY_TOKENS, MANY_TOKENS),
        (request.model, request.stream, request.diagnostics, request.thread),
    )


def shown(block: Json) -> str:
    """What the model is shown of a conversation with the block in it, as JSON."""
    body = {**BASE, "messages": placed(block)}
    return json.dumps(effects(body)[0].messages, ensure_ascii=False)


USERS_BLOCKS = ("text", "image", "document", "search_result", "tool_result", "container_upload")


def placed(block: Json) -> list[Json]:
    """A conversation in which a block stands where it may stand."""
    kind = block["type"]
    if kind in ("tool_addition", "tool_removal"):
        return [USER, {"role": "system", "content": [block]}]
    if kind in ("tool_reference", "browser_state"):
        block, kind = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [block]}, "tool_result"
    if kind in USERS_BLOCKS:
        return [USER, {"role": "user", "content": [block]}]
    call = CALLS.get(kind)
    use = "mcp_tool_use" if kind == "mcp_tool_result" else "server_tool_use"
    before = [{"type": use, "id": block["tool_use_id"], "name": call, "input": {}}] if call else []
    return [USER, {"role": "assistant", "content": [*before, block]}, BYE]


CALLS = {
    "web_search_tool_result": "web_search",
    "web_fetch_tool_result": "web_fetch",
    "tool_search_tool_result": "tool_search_tool_bm25",
    "mcp_tool_result": "read",
    "code_execution_tool_result": "code_execution",
    "bash_code_execution_tool_result": "bash_code_execution",
}
"""The tools whose results are read behind their call."""


VISIBLE_BLOCKS: dict[str, Json] = {
    "image": {"source": {"type": "base64", "media_type": "image/png", "data": PNG_DATA}},
    "document": {"source": {"type": "text", "media_type": "text/plain", "data": MARK}},
    "tool_result": {"content": MARK},
    "mcp_tool_result": {"content": MARK},
    "code_execution_tool_result": {"content": {"stdout": MARK, "stderr": "", "return_code": 0}},
    "bash_code_execution_tool_result": {"content": {"stdout": MARK, "stderr": "", "return_code": 0}},
    "compaction": {"content": MARK},
    "web_fetch_tool_result": {"content": {"type": "web_fetch_result", "url": MARK}},
    "tool_search_tool_result": {
        "content": {
            "type": "tool_search_tool_search_result",
            "tool_references": [{"type": "tool_reference", "tool_name": MARK}],
        }
    },
}
"""What the smallest block of a type lacks to be seen."""


def block_of(kind: str) -> Json:
    return {**minimal(sdk_facts.blocks_in()[kind]), "type": kind, **VISIBLE_BLOCKS.get(kind, {})}


@each("content block in")
def test_a_block_is_shown_as_the_list_states(entry: Support):
    found = shown(block_of(entry.name))
    assert (f"[{entry.name}: " in found) is (entry.verdict == STAND_IN)
    if entry.verdict != STAND_IN:
        assert (MARK in found or PNG_DATA in found) is (entry.verdict == HANDLED)


def test_a_block_not_yet_invented_is_shown_as_a_stand_in():
    assert "[invention: " in shown({"type": "invention", "value": MARK})


PDF = (
    b"%PDF-1.4\n1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n"
    b"2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj\n"
    b"3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>> "
    b"endobj\n4 0 obj <</Length 33>> stream\nBT /F 9 Tf 9 9 Td (marker) Tj ET \nendstream endobj\n"
    b"5 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> endobj\ntrailer <</Root 1 0 R>>\n%%EOF\n"
)
"""The smallest PDF with the text `MARK` that the PDF library reads."""

VISIBLE_SOURCES: dict[str, Json] = {
    "document.base64": {"data": base64.b64encode(PDF).decode(), "media_type": "application/pdf"},
    "image.base64": {"data": PNG_DATA, "media_type": "image/png"},
    "image.url": {"url": f"https://example.invalid/{MARK}.png"},
    "document.url": {"url": f"https://example.invalid/{MARK}.pdf"},
}


@each("source")
def test_a_source_is_read_or_refused_as_the_list_states(entry: Support):
    kind = entry.name.partition(".")[0]
    source = {**minimal(sdk_facts.sources()[entry.name]), **VISIBLE_SOURCES.get(entry.name, {})}
    if entry.verdict == REFUSED:
        with pytest.raises(MessagesError, match=r"messages\.1\.content\.0"):
            shown({"type": kind, "source": source})
    elif entry.name.endswith((".url", ".file")):  # `media` makes it a base64 one first, and has its own tests
        assert read({**BASE, "messages": placed({"type": kind, "source": source})})
    else:
        found = shown({"type": kind, "source": source})
        assert MARK in found or PNG_DATA in found


@each("tool type")
def test_a_tool_is_offered_or_refused_as_the_list_states(entry: Support):
    tool = {**minimal(sdk_facts.tool_types()[entry.name]), "type": entry.name}
    body = {**BASE, "tools": [tool]}
    if entry.name == "mcp_toolset":
        body["mcp_servers"] = [{**MCP_SERVER, "name": tool["mcp_server_name"]}]
    if entry.verdict == REFUSED:
        with pytest.raises(MessagesError, match=re.escape(f"'{entry.name}'")):
            effects(body)
    else:
        conversation = effects(body)[0]
        assert conversation.tools
        assert conversation.callable_tools


VISIBLE_TOOL_FIELDS = {
    "name": "other",
    "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}},
    "input_examples": [{"a": MARK}],
    "allowed_callers": ["code_execution_20260120"],
}


@each("tool field")
def test_a_tool_field_has_an_effect_where_the_list_claims_one(entry: Support):
    shapes = sdk_facts.fields(sdk_facts.tool_types()["custom"])
    value = VISIBLE_TOOL_FIELDS.get(entry.name) or minimal(shapes[entry.name])
    tools = [{**TOOL, entry.name: value}, {**TOOL, "name": "g"}]
    if entry.verdict == REFUSED:
        with pytest.raises(MessagesError, match=rf"^tools\.0\.{entry.name}"):
            effects({**BASE, "tools": tools})
    else:
        assert (effects({**BASE, "tools": tools}) != effects(BASE)) is (entry.verdict == HANDLED)


@each("tool choice")
def test_a_tool_choice_is_in_force(entry: Support):
    choice = {"type": entry.name, **({"name": "f"} if entry.name == "tool" else {})}
    assert effects({**BASE, "tool_choice": choice})[0].choice.mode == entry.name


@each("thinking type")
def test_a_thinking_type_is_understood(entry: Support):
    requested = effects({**BASE, "thinking": minimal(sdk_facts.thinking_types()[entry.name])})[0].thinking
    assert requested.explicit
    assert requested.on is (entry.name in ("enabled", "adaptive"))


PARENTS: dict[str, Json] = {"thinking": {"type": "enabled"}, "output_config": {}, "container": {}}
"""What stands around a field inside another."""

NOTHING = {"type": "thinking_turns", "value": 0}

MCP_SERVER = {"type": "url", "name": "a", "url": "https://a.example/mcp"}

VISIBLE_FIELDS: dict[str, Any] = {
    "model": "other",
    "max_tokens": 11,
    "messages.role": "user",
    "messages.output_config": {"effort": "low"},
    "stream": True,
    "tools": [TOOL],
    "tool_choice": {"type": "any"},
    "mcp_servers": [{**MCP_SERVER, "tool_configuration": {}}],
    "thinking.display": "omitted",
    "output_config": {"effort": "low"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": NOTHING}]},
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "output_format": {"type": "json_schema", "schema": {"type": "object"}},
    "chat_template_kwargs": {"a": 1},
    "safeguards": [{"type": "a"}],
    "tags": ["a"],
    "anthropic_version": "bedrock-2023-05-31",
    "anthropic_beta": ["a"],
}
"""Values that show an effect, where the smallest does not, and those of wire-only fields."""


def with_field(name: str, value: Any) -> tuple[Json, Json]:
    """A body without a field, and the same with it."""
    parent, _, field = name.rpartition(".")
    if parent == "messages":
        first, second, *rest = BASE["messages"]
        return BASE, {**BASE, "messages": [first, {**second, field: value}, *rest]}
    if parent:
        around = PARENTS[parent]
        return {**BASE, parent: around}, {**BASE, parent: {**around, field: value}}
    return BASE, {**BASE, name: value}


@each("request field")
def test_a_request_field_has_an_effect_where_the_list_claims_one(entry: Support):
    shape = sdk_facts.request_fields().get(entry.name)
    value = VISIBLE_FIELDS[entry.name] if entry.name in VISIBLE_FIELDS else minimal(shape)
    without, given = with_field(entry.name, value)
    if entry.verdict == REFUSED:
        with pytest.raises(MessagesError, match="^" + re.escape(entry.name)):
            effects(given)
    elif entry.verdict == HANDLED and not entry.sdk and entry.name in read(given).extra:
        assert read(given).extra[entry.name] == value
    else:
        assert (effects(given) != effects(without)) is (entry.verdict == HANDLED)


@each("context edit")
def test_a_context_edit_has_an_effect_where_the_list_claims_one(entry: Support):
    long = {**BASE, "messages": [USER, *TURN * 5]}
    edit = minimal(sdk_facts.context_edits()[entry.name])
    given = {**long, "context_management": {"edits": [edit]}}
    assert (effects(given) != effects(long)) is (entry.verdict == HANDLED)


VISIBLE_BLOCK_FIELDS = {
    "toolset_name": "computer",
    "cache_control": {"type": "ephemeral"},
    "citations": {"enabled": True},
}


@each("block field")
def test_a_block_field_has_an_effect_where_the_list_claims_one(entry: Support):
    blocks = entries("content block in")
    holders = [
        kind
        for kind, optional in sdk_facts.block_fields().items()
        if entry.name in optional and blocks[kind].verdict == HANDLED
    ]
    changed = [kind for kind in holders if _field_changes(kind, entry.name)]
    assert bool(changed) is (entry.verdict == HANDLED), changed


def _field_changes(kind: str, field: str) -> bool:
    shape = sdk_facts.fields(sdk_facts.blocks_in()[kind])[field]
    block = {name: value for name, value in block_of(kind).items() if name != field}
    given = {**block, field: VISIBLE_BLOCK_FIELDS.get(field) or minimal(shape)}
    bodies = ({**BASE, "messages": placed(each_block)} for each_block in (block, given))
    one, other = map(effects, bodies)
    return bool(one != other)


def test_every_endpoint_that_is_handled_is_routed_and_no_other():
    found = set()
    for module in pkgutil.iter_modules(http.__path__, http.__name__ + "."):
        router = getattr(import_module(module.name), "router", None)
        for route in router.routes if router else ():
            found |= {f"{method} {route.path.replace(':path', '')}" for method in route.methods}
    assert found == {name for name, entry in entries("endpoint").items() if entry.verdict == HANDLED}


# What is sent: exactly what the state machine emits for these deltas.

PLAY = (thinking_piece("Hm"), text_piece("Hello"), call_piece(0, "f", "{}"))
OPTIONS: Json = {
    "count_thinking": True,
    "applied_edits": [],
    "diagnostics": {},
    "members": {"f": ("left_click", "computer")},
}


async def compacted() -> list[EngineDelta]:
    """The block of a compaction, as the server makes it."""

    async def summary() -> AsyncIterator[EngineDelta]:
        yield EngineText("a")
        yield ReplyFinished("stop", 1)

    deltas = [delta async for delta in compaction_deltas(summary(), SIGNER.sign)]
    return [delta for delta in deltas if isinstance(delta, CompactionSummary)]


async def mcp_deltas() -> list[EngineDelta]:
    """The blocks of an MCP server, as the server makes them."""
    toolset = {"type": "mcp_toolset", "mcp_server_name": "a"}
    request = read({**BASE, "mcp_servers": [MCP_SERVER], "tools": [toolset]})
    connected = await OFFER.connect(request, frozenset({LISTING_BETA}))
    (tool,) = connected.tools.values()
    call = tool.new_call({})
    return [
        *map(CompleteBlock, connected.listings),
        ServerToolUse(tool.use_block(call), "{}"),
        CompleteBlock(tool.refused("invalid_tool_input").block_for(call)),
    ]


async def server_tool_deltas() -> list[EngineDelta]:
    """A web search and a tool search, as the server makes them."""
    tools = OFFER.for_request(
        CountTokensRequest.model_validate(
            {
                "model": "m",
                "messages": [USER],
                "tools": [{"type": "web_search_20250305", "name": "web_search"}],
            }
        ),
        [],
    )
    found = await ToolSearch([]).run(ServerCall("srvtoolu_1", BM25_NAME, {"query": "a"}))
    return [
        *[delta async for delta in direct_search("a", tools)][:-1],
        CompleteBlock(found.block),
        CompleteBlock(web_fetch.failed("unavailable").block),
        *await mcp_deltas(),
        *(CompleteBlock(code_execution.failed(each, "unavailable").block) for each in VERSIONS.values()),
        *await compacted(),
        CitedText("a", [{"type": "char_location"}]),
        CitedTextEnd(),
        ReplyFinished("stop", 7, rounds=[RoundUsage(PromptProcessed(9, 5), 3)] * 2),
    ]


def plays() -> list[Any]:
    """Every event that the state machine can emit."""
    ends = [finish(reason, "END" if reason == "stop_sequence" else None) for reason in get_args(EndReason)]
    found = [
        event
        for end in ends
        for event in events_of([PromptProcessed(9, 5), text_piece("Hi"), end], **OPTIONS)
    ]
    found += events_of([PromptProcessed(9, 5), *PLAY, ReplyFinished("stop", 7, thinking_tokens=3)], **OPTIONS)
    found += events_of(asyncio.run(server_tool_deltas()), **OPTIONS)
    return [*found, *events_of([failure()]), PING]


EVENTS = plays()
DELTAS = [event["delta"] for event in EVENTS if event["type"] == "content_block_delta"]
BLOCKS = [event["content_block"] for event in EVENTS if event["type"] == "content_block_start"]
STARTS = [event["message"] for event in EVENTS if event["type"] == "message_start"]
ENDS = [event for event in EVENTS if event["type"] == "message_delta"]


def _named(values: Iterable[Json], kind: str) -> set[str]:
    """The optional fields that values of a type carry, as `type.field`."""
    return {f"{value['type']}.{field}" for value in values for field in value} & FACTS[kind]


SENT: dict[Kind, set[str]] = {
    "content block out": {block["type"] for block in BLOCKS},
    "reply block field": _named(BLOCKS, "reply block field"),
    "stream event": {event["type"] for event in EVENTS},
    "delta": {delta["type"] for delta in DELTAS} | _named(DELTAS, "delta"),
    "stop reason": {end["delta"]["stop_reason"] for end in ENDS},
    "response field": {field for found in (*STARTS, *ENDS) for field in found} - {"delta"},
    "usage field": {field for end in ENDS for field in end["usage"]},
    "error type": set(get_args(ErrorKind)),
}


@pytest.mark.parametrize("kind", SENT)
def test_all_that_is_handled_is_sent_and_nothing_else(kind: Kind):
    assert SENT[kind] == {name for name, entry in entries(kind).items() if entry.verdict == HANDLED}


def test_what_comes_in_and_what_goes_out_have_verdicts_of_their_own():
    sent = {entry.verdict for entry in SUPPORT if entry.kind in SENT}
    assert sent <= {HANDLED, NEVER_SENT}
    requested_verdicts = {
        entry.verdict for entry in SUPPORT if entry.kind not in {*SENT, "count_tokens field"}
    }
    assert NEVER_SENT not in requested_verdicts
