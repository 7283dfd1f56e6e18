"""Every parser name that the probe may return exists in the installed vLLM."""

import ast
import importlib.util
from pathlib import Path

import pytest

from vllm_messages_plugin.formats.probing.detectors import REASONING_PARSERS, TOOL_PARSERS
from vllm_messages_plugin.formats.prompted import PROMPTED_PARSER


def registered(package: str, table: str) -> set[str]:
    """Return the keys of one of vLLM's tables, read from its source: importing vLLM takes ten seconds."""
    spec = importlib.util.find_spec("vllm")
    if spec is None or spec.origin is None:
        pytest.skip("vLLM is not installed")
    source = Path(spec.origin).parent / package / "__init__.py"
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == table:
            return set(ast.literal_eval(node.value))
    raise AssertionError(f"vLLM no longer has {table}")


def test_the_tool_parsers_exist() -> None:
    assert registered("tool_parsers", "_TOOL_PARSERS_TO_REGISTER") >= TOOL_PARSERS


def test_the_reasoning_parsers_exist() -> None:
    assert registered("reasoning", "_REASONING_PARSERS_TO_REGISTER") >= REASONING_PARSERS


def test_the_prompted_parser_is_among_the_tool_parsers() -> None:
    assert PROMPTED_PARSER in TOOL_PARSERS
