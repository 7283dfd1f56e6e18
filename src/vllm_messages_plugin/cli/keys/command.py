"""`vllm-messages keys`: the named API keys that VLLM_MESSAGES_KEYS points to."""

from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from vllm_messages_plugin.cli.options import AsJson


class Action(Enum):
    """What to do with the file."""

    ADD = "add"
    LIST = "list"
    REVOKE = "revoke"


def keys(
    action: Annotated[Action, typer.Argument(help="add and revoke take a NAME.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The key's name.", show_default=False)] = "",
    file: Annotated[
        str, typer.Option("--file", help="The keys file.", envvar="VLLM_MESSAGES_KEYS", show_default=False)
    ] = "",
    models: Annotated[
        list[str] | None, typer.Option("--models", help="A model it may use, such as 'qwen*'; repeatable.")
    ] = None,
    max_concurrent: Annotated[int, typer.Option(min=0, help="How many requests may run at once.")] = 0,
    requests_per_minute: Annotated[int, typer.Option(min=0, help="How many requests in a minute.")] = 0,
    tokens_per_minute: Annotated[int, typer.Option(min=0, help="How many tokens in a minute.")] = 0,
    priority: Annotated[int, typer.Option(min=0, help="Priority of its requests; smaller is first.")] = 0,
    expires: Annotated[
        datetime | None,
        typer.Option(
            "--expires",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="When it ends, in UTC.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add, list or revoke the named API keys of a server.

    A server that was started with VLLM_MESSAGES_KEYS reads the file again within a second. `add` prints the
    new key once: the file has its digest only. The options behind --file are for `add`; 0 sets no limit. The
    file is replaced in one step under a lock, and what else stands in it is kept.

    Exit status: 0 done; 2 wrong usage, or a file that can't be used.
    """  # fmt: skip
    from vllm_messages_plugin.access.key_editing import Value
    from vllm_messages_plugin.access.keys import KeysError
    from vllm_messages_plugin.cli.keys import steps

    limits: dict[str, Value] = {
        "models": tuple(models or ()),
        "max_concurrent": max_concurrent,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "priority": priority,
        **({"expires": expires.replace(tzinfo=UTC)} if expires else {}),
    }
    try:
        if not file:
            raise KeysError("which file? --file PATH, or VLLM_MESSAGES_KEYS")
        if bool(name) == (action is Action.LIST):
            raise KeysError(f"{action.value} takes {'no name' if name else 'the name of a key'}")
        match action:
            case Action.ADD:
                steps.add(Path(file), name, limits, as_json=as_json)
            case Action.REVOKE:
                steps.revoke(Path(file), name, as_json=as_json)
            case Action.LIST:
                steps.list_keys(Path(file), as_json=as_json)
    except (KeysError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
