"""doctor knows every setting of the server, and accepts what the server accepts."""

import pytest
from pydantic import ValidationError

from vllm_messages_plugin.cli.doctor.plugin_settings import plugin_settings
from vllm_messages_plugin.settings import Settings

VALUES = (
    "",
    "0",
    "1",
    "-1",
    "2.5",
    "0.0",
    "64",
    "on",
    "off",
    "maybe",
    "auto",
    "vllm",
    "template",
    "text",
    "1e3",
)


def test_every_setting_is_known_with_its_effect() -> None:
    assert {name.lower() for name in plugin_settings()} == set(Settings.model_fields)
    assert all(len(setting.effect) > 8 for setting in plugin_settings().values())


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_value_is_valid_here_if_the_server_accepts_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in VALUES:
        monkeypatch.setenv(f"VLLM_MESSAGES_{name.upper()}", value)
        try:
            Settings()
        except ValidationError:
            accepted = False
        else:
            accepted = True
        assert (plugin_settings()[name.upper()].problem(value) is None) == accepted, value


def test_keys_are_secret() -> None:
    secret = {name for name, setting in plugin_settings().items() if setting.secret}
    # The URLs of a Redis and of a database may contain their passwords.
    keys = {name.upper() for name in Settings.model_fields if name.endswith(("_key", "_redis"))}
    assert secret == keys | {"STORE"}
