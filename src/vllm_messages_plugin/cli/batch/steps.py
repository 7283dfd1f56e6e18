"""Creates batches on a server, follows them, and writes their results."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vllm_messages_plugin.cli.batch.requests_file import RequestsFileError, read_body
from vllm_messages_plugin.conformance.client import VERSION, auth_headers, http_client

PATH: Final = "/v1/messages/batches"
DONE_HEADER: Final = "x-batch-items-done"
ENDS: Final = ("succeeded", "errored", "canceled", "expired")


class UsageError(Exception):
    """The command can't be run like this, or no server responds."""


class RefusedError(Exception):
    """The server refused a request; the text is its message."""


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How a batch is followed and where its results go.

    Attributes:
        output: The file for results; None for standard output.
        poll: Seconds between two looks at the batch.
        detach: Whether to end once the batch is created.
        as_json: Whether to print a summary as JSON.
    """

    output: Path | None
    poll: float
    detach: bool = False
    as_json: bool = False


@contextmanager
def connect(url: str, key: str, timeout: float) -> Iterator[httpx.Client]:
    """Yield a client of a server.

    Raises:
        UsageError: The server does not respond.
    """
    with http_client(url, timeout) as http:
        http.headers.update({"anthropic-version": VERSION, **auth_headers(key or None)})
        try:
            yield http
        except httpx.HTTPError as error:
            raise UsageError(f"no response from {http.base_url}: {error or type(error).__name__}") from None


def run(http: httpx.Client, path: Path, options: BatchOptions) -> bool:
    """Run a file of requests; return whether every item succeeded.

    Raises:
        RefusedError: The server refuses the batch.
        UsageError: The file has no requests.
    """
    _check(options)
    try:
        body, _ = read_body(path)
    except RequestsFileError as error:
        raise UsageError(str(error)) from None
    batch = _json(http.post(PATH, content=body, headers={"content-type": "application/json"}))
    if options.detach:
        print(json.dumps(batch) if options.as_json else batch["id"])
        return True
    Console(stderr=True).print(f"{batch['id']} was created", highlight=False)
    return results(http, batch["id"], options)


def results(http: httpx.Client, id_: str, options: BatchOptions) -> bool:
    """Wait for a batch and write its results; return whether every item succeeded.

    Raises:
        RefusedError: There is no such batch, or its results are no longer kept.
    """
    _check(options)
    try:
        batch = _wait(http, id_, options.poll)
    except KeyboardInterrupt:
        raise UsageError(f"the batch goes on; its results: vllm-messages batch results {id_}") from None
    if options.output is not None:
        with options.output.open("wb") as file:
            _copy_results(http, id_, file)
    elif not options.as_json:
        _copy_results(http, id_, sys.stdout.buffer)
        sys.stdout.flush()
    counts = batch["request_counts"]
    if options.as_json:
        where = None if options.output is None else str(options.output)
        print(json.dumps({"id": id_, "request_counts": counts, "output": where}))
    else:
        _summarise(counts)
    return bool(counts["succeeded"] == sum(counts[end] for end in ENDS))


def cancel(http: httpx.Client, id_: str, options: BatchOptions) -> bool:
    """Cancel a batch.

    Raises:
        RefusedError: There is no such batch, or it has ended.
    """
    batch = _json(http.post(f"{PATH}/{id_}/cancel"))
    print(json.dumps(batch) if options.as_json else f"{id_} is {batch['processing_status']}")
    return True


def _check(options: BatchOptions) -> None:
    """Refuse an output that can't be written before anything is run."""
    if options.output is not None and not options.output.parent.is_dir():
        raise UsageError(f"{options.output.parent} is no directory")


def _wait(http: httpx.Client, id_: str, seconds: float) -> Mapping[str, Any]:
    """Wait until a batch has ended, with a progress bar on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("batch", total=None)
        while True:
            response = http.get(f"{PATH}/{id_}")
            batch = _json(response)
            total = sum(batch["request_counts"].values())
            done = int(response.headers.get(DONE_HEADER, 0))
            progress.update(task, description=batch["processing_status"], total=total, completed=done)
            if batch["processing_status"] == "ended":
                return batch
            time.sleep(seconds)


def _copy_results(http: httpx.Client, id_: str, file: BinaryIO) -> None:
    with http.stream("GET", f"{PATH}/{id_}/results") as response:
        if response.status_code != httpx.codes.OK:
            response.read()
            _json(response)
        for block in response.iter_bytes():
            file.write(block)


def _summarise(counts: Mapping[str, int]) -> None:
    ends = ", ".join(f"{counts[end]} {end}" for end in ENDS if counts[end])
    Console(stderr=True).print(ends or "no items", highlight=False)


def _json(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a response.

    Raises:
        RefusedError: It is an error.
        UsageError: It is no response of the Messages API.
    """
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise UsageError(f"{response.url} is no batch of the Messages API (HTTP {response.status_code})")
    if response.status_code >= httpx.codes.BAD_REQUEST:
        error = body.get("error")
        message = error.get("message") if isinstance(error, dict) else None
        raise RefusedError(str(message or f"HTTP {response.status_code}"))
    return body
