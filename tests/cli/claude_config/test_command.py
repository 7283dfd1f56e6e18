"""claude-config: the settings for each window, what is printed and what is written."""

import json
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from conformance.fake_anthropic import Fake, listening
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.claude_config import paths
from vllm_messages_plugin.cli.claude_config.recommended_settings import (
    KEY_HELPER,
    flatten,
    settings_for,
)

URL = "http://localhost:8000"


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
    assert "defeat the prefix cache" in result.output
    assert f'"ANTHROPIC_BASE_URL": "{url}"' in result.output
    assert list(tmp_path.iterdir()) == []


def test_json_is_the_settings_and_nothing_else(url: str, tmp_path: Path) -> None:
    result = config(tmp_path, url, "--json")
    assert json.loads(result.stdout) == settings_for("tiny", 131_072, url)


def test_write_merges_and_lists_the_changes_without_the_key(url: str, fake: Fake, tmp_path: Path) -> None:
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


def test_writing_a_larger_window_over_a_smaller_one_reports_what_stays(url: str, tmp_path: Path) -> None:
    assert "smaller window" not in config(tmp_path, url, "--window", "8192", "--write").stderr
    assert "DISABLE_AUTO_COMPACT" in config(tmp_path, url, "--write").stderr


def test_undo_takes_a_write_back(url: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"theme": "dark"}')
    assert "--undo reverts this" in config(tmp_path, url, "--write").stderr
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
    assert "accepts no images" in result.stderr


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


def test_an_unlisted_model_is_refused_with_the_list_of_models(url: str, tmp_path: Path) -> None:
    result = config(tmp_path, url, "--model", "nope")
    assert result.exit_code == 2
    assert "does not list nope, but tiny" in result.stderr
    assert config(tmp_path, url, "--model", "nope", "--window", "32768").exit_code == 0


def test_a_name_is_not_cut_on_a_narrow_terminal(url: str, tmp_path: Path) -> None:
    env = {"COLUMNS": "80", "CLAUDE_CONFIG_DIR": str(tmp_path), "VLLM_API_KEY": ""}
    table = CliRunner().invoke(app, ["claude-config", url], env=env).stdout.partition("settings.json")[0]
    assert all(name.removeprefix("env.") in table for name in flatten(settings_for("tiny", 131_072, url)))
    assert "┓" in table  # the right border: nothing is cut off


def test_a_model_name_that_is_no_text_is_refused(url: str, fake: Fake, tmp_path: Path) -> None:
    entry = '{"data": [{"id": "tiny\\ud800", "max_input_tokens": 131072}]}'
    fake.breaks.append(lambda request, response: httpx.Response(200, text=entry))
    result = config(tmp_path, url, "--write")
    assert result.exit_code == 2
    assert "half of a surrogate pair" in result.stderr


def test_no_server_is_2(tmp_path: Path) -> None:
    assert config(tmp_path, "http://127.0.0.1:9").exit_code == 2


def test_a_name_that_claude_code_knows_is_warned_of(url: str, fake: Fake, tmp_path: Path) -> None:
    def rename(_request: httpx.Request, response: httpx.Response) -> httpx.Response:
        return httpx.Response(200, json={"data": [{"id": "claude-sonnet-4-5", "max_input_tokens": 131_072}]})

    fake.breaks.append(rename)
    assert "--served-model-name" in config(tmp_path, url).stderr


def test_a_machines_settings_have_no_key_and_are_for_everybody(
    url: str, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.key = "sesame"
    path = tmp_path / "etc" / "managed-settings.json"
    monkeypatch.setattr(paths, "managed_settings_path", lambda: path)
    arguments = (url, "--api-key", "sesame", "--managed", "--otel", "http://c:4318")
    result = config(tmp_path / "home", *arguments, "--write")
    assert result.exit_code == 0, result.output
    written = json.loads(path.read_text())
    assert written["env"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://c:4318"
    assert written["apiKeyHelper"] == KEY_HELPER
    assert "sesame" not in path.read_text() + result.output
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    config(tmp_path / "home", "--managed", "--undo")
    assert not path.exists()


def test_a_machines_settings_are_not_a_projects(url: str, tmp_path: Path) -> None:
    result = config(tmp_path, url, "--managed", "--project")
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr
