"""The installed vLLM's options, read from its source."""

import pytest

from vllm_messages_plugin.cli import vllm_options as module
from vllm_messages_plugin.cli.vllm_options import vllm_options


def test_the_installed_vllms_options_are_read_from_its_source() -> None:
    options = vllm_options()
    assert options is not None
    assert {"--max-model-len", "--scheduling-policy", "--api-server-count"} <= options


def test_without_vllm_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert vllm_options.__wrapped__() is None
