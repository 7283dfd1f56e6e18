"""Does all tasks of a program, one after the other, and prints what each came to."""

import asyncio
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any


def do_all(tasks: Iterable[Callable[[], Any]]) -> None:
    json.dump({task.__name__: outcome(task) for task in tasks}, sys.stdout, default=str)


def outcome(task: Callable[[], Any]) -> dict[str, Any]:
    """Return the task's value, or the error it ended in: one must not hide the others."""
    try:
        value = task()
        return {"value": asyncio.run(value) if inspect.iscoroutine(value) else value}
    except Exception:  # noqa: BLE001
        return {"raised": traceback.format_exc()}
