"""`vllm-messages render`: the prompt of a request with the places of its blocks."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.testing import tiny

BODY: dict[str, Any] = {
    "model": "any",
    "max_tokens": 10,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": "What is it?"}],
}


def run(folder: Path, logged: Any, *options: str, model: str = "") -> Result:
    file = folder / "request.json"
    file.write_text(json.dumps(logged), encoding="utf-8")
    return CliRunner().invoke(
        app, ["render", model or str(tiny.model_directory("qwen_like")), str(file), *options]
    )


def test_the_prompt_and_the_places_are_printed(tmp_path: Path) -> None:
    result = run(tmp_path, BODY)
    assert result.exit_code == 0, result.output
    prompt, places = result.output.split("\nBlocks ")
    assert prompt.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is it?")
    start = prompt.index("What is it?")
    assert f"{start}-{start + len('What is it?')}" in places
    assert "messages.0.content" in places
    assert f"behind {prompt.index('Be brief.') + len('Be brief.')}" in places
    assert "open an issue" in places


def test_json_has_the_same_for_programs(tmp_path: Path) -> None:
    found = json.loads(run(tmp_path, {"body": json.dumps(BODY)}, "--json").output)
    assert [block["path"] for block in found["blocks"]] == ["system.0", "messages.0.content"]
    for block, text in zip(found["blocks"], ("Be brief.", "What is it?"), strict=True):
        assert found["prompt"][block["start"] : block["end"]] == text
    assert found["breakpoints"][0]["end"] == found["blocks"][0]["end"]


def test_thinking_is_switched_as_the_server_does(tmp_path: Path) -> None:
    off = json.loads(run(tmp_path, BODY, "--json").output)
    on = json.loads(run(tmp_path, BODY, "--json", "--default-thinking", "on").output)
    assert off["template_kwargs"] != on["template_kwargs"]
    assert off["prompt"] != on["prompt"]


def test_another_chat_template_can_be_given(tmp_path: Path) -> None:
    other = tmp_path / "other.jinja"
    other.write_text("{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}", encoding="utf-8")
    output = run(tmp_path, BODY, "--chat-template", str(other)).output
    assert output.startswith("[system] Be brief.[user] What is it?")


@pytest.mark.parametrize("logged", [{"role": "user"}, [1], "text"])
def test_a_file_without_a_request_is_an_error(tmp_path: Path, logged: Any) -> None:
    result = run(tmp_path, logged)
    assert result.exit_code == 2
    assert "holds no request" in result.stderr


def test_a_request_that_the_server_refuses_exits_with_its_message(tmp_path: Path) -> None:
    result = run(tmp_path, {**BODY, "messages": [{"role": "nobody", "content": "x"}]})
    assert result.exit_code == 1
    assert "messages.0" in result.stderr


def test_a_missing_model_is_an_error(tmp_path: Path) -> None:
    result = run(tmp_path, BODY, model=str(tmp_path / "missing"))
    assert result.exit_code == 2
    assert "missing" in result.stderr


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_bytes(b"\xff\xfe\x00")
    result = CliRunner().invoke(app, ["render", str(tiny.model_directory("qwen_like")), str(file)])
    assert result.exit_code == 2
    assert "holds no request" in result.stderr
