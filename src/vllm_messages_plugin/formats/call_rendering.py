"""Renders earlier calls in a model's own tool-call format.

Some templates list tools but drop the calls of earlier turns (LFM2, Granite 3), or render them only from
arguments in a form that vLLM does not pass (Apriel, Phi-4-mini). Translation then puts the text from
`render_calls` into the assistant's content, so that the model still sees what it called.
`ParserChoice.rendered_call_format` names the format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from vllm_messages_plugin.formats.prompted import call_text

Call = tuple[str, Mapping[str, Any]]


def render_calls(call_format: str, calls: Sequence[Call]) -> str:
    """Return the calls of one turn as the model would write them.

    Args:
        call_format: a key of `CALL_RENDERERS`.
        calls: tool name and arguments of each call.
    """
    return CALL_RENDERERS[call_format](calls)


def _hermes(calls: Sequence[Call]) -> str:
    return "\n".join(call_text(name, arguments) for name, arguments in calls)


def _granite(calls: Sequence[Call]) -> str:
    listed = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return f"<|tool_call|>{json.dumps(listed, ensure_ascii=False)}"


def _lfm2(calls: Sequence[Call]) -> str:
    return f"<|tool_call_start|>[{', '.join(_python_call(*call) for call in calls)}]<|tool_call_end|>"


def _kimi(calls: Sequence[Call]) -> str:
    rendered = (
        f"<|tool_call_begin|>functions.{name}:{index}<|tool_call_argument_begin|>"
        f"{json.dumps(arguments, ensure_ascii=False)}<|tool_call_end|>"
        for index, (name, arguments) in enumerate(calls)
    )
    return f"<|tool_calls_section_begin|>{''.join(rendered)}<|tool_calls_section_end|>"


def _tool_calls_array(calls: Sequence[Call]) -> str:
    listed = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return f"<tool_calls>{json.dumps(listed, ensure_ascii=False)}</tool_calls>"


def _tool_calls_lines(calls: Sequence[Call]) -> str:
    lines = (
        json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False) for name, arguments in calls
    )
    return "\n".join(("<tool_calls>", *lines, "</tool_calls>"))


def _functionary(calls: Sequence[Call]) -> str:
    return "".join(
        f"<function={name}>{json.dumps(arguments, ensure_ascii=False)}</function>"
        for name, arguments in calls
    )


def _apertus(calls: Sequence[Call]) -> str:
    listed = [{name: arguments} for name, arguments in calls]
    return f"<|tools_prefix|>{json.dumps(listed, ensure_ascii=False)}<|tools_suffix|>"


def _functools(calls: Sequence[Call]) -> str:
    listed = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return f"functools{json.dumps(listed, ensure_ascii=False)}"


def _python_call(name: str, arguments: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


CALL_RENDERERS: Final[dict[str, Callable[[Sequence[Call]], str]]] = {
    "hermes_json": _hermes,
    "granite_array": _granite,
    "lfm2_python": _lfm2,
    "kimi_section": _kimi,
    "tool_calls_array": _tool_calls_array,
    "tool_calls_lines": _tool_calls_lines,
    "functionary_tag": _functionary,
    "apertus_keys": _apertus,
    "phi_functools": _functools,
}
