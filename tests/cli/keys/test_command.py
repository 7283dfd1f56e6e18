"""`vllm-messages keys`."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from vllm_messages_plugin.access.key_file import KeyFile
from vllm_messages_plugin.cli.app import app


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments, "--file", str(path)])


def test_an_added_key_is_printed_once_and_valid(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "keys.toml"
    added = run(path, "add", "alice", "--models", "tiny", "--max-concurrent", "2", "--expires", "2099-01-01")
    assert added.exit_code == 0, added.output
    key = added.stdout.strip()
    found = KeyFile(path).ring().find(key, datetime.now(UTC))
    assert found is not None
    assert (found.name, found.models, found.max_concurrent) == ("alice", ("tiny",), 2)
    assert key not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key not in run(path, "list").output
    assert found.sha256 not in run(path, "list", "--json").output


def test_a_revoked_key_is_gone_and_the_other_stays(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    for name in ("alice", "bob"):
        run(path, "add", name)
    path.chmod(0o640)
    assert run(path, "revoke", "alice").exit_code == 0
    assert [row["name"] for row in json.loads(run(path, "list", "--json").stdout)] == ["bob"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_wrong_usage_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    run(path, "add", "alice")
    before = path.read_bytes()
    for arguments in (("add",), ("add", "alice"), ("add", "a b"), ("revoke", "eve"), ("list", "alice")):
        assert run(path, *arguments).exit_code == 2, arguments
    assert CliRunner().invoke(app, ["keys", "list"]).exit_code == 2
    assert path.read_bytes() == before


def test_concurrent_additions_lose_none(tmp_path: Path) -> None:
    from vllm_messages_plugin.cli.keys.steps import add

    path = tmp_path / "keys.toml"
    names = [f"dev-{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: add(path, name, {}, as_json=True), names))
    assert sorted(key.name for key in KeyFile(path).ring().keys) == names
