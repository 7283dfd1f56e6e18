"""claude-config: the settings for each window, what is printed and what is written."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from conformance.fake_anthropic import Fake, listening
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.claude_config.recommended_settings import (
    KEY_HELPER,
    LITE_DENIED,
    LITE_SWITCHES,
    NO_KEY,
    REASONS,
    command_for,
    exports,
    flatten,
    leftovers,
    notes_for,
    rivals,
    settings_for,
    without_key,
)
from vllm_messages_plugin.cli.claude_config.settings_file import merge
from vllm_messages_plugin.conformance.served_models import ServedModel

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


def test_the_whole_file_for_a_window_of_128k() -> None:
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


NOTES: list[tuple[ServedModel, int, bool, list[str]]] = [
    (ServedModel("m"), 131_072, False, []),
    (ServedModel("m"), 131_072, True, ["--served-model-name"]),
    (ServedModel("m"), 8192, False, ["--bare"]),
    (ServedModel("m", images=False, effort=False), 131_072, False, ["no images", "/effort"]),
    (ServedModel("m", images=True, effort=True), 131_072, False, []),
]


@pytest.mark.parametrize(("served", "window", "known", "words"), NOTES)
def test_what_settings_cannot_mend_is_noted(
    served: ServedModel, window: int, known: bool, words: list[str]
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
    found = rivals(merge(own, wanted)[0], wanted)
    assert [name.partition(" ")[0] for name in found] == [
        "apiKeyHelper",
        "env.ANTHROPIC_API_KEY",
        "env.CLAUDE_CODE_USE_BEDROCK",
    ]
    assert rivals(wanted, wanted) == []


def test_what_a_smaller_window_left_behind_is_named() -> None:
    small, large = settings_for("m", 8192, URL), settings_for("m", 131_072, URL)
    left = leftovers(merge(small, large)[0], large)
    assert {"env.DISABLE_AUTO_COMPACT", "includeGitInstructions", "permissions.deny WebFetch"} <= set(left)
    assert len(left) == len(LITE_SWITCHES) + 2 + len(LITE_DENIED)
    assert leftovers(small, small) == leftovers(large, large) == []


@pytest.fixture
def fake() -> Fake:
    return Fake(window=131_072)


@pytest.fixture
def url(fake: Fake) -> Iterator[str]:
    with listening(fake) as root:
        yield root


def config(folder: Path, *arguments: str) -> Result:
    env = {"COLUMNS": "400", "CLAUDE_CONFIG_DIR": str(folder), "VLLM_API_KEY": ""}
    return CliRunner().invoke(app, ["claude-config", *arguments], env=env)


def test_it_prints_reasons_and_json_and_writes_nothing(url: str, tmp_path: Path) -> None:
    result = config(tmp_path, f"{url}/v1/")
    assert result.exit_code == 0, result.output
    assert "void the prefix cache" in result.output
    assert f'"ANTHROPIC_BASE_URL": "{url}"' in result.output
    assert list(tmp_path.iterdir()) == []


def test_json_is_the_settings_and_nothing_else(url: str, tmp_path: Path) -> None:
    result = config(tmp_path, url, "--json")
    assert json.loads(result.stdout) == settings_for("tiny", 131_072, url)


def test_write_merges_and_says_what_changed_without_the_key(url: str, fake: Fake, tmp_path: Path) -> None:
    fake.key = "sesame"
    path = tmp_path / "settings.json"
    path.write_text('{"theme": "dark"}')
    result = config(tmp_path, url, "--api-key", "sesame", "--write", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(path.read_text())["theme"] == "dark"
    assert json.loads(path.read_text())["env"]["ANTHROPIC_AUTH_TOKEN"] == "sesame"
    assert 'env.ANTHROPIC_MODEL: (not set) -> "tiny"' in result.stderr
    assert "backup" in result.stderr
    assert "sesame" not in result.stderr
    assert "nothing was written" in config(tmp_path, url, "--api-key", "sesame", "--write").stderr


def test_writing_a_larger_window_over_a_smaller_one_says_what_stays(url: str, tmp_path: Path) -> None:
    assert "smaller window" not in config(tmp_path, url, "--window", "8192", "--write").stderr
    assert "DISABLE_AUTO_COMPACT" in config(tmp_path, url, "--write").stderr


def test_undo_takes_a_write_back(url: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"theme": "dark"}')
    assert "--undo takes this back" in config(tmp_path, url, "--write").stderr
    result = config(tmp_path, "--undo")
    assert (result.exit_code, path.read_text()) == (0, '{"theme": "dark"}')
    assert f"Restored: {path}" in result.output
    assert config(tmp_path, "--undo").exit_code == 2


def test_undo_leaves_a_changed_file_alone_unless_forced(url: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    config(tmp_path, url, "--write")
    path.write_text("{}")
    result = config(tmp_path, "--undo")
    assert (result.exit_code, path.read_text()) == (2, "{}")
    assert "--undo --force" in result.stderr
    forced = json.loads(config(tmp_path, "--undo", "--force", "--json").stdout)
    assert forced["removed"] is True
    assert Path(forced["put_aside"]).read_text() == "{}"
    assert not path.exists()


def test_a_project_gets_a_file_without_the_key(
    url: str, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.key = "sesame"
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    result = config(tmp_path / "home", url, "--api-key", "sesame", "--project", "--write")
    assert result.exit_code == 0, result.output
    text = (project / ".claude" / "settings.local.json").read_text()
    assert json.loads(text)["apiKeyHelper"] == KEY_HELPER
    assert "sesame" not in text + result.output
    assert "set VLLM_API_KEY before you start claude" in result.stderr
    assert [path.name for path in (project / ".claude").iterdir()] == ["settings.local.json"]
    assert not (tmp_path / "home" / "settings.json").exists()
    config(tmp_path / "home", "--project", "--undo")
    assert list((project / ".claude").iterdir()) == []


def test_a_users_own_key_that_would_be_sent_along_is_named(url: str, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"apiKeyHelper": "get-key"}')
    assert "apiKeyHelper (its key is sent to this server" in config(tmp_path, url, "--write").stderr


def test_a_shell_gets_variables_and_nothing_else(url: str, tmp_path: Path) -> None:
    result = config(tmp_path, url, "--shell", "bash")
    *lines, last = result.stdout.splitlines()
    assert all(line.startswith("export ") for line in lines)
    assert last.startswith("# claude --settings ")
    rest = json.loads(shlex.split(last)[-1])
    assert rest["disableAutoMode"] == "disable"
    assert "env" not in rest


def test_what_the_model_can_do_is_asked_and_shown(url: str, fake: Fake, tmp_path: Path) -> None:
    can = {
        "thinking": {"supported": False},
        "effort": {"supported": True},
        "image_input": {"supported": False},
    }
    entry = {"id": "tiny", "max_input_tokens": 131_072, "capabilities": can}
    fake.breaks.append(lambda request, response: httpx.Response(200, json={"data": [entry]}))
    result = config(tmp_path, url)
    assert "no thinking, effort, no images" in result.output
    assert '"alwaysThinkingEnabled": false' in result.output
    assert "sees no images" in result.stderr


def test_the_table_does_not_show_the_key(url: str, fake: Fake, tmp_path: Path) -> None:
    fake.key = "sesame"
    table = config(tmp_path, url, "--api-key", "sesame").stdout.partition("settings.json")[0]
    assert "(your key)" in table
    assert "sesame" not in table


def test_a_broken_file_is_2(url: str, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{")
    result = config(tmp_path, url, "--write")
    assert result.exit_code == 2
    assert "not valid JSON" in result.stderr


def test_an_unknown_window_must_be_given(url: str, fake: Fake, tmp_path: Path) -> None:
    fake.window = None
    assert config(tmp_path, url).exit_code == 2
    result = config(tmp_path, url, "--window", "32768", "--json")
    assert json.loads(result.stdout)["env"]["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "32768"


def test_a_model_that_is_not_listed_is_told_what_is(url: str, tmp_path: Path) -> None:
    result = config(tmp_path, url, "--model", "nope")
    assert result.exit_code == 2
    assert "does not list nope, but tiny" in result.stderr
    assert config(tmp_path, url, "--model", "nope", "--window", "32768").exit_code == 0


def test_a_name_is_whole_on_a_narrow_terminal(url: str, tmp_path: Path) -> None:
    env = {"COLUMNS": "80", "CLAUDE_CONFIG_DIR": str(tmp_path), "VLLM_API_KEY": ""}
    table = CliRunner().invoke(app, ["claude-config", url], env=env).stdout.partition("settings.json")[0]
    assert all(name.removeprefix("env.") in table for name in flatten(settings_for("tiny", 131_072, url)))


def test_no_server_is_2(tmp_path: Path) -> None:
    assert config(tmp_path, "http://127.0.0.1:9").exit_code == 2


def test_a_name_that_claude_code_knows_is_warned_of(url: str, fake: Fake, tmp_path: Path) -> None:
    def rename(_request: httpx.Request, response: httpx.Response) -> httpx.Response:
        return httpx.Response(200, json={"data": [{"id": "claude-sonnet-4-5", "max_input_tokens": 131_072}]})

    fake.breaks.append(rename)
    assert "--served-model-name" in config(tmp_path, url).stderr
