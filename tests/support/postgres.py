"""A real PostgreSQL of the tests' own: a new cluster on loopback, run by an unprivileged user."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.loopback import free_port

WAIT_SECONDS = 30
OPTIONS = ("fsync=off", "full_page_writes=off", "listen_addresses=127.0.0.1", "max_connections=60")


def programs() -> Path | None:
    """The directory with `initdb` and `postgres`; Debian does not put it on the PATH."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "postgres").exists()), None)


def unprivileged_user() -> str | None:
    """The user that runs PostgreSQL, which refuses to run as root; None for the present one."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def postgres_cluster() -> Iterator[str]:
    """Run PostgreSQL; yield the URL of its database. Skips where it is not installed."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    user = unprivileged_user()
    directory = Path(tempfile.mkdtemp(prefix="messages-pg-"))
    if user is not None:
        shutil.chown(directory, user)
    port = free_port()
    data = directory / "data"
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    subprocess.run(
        [found / "initdb", "-D", data, "-U", "messages", "--auth=trust", "--no-sync"],
        user=user, env=environment, cwd=directory, check=True, capture_output=True,
    )  # fmt: skip
    command = [found / "postgres", "-D", data, "-p", str(port), "-k", directory]
    for option in OPTIONS:
        command += ["-c", option]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, user=user, env=environment, cwd=directory, stderr=log, stdout=log)
    try:
        _wait(found / "pg_isready", port, process)
        yield f"postgresql://messages@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)
        shutil.rmtree(directory, ignore_errors=True)


def _wait(is_ready: Path, port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the server accepts connections: it listens before it does."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "PostgreSQL ended at its start"
        if subprocess.run([is_ready, "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode == 0:
            return
        time.sleep(0.05)
    raise TimeoutError("PostgreSQL accepts no connections")
