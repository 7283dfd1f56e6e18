"""Starts the servers that are compared, each as its own documentation says, behind one tiny model.

vLLM alone, the gateways and the plugin have the scripted model, which writes what a playbook says. llama.cpp
has the same weights and tokenizer as a GGUF file, and writes noise.
"""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from clients import npm, venv
from support.loopback import free_port
from support.server import Server, process_group, start_server
from vllm_messages_plugin.demo.build_cache import build_once, cache_home
from vllm_messages_plugin.testing import tiny

NATIVE, LITELLM, ROUTER, LLAMA, PLUGIN = "vllm", "litellm", "router", "llama.cpp", "plugin"
CONTENDERS = (NATIVE, LITELLM, ROUTER, LLAMA, PLUGIN)
TITLES = {
    NATIVE: "vLLM alone",
    LITELLM: "LiteLLM → vLLM",
    ROUTER: "claude-code-router → vLLM",
    LLAMA: "llama.cpp",
    PLUGIN: "this plugin",
}
LITELLM_VERSION = "1.108.0"
ROUTER_PACKAGE, ROUTER_VERSION = "@musistudio/claude-code-router", "2.0.0"
LLAMA_VERSION, GGUF_VERSION = "2026.10.11549", "0.19.0"
WINDOW = 131_072
MODEL = "tiny"
START_SECONDS = 120
HERE = Path(__file__).parent
NO_PLUGIN = {"VLLM_PLUGINS": "none"}  # no plugin has this name, so vLLM loads none
ENGINE_APART = {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"}  # as vLLM runs by default
# No settings of the user, and no new .pyc files, by which the cache takes a directory for incomplete.
ISOLATED = ("-E", "-s", "-B")
COMMON_FLAGS = ("--dtype", "float32")


@dataclass(frozen=True)
class Setting:
    """A chat template of the tiny model, and the flags that vLLM's documentation names for such a model."""

    template: str
    flags: tuple[str, ...]


HERMES = Setting(
    "qwen_like",
    (
        *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
        *("--reasoning-parser", "qwen3", "--enable-prompt-tokens-details"),
    ),
)
QWEN_XML = Setting(
    "xml_calls",
    ("--enable-auto-tool-choice", "--tool-call-parser", "qwen3_xml", "--enable-prompt-tokens-details"),
)


@dataclass(frozen=True)
class Contender:
    """A running server.

    Attributes:
        name: Its name in `CONTENDERS`.
        url: Where it speaks the Messages API.
        groups: The process groups that do its work: its own, and that of the vLLM behind it.
        server: The vLLM server with the scripted model; None for llama.cpp.
        model: The model's name.
        window: The model's window, in tokens.
    """

    name: str
    url: str
    groups: tuple[int, ...]
    server: Server | None
    model: str = MODEL
    window: int = WINDOW


@contextmanager
def contenders(
    names: Sequence[str], setting: Setting, home: Path, search: str
) -> Iterator[dict[str, Contender]]:
    """Run these contenders for the length of the block.

    Args:
        names: Which ones.
        setting: What the tiny model is like.
        home: A directory for logs and configurations.
        search: The URL of a SearXNG service, for those that can search.
    """
    found: dict[str, Contender] = {}
    with ExitStack() as stack:
        if {NATIVE, LITELLM, ROUTER} & {*names}:
            flags = (*COMMON_FLAGS, *setting.flags)
            native = stack.enter_context(vllm(setting, flags, NO_PLUGIN, home / NATIVE))
            found[NATIVE] = Contender(NATIVE, native.url, (native.process.pid,), native)
        if LITELLM in names:
            found[LITELLM] = stack.enter_context(litellm(native, home / LITELLM, search))
        if ROUTER in names:
            found[ROUTER] = stack.enter_context(router(native, home / ROUTER))
        if LLAMA in names:
            found[LLAMA] = stack.enter_context(llama_cpp(setting, home / "llama"))
        if PLUGIN in names:
            searching = {"VLLM_MESSAGES_SEARCH": f"searxng:{search}"} if search else {}
            ours = stack.enter_context(vllm(setting, COMMON_FLAGS, searching, home / PLUGIN))
            found[PLUGIN] = Contender(PLUGIN, ours.url, (ours.process.pid,), ours)
        yield {name: found[name] for name in names}


@contextmanager
def vllm(setting: Setting, flags: Sequence[str], env: Mapping[str, str], home: Path) -> Iterator[Server]:
    """`vllm serve` with the scripted model; its engine has a process of its own."""
    home.mkdir(parents=True)
    model = tiny.model_directory(setting.template)
    with start_server(model, *flags, env={**ENGINE_APART, **env}, home=home, window=WINDOW) as server:
        yield server


def litellm_python() -> Path:
    """Return the Python of an environment that has LiteLLM's proxy, installed on first use."""
    return venv.python_with(f"litellm-proxy-{LITELLM_VERSION}", f"litellm[proxy]=={LITELLM_VERSION}")


@contextmanager
def litellm(native: Server, home: Path, search: str) -> Iterator[Contender]:
    """LiteLLM's proxy in front of vLLM's chat route, with its interception of web search."""
    home.mkdir(parents=True)
    config = home / "config.json"  # JSON is YAML as well
    config.write_text(json.dumps(litellm_config(native.url, search)), encoding="utf-8")
    port = free_port()
    command = [str(litellm_python()), *ISOLATED, "-m", "litellm.proxy.proxy_cli"]
    command += ["--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    # Its list of prices would come from the network.
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with gateway(command, env, home, f"http://127.0.0.1:{port}", "/health/liveliness") as process:
        groups = (process.pid, native.process.pid)
        yield Contender(LITELLM, f"http://127.0.0.1:{port}", groups, native)


def litellm_config(vllm_url: str, search: str) -> dict[str, object]:
    """Return the proxy's configuration: one model, and web search as its tutorial for Claude Code has it."""
    parameters = {"model": f"hosted_vllm/{MODEL}", "api_base": f"{vllm_url}/v1", "api_key": "x"}
    models = [{"model_name": MODEL, "litellm_params": parameters}]
    # Without a key, as the others here; the proxy demands one unless it is told so.
    general = {"dangerously_permit_weak_or_unset_master_key": True}
    if not search:
        return {"model_list": models, "general_settings": general}
    tool = {"search_provider": "searxng", "api_base": search}
    return {
        "model_list": models,
        "general_settings": general,
        "litellm_settings": {
            "callbacks": ["websearch_interception"],
            "websearch_interception_params": {
                "enabled_providers": ["hosted_vllm"],
                "search_tool_name": "searxng",
            },
        },
        "search_tools": [{"search_tool_name": "searxng", "litellm_params": tool}],
    }


def router_package() -> Path:
    """Return the directory of claude-code-router, installed on first use."""
    return npm.installed(f"{ROUTER_PACKAGE}@{ROUTER_VERSION}") / "node_modules" / ROUTER_PACKAGE


@contextmanager
def router(native: Server, home: Path) -> Iterator[Contender]:
    """claude-code-router in front of vLLM's chat route."""
    settings = home / ".claude-code-router"
    settings.mkdir(parents=True)
    port = free_port()
    provider = {
        "name": "vllm",
        "api_base_url": f"{native.url}/v1/chat/completions",
        "api_key": "x",
        "models": [MODEL],
    }
    config = {
        "LOG": False,
        "HOST": "127.0.0.1",
        "PORT": port,
        "NON_INTERACTIVE_MODE": True,
        "API_TIMEOUT_MS": 600_000,
        "Providers": [provider],
        "Router": {"default": f"vllm,{MODEL}"},
    }
    (settings / "config.json").write_text(json.dumps(config), encoding="utf-8")
    node = shutil.which("node")
    if node is None:
        raise FileNotFoundError("claude-code-router needs node")
    command = [node, str(router_package() / "dist" / "cli.js"), "start"]
    url = f"http://127.0.0.1:{port}"
    with gateway(command, {"HOME": str(home)}, home, url, "/health") as process:
        yield Contender(ROUTER, url, (process.pid, native.process.pid), native)


def llama_python() -> Path:
    """Return the Python of an environment that has llama.cpp, installed on first use."""
    pinned = (f"xllamacpp=={LLAMA_VERSION}", f"gguf=={GGUF_VERSION}")
    return venv.python_with(f"llama-cpp-{LLAMA_VERSION}", *pinned)


@contextmanager
def llama_cpp(setting: Setting, home: Path) -> Iterator[Contender]:
    """llama.cpp's server with the tiny model's weights."""
    home.mkdir(parents=True)
    python = llama_python()
    model = tiny.model_directory(setting.template)
    converter = HERE / "gguf_model.py"
    recipe = f"{converter.read_text(encoding='utf-8')}{tiny.RECIPE}"

    def convert(empty: Path) -> None:
        subprocess.run([str(python), str(converter), str(model), str(empty / "model.gguf")], check=True)

    built = build_once(cache_home() / f"gguf-{setting.template}", recipe, convert)
    port = free_port()
    command = [str(python), *ISOLATED, str(HERE / "llama_server.py"), str(built / "model.gguf")]
    url = f"http://127.0.0.1:{port}"
    with gateway([*command, MODEL, str(port), str(WINDOW)], {}, home, url, "/health") as process:
        yield Contender(LLAMA, url, (process.pid,), None)


@contextmanager
def gateway(
    command: Sequence[str], env: Mapping[str, str], home: Path, url: str, health: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program without proxies in its environment until the block ends; wait until it is healthy."""
    hidden = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PYTHONPATH")
    inherited = {key: value for key, value in os.environ.items() if key.upper() not in hidden}
    log = home / "gateway.log"
    with process_group(command, {**inherited, "NO_PROXY": "*", **env}, log) as process:
        wait_until_healthy(f"{url}{health}", process, log)
        yield process


def wait_until_healthy(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return once the URL is answered.

    Raises:
        RuntimeError: The program ended, or does not answer in time; the text has the end of its log.
    """
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with direct.open(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{url} is not answered:\n{log.read_text(errors='replace')[-3000:]}")


def cpu_seconds(groups: Sequence[int]) -> float:
    """Return the CPU time of all processes of these groups so far."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:  # the process has ended meanwhile
            continue
        if int(fields[2]) in groups:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def versions() -> dict[str, str]:
    """Return what each contender is, with its version."""
    engine = f"vLLM {version('vllm').partition('+')[0]}"
    return {
        NATIVE: f"{engine}, its own `/v1/messages`: `vllm serve MODEL {' '.join(HERMES.flags)}`",
        LITELLM: f"`litellm[proxy]` {LITELLM_VERSION} in front of the same server, as `hosted_vllm/MODEL`, "
        "with its `websearch_interception`",
        ROUTER: f"`{ROUTER_PACKAGE}` {ROUTER_VERSION} in front of the same server",
        LLAMA: f"`xllamacpp` {LLAMA_VERSION}: llama.cpp's own server, with the same weights as GGUF",
        PLUGIN: f"`vllm-messages-plugin` {version('vllm-messages-plugin')} in {engine}: `vllm serve MODEL`",
    }
