"""Single requests that agents send and that servers often get wrong, each judged on its own."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from compare.contenders import MODEL, WINDOW, Contender
from compare.results import Outcome
from compare.script import answers
from request_table.image_file import image_file
from support.search_services import PAGES
from vllm_messages_plugin.conformance.outcome import MismatchError
from vllm_messages_plugin.conformance.stream_rules import accumulate, parse_events

Json = dict[str, Any]
MESSAGES = "/v1/messages"
HEADERS = {"anthropic-version": "2023-06-01", "x-api-key": "x"}
TIMEOUT = 120.0
ANSWER = "It is installed by pip."
QUERY = "vllm messages plugin install"
LONG = "one two three four five six seven eight nine ten " * 60
ATTEMPTS = 3  # noise may fill the whole reply with the white space that a grammar allows
END_SECONDS = 60  # how long after the engine's death a stream may still be open
TOOL = {
    "name": "Read",
    "description": "Reads a file.",
    "input_schema": {
        "type": "object",
        "properties": {"file_path": {"type": "string"}},
        "required": ["file_path"],
    },
}


def _search_call(tool: str) -> str:
    return f'<tool_call>\n{{"name": "{tool}", "arguments": {{"query": "{QUERY}"}}}}\n</tool_call>'


STATES = ("on", "off")
SWITCH = {  # no text among its arguments: noise would not end it
    "name": "switch",
    "description": "Switches the lamp.",
    "input_schema": {
        "type": "object",
        "properties": {"state": {"type": "string", "enum": list(STATES)}},
        "required": ["state"],
        "additionalProperties": False,
    },
}
SEARCH_RULES: Sequence[Json] = [
    *answers("<tool_response>.*Run pip install", ANSWER),
    # LiteLLM offers the model the search under a name of its own.
    *answers("litellm_web_search.*Perform a web search", _search_call("litellm_web_search")),
    *answers("Perform a web search", _search_call("web_search")),
]
"""How the model searches where a server asks it to, and reads what is found."""
PLAYBOOK: Sequence[Json] = [
    *answers("Say hello", "Hello."),
    *SEARCH_RULES,
    *answers("Count slowly", LONG, delay_ms=50),
]


@dataclass(frozen=True)
class Answer:
    """The status and body of a reply."""

    status: int
    text: str

    @property
    def body(self) -> Json:
        """The body as JSON, or an empty object."""
        try:
            value = json.loads(self.text)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def content(self) -> list[Json]:
        """The blocks of the message."""
        content = self.body.get("content")
        return content if isinstance(content, list) else []

    @property
    def message(self) -> str:
        """The text of an error, or the start of the body."""
        error = self.body.get("error")
        text = error.get("message") if isinstance(error, dict) else None
        return " ".join(str(text or self.text).split())[:160]

    @property
    def refused(self) -> bool:
        """Whether the server said no."""
        return 400 <= self.status < 500 or self.status == 501


def user(content: Any) -> Json:
    """A turn of the user."""
    return {"role": "user", "content": content}


def post(contender: Contender, body: Json) -> Answer:
    """Send a request and read the whole reply."""
    sent = {"model": MODEL, "max_tokens": 64, **body}
    with httpx.Client(base_url=contender.url, trust_env=False, timeout=TIMEOUT) as client:
        reply = client.post(MESSAGES, json=sent, headers=HEADERS)
    return Answer(reply.status_code, reply.text)


def begun(contender: Contender, body: Json) -> Answer:
    """Stream a reply until its first delta, so that a model that never ends is no obstacle."""
    sent = {"model": MODEL, "max_tokens": 64, "stream": True, **body}
    text = ""
    with (
        httpx.Client(base_url=contender.url, trust_env=False, timeout=TIMEOUT) as client,
        client.stream("POST", MESSAGES, json=sent, headers=HEADERS) as reply,
    ):
        for piece in reply.iter_text():
            text += piece
            if "content_block_delta" in text:
                break
    return Answer(reply.status_code, text)


def refusal(answer: Answer) -> Outcome:
    """The outcome of a request that was not served."""
    return Outcome("refused" if answer.refused else "wrong", f"HTTP {answer.status}: {answer.message}")


def oversized_max_tokens(contender: Contender) -> Outcome:
    """Agents ask for as many tokens as Anthropic's models may write, which a small window has no room for."""
    answer = begun(contender, {"max_tokens": WINDOW, "messages": [user("Say hello.")]})
    return Outcome("right", "HTTP 200") if answer.status == 200 else refusal(answer)


def image_block() -> Json:
    """A small picture."""
    source = {"type": "base64", "media_type": "image/png", "data": image_file("PNG", (64, 64))}
    return {"type": "image", "source": source}


def new_image(contender: Contender) -> Outcome:
    """A picture that the model cannot see must be refused, in words that say so."""
    answer = begun(contender, {"messages": [user([image_block(), {"type": "text", "text": "Say hello."}])]})
    if answer.status == 200:
        return Outcome("lost", "HTTP 200: the model answers without the picture")
    named = "image" in answer.message.lower() or "multimodal" in answer.message.lower()
    right = answer.refused and named
    return Outcome("right" if right else "wrong", f"HTTP {answer.status}: {answer.message}")


def old_image(contender: Contender) -> Outcome:
    """A picture in an earlier turn must not end the conversation with a model that sees none."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "a.png"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [image_block()]}
    turns = [user("Look at a.png."), {"role": "assistant", "content": [call]}, user([result])]
    turns += [{"role": "assistant", "content": "I cannot see it."}, user("Say hello.")]
    answer = begun(contender, {"messages": turns, "tools": [TOOL]})
    return Outcome("right", "HTTP 200") if answer.status == 200 else refusal(answer)


def forced_call(contender: Contender) -> Outcome:
    """`tool_choice` any: the noise of a model with random weights must become a call of the tool."""
    body = {"messages": [user("Do it.")], "tools": [SWITCH], "tool_choice": {"type": "any"}}
    body |= {"thinking": {"type": "disabled"}}
    detail = ""
    for _ in range(ATTEMPTS):
        answer = post(contender, {**body, "max_tokens": 400})
        if answer.status != 200:
            return refusal(answer)
        detail = json.dumps(answer.content, ensure_ascii=False)[:160]
        if are_forced_calls(answer.body):
            return Outcome("right", detail)
    return Outcome("wrong", detail)


def are_forced_calls(message: Json) -> bool:
    """Whether a message has valid calls of the tool and nothing else; `max_tokens` may have cut the last."""
    content = list(message.get("content") or ())
    if message.get("stop_reason") == "max_tokens" and len(content) > 1:
        content.pop()
    return bool(content) and all(
        block["type"] == "tool_use" and block["name"] == "switch" and block["input"].get("state") in STATES
        for block in content
    )


def web_search(contender: Contender) -> Outcome:
    """The request of Claude Code's WebSearch: the reply must have the results, and what they say."""
    system = "You are an assistant for performing a web search tool use"
    body = {
        "max_tokens": 32_000,
        "messages": [user([{"type": "text", "text": f"Perform a web search for the query: {QUERY}"}])],
        "system": [{"type": "text", "text": system}],
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}],
        "tool_choice": {"type": "auto"},
        "metadata": {"user_id": "x"},
        "output_config": {"effort": "high"},
        "stream": True,
    }
    if contender.server is None:  # its model cannot be scripted: it may refuse, and no more can be told
        answer = begun(contender, body)
        unknown = Outcome("none", f"HTTP {answer.status}; its model cannot be scripted")
        return unknown if answer.status == 200 else refusal(answer)
    answer = post(contender, body)
    if answer.status != 200:
        return refusal(answer)
    try:
        content = accumulate(parse_events(answer.text))["content"]
    except (MismatchError, ValueError, KeyError, IndexError, TypeError) as error:
        return Outcome("wrong", f"the stream is invalid: {error}"[:200])
    return judged_search(content)


def judged_search(content: Sequence[Mapping[str, Any]]) -> Outcome:
    """Judge the blocks of a reply to a web search.

    Claude Code hands titles, addresses and text blocks to its model, and nothing else: so the addresses must
    be in a block of results or in a text, and a text must have a summary by the model or what the pages say.
    """
    kinds = [str(block["type"]) for block in content]
    text = "".join(block.get("text", "") for block in content)
    results = json.dumps([block for block in content if block["type"] == "web_search_tool_result"])
    listed = all(page["url"] in results + text for page in PAGES)
    answered = ANSWER in text or all(page["text"] in text for page in PAGES)
    evidence = "their content in the text" if answered else "their content in no text"
    detail = f"{', '.join(kinds) or 'no block'}; addresses {'listed' if listed else 'missing'}, {evidence}"
    if listed and answered:
        return Outcome("right", detail)
    return Outcome("wrong" if listed or answered else "lost", detail)


ROWS: Mapping[str, Callable[[Contender], Outcome]] = {
    "max_tokens as large as the window": oversized_max_tokens,
    "a picture, to a text model": new_image,
    "a picture in an earlier turn": old_image,
    "a forced call (`tool_choice` any)": forced_call,
    "Claude Code's WebSearch": web_search,
}
KILLED = "the engine dies while a reply is streamed"


def measure(contender: Contender) -> dict[str, Outcome]:
    """Send every request to one contender."""
    return {name: _asked(row, contender) for name, row in ROWS.items()}


def _asked(row: Callable[[Contender], Outcome], contender: Contender) -> Outcome:
    try:
        with contender.server.playbook(PLAYBOOK) if contender.server else nullcontext():
            return row(contender)
    except httpx.HTTPError as error:
        return Outcome("wrong", f"{type(error).__name__}: {error}")


# The engine's death.


@dataclass
class Stream:
    """A stream that is read in a thread until it ends."""

    contender: Contender
    text: str = ""
    ended: str = ""
    started: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        """Read a long reply; `started` is set at the first piece of text."""
        body = {
            "model": MODEL,
            "max_tokens": 2_000,
            "stream": True,
            "messages": [user("Count slowly.")],
            "thinking": {"type": "disabled"},
        }
        try:
            with (
                httpx.Client(trust_env=False, timeout=END_SECONDS) as client,
                client.stream("POST", self.contender.url + MESSAGES, json=body, headers=HEADERS) as reply,
            ):
                for piece in reply.iter_text():
                    self.text += piece
                    if "content_block_delta" in self.text:
                        self.started.set()
            self.ended = "closed"
        except httpx.TimeoutException:
            self.ended = "hung"
        except httpx.HTTPError as error:
            self.ended = f"broken: {type(error).__name__}"
        finally:
            self.started.set()


def kill_engine(contenders: Sequence[Contender]) -> Iterator[tuple[str, Outcome]]:
    """Stream from contenders that share one engine, kill it, and judge how each stream ends."""
    server = contenders[0].server
    if server is None:
        yield contenders[0].name, Outcome("none", "the engine and the server are one process")
        return
    streams = [Stream(contender) for contender in contenders]
    threads = [threading.Thread(target=stream.read, daemon=True) for stream in streams]
    with server.playbook(PLAYBOOK):
        for thread in threads:
            thread.start()
        for stream in streams:
            stream.started.wait(TIMEOUT)
        time.sleep(0.5)
        os.kill(engine_process(server.process.pid), signal.SIGKILL)
        for thread in threads:
            thread.join(END_SECONDS)
    for stream in streams:
        yield stream.contender.name, judged_end(stream.text, stream.ended)


def judged_end(text: str, ended: str) -> Outcome:
    """Judge the end of a stream whose engine was killed: only an error event tells the client."""
    if "content_block_delta" not in text:
        return Outcome("wrong", f"nothing was streamed: {text[:100]!r}, {ended or 'hung'}")
    if "event: error" in text:
        return Outcome("right", "an `error` event")
    if "message_stop" in text:
        return Outcome("wrong", "the cut reply ends like a complete one")
    return Outcome("wrong", f"no `error` event: the connection was {ended or 'left open'}")


def engine_process(group: int) -> int:
    """Return the process of vLLM's engine core in a process group."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text(encoding="ascii", errors="replace")
            name = (path.parent / "cmdline").read_text(encoding="utf-8", errors="replace")
        except OSError:  # the process has ended meanwhile
            continue
        if int(text.rpartition(")")[2].split()[2]) == group and "EngineCore" in name + text:
            return int(path.parent.name)
    raise ProcessLookupError(f"no engine core in the process group {group}")
