"""flags: what the files of a model give away, the command lines that follow, and how fast that is."""

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.flags.advice import NO_TOOLS, OWN_TEMPLATE

ASK = "{% if add_generation_prompt %}<|im_start|>assistant\n"
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}<|im_end|>\n{% endfor %}" + ASK + "{% endif %}"
)
QWEN = (
    "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    "<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content or '' }}"
    "{% for call in message.tool_calls or [] %}<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n'
    "</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
    + ASK
    + "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 4096}
ADDED = {"added_tokens": [{"id": 1, "content": "<|im_end|>"}]}
Files = dict[str, Any]


def model(folder: Path, files: Files) -> Path:
    """A model directory: text as it is, everything else as JSON."""
    for name, value in ({"config.json": CONFIG} | files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


def run(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(app, ["flags", *arguments], env=env)


def test_an_unknown_model_exits_with_2_and_lists_the_places_searched(tmp_path: Path) -> None:
    result = run("org/name", HF_HUB_CACHE=str(tmp_path))
    assert result.exit_code == 2
    assert f"{tmp_path}/models--org--name" in result.stderr
    assert "hf download org/name" in result.stderr


def test_the_line_is_exact_and_each_flag_has_a_reason(tmp_path: Path) -> None:
    folder = str(model(tmp_path / "a model", {"chat_template.jinja": QWEN, "tokenizer.json": ADDED}))
    result = run(folder)
    assert result.exit_code == 0, result.output
    lines = [shlex.split(line) for line in result.output.splitlines() if line.startswith("  vllm serve")]
    parsers = ["--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3"]
    assert lines == [["vllm", "serve", folder], ["vllm", "serve", folder, *parsers]]
    assert "No flag is needed" in result.output
    assert "--tool-call-parser hermes: The chat template writes calls as hermes_json" in result.output
    assert "on by default, switched by enable_thinking=True/False, in <think>...</think>" in result.output


def test_json_has_the_lines_the_reasons_and_the_full_profile(tmp_path: Path) -> None:
    found = json.loads(run(str(model(tmp_path, {"chat_template.jinja": QWEN})), "--json").output)
    parsers = ["--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3"]
    assert found["openai_command"][3:] == parsers
    assert found["messages_command"] == found["openai_command"][:3]
    assert all(flag["reason"] for flag in found["flags"])
    assert found["template"]["thinking"]["kwarg"] == "enable_thinking"
    assert (found["window"], found["prompted"]) == (4096, False)


TOOLCALLS = QWEN.replace("<tool_call>\n", "<TOOLCALL>[").replace("\n</tool_call>", "]</TOOLCALL>")


def test_where_vllm_has_no_parser_this_plugins_is_advised(tmp_path: Path) -> None:
    template = TOOLCALLS.replace("think>", "longcat_think>")
    folder = str(model(tmp_path, {"chat_template.jinja": template}))
    found = json.loads(run(folder, "--json").output)
    ours = ["--tool-call-parser", "messages_auto", "--reasoning-parser", "messages_auto"]
    assert found["openai_command"][3:] == ["--enable-auto-tool-choice", *ours]
    reasons = {flag["flag"]: flag["reason"] for flag in found["flags"]}
    assert "calls written as toolcall_array" in reasons["--tool-call-parser"]
    assert "thinking in <longcat_think>...</longcat_think>" in reasons["--reasoning-parser"]
    assert NO_TOOLS not in found["notes"]
    (tmp_path / "other.jinja").write_text(TOOLCALLS)
    assert OWN_TEMPLATE in run(folder, "--chat-template", f"{folder}/other.jinja").output


def test_a_template_without_tools_gets_no_tool_flag(tmp_path: Path) -> None:
    result = run(str(model(tmp_path, {"chat_template.jinja": CHATML})))
    assert "--tool-call-parser" not in result.output
    assert NO_TOOLS in result.output
    assert "No reasoning parser: The template never thinks" in result.output


def test_another_template_and_tokenizer_mode_are_passed_on(tmp_path: Path) -> None:
    folder = str(model(tmp_path, {"chat_template.jinja": CHATML, "other.jinja": QWEN}))
    result = run(folder, "--chat-template", f"{folder}/other.jinja", "--tokenizer-mode", "slow", "--json")
    command = json.loads(result.output)["openai_command"]
    assert command[3:7] == ["--chat-template", f"{folder}/other.jinja", "--tokenizer-mode", "slow"]
    assert "hermes" in command


def test_a_missing_template_is_reported(tmp_path: Path) -> None:
    assert "there is no chat template" in run(str(model(tmp_path, {}))).output


def test_a_broken_template_is_reported(tmp_path: Path) -> None:
    assert "error" in run(str(model(tmp_path, {"chat_template.jinja": "{% if %}"}))).output


WITHOUT_VLLM = """
import sys
from vllm_messages_plugin.cli.app import app
try:
    app(["flags", sys.argv[1]])
finally:
    heavy = ("vllm", "torch", "transformers", "tokenizers", "huggingface_hub", "httpx")
    print("IMPORTED", *[name for name in heavy if name in sys.modules])
"""


def test_it_imports_nothing_heavy(tmp_path: Path) -> None:
    folder = str(model(tmp_path, {"chat_template.jinja": QWEN, "tokenizer.json": ADDED}))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_VLLM, folder], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "IMPORTED"


def test_options_for_agents_are_listed_with_reasons(tmp_path: Path) -> None:
    folder = str(model(tmp_path, {"chat_template.jinja": CHATML}))
    output = run(folder).output
    assert "To consider for agents\n  --max-model-len 4096\n" in output
    assert "measure first, with and without it: vllm-messages bench" in output
    found = json.loads(run(folder, "--json").output)["agent_options"]
    assert all(option["reason"] for option in found)
    assert {"--scheduling-policy", "--kv-offloading-size"} <= {option["option"] for option in found}


HOSTILE = (
    "{% for a in range(100000000) %}{% for b in range(100000000) %}{% endfor %}{% endfor %}",
    "{% set x = 'a' * 3000000000 %}{{ x }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ raise_exception('no') }}",
)


@pytest.mark.parametrize("template", HOSTILE)
def test_a_hostile_template_is_a_finding_and_no_harm(template: str, tmp_path: Path) -> None:
    start = time.monotonic()
    result = run(str(model(tmp_path, {"chat_template.jinja": template})))
    assert result.exit_code == 0, result.output
    assert "\n  error " in result.output
    assert NO_TOOLS in result.output
    assert time.monotonic() - start < 60
