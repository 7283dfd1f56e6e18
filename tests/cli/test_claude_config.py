"""claude-config: the settings for each window, the merge, and the file that it writes."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from cli.fake_anthropic import Fake, listening
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.claude_settings import (
    LITE_DENIED,
    LITE_SWITCHES,
    REASONS,
    command_for,
    exports,
    flatten,
    leftovers,
    notes_for,
    settings_for,
)
from vllm_messages_plugin.cli.settings_file import (
    Change,
    UnusableSettingsError,
    merge,
    union,
    user_settings_path,
    write,
)

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


@pytest.mark.parametrize(
    ("window", "known", "words"),
    [(131_072, False, []), (131_072, True, ["--served-model-name"]), (8192, False, ["--bare"])],
)
def test_what_settings_cannot_mend_is_noted(window: int, known: bool, words: list[str]) -> None:
    notes = notes_for("m", window, known=known)
    assert len(notes) == len(words)
    assert all(word in note for word, note in zip(words, notes, strict=True))


def test_what_a_smaller_window_left_behind_is_named() -> None:
    small, large = settings_for("m", 8192, URL), settings_for("m", 131_072, URL)
    left = leftovers(merge(small, large)[0], large)
    assert {"env.DISABLE_AUTO_COMPACT", "includeGitInstructions", "permissions.deny WebFetch"} <= set(left)
    assert len(left) == len(LITE_SWITCHES) + 2 + len(LITE_DENIED)
    assert leftovers(small, small) == leftovers(large, large) == []


MERGES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {"a": 1}, {"a": 1}, ["a: (not set) -> 1"]),
    ({"a": 1, "b": [2]}, {"a": 1}, {"a": 1, "b": [2]}, []),
    ({"env": {"X": "1"}}, {"env": {"Y": "2"}}, {"env": {"X": "1", "Y": "2"}}, ['env.Y: (not set) -> "2"']),
    ({"a": 1}, {"a": True}, {"a": True}, ["a: 1 -> true"]),
    ({"a": None}, {"a": 1}, {"a": 1}, ["a: null -> 1"]),
    (
        {"permissions": {"deny": ["Bash(rm:*)", "WebSearch"], "allow": ["Read"]}},
        {"permissions": {"deny": ["WebSearch", "WebFetch"]}},
        {"permissions": {"deny": ["Bash(rm:*)", "WebSearch", "WebFetch"], "allow": ["Read"]}},
        [
            'permissions.deny: ["Bash(rm:*)", "WebSearch"] -> ["Bash(rm:*)", "WebSearch", "WebFetch"]',
        ],
    ),
    (
        {"options": [{"model": "a", "label": "old"}, {"model": "b"}]},
        {"options": [{"model": "a", "label": "new"}]},
        {"options": [{"model": "b"}, {"model": "a", "label": "new"}]},
        [
            'options: [{"model": "a", "label": "old"}, {"model": "b"}] -> '
            '[{"model": "b"}, {"model": "a", "label": "new"}]'
        ],
    ),
]


@pytest.mark.parametrize(("old", "new", "merged", "changes"), MERGES)
def test_a_merge_keeps_all_else_and_says_what_it_changes(
    old: dict[str, Any], new: dict[str, Any], merged: dict[str, Any], changes: list[str]
) -> None:
    before = json.dumps(old)
    found, told = merge(old, new)
    assert found == merged
    assert [str(change) for change in told] == changes
    assert json.dumps(old) == before
    assert merge(found, new)[1] == []


def test_the_order_of_the_old_settings_is_kept() -> None:
    merged, _ = merge({"z": 1, "env": {}, "a": 2}, settings_for("m", 8192, URL))
    assert list(merged)[:3] == ["z", "env", "a"]


def test_a_union_has_each_entry_once() -> None:
    assert union(["a", "b"], ["b", "c"]) == ["a", "b", "c"]


@pytest.mark.parametrize("old", [{"env": "text"}, {"permissions": {"deny": []}, "env": [1]}, {"env": None}])
def test_a_setting_of_another_kind_is_not_overwritten(old: dict[str, Any]) -> None:
    with pytest.raises(UnusableSettingsError, match="`env` is not an object"):
        merge(old, {"env": {"A": "1"}})


def test_keys_are_not_shown_in_changes() -> None:
    change = str(Change("env.ANTHROPIC_AUTH_TOKEN", "old-secret", "new-secret"))
    assert "secret" not in change
    assert "changed" in change


def test_the_settings_live_where_claude_code_looks() -> None:
    assert user_settings_path({"CLAUDE_CONFIG_DIR": "/x"}) == Path("/x/settings.json")
    assert user_settings_path({}) == Path("~/.claude/settings.json").expanduser()


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "settings.json"
    written = write(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert written.backup is None
    assert [entry.name for entry in path.parent.iterdir()] == ["settings.json"]


def test_a_file_keeps_its_mode_and_leaves_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"theme": "dark"}')
    path.chmod(0o640)
    written = write(path, {"a": "é"})
    assert json.loads(path.read_text()) == {"theme": "dark", "a": "é"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert written.backup is not None
    assert written.backup.read_text() == '{"theme": "dark"}'
    assert len(list(tmp_path.iterdir())) == 2


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "dotfiles.json", tmp_path / "settings.json"
    target.write_text("{}")
    link.symlink_to(target)
    write(link, {"a": 1})
    assert link.is_symlink()
    assert json.loads(target.read_text()) == {"a": 1}


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"a":1}')
    assert write(path, {"a": 1}).changes == []
    assert path.read_text() == '{"a":1}'
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [("{broken", "not valid JSON"), ("[]", "not hold a JSON object"), ('{"env": 1}', "`env`")],
)
def test_a_file_that_makes_no_sense_is_refused_and_left_alone(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(UnusableSettingsError, match=words) as caught:
        write(path, {"env": {"A": "1"}})
    assert str(path) in str(caught.value)
    assert path.read_text() == text
    assert len(list(tmp_path.iterdir())) == 1


def test_an_empty_file_is_no_settings(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.touch()
    write(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_failed_write_leaves_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path / "settings.json", {"a": 1})
    assert list(tmp_path.iterdir()) == []


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


def test_no_server_is_2(tmp_path: Path) -> None:
    assert config(tmp_path, "http://127.0.0.1:9").exit_code == 2


def test_a_name_that_claude_code_knows_is_warned_of(url: str, fake: Fake, tmp_path: Path) -> None:
    def rename(_request: httpx.Request, response: httpx.Response) -> httpx.Response:
        return httpx.Response(200, json={"data": [{"id": "claude-sonnet-4-5", "max_input_tokens": 131_072}]})

    fake.breaks.append(rename)
    assert "--served-model-name" in config(tmp_path, url).stderr
