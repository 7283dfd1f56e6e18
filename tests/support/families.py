"""One engine, several families of models: each has an app of its own with its own chat template.

    python -m support.families MODEL --families FILE [vLLM's own flags]

The parsers are chosen from the chat template when a server starts, so a test of many families would
start many servers; this one starts one engine and builds vLLM's app, with our plugin in it, once a
family. FILE is a JSON object: a family's name -> `Family`'s fields. A family's app answers below its
name, `/NAME/v1/messages`; the first one's also at the root. Started by `server.start_families`.
"""

import asyncio
import copy
import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

# Where vLLM keeps the parts of its server: 0.33, 0.31 and 0.32, and older versions.
CLI_ARGS = (
    "vllm.entrypoints.common.cli_args",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.openai.cli_args",
)
APP = ("vllm.entrypoints.launchers.app", "vllm.entrypoints.openai.api_server")
APP_STATE = ("vllm.entrypoints.launchers.api_server.app_state", "vllm.entrypoints.openai.api_server")
ENGINE_CLIENT = ("vllm.entrypoints.launchers.api_server.entry", "vllm.entrypoints.openai.api_server")


@dataclass(frozen=True)
class Family:
    """What sets a family apart: its template (a file), vLLM's renderer for it, and further flags."""

    template: str | None = None
    tokenizer_mode: str | None = None  # a native renderer of vLLM's, in the place of the template
    flags: Mapping[str, Any] = field(default_factory=dict)  # by their names in vLLM's namespace


class Families:
    """Sends a request to the app of the family that its path begins with."""

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self._apps = apps
        self._first = next(iter(apps.values()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, _, rest = scope.get("path", "").lstrip("/").partition("/")
        if name not in self._apps:
            await self._first(scope, receive, send)
            return
        path = f"/{rest}"
        await self._apps[name]({**scope, "path": path, "raw_path": path.encode()}, receive, send)


class FamilyClient:
    """The engine as a family sees it: with the family's renderer, and all else the shared engine's."""

    def __init__(self, engine: Any, mode: str) -> None:
        self._engine = engine
        self.model_config = copy.copy(engine.model_config)
        self.model_config.tokenizer_mode = mode
        self.vllm_config = copy.copy(engine.vllm_config)
        self.vllm_config.model_config = self.model_config
        self.renderer = _native_renderer(self.vllm_config)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def write_families(families: Mapping[str, Family], path: Path) -> None:
    """Write the file that the command reads."""
    path.write_text(json.dumps({name: asdict(family) for name, family in families.items()}), encoding="utf-8")


def _pick(modules: Sequence[str], name: str) -> Any:
    """The name, from the first of vLLM's modules that has it."""
    from vllm_messages_plugin.engine.vllm import compat  # imports vLLM, which takes ten seconds

    return compat.pick(*(f"{module}:{name}" for module in modules))


def _native_renderer(config: Any) -> Any:
    from vllm.renderers.registry import renderer_from_config

    return renderer_from_config(config)


def _arguments(command: list[str]) -> Namespace:
    """The command line, read as `vllm serve` reads it."""
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    make_arg_parser = _pick(CLI_ARGS, "make_arg_parser")
    validate_parsed_serve_args = _pick(CLI_ARGS, "validate_parsed_serve_args")
    parser = make_arg_parser(FlexibleArgumentParser())
    parser.add_argument("--families", type=Path, required=True)
    args: Namespace = parser.parse_args(command)
    args.model = args.model_tag or args.model
    validate_parsed_serve_args(args)
    return args


async def _app(engine: Any, args: Namespace, family: Family) -> FastAPI:
    """vLLM's app for one family."""
    build_app = _pick(APP, "build_app")
    init_app_state = _pick(APP_STATE, "init_app_state")
    own = copy.deepcopy(args)
    vars(own).update({"chat_template": family.template, **family.flags})
    client = FamilyClient(engine, family.tokenizer_mode) if family.tokenizer_mode else engine
    tasks = await engine.get_supported_tasks()
    app: FastAPI = build_app(own, tasks, client.model_config)
    await init_app_state(client, app.state, own, tasks)
    return app


async def serve(args: Namespace) -> None:
    """Start the engine and the families' apps, and serve until the process is told to end."""
    build_async_engine_client = _pick(ENGINE_CLIENT, "build_async_engine_client")
    families = json.loads(args.families.read_text(encoding="utf-8"))
    async with build_async_engine_client(args) as engine:
        apps = {name: await _app(engine, args, Family(**own)) for name, own in families.items()}
        config = uvicorn.Config(
            Families(apps), host=args.host, port=args.port, lifespan="off", log_level="warning"
        )
        await uvicorn.Server(config).serve()


def main(command: list[str]) -> int:
    """Serve the families that the command line names."""
    asyncio.run(serve(_arguments(command)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
