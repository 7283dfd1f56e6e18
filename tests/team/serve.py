"""`python -m team.serve PORT KEYS RUNNING SECONDS`: the server of the simulation."""

import sys
from pathlib import Path

import uvicorn

from soak.probe import Probe
from team.engine import SlotEngine
from vllm_messages_plugin.access.accounting import Accounting
from vllm_messages_plugin.access.key_file import KeyFile
from vllm_messages_plugin.access.limits import RateLimiter
from vllm_messages_plugin.http.admission import Admission
from vllm_messages_plugin.testing.fake_engine import app_with

QUEUED_PER_RUNNING = 15
KEEP_ALIVE_SECONDS = 300  # longer than clients pause: else a request may meet the end of its connection


def main(port: int, keys: Path, running: int, seconds: float) -> None:
    """Serve until the process gets SIGTERM."""
    engine = SlotEngine(max_running=running, seconds=seconds)
    app = app_with(
        engine,
        key_file=KeyFile(keys),
        accounting=Accounting(RateLimiter()),
        admission=Admission(running * (1 + QUEUED_PER_RUNNING)),
    )
    uvicorn.run(
        Probe(app), host="127.0.0.1", port=port, log_level="error", timeout_keep_alive=KEEP_ALIVE_SECONDS
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
