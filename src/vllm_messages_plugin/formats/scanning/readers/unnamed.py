"""Finds the tool of a call under an id, where the tool's name belongs: `call_9f8e` for `get_weather`.

Models that saw ids in the place of names imitate them. Then the tool's name stands among the arguments, or
only one of the offered tools takes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, run
from vllm_messages_plugin.formats.scanning.readers.arguments import NAME, ArgumentsWriter
from vllm_messages_plugin.formats.scanning.readers.json_value import JsonReader, convert_json
from vllm_messages_plugin.formats.scanning.schema import SchemaNode, fits, similar_name


def find_tool(
    call_id: str, written: str, tools: Mapping[str, SchemaNode], note_repair: Callable[[str], None]
) -> tuple[str, str]:
    """Find the tool that a call means.

    Args:
        call_id: What the model wrote in the place of the tool's name.
        written: The call's arguments as JSON.
        tools: The schema of each offered tool's arguments.
        note_repair: Receives the name of each repair.

    Returns:
        The tool's name and its arguments as JSON, in the types of its schema; the id and the arguments as
        they are, unless exactly one tool can be meant.
    """
    arguments = json.loads(written)
    named = arguments.get(NAME)
    name = named if named in tools else similar_name(named, tools) if isinstance(named, str) else None
    if name is None:
        fitting = [name for name, node in tools.items() if _takes(node, written)]
        name = fitting[0] if len(fitting) == 1 else None
    elif not _takes(tools[name], written):
        arguments.pop(NAME)
    if name is None:
        return call_id, written
    note_repair(repair.NAME_FOUND)
    return name, _arguments_of(name, arguments, tools[name], note_repair)


def _takes(node: SchemaNode, written: str) -> bool:
    """True if arguments, converted to a schema's types, satisfy it."""
    converted, _ = convert_json(written, node)
    return converted is not None and fits(json.loads(converted), node)


def _arguments_of(
    name: str, arguments: Mapping[str, object], node: SchemaNode, note_repair: Callable[[str], None]
) -> str:
    """The arguments as JSON under the keys and in the types of a schema."""
    parts: list[str] = []
    writer = ArgumentsWriter(parts.append, note_repair, node, name)
    buffer = InputBuffer(repair.dump(arguments)[1:], ended=True)
    run(JsonReader(buffer, writer.write, note_repair).read_members(writer))
    return f"{{{''.join(parts)}}}"
