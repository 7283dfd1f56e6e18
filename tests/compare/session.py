"""A ten-turn session of a coding agent, replayed by `vllm-messages bench`."""

import json
import subprocess
from statistics import median

from compare.conformance import COMMAND
from compare.contenders import MODEL, Contender, cpu_seconds
from compare.results import Session

TURNS, QUICK_TURNS = 10, 3
RUN_SECONDS = 600


def measure(contender: Contender, quick: bool) -> Session:
    """Replay the session; the CPU is that of all processes of the contender, the engine included."""
    turns = QUICK_TURNS if quick else TURNS
    command = [*COMMAND, "bench", contender.url, "--json", "--model", MODEL]
    command += ["--runs", "1", "--tokens", "2", "--turns", str(turns)]
    before = cpu_seconds(contender.groups)
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    if done.returncode != 0:
        return Session(error=done.stderr.strip()[:300])
    cpu = cpu_seconds(contender.groups) - before
    report = json.loads(done.stdout)
    later = [1000 * turn["first_delta"] for turn in report["session"][1:]]
    reported = any(turn["cached"] for turn in report["session"])
    return Session(report["median_reuse"] if reported else None, median(later), cpu)
