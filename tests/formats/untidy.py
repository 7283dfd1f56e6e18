"""Calls as models write them when they drift: samples of every kind of drift, made from the tidy samples."""

# ruff: noqa: RUF001 - DeepSeek spells its tokens with a fullwidth bar

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from formats.samples import write_calls
from vllm_messages_plugin.formats.scanning.formats import FORMATS

Calls = list[tuple[str, dict[str, Any]]]
Sample = tuple[str, Calls]
Samples = Iterator[Sample]

TEXT = {"type": "string"}


def tool(name: str, required: list[str], properties: Mapping[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required}
    return {"name": name, "input_schema": schema}


ITEM = {"type": "object", "properties": {"id": TEXT, "done": {"type": "boolean"}}}
TOOLS = [
    tool("Bash", ["command"], {"description": TEXT, "command": TEXT, "timeout": {"type": "integer"}}),
    tool("get_time", ["city"], {"city": TEXT, "user_id": TEXT}),
    tool("todo", ["items"], {"items": {"type": "array", "items": ITEM}}),
]
CALLS: Calls = [("Bash", {"description": "list", "command": "ls -l"}), ("get_time", {"city": "Oslo"})]
ONE: Calls = [("get_time", {"city": "Oslo"})]
OBJECT = json.dumps(ONE[0][1])
DIALECTS = ("qwen_xml", "glm_xml", "hermes_json", "invoke")
"""Other formats that many formats read as well."""


def own_tags(format_name: str, *, arguments: bool) -> set[str]:
    """The closing tags of arguments, or those of calls and sections."""
    sections = [section for section in FORMATS[format_name].sections if not section.foreign]
    calls = [call for section in sections for call in section.calls]
    if arguments:
        tags = {call.arg_close for call in calls}
    else:
        tags = {tag for section in sections for tag in (section.close, *section.between)}
        tags |= {call.close for call in calls}
    return {tag.replace("{suffix}", suffix) for tag in tags - {""} for suffix in ("", ":opensource")}


def replaced(text: str, tags: set[str], write: Callable[[str], list[str]]) -> Iterator[str]:
    """The text with one tag written in another way, for each place of each tag."""
    for tag in sorted(tags):
        for found in re.finditer(re.escape(tag), text):
            for other in write(tag):
                yield text[: found.start()] + other + text[found.end() :]


def mangled(tag: str) -> list[str]:
    if tag.startswith("</"):
        return ["", "</a>", tag[:-1], f"{tag[:-1]}/>", f"{tag[:-1]}1>", f"{tag[:-1]} >"]
    return ["", tag[:-1], f"{tag[:-1]} >", tag.replace("|>", ">").replace("｜>", ">")]


def names(format_name: str) -> Samples:
    for name in ("Get_Time", "get-time", "functions.get_time", "GetTime", "tools.get_time"):
        yield write_calls(format_name, [(name, {"city": "Oslo"})]), ONE
    for key in ("userId", "user-id", "User_ID"):
        call = ("get_time", {"city": "Oslo", key: "5"})
        yield write_calls(format_name, [call]), [("get_time", {"city": "Oslo", "user_id": "5"})]
    yield write_calls(format_name, [("get_time", {"name": "get_time", "city": "Oslo"})]), ONE
    yield write_calls(format_name, [("get_time", {"city": "Oslo", "name": "get_time"})]), ONE


def wrapped(format_name: str) -> Samples:
    for key in ("arguments", "input", "parameters", "properties", "params", "args"):
        yield write_calls(format_name, [("get_time", {key: {"city": "Oslo"}})]), ONE
        yield write_calls(format_name, [("get_time", {key: OBJECT})]), ONE


def typed_text(format_name: str) -> Samples:
    items = [{"id": "1", "done": True}]
    written = json.dumps(items)
    for value in (written, json.dumps(written), written.replace('"', '\\"'), str(items)):
        yield write_calls(format_name, [("todo", {"items": value})]), [("todo", {"items": items})]
    for value in ("5", '"5"', "5.0"):
        call = ("Bash", {"command": "x", "timeout": value})
        yield write_calls(format_name, [call]), [("Bash", {"command": "x", "timeout": 5})]


def value_ends(format_name: str) -> Samples:
    text = write_calls(format_name, CALLS)
    for written in replaced(text, own_tags(format_name, arguments=True), mangled):
        yield written, CALLS


def key_tags(format_name: str) -> Samples:
    text = write_calls(format_name, CALLS)
    for found in re.finditer(r"</?(?:longcat_)?arg_(?:key(?::\w+)?>|value(?::\w+)?>(?<!/arg_value>))", text):
        glued = (
            found[0].startswith("<") and not found[0].startswith("</") and text[found.start() - 1].isalnum()
        )
        if not glued and not re.match(r"</\w*arg_value", found[0]):
            yield text[: found.start()] + text[found.end() :], CALLS


def ends(format_name: str) -> Samples:
    text = write_calls(format_name, CALLS)
    for written in replaced(text, own_tags(format_name, arguments=False), mangled):
        yield written, CALLS


def line_ends(format_name: str) -> Samples:
    text = write_calls(format_name, ONE)
    if "\n" in text and "<parameter=" in text:
        yield text.replace("\n", "\\n"), ONE


def untidy_json(format_name: str) -> Samples:
    text = write_calls(format_name, ONE)
    for written in (
        '{"city": "Oslo",}',
        '{"city":, "Oslo"}',
        '{"city" "Oslo"}',
        "{'city': 'Oslo'}",
        "{'city': \"Oslo\"}",
        '{"city": Oslo}',
        '{\\"city\\": \\"Oslo\\"}',
        f"{OBJECT}}}",
    ):
        if OBJECT in text and written != '{"city":, "Oslo"}':
            yield text.replace(OBJECT, written), ONE
    if OBJECT in text:
        yield text.replace("Oslo", "Os\nlo"), [("get_time", {"city": "Os\nlo"})]
        yield text.replace("Oslo", "Os\\qlo"), [("get_time", {"city": "Os\\qlo"})]


def encoded(format_name: str) -> Samples:
    text = write_calls(format_name, ONE)
    if OBJECT in text:
        yield text.replace(OBJECT, json.dumps(OBJECT)), ONE
        yield text.replace(OBJECT, json.dumps(json.dumps(OBJECT))), ONE


def other_keys(format_name: str) -> Samples:
    text = write_calls(format_name, ONE)
    found = re.search(
        r'\{"(?:tool_)?name": "get_time", "(?:arguments|parameters)": \{"city": "Oslo"\}\}', text
    )
    for keys in ("name arguments", "name parameters", "name input", "name args", "tool arguments"):
        name, arguments = keys.split()
        if found:
            yield text.replace(found[0], f'{{"{name}": "get_time", "{arguments}": {OBJECT}}}'), ONE
            yield text.replace(found[0], f'{{"{arguments}": {OBJECT}, "{name}": "get_time"}}'), ONE
            yield text.replace(found[0], f'{{{{"{name}": "get_time", "{arguments}": {OBJECT}}}}}'), ONE


def python(format_name: str) -> Samples:
    text = write_calls(format_name, ONE)
    call = "get_time(city='Oslo')"
    if call in text:
        yield text.replace(call, "Bash(command='a', timeout=07)"), [("Bash", {"command": "a", "timeout": 7})]
        yield text.replace(call, "get_time(city='it's 'so'')"), [("get_time", {"city": "it's 'so'"})]
        yield text.replace(call, "todo(items={('a')})"), [("todo", {"items": ["a"]})]


def gemma(format_name: str) -> Samples:
    quote = '<|"|>' if format_name == "gemma_call" else "<escape>"
    before, after = write_calls(format_name, ONE).split(f"call:get_time{{city:{quote}Oslo{quote}}}")
    for written in (
        f"get_time{{city:{quote}Oslo{quote}}}",
        f":get_time{{city:{quote}Oslo{quote}}}",
        f":call:get_time{{city:{quote}Oslo{quote}}}",
        f"call: get_time{{city:{quote}Oslo{quote}}}",
        f"call:get_time{{{quote}city{quote}:{quote}Oslo{quote}}}",
        'call:get_time{"city":"Oslo"}',
        "call:get_time{city:'Oslo'}",
        "call:get_time{city:Oslo}",
        f"call:get_time{{city:{quote}Oslo{quote}",
    ):
        if format_name == "gemma_call" or written.startswith("call:"):
            yield before + written + after, ONE
    yield before + "call:get_time{city:}" + after, [("get_time", {"city": ""})]


def spelling(format_name: str) -> Samples:
    text = write_calls(format_name, CALLS)
    for bar, space in (("|", "▁"), ("|", "_"), ("｜", "_"), ("｜", " "), ("｜", "\\_")):
        yield text.replace("｜", bar).replace("▁", space), CALLS
    opening = "<｜tool▁calls▁begin｜>"
    for other in ("<｜tool▁calls｜>", "<｜tool_calls_begin｜>", "<|tool▁calls▁begin|>"):
        yield text.replace(opening, other), CALLS
        yield text.replace(opening, other).replace("<｜tool▁call▁begin｜>", ""), CALLS


def envelope(format_name: str) -> Samples:
    text = write_calls(format_name, ONE)
    for opening, closing in FORMATS[format_name].envelopes:
        yield f"{opening}{text}{closing}", ONE
        yield f"{opening}{closing}{text}", ONE
        yield f"{text}{closing}", ONE


def noise(format_name: str) -> Samples:
    text = write_calls(format_name, ONE)
    for token in FORMATS[format_name].noise:
        if not (FORMATS[format_name].thinking or ("",))[0].startswith(token):
            yield f"{token}{text}", ONE
            yield f"{text}{token}", ONE


UNTIDY: Mapping[str, Callable[[str], Samples]] = {
    "names": names,
    "wrapped": wrapped,
    "typed_text": typed_text,
    "value_ends": value_ends,
    "key_tags": key_tags,
    "ends": ends,
    "line_ends": line_ends,
    "json": untidy_json,
    "encoded": encoded,
    "other_keys": other_keys,
    "python": python,
    "gemma": gemma,
    "spelling": spelling,
    "envelope": envelope,
    "noise": noise,
}


def untidy_samples(format_name: str, kind: str) -> list[Sample]:
    """Samples of a kind of drift: in the format's own writing, else in another that the format reads."""
    for writer in (format_name, *DIALECTS):
        if samples := list(UNTIDY[kind](writer)):
            return samples
    return []
