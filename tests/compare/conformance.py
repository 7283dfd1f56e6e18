"""The checks of `vllm-messages smoke-test` on one contender, counted by group."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from compare.contenders import MODEL, Contender
from compare.results import Group
from compare.script import answers, thoughts
from vllm_messages_plugin.conformance.checks import server_tools, thinking

COMMAND = (sys.executable, "-c", "from vllm_messages_plugin.cli.app import main; main()")
CHECK_SECONDS = 60  # noise takes a while: up to 2048 tokens
RUN_SECONDS = 900
QUICK = ("message", "stream", "any-tool")
REFUSED = re.compile(r"\bHTTP (?:400|404|405|422|501)\b")
"""In the reason of a failed check: the server said no, instead of answering wrongly."""
PLAYBOOK: Sequence[Mapping[str, Any]] = [
    *answers(re.escape(server_tools.BRIEF), "A heron waits in the reeds."),
    *answers("Where does it wait", "It waits in the reeds."),
    *answers("Remember: the heron waits", "I will."),
    *answers("Say hello", "Hello, my friend."),
    *answers(r"So\?", "It is warm in Paris."),
    *thoughts(re.escape(thinking.PUZZLE), "Let me see.", "Yes."),
]
"""What the model says where noise would tell nothing of the server: where a reply may have thousands of
tokens, which noise fills until the check gives up, and where the check asks for a thought. Where the server
must shape the reply (a forced call, JSON of a schema), the model writes noise: a script would hide that the
server does not.
"""


def measure(contender: Contender, quick: bool) -> dict[str, Group]:
    """Run the checks and count them."""
    command = [*COMMAND, "smoke-test", contender.url, "--json"]
    command += ["--model", MODEL, "--timeout", str(CHECK_SECONDS)]
    command += [argument for name in QUICK if quick for argument in ("--only", name)]
    with contender.server.playbook(PLAYBOOK) if contender.server else nullcontext():
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    if done.returncode == 2:
        raise RuntimeError(f"smoke-test could not run on {contender.name}: {done.stderr}")
    return counted(json.loads(done.stdout)["checks"])


def counted(checks: Sequence[Mapping[str, Any]]) -> dict[str, Group]:
    """Count the checks of a report by group."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for check in checks:
        groups.setdefault(check["group"], []).append(check)
    return {name: _group(members) for name, members in groups.items()}


def _group(checks: Sequence[Mapping[str, Any]]) -> Group:
    kinds = [kind(check) for check in checks]
    names = [
        f"{check['name']} ({found}: {check['reason']})"
        for check, found in zip(checks, kinds, strict=True)
        if found in ("failed", "refused")
    ]
    numbers = {name: kinds.count(name) for name in ("passed", "failed", "refused", "skipped")}
    return Group(**numbers, names=tuple(names))


def kind(check: Mapping[str, Any]) -> str:
    """Return how a check came out: a check that has a bug counts as skipped."""
    if check["result"] == "fail":
        return "refused" if REFUSED.search(check["reason"]) else "failed"
    return "passed" if check["result"] == "pass" else "skipped"
