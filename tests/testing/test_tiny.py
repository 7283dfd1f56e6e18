"""The tiny model: its files, its chat templates and its command."""

import json
from pathlib import Path
from typing import Any

import jinja2
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from vllm_messages_plugin.testing import tiny

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "weather", "description": "It.", "parameters": SCHEMA}}
CALL = {"type": "function", "id": "c1", "function": {"name": "weather", "arguments": {"city": "Ulm", "n": 2}}}
SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Weather?"}
LOOP = [
    USER,
    {"role": "assistant", "content": "", "tool_calls": [CALL, CALL], "reasoning_content": "I look."},
    {"role": "tool", "tool_call_id": "c1", "content": "sun"},
    {"role": "tool", "tool_call_id": "c1", "content": "rain"},
]


def raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def render(template: str, messages: list[dict[str, Any]], **variables: Any) -> str:
    """Render as transformers does."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = json.dumps
    environment.globals["raise_exception"] = raise_exception
    compiled = environment.from_string(tiny.template_text(template))
    return compiled.render(messages=messages, **({"add_generation_prompt": True} | variables))


@pytest.mark.parametrize("template", tiny.TEMPLATES)
def test_a_plain_turn_is_chatml(template: str) -> None:
    expected = (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWeather?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert render(template, [SYSTEM, USER]) == expected
    assert render(template, [USER], add_generation_prompt=False) == "<|im_start|>user\nWeather?<|im_end|>\n"


@pytest.mark.parametrize("template", tiny.TEMPLATES)
def test_the_next_turn_only_adds_to_the_prompt(template: str) -> None:
    turns = [SYSTEM, USER, {"role": "assistant", "content": "Sun."}, USER]
    assert render(template, turns).startswith(render(template, turns[:2]) + "Sun.<|im_end|>\n")


def test_qwen_like_writes_calls_as_json_and_results_as_one_user_turn() -> None:
    call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Ulm", "n": 2}}\n</tool_call>'
    assert render("qwen_like", LOOP) == (
        "<|im_start|>user\nWeather?<|im_end|>\n"
        f"<|im_start|>assistant\n<think>\nI look.\n</think>\n\n{call}\n{call}<|im_end|>\n"
        "<|im_start|>user\n<tool_response>\nsun\n</tool_response>\n"
        "<tool_response>\nrain\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )


def test_qwen_like_takes_arguments_that_are_json_already() -> None:
    call = {"function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
    text = render("qwen_like", [USER, {"role": "assistant", "content": "Well.", "tool_calls": [call]}])
    assert 'Well.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Ulm"}}\n</tool_call>' in text


@pytest.mark.parametrize("template", ["qwen_like", "xml_calls"])
@pytest.mark.parametrize("head", [[], [SYSTEM]])
def test_tools_stand_in_the_head(template: str, head: list[dict[str, Any]]) -> None:
    text = render(template, [*head, USER], tools=[TOOL])
    system, rest = text.split("<|im_end|>", 1)
    assert system.startswith("<|im_start|>system\n" + ("Be brief.\n\n" if head else "") + "# Tools")
    assert json.dumps(SCHEMA) in system
    assert "weather" in system
    assert rest.startswith("\n<|im_start|>user\nWeather?")


@pytest.mark.parametrize(("switch", "tail"), [(None, ""), (True, ""), (False, "<think>\n\n</think>\n\n")])
def test_qwen_like_thinks_unless_switched_off(switch: bool | None, tail: str) -> None:
    variables = {} if switch is None else {"enable_thinking": switch}
    assert render("qwen_like", [USER], **variables).endswith("<|im_start|>assistant\n" + tail)


def test_qwen_like_takes_system_messages_anywhere() -> None:
    text = render("qwen_like", [SYSTEM, USER, SYSTEM])
    assert text.count("<|im_start|>system\nBe brief.<|im_end|>\n") == 2


def test_xml_calls_writes_a_tag_a_parameter() -> None:
    text = render("xml_calls", LOOP)
    assert (
        "<tool_call>\n<function=weather>\n<parameter=city>\nUlm\n</parameter>\n"
        "<parameter=n>\n2\n</parameter>\n</function>\n</tool_call>\n<tool_call>"
    ) in text
    assert "I look." not in text


@pytest.mark.parametrize("template", ["strict_alternation", "xml_calls"])
def test_a_late_system_message_is_refused(template: str) -> None:
    with pytest.raises(jinja2.TemplateError, match="System message must be at the beginning"):
        render(template, [USER, SYSTEM])


@pytest.mark.parametrize(
    "messages", [[USER, USER], [{"role": "assistant", "content": "Hi."}], [USER, LOOP[1], LOOP[2]]]
)
def test_strict_alternation_refuses_other_orders(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(jinja2.TemplateError, match=r"alternate|Unexpected"):
        render("strict_alternation", messages)


def test_strict_alternation_shows_no_tools() -> None:
    assert render("strict_alternation", [USER], tools=[TOOL]) == render("strict_alternation", [USER])


def test_the_same_model_is_built_each_time(tmp_path: Path) -> None:
    first, second = (tiny.model_directory("{{ messages }}", tmp_path / name) for name in "ab")
    names = {path.name for path in first.iterdir()}
    assert {"config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja"} <= names
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert (first / "chat_template.jinja").read_text(encoding="utf-8") == "{{ messages }}"


def test_a_template_given_as_text_gets_a_directory_of_its_own() -> None:
    assert tiny.model_directory("{{ 1 }}") not in {tiny.model_directory("{{ 2 }}"), tiny.model_directory()}


@pytest.mark.parametrize("tag", tiny.TAGS)
def test_a_tag_is_one_token_but_not_special(tag: str) -> None:
    directory = tiny.model_directory()
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    ids = tokenizer.encode(f"a{tag}b").ids
    assert len(ids) == 3
    assert tokenizer.decode(ids, skip_special_tokens=True) == f"a{tag}b"
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    assert ids[1] < config["vocab_size"] == tokenizer.get_vocab_size()


def test_the_command_prints_help_and_builds_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tiny, "model_directory", lambda *_: pytest.fail("a model was built"))
    with pytest.raises(SystemExit) as ended:
        tiny.main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "qwen_like, strict_alternation, xml_calls" in printed


@pytest.mark.parametrize("template", ["qwen_lik", "--templte", ""])
def test_the_command_refuses_a_template_that_does_not_exist(
    template: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tiny, "model_directory", lambda *_: pytest.fail("a model was built"))
    with pytest.raises(SystemExit) as ended:
        tiny.main([template])
    assert ended.value.code == 2
    assert "usage: python -m vllm_messages_plugin.testing.tiny" in capsys.readouterr().err


def test_the_command_builds_from_a_file_in_the_named_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template, target = tmp_path / "own.jinja", tmp_path / "model"
    template.write_text("{{ messages }}", encoding="utf-8")
    assert tiny.main([str(template), str(target)]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert (target / "chat_template.jinja").read_text(encoding="utf-8") == "{{ messages }}"
