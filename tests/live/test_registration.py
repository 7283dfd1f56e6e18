"""Which routes a plain `vllm serve` has, depending on the environment."""

import socket

import httpx
import pytest

from support.loopback import HOST
from support.server import ServerDiedError, start_server
from vllm_messages_plugin.testing import tiny

ASK = {"model": "tiny", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}

OTHERS = [
    pytest.param({"VLLM_PLUGINS": "some_other_plugin"}, id="VLLM_PLUGINS names others"),
    pytest.param({"VLLM_MESSAGES_ENABLED": "0"}, id="VLLM_MESSAGES_ENABLED=0"),
]


@pytest.mark.parametrize("env", OTHERS)
def test_vllms_own_routes_stay_if_the_environment_disables_the_plugin(env: dict[str, str]) -> None:
    with start_server(tiny.model_directory(), env=env, scripted=False, window=2048) as server:
        answer = httpx.post(f"{server.url}/v1/messages", json=ASK, trust_env=False, timeout=60)
        assert answer.status_code == 200
        assert answer.json()["id"].startswith("chatcmpl")
        assert "request-id" not in answer.headers
        assert httpx.head(f"{server.url}/", trust_env=False).status_code == 404


def test_vllm_plugins_may_list_the_plugin_and_flags_override_the_template() -> None:
    flags = (
        "--enable-auto-tool-choice",
        "--tool-call-parser",
        "qwen3_coder",
        "--reasoning-parser",
        "deepseek_r1",
    )
    with start_server(
        tiny.model_directory(), *flags, env={"VLLM_PLUGINS": "messages"}, window=2048
    ) as server:
        answer = httpx.post(f"{server.url}/v1/messages", json=ASK, trust_env=False, timeout=60)
        assert answer.json()["id"].startswith("msg_")
        assert "tool calls by qwen3_coder, read by vLLM, reasoning by deepseek_r1" in server.log_text()


def test_a_port_that_is_taken_ends_the_server_with_the_reason_in_its_log() -> None:
    with socket.create_server((HOST, 0)) as other:
        taken = other.getsockname()[1]
        with (
            pytest.raises(ServerDiedError, match=r"(?i)address already in use"),
            start_server(tiny.model_directory(), port=taken, window=2048),
        ):
            pass
