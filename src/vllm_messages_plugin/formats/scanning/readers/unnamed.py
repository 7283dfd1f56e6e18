"""Reads a call under an id instead of a tool's name: the tool is found by the call's arguments.

Some models write the call's id where its name belongs, `call_abc` for `get_weather`. Then the name stands
among the arguments, or only one of the offered tools takes them. The arguments are read completely before the
call is emitted, since its name comes first.
"""

from __future__ import annotations

import json
from typing import Any

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator, run
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.readers.arguments import NAME, WRAPPERS, ArgumentsWriter
from vllm_messages_plugin.formats.scanning.readers.json_call import read_arguments
from vllm_messages_plugin.formats.scanning.readers.json_value import JsonReader


def read_unnamed(output: ScanOutput, name: str) -> ReadGenerator[bool]:
    """Read a call whose tool is not known by its name.

    Args:
        output: Receives the call.
        name: What the model wrote in the place of the tool's name.

    Returns:
        False, with nothing emitted, if the arguments are broken or cut.
    """
    parts: list[str] = []
    captured = ArgumentsWriter(parts.append, output.note_repair, None, name)
    reader = JsonReader(output.buffer, captured.write, output.note_repair)
    if not (yield from reader.read_members(captured)):
        return False
    found, arguments = _tool_of(output, name, json.loads(f"{{{''.join(parts)}}}"))
    if found != name:
        output.note_repair(repair.NAME_FOUND)
    output.begin_call(found)
    output.add_arguments("{")
    run(read_arguments(output, InputBuffer(repair.dump(arguments)[1:], ended=True), found))
    output.add_arguments("}")
    output.end_call(complete=True)
    return True


def _tool_of(output: ScanOutput, name: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The tool and its arguments, where exactly one tool can be meant; otherwise what the model wrote."""
    named = arguments.get(NAME)
    if isinstance(named, str) and output.offers(named):
        rest = {key: value for key, value in arguments.items() if key != NAME}
        wrapped = next(iter(rest.values())) if len(rest) == 1 and next(iter(rest)) in WRAPPERS else None
        return named, wrapped if isinstance(wrapped, dict) else rest
    fitting = output.tools_that_fit(arguments)
    return (fitting[0] if len(fitting) == 1 else name), arguments
