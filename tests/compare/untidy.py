"""Replies as untidy models write them, read by each contender and streamed to the official SDK.

The rows are those of `field` (reports from users, and the parser tests of other servers) in the two formats
that vLLM's own parsers read as well: JSON between `<tool_call>` tags (Hermes) and Qwen3-Coder's XML. Tidy
replies stand beside them, so that the comparison has rows which any server should read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import anthropic
from tokenizers import Tokenizer

from compare.contenders import HERMES, MODEL, QWEN_XML, Contender, Setting
from compare.results import Outcome
from compare.script import answers
from field import rows, server_rows
from vllm_messages_plugin.testing import tiny

Json = dict[str, Any]
Block = tuple[str, Any]

TIMEOUT = 120
MAX_TOKENS = 2_000
FAMILIES = {"qwen3": HERMES, "qwen-xml": QWEN_XML}
FORMATS = {"hermes_json": HERMES, "qwen_xml": QWEN_XML}


@dataclass(frozen=True)
class Case:
    """A reply of the model, and what a client must get.

    Attributes:
        name: What the page calls it.
        setting: The kind of model that wrote it.
        text: What the model writes.
        blocks: The right content: a call as its name and input (None: cut, so its input is not complete),
            another block as its type and text.
        tools: The offered tools.
        fields: Further fields of the request.
        cut: Whether max_tokens ends the reply after the text.
        tidy: Whether the reply is as the format demands.
    """

    name: str
    setting: Setting
    text: str
    blocks: Sequence[Block]
    tools: Sequence[Json]
    fields: Mapping[str, Any] = field(default_factory=dict)
    cut: bool = False
    tidy: bool = False


@dataclass(frozen=True)
class Reply:
    """What a client got: its blocks, the arguments of its calls as they were streamed, its stop_reason."""

    blocks: Sequence[Block]
    partial_json: Sequence[str]
    stop_reason: str | None


BASH, TIME, WRITE = rows.BASH, rows.TIME, rows.WRITE
LS: Json = {"command": "ls -l"}
CODE = 'print("a < b && c")\n\tif x > 1: \\d{2} "quoted" größer\n'


def _hermes(name: str, arguments: Json) -> str:
    return (
        f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}\n</tool_call>"
    )


def _xml(name: str, arguments: Mapping[str, str]) -> str:
    lines = "\n".join(f"<parameter={key}>\n{value}\n</parameter>" for key, value in arguments.items())
    return f"<tool_call>\n<function={name}>\n{lines}\n</function>\n</tool_call>"


def tidy_cases() -> list[Case]:
    """Replies exactly as the formats demand."""
    cases = []
    for label, setting, write in (("Hermes", HERMES, _hermes), ("Qwen XML", QWEN_XML, _xml)):
        written = {"file_path": "/a.py", "content": CODE.strip("\n")}
        texts: list[tuple[str, str, list[Block]]] = [
            ("text alone", "It is done.", [("text", "It is done.")]),
            ("one call", write("Bash", LS), [("Bash", LS)]),
            ("text, then a call", f"I look.\n{write('Bash', LS)}", [("text", "I look."), ("Bash", LS)]),
            (
                "two calls",
                f"{write('Bash', LS)}\n{write('get_time', {'city': 'Oslo'})}",
                [("Bash", LS), ("get_time", {"city": "Oslo"})],
            ),
            ("source code as an argument", write("Write", written), [("Write", written)]),
        ]
        tools = [BASH, TIME, WRITE]
        cases += [
            Case(f"{label}: {name}", setting, text, blocks, tools, tidy=True) for name, text, blocks in texts
        ]
    return cases


def reported_cases() -> list[Case]:
    """The reports from users: each is a request and the right reply."""
    return [
        Case(
            row.report,
            FAMILIES[row.family],
            row.text,
            row.blocks,
            row.fields.get("tools", ()),
            {key: value for key, value in row.fields.items() if key != "tools"},
            cut=row.cut,
        )
        for row in server_rows.ROWS
        if row.family in FAMILIES
    ]


def parser_cases(known: set[str]) -> list[Case]:
    """The cases of other servers' parser tests whose texts are not among the reports."""
    found = []
    for row in rows.ROWS:
        if row.format_name not in FORMATS or row.output in known or row.unfinished or row.cut:
            continue
        blocks: list[Block] = [("thinking", row.reasoning)] if row.reasoning else []
        texts: list[Block] = [("text", row.text)] if row.text else []
        behind = row.output.endswith(row.text) and bool(row.calls)
        blocks += [*row.calls, *texts] if behind else [*texts, *row.calls]
        known.add(row.output)
        found.append(Case(row.source, FORMATS[row.format_name], row.output, blocks, row.tools or [BASH]))
    return found


def all_cases() -> list[Case]:
    """Every case."""
    reported = reported_cases()
    return [*tidy_cases(), *reported, *parser_cases({case.text for case in reported})]


def marker(number: int) -> str:
    """Return the user's words by which the playbook knows a case."""
    return f"Case {number}: go on."


def playbook(cases: Sequence[Case]) -> list[Json]:
    """Return the rules by which the model replies to each case."""
    rules: list[Json] = []
    for number, case in enumerate(cases):
        when, end = marker(number), "none" if case.cut else "eos"
        if case.setting is HERMES and "<think>" not in case.text:
            rules += answers(when, case.text, end=end)
        else:
            rules.append({"when": when, "say": case.text, "end": end})
    return rules


def request(number: int, case: Case) -> Json:
    """Return a case's request: thinking is off unless the case is about thinking."""
    tokens = MAX_TOKENS
    if case.cut:
        path = tiny.model_directory(case.setting.template) / "tokenizer.json"
        encoded = Tokenizer.from_file(str(path)).encode(case.text, add_special_tokens=False)
        tokens = len(encoded.ids)
    body: Json = {
        "model": MODEL,
        "max_tokens": tokens,
        "messages": [{"role": "user", "content": marker(number)}],
        "thinking": {"type": "disabled"},
        **case.fields,
    }
    return body | ({"tools": list(case.tools)} if case.tools else {})


def measure(contender: Contender, cases: Sequence[Case]) -> dict[str, Outcome]:
    """Stream every case from one contender that has the scripted model with the cases' template."""
    assert contender.server is not None
    with (
        contender.server.playbook(playbook(cases)),
        anthropic.DefaultHttpxClient(trust_env=False) as transport,
        anthropic.Anthropic(
            base_url=contender.url, api_key="x", max_retries=0, timeout=TIMEOUT, http_client=transport
        ) as client,
    ):
        return {case.name: _outcome(client, number, case) for number, case in enumerate(cases)}


def _outcome(client: anthropic.Anthropic, number: int, case: Case) -> Outcome:
    try:
        reply = stream(client, request(number, case))
    except anthropic.APIStatusError as error:
        refused = 400 <= error.status_code < 500
        return Outcome("refused" if refused else "wrong", f"HTTP {error.status_code}: {error.message}"[:200])
    except (anthropic.AnthropicError, ValueError, KeyError, IndexError, AttributeError) as error:
        return Outcome("wrong", f"the SDK cannot read the stream: {type(error).__name__}: {error}"[:200])
    return judge(case, reply)


def stream(client: anthropic.Anthropic, body: Json) -> Reply:
    """Stream a reply with the official SDK."""
    parts: dict[int, str] = {}
    with client.messages.stream(**body) as events:
        for event in events:
            if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                parts[event.index] = parts.get(event.index, "") + event.delta.partial_json
        message = events.get_final_message().to_dict()
    blocks = [_block(block) for block in message["content"]]
    kept = [parts.get(at, "") for at, block in enumerate(message["content"]) if block["type"] == "tool_use"]
    return Reply(blocks, kept, message["stop_reason"])


def _block(block: Mapping[str, Any]) -> Block:
    if block["type"] == "tool_use":
        return block["name"], block["input"]
    return block["type"], block.get(block["type"], "")


def judge(case: Case, reply: Reply) -> Outcome:
    """Compare a reply with what the case demands; white space around texts does not count."""
    found = [trimmed for block in reply.blocks if (trimmed := _trimmed(block))[1] != ""]
    wanted = [_trimmed(block) for block in case.blocks]
    detail = f"{found}, {reply.stop_reason}"[:300]
    if all(_same(*pair) for pair in zip_longest(wanted, found)) and _cut_shows(case, reply):
        return Outcome("right", detail)
    return Outcome("lost" if missing(case, found, reply) else "wrong", detail)


def _trimmed(block: Block) -> Block:
    kind, content = block
    return kind, content.strip() if isinstance(content, str) else content


def _same(wanted: Block | None, found: Block | None) -> bool:
    if wanted is None or found is None:
        return False
    return wanted == found or (wanted[1] is None and wanted[0] == found[0])


def _cut_shows(case: Case, reply: Reply) -> bool:
    """Whether a client can tell that a cut call is cut: stop_reason says so, and its JSON is no JSON."""
    if not case.cut:
        return True
    if reply.stop_reason != "max_tokens":
        return False
    return case.blocks[-1][1] is not None or not _is_json("".join(reply.partial_json))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def missing(case: Case, found: Sequence[Block], reply: Reply) -> list[str]:
    """Return what the model wrote and no block of the reply contains: texts, names, arguments."""
    shown = json.dumps([found, reply.partial_json], ensure_ascii=False)
    return [word for word in _words(case.blocks) if json.dumps(word, ensure_ascii=False)[1:-1] not in shown]


def _words(blocks: Sequence[Block]) -> list[str]:
    words = []
    for kind, content in blocks:
        if isinstance(content, str):
            words.append(content.strip())
        else:
            words += [kind, *(value for value in (content or {}).values() if isinstance(value, str))]
    return words
