"""`vllm-messages parse`: outputs of models and of formats, whole and stepwise, for people and programs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.testing import tiny

CALL = '<tool_call>\n{"name": "Read", "arguments": {"path": "/a", "limit": "5",}}\n</tool_call>'
OUTPUT = f"<think>Hm.</think>I shall.\n{CALL}"
TOOLS = [
    {
        "name": "Read",
        "input_schema": {
            "type": "object",
            "properties": {"path": {"type": "string"}, "limit": {"type": "integer"}},
        },
    }
]


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["parse", *arguments], input=stdin)


def written(folder: Path, name: str, content: Any) -> str:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def report(*arguments: str, stdin: str | None = None) -> dict[str, Any]:
    result = run(*arguments, "--json", stdin=stdin)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


def test_everything_that_was_read_is_printed(tmp_path: Path) -> None:
    tools = written(tmp_path, "tools.json", TOOLS)
    result = run("hermes_json", written(tmp_path, "output.txt", OUTPUT), "--tools", tools)
    assert result.exit_code == 0
    assert "Read as hermes_json" in result.output
    parts = {part.split("\n", 1)[0]: part.split("\n", 1)[1] for part in result.output.split("\n\n")[1:5]}
    assert parts["Thinking"].strip() == "Hm."
    assert parts["Text"].strip() == "I shall."
    assert parts["Calls"].strip() == 'Read {"path": "/a", "limit": 5}'
    assert "trailing comma" in parts["Repairs"]
    assert "open an issue" in result.output


def test_json_has_the_same_for_programs(tmp_path: Path) -> None:
    found = report("hermes_json", "--tools", written(tmp_path, "tools.json", TOOLS), stdin=OUTPUT)
    assert (found["format"], found["thinking"], found["text"]) == ("hermes_json", "Hm.", "I shall.")
    assert [(call["name"], call["input"], call["complete"]) for call in found["calls"]] == [
        ("Read", {"path": "/a", "limit": 5}, True)
    ]
    assert "pieces" not in found


def test_without_tools_values_keep_the_types_that_the_model_wrote() -> None:
    assert report("hermes_json", stdin=OUTPUT)["calls"][0]["input"] == {"path": "/a", "limit": "5"}


def test_stepwise_prints_each_piece_with_the_place_where_it_was_certain() -> None:
    lines = run("hermes_json", "--stepwise", stdin=OUTPUT).output.splitlines()
    places = [int(line.split()[0]) for line in lines if line[:3].strip().isdigit()]
    assert len(places) > 10
    assert places == sorted(places)
    assert any("thinking  'H" in line for line in lines)
    assert any(line.endswith("call      0 Read") for line in lines)
    assert any("call      0 complete" in line for line in lines)
    found = report("hermes_json", "--stepwise", stdin=OUTPUT)
    assert (
        "".join(piece.get("text", "") for piece in found["pieces"] if piece["kind"] == "text") == "I shall."
    )


def test_a_cut_call_is_reported_as_cut() -> None:
    output = run("hermes_json", stdin=CALL[:50]).output
    assert "not complete" in output


def test_the_format_and_the_tags_of_a_model_come_from_its_template() -> None:
    folder = str(tiny.model_directory("qwen_like"))
    found = report(folder, stdin=OUTPUT)
    assert found["format"] == "hermes_json"
    assert found["thinking_tags"] == {"open": "<think>", "close": "</think>", "starts_open": False}
    assert found["thinking"] == "Hm."


@pytest.mark.parametrize(
    ("thinking", "expected"), [("open", ("Hm.", "So.")), ("closed", ("", "Hm.</think>So."))]
)
def test_the_end_of_the_prompt_can_be_given(thinking: str, expected: tuple[str, str]) -> None:
    found = report("hermes_json", "--thinking", thinking, stdin="Hm.</think>So.")
    assert (found["thinking"], found["text"]) == expected


def test_a_record_brings_its_tools_and_the_end_of_its_prompt(tmp_path: Path) -> None:
    record = {"request": None, "output_text": f"Hm.</think>{CALL}", "tools": TOOLS, "thinking_open": True}
    found = report("hermes_json", written(tmp_path, "record.json", record))
    assert found["thinking"] == "Hm."
    assert found["calls"][0]["input"]["limit"] == 5


def test_an_unknown_name_is_refused_as_neither_a_model_nor_a_format() -> None:
    result = run("no_such_format", stdin="x")
    assert result.exit_code == 2
    assert "no tool-call format is named no_such_format" in result.stderr


def test_a_model_that_only_vllm_reads_is_named_with_its_parser(tmp_path: Path) -> None:
    written(tmp_path, "config.json", {"model_type": "gpt_oss"})
    result = run(str(tmp_path), stdin="x")
    assert result.exit_code == 1
    assert "vLLM's openai does" in result.stderr


@pytest.mark.parametrize(
    "content", ["no JSON", [{"name": "Read", "input_schema": 5}], 3, [1], {"tools": 3}, {"tools": "Read"}]
)
def test_tools_that_are_not_valid_are_an_error_with_the_file(tmp_path: Path, content: Any) -> None:
    result = run("hermes_json", "--tools", written(tmp_path, "tools.json", content), stdin="x")
    assert result.exit_code == 2
    assert "tools.json" in result.stderr


IMPORTS = """
import sys
from vllm_messages_plugin.cli.app import app
try:
    app(sys.argv[1:])
finally:
    heavy = ("vllm", "torch", "transformers", "fastapi", "httpx")
    print("IMPORTED", *[name for name in heavy if name in sys.modules], file=sys.stderr)
"""


def test_no_vllm_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, "parse", "hermes_json"],
        input=OUTPUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "IMPORTED"
