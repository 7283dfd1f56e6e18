"""The merge into Claude Code's settings, the file that is written, and how it is taken back."""

import contextlib
import errno
import itertools
import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from vllm_messages_plugin.cli.claude_config import atomic_file, settings_file
from vllm_messages_plugin.cli.claude_config.journal import Journal
from vllm_messages_plugin.cli.claude_config.merge import NO_KEY, UnusableSettingsError, merge
from vllm_messages_plugin.cli.claude_config.settings_file import Written
from vllm_messages_plugin.cli.claude_config.settings_undo import undo

URL = "http://localhost:8000"


def write(path: Path, new: dict[str, Any]) -> Written:
    return settings_file.write(path, new, kept(path))


def kept(path: Path) -> Journal:
    return Journal(path.parent.parent / "kept")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "claude"
    folder.mkdir()
    return folder


def test_a_new_file_is_for_its_owner_only(home: Path) -> None:
    path = home / "new" / "settings.json"
    written = write(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert written.backup is None
    assert [entry.name for entry in path.parent.iterdir()] == ["settings.json"]


def test_a_file_keeps_its_mode_and_leaves_a_backup(home: Path) -> None:
    path = home / "settings.json"
    path.write_text('{"theme": "dark"}')
    path.chmod(0o640)
    written = write(path, {"a": "é"})
    assert json.loads(path.read_text()) == {"theme": "dark", "a": "é"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert written.backup is not None
    assert written.backup.read_text() == '{"theme": "dark"}'
    assert written.backup.parent == kept(path).folder
    assert len(list(home.iterdir())) == 1


def test_a_link_stays_a_link(home: Path) -> None:
    target, link = home / "dotfiles.json", home / "settings.json"
    target.write_text("{}")
    link.symlink_to(target)
    write(link, {"a": 1})
    assert link.is_symlink()
    assert json.loads(target.read_text()) == {"a": 1}


def test_nothing_new_writes_nothing(home: Path) -> None:
    path = home / "settings.json"
    path.write_text('{"a":1}')
    assert write(path, {"a": 1}).changes == []
    assert path.read_text() == '{"a":1}'
    assert len(list(home.iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [("{broken", "not valid JSON"), ("[]", "not contain a JSON object"), ('{"env": 1}', "`env`")],
)
def test_a_file_that_makes_no_sense_is_refused_and_left_alone(home: Path, text: str, words: str) -> None:
    path = home / "settings.json"
    path.write_text(text)
    with pytest.raises(UnusableSettingsError, match=words) as caught:
        write(path, {"env": {"A": "1"}})
    assert str(path) in str(caught.value)
    assert path.read_text() == text
    assert len(list(home.iterdir())) == 1


def test_an_empty_file_is_no_settings(home: Path) -> None:
    path = home / "settings.json"
    path.touch()
    write(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_file_that_changes_while_it_is_merged_is_merged_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "settings.json"
    path.write_text("{}")
    others = iter(['{"theirs": 1}'])

    def merge_slowly(old: dict[str, Any], new: dict[str, Any]) -> Any:
        if (text := next(others, None)) is not None:
            path.write_text(text)
        return merge(old, new)

    monkeypatch.setattr(settings_file, "merge", merge_slowly)
    write(path, {"a": 1})
    assert json.loads(path.read_text()) == {"theirs": 1, "a": 1}


def test_a_file_that_never_stops_changing_is_left_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "settings.json"
    numbers = iter(range(100))

    def merge_slowly(old: dict[str, Any], new: dict[str, Any]) -> Any:
        path.write_text(json.dumps({"theirs": next(numbers)}))
        return merge(old, new)

    monkeypatch.setattr(settings_file, "merge", merge_slowly)
    with pytest.raises(UnusableSettingsError, match="changed by another program"):
        write(path, {"a": 1})
    assert "a" not in json.loads(path.read_text())


KEY = {"env": {"ANTHROPIC_AUTH_TOKEN": "sesame"}}


@pytest.mark.parametrize(
    ("before", "new", "after", "mode"),
    [(0o644, KEY, 0o600, 0o644), (0o600, KEY, 0o600, None), (0o644, {"a": 1}, 0o644, None)],
)
def test_a_file_that_receives_a_key_becomes_private(
    before: int, new: dict[str, Any], after: int, mode: int | None, home: Path
) -> None:
    path = home / "settings.json"
    path.write_text("{}")
    path.chmod(before)
    assert write(path, new).made_private == mode
    assert stat.S_IMODE(path.stat().st_mode) == after


def test_a_placeholder_is_not_a_key(home: Path) -> None:
    path = home / "settings.json"
    path.write_text("{}")
    path.chmod(0o644)
    assert write(path, {"env": {"ANTHROPIC_AUTH_TOKEN": NO_KEY}}).made_private is None


def test_a_broken_journal_is_found_before_anything_is_written(home: Path) -> None:
    path = home / "settings.json"
    path.write_text("{}")
    kept(path).folder.mkdir()
    kept(path).file.write_text("{")
    with pytest.raises(UnusableSettingsError, match="not a valid journal"):
        write(path, {"a": 1})
    assert path.read_text() == "{}"
    assert sorted(entry.name for entry in kept(path).folder.iterdir()) == ["journal.json", "lock"]


def test_a_hard_linked_file_is_refused(home: Path) -> None:
    path, other = home / "settings.json", home / "dotfiles.json"
    other.write_text("{}")
    os.link(other, path)
    with pytest.raises(UnusableSettingsError, match="has 2 hard links"):
        write(path, {"a": 1})
    assert other.read_text() == "{}"


def test_a_loop_of_links_is_refused(home: Path) -> None:
    path, other = home / "settings.json", home / "other.json"
    path.symlink_to(other)
    other.symlink_to(path)
    with pytest.raises(UnusableSettingsError, match="loop of symbolic links"):
        write(path, {"a": 1})


def test_a_link_to_a_file_that_does_not_exist_is_followed(home: Path) -> None:
    (home / "settings.json").symlink_to(home / "later.json")
    write(home / "settings.json", {"a": 1})
    assert json.loads((home / "later.json").read_text()) == {"a": 1}


def test_a_setting_that_is_no_text_is_refused(home: Path) -> None:
    with pytest.raises(UnusableSettingsError, match="surrogate"):
        write(home / "settings.json", {"a": "\ud800"})
    assert not (home / "settings.json").exists()


def test_the_last_ten_backups_are_kept(home: Path) -> None:
    path = home / "settings.json"
    path.write_text("{}")
    for number in range(14):
        write(path, {"a": number})
    assert len(list(kept(path).folder.glob("*.bak"))) == len(kept(path).entries()) == 10
    for number in range(12, 2, -1):
        undo(path, kept(path), force=False)
        assert json.loads(path.read_text()) == {"a": number}
    with pytest.raises(UnusableSettingsError, match="nothing to undo"):
        undo(path, kept(path), force=False)


def test_what_a_killed_process_left_is_swept_away(home: Path) -> None:
    path = home / "settings.json"
    write(path, {"a": 1})
    left = [
        home / ".settings.json.x.vllm-messages-tmp",
        kept(path).folder / ".journal.json.y.vllm-messages-tmp",
    ]
    live = home / ".settings.json.z.vllm-messages-tmp"
    for file in (*left, live):
        file.touch()
    for file in left:
        os.utime(file, (0, 0))
    write(path, {"a": 2})
    assert not any(file.exists() for file in left)
    assert live.exists()


STEPS = ("mkstemp", "fsync", "chmod", "link", "swap", "replace", "unlink")


def break_step(step: str, when: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the n-th call of a step of the file system fail, and every one after it."""
    calls = itertools.count()

    def failing(original: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(calls) >= when:
                raise OSError(errno.ENOSPC, "disk full")
            return original(*arguments, **options)

        return call

    owners: dict[str, tuple[Any, str]] = {
        "mkstemp": (tempfile, "mkstemp"),
        "fsync": (os, "fsync"),
        "chmod": (Path, "chmod"),
        "link": (os, "link"),
        "swap": (atomic_file, "_swap"),
        "replace": (Path, "replace"),
        "unlink": (Path, "unlink"),
    }
    owner, name = owners[step]
    monkeypatch.setattr(owner, name, failing(getattr(owner, name)))


@pytest.mark.parametrize("when", range(5))
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("old", ['{"theirs": 1}', None], ids=["existing", "new"])
def test_no_fault_loses_settings(
    old: str | None, step: str, when: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "settings.json"
    if old:
        path.write_text(old)
    with monkeypatch.context() as patch:
        break_step(step, when, patch)
        try:
            write(path, {"a": 1})
        except OSError:
            failed = True
        else:
            failed = False
    present = json.loads(path.read_text()) if path.exists() else None
    merged = {**(json.loads(old) if old else {}), "a": 1}
    assert present in ([merged] if not failed else [merged, json.loads(old) if old else None])
    if present == merged and not failed:
        undo(path, kept(path), force=False)
        assert (path.read_text() if path.exists() else None) == old


OTHER_WRITER = """
import json, os, sys, time
from pathlib import Path
path, rounds = Path(sys.argv[1]), int(sys.argv[2])
for number in range(rounds):
    settings = json.loads(path.read_text())
    if settings["theirs"] != number:
        time.sleep(0.05)
        settings = json.loads(path.read_text())
    assert settings["theirs"] == number, (settings, number)
    settings["theirs"] = number + 1
    temporary = path.with_suffix(".other")
    temporary.write_text(json.dumps(settings))
    os.replace(temporary, path)
    time.sleep(0.002)
"""


def test_another_programs_changes_are_never_lost(home: Path) -> None:
    """The other program checks before each of its writes that its last one is there, if not at once."""
    path = home / "settings.json"
    path.write_text('{"theirs": 0}')
    command = [sys.executable, "-c", OTHER_WRITER, str(path), "400"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as other:
        number = 0
        while other.poll() is None:
            number += 1
            with contextlib.suppress(UnusableSettingsError):  # changed on each attempt
                write(path, {"ours": number})
        assert other.wait() == 0, other.stderr.read() if other.stderr else ""
    assert json.loads(path.read_text())["theirs"] == 400


WRITER = """
import sys
from pathlib import Path
from vllm_messages_plugin.cli.claude_config.journal import Journal
from vllm_messages_plugin.cli.claude_config.settings_file import write
path, number = Path(sys.argv[1]), 0
print("started", flush=True)
while True:
    number += 1
    write(path, {"ours": number}, Journal(path.parent.parent / "kept"))
"""


def test_a_killed_process_leaves_complete_settings_and_a_usable_journal(home: Path) -> None:
    path = home / "settings.json"
    path.write_text('{"theirs": "é"}')
    for delay in (0.0, 0.002, 0.005, 0.011, 0.023, 0.047):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(delay)
            writer.kill()
        assert json.loads(path.read_text())["theirs"] == "é"
        write(path, {"after": delay})
        undo(path, kept(path), force=False)
    assert len(kept(path).entries()) <= 10
