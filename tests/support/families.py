"""A server with one engine and several apps, one for each model family, each with its own chat template.

    python -m support.families MODEL --families FILE [vLLM's own flags]

The parsers are chosen from the chat template when a server starts, so a test of many families would start
many servers. This one starts one engine and builds vLLM's app, with the plugin in it, once for each family.
FILE is a JSON object of family names and the fields of `Family`. A family's app has its name as a path
prefix, `/NAME/v1/messages`; the first family's app is also at the root. `server.start_families` starts it.
"""

import asyncio
import copy
import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
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
    """What is particular to a family: its chat template (a file), vLLM's renderer for it, further flags."""

    template: str | None = None
    tokenizer_mode: str | None = None  # selects a built-in renderer of vLLM, used instead of the template
    flags: Mapping[str, Any] = field(default_factory=dict)  # by their names in vLLM's namespace


class Families:
    """Routes a request to the app of the family that its path begins with."""

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
    """The shared engine with one family's renderer; everything else is the shared engine's."""

    def __init__(self, engine: Any, mode: str) -> None:
        self._engine = engine
        self.model_config = copy.copy(engine.model_config)
        self.model_config.tokenizer_mode = mode
        self.vllm_config = copy.copy(engine.vllm_config)
        self.vllm_config.model_config = self.model_config
        self.renderer = _built_in_renderer(self.vllm_config)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def write_families(families: Mapping[str, Family], path: Path) -> None:
    """Write the FILE of the command."""
    path.write_text(json.dumps({name: asdict(family) for name, family in families.items()}), encoding="utf-8")


def _pick(modules: Sequence[str], name: str) -> Any:
    """Return the name from the first of these modules of vLLM's that exists."""
    for module in modules:
        if (found := getattr(_module(module), name, None)) is not None:
            return found
    raise ImportError(f"this vLLM has no {name} in any of {', '.join(modules)}")


def _module(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


def _built_in_renderer(config: Any) -> Any:
    from vllm.renderers.registry import renderer_from_config

    return renderer_from_config(config)


def _arguments(command: list[str]) -> Namespace:
    """Parse the command line as `vllm serve` does."""
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
    """Build vLLM's app for one family."""
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
    """Start the engine and the families' apps, and serve until the process is stopped."""
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
