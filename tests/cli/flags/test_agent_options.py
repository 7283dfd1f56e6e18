"""The options that flags advises for agents."""

import pytest

from vllm_messages_plugin.cli.flags.agent_options import agent_options


def test_only_what_this_vllm_has_is_advised() -> None:
    found = agent_options(131_072, {"--max-model-len", "--scheduling-policy"})
    assert [option.option for option in found] == ["--max-model-len", "--scheduling-policy"]
    assert agent_options(131_072, set()) == []


def test_every_option_has_a_reason() -> None:
    found = agent_options(131_072, None)
    assert len(found) == 6
    assert all(len(option.reason) > 20 for option in found)


@pytest.mark.parametrize(
    ("window", "value"), [(8192, "8192"), (65_536, "65536"), (1_000_000, "131072"), (None, "131072")]
)
def test_the_window_is_the_models_up_to_what_agents_use(window: int | None, value: str) -> None:
    assert agent_options(window, None)[0].text == f"--max-model-len {value}"


def test_a_window_too_small_for_claude_code_is_reported() -> None:
    assert "claude --bare" in agent_options(8192, None)[0].reason
    assert "claude --bare" not in agent_options(32_768, None)[0].reason


def test_speculation_uses_what_is_installed_and_is_measured_first() -> None:
    *_, plain = agent_options(None, None)
    *_, suffix = agent_options(None, None, {"arctic_inference"})
    assert ("ngram" in plain.value, "suffix" in suffix.value) == (True, True)
    assert plain.measure_first
