"""The recommended settings: one set per window, each with a reason."""

import json

import pytest

from vllm_messages_plugin.cli.claude_config.merge import NO_KEY, UnusableSettingsError, merge
from vllm_messages_plugin.cli.claude_config.recommended_settings import (
    KEY_HELPER,
    LITE_DENIED,
    LITE_SWITCHES,
    REASONS,
    command_for,
    conflicts,
    exports,
    flatten,
    notes_for,
    settings_for,
    stale_settings,
    without_key,
)
from vllm_messages_plugin.conformance.served_models import ModelEntry

URL = "http://localhost:8000"


WINDOWS: list[tuple[int, str, bool, str]] = [
    # window, CLAUDE_CODE_MAX_OUTPUT_TOKENS, lite, command
    (1_000_000, "32000", False, "claude"),
    (262_144, "32000", False, "claude"),
    (200_000, "16384", False, "claude"),
    (131_072, "16384", False, "claude"),
    (65_536, "8192", True, "claude"),
    (40_960, "4096", True, "claude"),
    (32_768, "4096", True, "claude"),
    (16_384, "2048", True, "claude --bare"),
    (8_192, "1024", True, "claude --bare"),
    (2_048, "1024", True, "claude --bare"),
]


@pytest.mark.parametrize(("window", "output", "lite", "command"), WINDOWS)
def test_each_window_gets_the_settings_that_fit(window: int, output: str, lite: bool, command: str) -> None:
    settings = settings_for("my-model", window, URL)
    assert settings["env"]["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == str(window)
    assert settings["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == output
    assert all((name in settings["env"]) == lite for name in LITE_SWITCHES)
    assert settings["permissions"]["deny"] == ["WebSearch", *(LITE_DENIED if lite else ())]
    assert ("includeGitInstructions" in settings) == lite
    assert ("DISABLE_AUTO_COMPACT" in settings["env"]) == (command != "claude")
    assert command_for(window) == command


def test_the_complete_file_for_a_window_of_128k() -> None:
    assert settings_for("my-model", 131_072, URL, "sesame") == {
        "env": {
            "ANTHROPIC_BASE_URL": URL,
            "ANTHROPIC_AUTH_TOKEN": "sesame",
            "ANTHROPIC_MODEL": "my-model",
            "ANTHROPIC_DEFAULT_OPUS_MODEL": "my-model",
            "ANTHROPIC_DEFAULT_SONNET_MODEL": "my-model",
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": "my-model",
            "ANTHROPIC_DEFAULT_FABLE_MODEL": "my-model",
            "ANTHROPIC_SMALL_FAST_MODEL": "my-model",
            "CLAUDE_CODE_SUBAGENT_MODEL": "my-model",
            "CLAUDE_CODE_MAX_CONTEXT_TOKENS": "131072",
            "CLAUDE_CODE_DISABLE_1M_CONTEXT": "1",
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "16384",
            "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_STREAM_IDLE_TIMEOUT_MS": "1800000",
            "API_TIMEOUT_MS": "1800000",
        },
        "disableAutoMode": "disable",
        "skipWebFetchPreflight": True,
        "permissions": {"deny": ["WebSearch"]},
        "modelPicker": {
            "replaceBuiltInOptions": True,
            "options": [{"model": "my-model", "label": "my-model", "description": "128k, self-hosted"}],
        },
    }


@pytest.mark.parametrize(
    ("window", "short"), [(200_000, "200k"), (8192, "8k"), (500, "500"), (40_960, "40k")]
)
def test_a_window_is_named_as_people_do(window: int, short: str) -> None:
    option = settings_for("m", window, URL)["modelPicker"]["options"][0]
    assert option["description"] == f"{short}, self-hosted"


@pytest.mark.parametrize("window", [row[0] for row in WINDOWS])
def test_every_setting_has_a_reason(window: int) -> None:
    assert set(flatten(settings_for("m", window, URL))) <= set(REASONS)


def test_every_environment_value_is_text_and_can_be_exported() -> None:
    settings = settings_for("it's", 8192, URL)
    assert all(isinstance(value, str) for value in settings["env"].values())
    assert """export ANTHROPIC_MODEL='it'"'"'s'""" in exports(settings)


def test_a_key_is_only_replaced_by_any_text_when_there_is_none() -> None:
    assert settings_for("m", 8192, URL)["env"]["ANTHROPIC_AUTH_TOKEN"]


NOTES: list[tuple[ModelEntry, int, bool, list[str]]] = [
    (ModelEntry("m"), 131_072, False, []),
    (ModelEntry("m"), 131_072, True, ["--served-model-name"]),
    (ModelEntry("m"), 8192, False, ["--bare"]),
    (ModelEntry("m"), 32_768, False, ["WebFetch stays off"]),
    (ModelEntry("m"), 40_960, False, []),
    (ModelEntry("m", images=False, effort=False), 131_072, False, ["accepts no images", "/effort"]),
    (ModelEntry("m", images=True, effort=True), 131_072, False, []),
]


@pytest.mark.parametrize(("served", "window", "known", "words"), NOTES)
def test_what_settings_cannot_fix_is_noted(
    served: ModelEntry, window: int, known: bool, words: list[str]
) -> None:
    notes = notes_for(served, window, known=known)
    assert len(notes) == len(words)
    assert all(word in note for word, note in zip(words, notes, strict=True))


def test_every_tier_and_subagent_gets_a_served_model() -> None:
    env = settings_for("big", 131_072, URL, small_model="small")["env"]
    tiers = {name: value for name, value in env.items() if name.endswith("_MODEL")}
    small = {"ANTHROPIC_DEFAULT_HAIKU_MODEL", "ANTHROPIC_SMALL_FAST_MODEL"}
    assert {name for name, value in tiers.items() if value == "small"} == small
    assert {value for name, value in tiers.items() if name not in small} == {"big"}
    assert len(tiers) == 7


@pytest.mark.parametrize(("thinking", "there"), [(True, False), (None, False), (False, True)])
def test_thinking_is_switched_off_only_where_the_model_has_none(thinking: bool | None, there: bool) -> None:
    assert ("alwaysThinkingEnabled" in settings_for("m", 131_072, URL, thinking=thinking)) == there


def test_web_search_is_denied_unless_the_server_searches() -> None:
    assert settings_for("m", 131_072, URL)["permissions"]["deny"] == ["WebSearch"]
    assert settings_for("m", 131_072, URL, web_search=True)["permissions"]["deny"] == []


def test_a_denied_web_search_that_works_now_is_named() -> None:
    before, now = settings_for("m", 131_072, URL), settings_for("m", 131_072, URL, web_search=True)
    assert stale_settings(merge(before, now)[0], now) == ["permissions.deny WebSearch"]


def test_traffic_home_is_off_unless_wanted() -> None:
    name = "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"
    assert name in settings_for("m", 131_072, URL)["env"]
    assert name not in settings_for("m", 131_072, URL, traffic=True)["env"]


@pytest.mark.parametrize(("has_key", "token", "helper"), [(True, "", KEY_HELPER), (False, NO_KEY, "")])
def test_a_place_for_no_keys_gets_none(has_key: bool, token: str, helper: str) -> None:
    settings = without_key(settings_for("m", 131_072, URL, "sesame"), has_key=has_key)
    assert "sesame" not in json.dumps(settings)
    assert settings["env"]["ANTHROPIC_AUTH_TOKEN"] == token
    assert settings["env"]["ANTHROPIC_API_KEY"] == ""
    assert settings["apiKeyHelper"] == helper
    assert set(flatten(settings)) <= set(REASONS)


def test_what_works_against_the_settings_is_named() -> None:
    wanted = settings_for("m", 131_072, URL)
    own = {
        "apiKeyHelper": "get-key",
        "env": {"ANTHROPIC_API_KEY": "sk", "CLAUDE_CODE_USE_BEDROCK": "1", "X": "1"},
    }
    found = conflicts(merge(own, wanted)[0], wanted)
    assert [name.partition(" ")[0] for name in found] == [
        "apiKeyHelper",
        "env.ANTHROPIC_API_KEY",
        "env.CLAUDE_CODE_USE_BEDROCK",
    ]
    assert conflicts(wanted, wanted) == []


def test_what_a_smaller_window_left_behind_is_named() -> None:
    small, large = settings_for("m", 8192, URL), settings_for("m", 131_072, URL)
    left = stale_settings(merge(small, large)[0], large)
    assert {"env.DISABLE_AUTO_COMPACT", "includeGitInstructions", "permissions.deny WebFetch"} <= set(left)
    assert len(left) == len(LITE_SWITCHES) + 2 + len(LITE_DENIED)
    assert stale_settings(small, small) == stale_settings(large, large) == []


@pytest.mark.parametrize(
    ("collector", "protocol"),
    [("http://c:4317", "grpc"), ("http://c:4318", "http/protobuf"), ("https://c/otlp", "http/protobuf")],
)
def test_a_collector_gets_metrics_and_events_by_its_protocol(collector: str, protocol: str) -> None:
    settings = settings_for("m", 131_072, URL, otel=collector)
    assert settings["env"]["OTEL_EXPORTER_OTLP_PROTOCOL"] == protocol
    assert settings["env"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == collector
    assert settings["env"]["CLAUDE_CODE_ENABLE_TELEMETRY"] == "1"
    assert settings["env"]["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == "1"
    assert set(flatten(settings)) <= set(REASONS)


@pytest.mark.parametrize("collector", ["collector", "ftp://c", "http://", "http://c:port", "http://[c"])
def test_what_is_no_collector_is_refused(collector: str) -> None:
    with pytest.raises(UnusableSettingsError, match="not the URL of a collector"):
        settings_for("m", 131_072, URL, otel=collector)
