"""A bystander of an attack: polls /health and asks small questions, in a process of its own.

`python -m attack.watch URL PID` runs until its standard input ends. Then it writes one JSON object: the
longest and the median time of each kind of request in milliseconds, how many failed, and the resident memory
of the server in MiB before the attack and at its peak.
"""

import http.client
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

HEALTH_PAUSE = 0.005
QUESTION_PAUSE = 0.1
QUESTION = json.dumps(
    {"model": "tiny", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
).encode()
TIMEOUT = 120


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


class Poller(threading.Thread):
    """Sends one kind of request over and over and keeps the times of the replies, in milliseconds."""

    def __init__(self, address: str, pause: float, send: Callable[[http.client.HTTPConnection], int]) -> None:
        super().__init__(daemon=True)
        self.times: list[float] = []
        self.failed = 0
        self._address = address
        self._pause = pause
        self._send = send
        self._stop_asked = threading.Event()

    def run(self) -> None:
        while not self._stop_asked.is_set():
            connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT)
            try:
                while not self._stop_asked.wait(self._pause):
                    self._poll(connection)
            except OSError:
                self.failed += 1
            finally:
                connection.close()

    def _poll(self, connection: http.client.HTTPConnection) -> None:
        begin = time.perf_counter()
        status = self._send(connection)
        self.times.append((time.perf_counter() - begin) * 1000)
        self.failed += status != 200

    def stop(self) -> dict[str, float]:
        self._stop_asked.set()
        self.join(TIMEOUT)
        times = self.times or [float("inf")]
        return {"longest": max(times), "median": statistics.median(times), "failed": self.failed}


def ask_health(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/health")
    reply = connection.getresponse()
    reply.read()
    return reply.status


def ask_question(connection: http.client.HTTPConnection) -> int:
    connection.request("POST", "/v1/messages", QUESTION, {"content-type": "application/json"})
    reply = connection.getresponse()
    reply.read()
    return reply.status


def main(url: str, pid: int) -> None:
    address = urlsplit(url).netloc
    pollers = {
        "health": Poller(address, HEALTH_PAUSE, ask_health),
        "neighbour": Poller(address, QUESTION_PAUSE, ask_question),
    }
    before = peak = resident_mib(pid)
    for poller in pollers.values():
        poller.start()
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    while not stop.wait(0.02):
        peak = max(peak, resident_mib(pid))
    found: dict[str, object] = {name: poller.stop() for name, poller in pollers.items()}
    json.dump(found | {"memory": {"before": before, "peak": max(peak, resident_mib(pid))}}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
