"""`vllm-messages store`, and what doctor says about a store."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import text
from typer.testing import CliRunner

from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.doctor.store import store as diagnose
from vllm_messages_plugin.cli.store import steps
from vllm_messages_plugin.store.opening import Store, StoreOptions, open_store
from vllm_messages_plugin.wire.batches import BatchItem, BatchResult


def run(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["store", *arguments, "--data", str(data)], env={"COLUMNS": "200"})


async def fill(store: Store) -> tuple[str, str]:
    """Store a file, a batch that has ended and one whose two items wait; return the first two ids."""
    upload = await store.files.upload("name_alice")
    await upload.write(b"hello")
    file = await upload.finish("a.txt", None, None)
    batch = await store.batches.create("name_alice", {}, b"{}", [BatchItem("a", 0, 2)])
    (item,) = await store.leases.lease("w", 1, 60.0)
    await store.leases.finish([(item, BatchResult("a", "succeeded", '{"x":1}'))])
    await store.batches.create("name_bob", {}, b"{}", [BatchItem(f"n{number}", 0, 2) for number in range(2)])
    await store.close()
    return file.id, batch.id


@pytest.fixture
def ids(tmp_path: Path) -> tuple[str, str]:
    """The ids of a file and of a batch in a store in `tmp_path / "data"`."""
    return asyncio.run(fill(open_store(StoreOptions("", tmp_path / "data"))))


def test_the_status_of_nothing_makes_nothing(tmp_path: Path) -> None:
    found = run(tmp_path / "data", "status", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["revision"] is None
    assert "nothing was stored yet" in run(tmp_path / "data", "status").stdout
    assert not (tmp_path / "data").exists()


def test_the_status_counts_files_batches_and_leases(tmp_path: Path, ids: tuple[str, str]) -> None:
    found = json.loads(run(tmp_path / "data", "status", "--json").stdout)
    assert (found["files"], found["file_bytes"], found["is_current"]) == (1, 5, True)
    assert found["batches"] == {"ended": 1, "in_progress": 1}
    assert (found["open_items"], found["leased_items"]) == (2, 0)
    assert found["batch_bytes"] == 2 + 7 + 2
    assert "1 ended, 1 in_progress" in run(tmp_path / "data", "status").stdout


def test_pruning_removes_what_is_no_longer_kept(tmp_path: Path, ids: tuple[str, str]) -> None:
    pruned = run(tmp_path / "data", "prune", "--json")
    assert json.loads(pruned.stdout) == {"files": 0, "bodies": 1, "results": 0, "threads": 0, "rows": 0}
    pruned = run(tmp_path / "data", "prune", "--json", "--results-days", "0")
    assert json.loads(pruned.stdout) == {"files": 0, "bodies": 0, "results": 1, "threads": 0, "rows": 1}


def test_an_export_has_everything_and_names_damaged_files(tmp_path: Path, ids: tuple[str, str]) -> None:
    file, batch = ids
    done = run(tmp_path / "data", "export", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    (described,) = map(json.loads, (tmp_path / "out/files.jsonl").read_text().splitlines())
    assert (described["owner"], described["id"], described["filename"]) == ("name_alice", file, "a.txt")
    assert (tmp_path / "out/files" / file).read_bytes() == b"hello"
    listed = [json.loads(line) for line in (tmp_path / "out/batches.jsonl").read_text().splitlines()]
    assert [entry["owner"] for entry in listed] == ["name_alice", "name_bob"]
    assert json.loads((tmp_path / f"out/results/{batch}.jsonl").read_text())["custom_id"] == "a"
    assert run(tmp_path / "data", "export", str(tmp_path / "out")).exit_code == 2
    (tmp_path / "data/contents" / file).write_bytes(b"hellO")
    done = run(tmp_path / "data", "export", str(tmp_path / "again"), "--json")
    assert json.loads(done.stdout) == {"files": 0, "batches": 2, "damaged": [file]}


def test_wrong_usage_and_a_broken_store_have_their_statuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, "export").exit_code == 2
    assert run(tmp_path, "status", "x").exit_code == 2
    assert run(tmp_path, "status", "--database", "mysql://x").exit_code == 2
    assert run(tmp_path, "status", "--database", "off").exit_code == 2
    (tmp_path / "messages.db").write_text("no database" * 100)
    broken = run(tmp_path, "status")
    assert (broken.exit_code, "does not work" in broken.stderr) == (1, True)
    monkeypatch.setattr(steps, "PACKAGES", ("no_such_package",))
    missing = run(tmp_path, "status")
    assert (missing.exit_code, "vllm-messages-plugin[store]" in missing.stderr) == (2, True)


def lines(data: Path, **environ: str) -> dict[str, tuple[str, str]]:
    found = diagnose({"VLLM_MESSAGES_DATA": str(data), **environ})
    return {line.name: (line.status, line.found) for line in found}


def test_doctor_reports_tables_items_and_space(tmp_path: Path, ids: tuple[str, str]) -> None:
    found = lines(tmp_path / "data")
    assert found["store"][0] == "ok"
    assert found["store"][1].endswith("1 files, 2 batches")
    assert found["batches"] == ("warn", "2 items wait, and no server works on any")
    assert "GiB are free" in found["space"][1]


def test_doctor_reports_a_store_that_is_off_missing_broken_or_newer(
    tmp_path: Path, ids: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lines(tmp_path, VLLM_MESSAGES_STORE="off")["store"][0] == "ok"
    assert "nothing was stored yet" in lines(tmp_path / "new")["store"][1]
    refused = lines(tmp_path, VLLM_MESSAGES_STORE="postgresql://me:secret@127.0.0.1:9/x")["store"]
    assert refused[0] == "fail"
    assert "secret" not in refused[1]
    asyncio.run(make_newer(open_store(StoreOptions("", tmp_path / "data"))))
    assert lines(tmp_path / "data")["store"][0] == "fail"
    monkeypatch.setattr("vllm_messages_plugin.cli.doctor.store.LITTLE_SPACE", 1 << 80)
    assert lines(tmp_path / "data")["space"][0] == "warn"
    monkeypatch.setattr(steps, "PACKAGES", ("no_such_package",))
    assert "not installed" in lines(tmp_path)["store"][1]


async def make_newer(store: Store) -> None:
    async with store.database.write() as connection:
        await connection.execute(text("UPDATE messages_store_version SET version_num = '9999'"))
    await store.close()
