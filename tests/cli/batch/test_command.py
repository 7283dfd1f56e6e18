"""`vllm-messages batch` against a server with a fake engine."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from support.batch_server import BatchServer, batch_server
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.store.opening import StoreOptions


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchServer]:
    """A server that repeats the last message."""
    home = tmp_path_factory.mktemp("batch")
    with batch_server(StoreOptions("", home / "data"), home / "log") as running:
        running.wait()
        yield running


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["batch", *arguments], env={"VLLM_API_KEY": ""})


def item(id_: str, model: str = "fake") -> dict[str, Any]:
    messages = [{"role": "user", "content": f"I am {id_}"}]
    return {"custom_id": id_, "params": {"model": model, "max_tokens": 9, "messages": messages}}


def write(path: Path, *items: dict[str, Any]) -> str:
    path.write_text("\n".join(json.dumps(item) for item in items) + "\n\n")
    return str(path)


def texts(lines: str) -> dict[str, str]:
    results = [json.loads(line) for line in lines.splitlines()]
    return {line["custom_id"]: line["result"]["message"]["content"][0]["text"] for line in results}


def test_a_file_of_requests_becomes_a_file_of_results(server: BatchServer, tmp_path: Path) -> None:
    file, output = write(tmp_path / "in.jsonl", item("a"), item("b")), tmp_path / "out.jsonl"
    done = run("run", file, "--url", server.url, "-o", str(output), "--poll", "0.05", "--json")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert (summary["request_counts"]["succeeded"], summary["output"]) == (2, str(output))
    assert texts(output.read_text()) == {"a": "I am a", "b": "I am b"}


def test_results_go_to_standard_output_and_a_failed_item_is_1(server: BatchServer, tmp_path: Path) -> None:
    file = tmp_path / "in.json"
    file.write_text(json.dumps({"requests": [item("a"), item("b", model="none")]}))
    done = run("run", str(file), "--url", f"{server.url}/v1/", "--poll", "0.05")
    assert done.exit_code == 1, done.output
    kinds = {line["custom_id"]: line["result"]["type"] for line in map(json.loads, done.stdout.splitlines())}
    assert kinds == {"a": "succeeded", "b": "errored"}
    assert "1 succeeded, 1 errored" in done.stderr


def test_a_detached_batch_is_followed_by_its_id(server: BatchServer, tmp_path: Path) -> None:
    file = write(tmp_path / "in.jsonl", item("a"))
    made = run("run", file, "--url", server.url, "--detach")
    assert made.exit_code == 0, made.output
    done = run("results", made.stdout.strip(), "--url", server.url, "--poll", "0.05")
    assert texts(done.stdout) == {"a": "I am a"}
    again = run("cancel", made.stdout.strip(), "--url", server.url)
    assert (again.exit_code, "can't be canceled" in again.stderr) == (1, True)


def test_what_the_server_refuses_is_1_with_its_words(server: BatchServer, tmp_path: Path) -> None:
    file = write(tmp_path / "in.jsonl", item("a"), item("a"))
    done = run("run", file, "--url", server.url)
    assert (done.exit_code, "requests.1.custom_id" in done.stderr) == (1, True)
    assert run("results", "msgbatch_0", "--url", server.url).exit_code == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no requests"),
        ('{"custom_id": "a", "params": {}}\nno', ":2: this line is no JSON object"),
        ('{"params": {}}', ":1: the request has no custom_id"),
        ('{"custom_id": "a"}', ":1: the request has no params"),
    ],
)
def test_a_file_without_requests_is_2_and_names_the_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "in.jsonl").write_text(text)
    done = run("run", str(tmp_path / "in.jsonl"), "--url", "http://127.0.0.1:9")
    assert (done.exit_code, said in done.stderr) == (2, True), done.output


def test_without_a_server_or_a_place_for_results_nothing_is_run(tmp_path: Path) -> None:
    file = write(tmp_path / "in.jsonl", item("a"))
    assert run("run", file, "--url", "http://127.0.0.1:9").exit_code == 2
    assert run("run", str(tmp_path / "none.jsonl")).exit_code == 2
    done = run("run", file, "-o", str(tmp_path / "no" / "out.jsonl"))
    assert (done.exit_code, "is no directory" in done.stderr) == (2, True)
