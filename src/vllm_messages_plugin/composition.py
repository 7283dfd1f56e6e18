"""Builds what the routes work with, from the state of vLLM's server and the settings of this plugin.

It joins the packages as `plugin` does, and imports them when a server starts: `plugin` is loaded in every
process of vLLM, most of which serve no routes.
"""

import asyncio
import logging
import os
from argparse import Namespace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vllm_messages_plugin.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from vllm_messages_plugin.access.accounting import Accounting
    from vllm_messages_plugin.access.key_file import KeyFile
    from vllm_messages_plugin.access.metrics import Metrics
    from vllm_messages_plugin.access.traces import Traces
    from vllm_messages_plugin.http.ports import AppContext, Backend, ServerTools
    from vllm_messages_plugin.media.reader import MediaReader
    from vllm_messages_plugin.server_tools.code_execution import Sandbox
    from vllm_messages_plugin.server_tools.offer import Connector
    from vllm_messages_plugin.server_tools.search import SearchBackend
    from vllm_messages_plugin.server_tools.web_fetch import PageFetcher
    from vllm_messages_plugin.store.opening import Store
    from vllm_messages_plugin.work.worker import Worker

log = logging.getLogger("vllm.messages")

START_KEY = "_MESSAGES_START_KEY"
"""Environment variable that carries a key, made at the start, to all processes of one server.

It lacks the VLLM_ prefix because vLLM warns of every VLLM_ variable that it does not know.
"""
QUEUED_PER_RUNNING = 3
"""The default bound on waiting requests, for each request that the engine runs at once."""
MCP_PACKAGES = ("mcp", "mcp_types", "httpx2")
MCP_MISSING = "connecting MCP servers needs `pip install 'vllm-messages-plugin[mcp]'`"
STORE_OFF = "off"
STORE_PACKAGES = ("sqlalchemy", "aiosqlite", "alembic", "asyncpg", "fsspec", "python_multipart")


def build_accounting(context: "AppContext", key_file: "KeyFile | None", args: Namespace) -> "Accounting":
    """Return what holds named keys to their limits, and writes metrics and the request log.

    Args:
        context: The app's context.
        key_file: The named keys; None if the server has none.
        args: The arguments that vLLM was started with.
    """
    from vllm_messages_plugin.access.accounting import Accounting
    from vllm_messages_plugin.access.limits import MISSING, RateLimiter

    limiter = None
    if key_file is not None:
        try:
            limiter = RateLimiter(context.settings.limits_redis)
        except ImportError:
            log.warning("Keys with limits will be refused: %s", MISSING)
    metrics = _metrics()
    if metrics is not None:
        metrics.describe_server(native_tools=context.backend.traits.native_tools)
    return Accounting(limiter, metrics, _traces(args))


def _metrics() -> "Metrics | None":
    """The metrics, in the registry of vLLM's /metrics; None where they can't be registered."""
    from vllm_messages_plugin.access.metrics import Metrics

    try:
        return Metrics()
    except (ImportError, ValueError) as error:
        log.warning("The Messages routes have no metrics: %s", error)
        return None


def _traces(args: Namespace) -> "Traces | None":
    """Writes a span for each request; None where vLLM was started without an endpoint for traces."""
    from vllm_messages_plugin.access.traces import Traces

    return Traces() if getattr(args, "otlp_traces_endpoint", None) else None


def build_context(engine_client: Any, state: Any, args: Namespace, settings: Settings) -> "AppContext":
    """Return everything the routes work with.

    Args:
        engine_client: vLLM's engine client.
        state: The state of vLLM's app, with the objects behind vLLM's own routes.
        args: The arguments that vLLM was started with.
        settings: The settings of this plugin.
    """
    from vllm import envs

    from vllm_messages_plugin.engine.backend import EngineBackend
    from vllm_messages_plugin.http.admission import Admission
    from vllm_messages_plugin.http.diagnostics import PromptHistory
    from vllm_messages_plugin.http.ports import AppContext
    from vllm_messages_plugin.http.recorder import Recorder
    from vllm_messages_plugin.media.guard import FetchRules, MiB
    from vllm_messages_plugin.media.reader import MediaReader
    from vllm_messages_plugin.translate.signature import signer

    backend = EngineBackend(engine_client, state, args, settings)
    rules = FetchRules(
        allowed_domains=backend.media_domains,
        allow_redirects=bool(envs.VLLM_MEDIA_URL_ALLOW_REDIRECTS),
        allow_private=settings.fetch_private,
        max_bytes=settings.max_body_mb * MiB,
        max_total_bytes=4 * settings.max_body_mb * MiB,
    )
    processes = getattr(args, "api_server_count", None) or 1
    admission = Admission(admission_limit(backend, settings, processes))
    stop = partial(admission.stop, asyncio.get_running_loop())
    backend.call_on_shutdown(admission.shut_down, stop)
    key = settings.signature_key or os.environ[START_KEY]
    media = MediaReader(rules)
    return AppContext(
        backend,
        settings,
        signer(key),
        media,
        PromptHistory(complete=processes == 1),
        admission,
        server_tools=_server_tools(settings, key, media, backend.window),
        recorder=Recorder(Path(settings.record)) if settings.record else None,
        storage=_store(settings),
        storage_advice=_store_advice(settings),
    )


def admission_limit(backend: "Backend", settings: Settings, processes: int) -> int:
    """Return how many requests may be in flight in one of the server's API processes.

    The setting overrides vLLM's --max-num-queued-reqs. Without either, QUEUED_PER_RUNNING requests may wait
    for each one that the engine runs.
    """
    running = backend.max_running
    if settings.max_queued_requests is not None:
        total = running + settings.max_queued_requests
    elif backend.max_in_flight is not None:
        total = backend.max_in_flight
    else:
        total = running * (1 + QUEUED_PER_RUNNING)
    return max(1, -(-total // processes))


def _server_tools(settings: Settings, key: str, media: "MediaReader", window: int) -> "ServerTools":
    from vllm_messages_plugin.server_tools.offer import ServerToolOffer
    from vllm_messages_plugin.translate.signature import SEARCH_RESULT, signer

    sealer = signer(key, SEARCH_RESULT)
    return ServerToolOffer(
        sealer.sign,
        sealer.restore,
        _search_backend(settings),
        _page_fetcher(settings, media, window),
        _connector(settings, media, window),
        _sandbox(settings, window),
    )


def _sandbox(settings: Settings, window: int) -> "Sandbox | None":
    """The sandbox for code; a setting that names none is logged, and the server goes on."""
    if not settings.code:
        return None
    if not _has_mcp_package():
        log.error("The code_execution tool is not served: %s", MCP_MISSING)
        return None
    from vllm_messages_plugin.server_tools.mcp.operator_tool import operator_tool
    from vllm_messages_plugin.server_tools.mcp.results import MAX_RESULT_TOKENS
    from vllm_messages_plugin.server_tools.mcp.sandbox import McpSandbox

    try:
        tool = operator_tool(settings.code, "VLLM_MESSAGES_CODE", settings.code_key)
    except ValueError as error:
        log.error("The code_execution tool is not served: %s", error)
        return None
    log.info("The code_execution tool runs in %s of %s", tool.name, tool.server.log_name)
    return McpSandbox(tool, max(min(MAX_RESULT_TOKENS, window // 8), 1))


def _connector(settings: Settings, media: "MediaReader", window: int) -> "Connector":
    """Connects MCP servers, each result cut to a quarter of the context window at most."""
    from vllm_messages_plugin.server_tools.mcp.addresses import AllowedServers, place_of, url_list
    from vllm_messages_plugin.server_tools.offer import NoConnector

    if settings.mcp == "off":
        return NoConnector()
    urls = url_list(settings.mcp_urls)
    for url in urls:
        if place_of(url) is None:
            log.error("VLLM_MESSAGES_MCP_URLS: %r is no http or https URL", url)
    if not _has_mcp_package():
        log.error("MCP servers are not connected: %s", MCP_MISSING)
        return NoConnector(MCP_MISSING)
    from vllm_messages_plugin.server_tools.mcp.connector import McpConnector
    from vllm_messages_plugin.server_tools.mcp.results import MAX_RESULT_TOKENS

    log.info(
        "MCP servers are connected: %s", ", ".join(urls) if settings.mcp == "listed" else "any public one"
    )
    most = max(min(MAX_RESULT_TOKENS, window // 4), 1)
    return McpConnector(AllowedServers(settings.mcp, urls), most, media.resolve)


def _has_mcp_package() -> bool:
    """Whether the MCP client library is there in a version with the transport that this plugin guards."""
    return all(find_spec(name) for name in MCP_PACKAGES)


def _page_fetcher(settings: Settings, media: "MediaReader", window: int) -> "PageFetcher | None":
    """Fetches pages for the web_fetch tool, each to a quarter of the context window at most."""
    from vllm_messages_plugin.server_tools.web_fetch import MAX_CONTENT_TOKENS, PageFetcher

    if settings.fetch == "off":
        return None
    domains = tuple(filter(None, map(str.strip, settings.fetch_domains.split(","))))
    log.info("The web_fetch tool fetches from %s", ", ".join(domains) or "any public address")
    return PageFetcher(
        media.pdfs, domains, media.rules, media.resolve, max(min(MAX_CONTENT_TOKENS, window // 4), 1)
    )


def _search_backend(settings: Settings) -> "SearchBackend | None":
    """The search service of the settings; a setting that names none is logged, and the server goes on."""
    from vllm_messages_plugin.server_tools.search_backends import http_client, search_backend

    if not settings.search:
        return None
    try:
        search = search_backend(settings.search, settings.search_key, http_client())
    except ValueError as error:
        log.error("The web_search tool is not served: %s", error)
        return None
    log.info("The web_search tool is served by %s", search.name)
    return search


def _store(settings: Settings) -> "Store | None":
    """The store of files and batches; None where it is off, lacks its packages or is set wrongly."""
    if settings.store == STORE_OFF or not _has_store_packages():
        return None
    from vllm_messages_plugin.store.opening import StoreOptions, data_directory, open_store

    try:
        return open_store(
            StoreOptions(
                settings.store,
                data_directory(settings.data),
                settings.store_contents,
                settings.max_file_mb,
                settings.store_quota_mb,
                settings.batch_results_days,
                thread_seconds=60 * settings.thread_minutes,
            )
        )
    except (ValueError, ImportError) as error:
        log.error("Files and batches are not served (VLLM_MESSAGES_STORE): %s", error)
        return None


def batch_worker(
    app: "FastAPI",
    context: "AppContext",
    accounting: "Accounting",
    key_file: "KeyFile | None",
    processes: int,
) -> "Worker | None":
    """Return what runs the items of batches in this process; None without a store.

    Args:
        app: vLLM's app, whose state holds the context.
        context: What the routes work with.
        accounting: Counts what items use.
        key_file: The named keys; None if the server has none.
        processes: How many API processes the server has.
    """
    if context.storage is None:
        return None
    from vllm_messages_plugin.http.batch_items import ItemRunner
    from vllm_messages_plugin.store.opening import Store
    from vllm_messages_plugin.work.worker import Worker, WorkerOptions

    store = context.storage
    assert isinstance(store, Store), "`_store` made it"
    items = min(context.settings.batch_concurrency, max(context.backend.max_running // 2, 1))
    options = WorkerOptions(concurrency=-(-items // processes))
    runner = ItemRunner(app, context, accounting, key_file)
    return Worker(store.leases, store.retention, runner, context.batch_created, options)


def _store_advice(settings: Settings) -> str:
    """How the operator gets a store, for the errors of a server without one."""
    if _has_store_packages():
        return " (VLLM_MESSAGES_STORE)" if settings.store else ""
    return ": it needs `pip install 'vllm-messages-plugin[store]'`"


def _has_store_packages() -> bool:
    return all(find_spec(name) for name in STORE_PACKAGES)
