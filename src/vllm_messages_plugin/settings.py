"""The VLLM_MESSAGES_* environment variables; `docs/configuration.md` has a heading for each.

An instance is a snapshot of the environment. `plugin` makes one per server process and hands it on.
"""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting of the plugin. A field's environment variable is its name in upper case, prefixed."""

    model_config = SettingsConfigDict(env_prefix="VLLM_MESSAGES_", extra="ignore", frozen=True)

    enabled: bool = Field(True, description="Whether the plugin serves its routes at all.")
    aliases: str = Field(
        "claude-*,haiku,sonnet,opus",
        description=(
            "Model names, besides the served ones, that requests may use: comma-separated patterns "
            "(`claude-*,gpt-*`), each optionally with the served name it stands for (`fast=my-lora`). "
            "Empty: none."
        ),
    )
    tool_call_parser: str = Field(
        "", description="vLLM tool parser for the Messages routes; empty: chosen by template."
    )
    reasoning_parser: str = Field(
        "", description="vLLM reasoning parser for the Messages routes; empty: chosen by template."
    )
    formats: Literal["auto", "vllm"] = Field(
        "auto",
        description=(
            "Which parser reads the model's output: `auto`, this plugin's scanner where it knows the model's "
            "format and vLLM's parser elsewhere; `vllm`, always vLLM's parser."
        ),
    )
    default_thinking: Literal["off", "on", "template"] = Field(
        "off",
        description="Thinking of requests without `thinking`; `template` leaves it to the chat template.",
    )
    thinking_loop_repeats: int = Field(
        12,
        ge=0,
        description=(
            "How often thinking may repeat a pattern of at most 64 tokens before it is closed, so that the "
            "model goes on to its reply; 0: without limit."
        ),
    )
    max_body_mb: int = Field(
        32, ge=1, description="Largest request body in MiB; a larger one is answered with 413."
    )
    slow_request_seconds: float = Field(
        30,
        ge=0,
        description=(
            "Seconds a client may take for a request's headers, and for its body before a minimum rate "
            "applies; 0 waits forever."
        ),
    )
    max_queued_requests: int | None = Field(
        None,
        ge=0,
        description=(
            "Requests that may wait beyond those the engine runs at once; more are refused with 529. "
            "Unset: vLLM's `--max-num-queued-reqs`, else three times what the engine runs at once."
        ),
    )
    token_cache_mb: int = Field(
        256,
        ge=0,
        description=(
            "MiB of memory, per server process, for the token ids of prompt segments; 0 tokenizes every "
            "prompt whole."
        ),
    )
    fetch_private: bool = Field(
        False, description="Whether URL sources may be fetched from loopback and private addresses."
    )
    first_ping_seconds: float = Field(10, gt=0, description="Silence in a stream before the first `ping`.")
    ping_seconds: float = Field(20, gt=0, description="Silence between further pings.")
    keys: str = Field(
        "",
        description=(
            "TOML file of named API keys with their models, limits and priorities. Empty: only vLLM's "
            "`--api-key` is checked."
        ),
    )
    limits_redis: str = Field(
        "",
        repr=False,
        description=(
            "URL of the Redis in which all replicas count the limits of keys: `redis://HOST:6379/0`. Empty: "
            "each server process counts for itself."
        ),
    )
    priority: bool = Field(
        True,
        description=(
            "Whether requests get priorities under `--scheduling-policy priority`: short side requests "
            "first, subagents after the main loop."
        ),
    )
    note_repeated_calls: bool = Field(
        False,
        description=(
            "Whether a note is added to the result of a tool call that the model has made four times or more "
            "with the same result, so that it stops."
        ),
    )
    search: str = Field(
        "",
        description=(
            "Search service behind the `web_search` tool: `searxng:http://HOST:PORT`, `brave`, `tavily`, "
            "`exa`, or `mcp:URL#TOOL`, a tool of an MCP server. Empty: the tool is refused."
        ),
    )
    search_key: str = Field("", repr=False, description="Key of that search service.")
    fetch: Literal["off", "on"] = Field(
        "off", description="Whether the server runs the `web_fetch` tool: it fetches pages for the model."
    )
    fetch_domains: str = Field(
        "",
        description=(
            "The only domains that `web_fetch` may fetch from, comma-separated "
            "(`example.com,wiki.lan:8080`); "
            "an entry with a port may have a private address. Empty: any public address."
        ),
    )
    mcp: Literal["off", "listed", "any"] = Field(
        "off",
        description=(
            "Which MCP servers the server connects for `mcp_servers`: none; `listed`, those of "
            "`VLLM_MESSAGES_MCP_URLS`; `any`, every public https URL besides."
        ),
    )
    mcp_urls: str = Field(
        "",
        description=(
            "URLs of MCP servers, comma-separated (`https://mcp.example.com,http://tools.lan:8080/mcp`). An "
            "entry covers what lies below its path, and may have a private address."
        ),
    )
    code: str = Field(
        "",
        description=(
            "Sandbox behind the `code_execution` tool: `mcp:URL#TOOL`, a tool of an MCP server that takes "
            "`code` or a `command`. Empty: the tool is refused."
        ),
    )
    code_key: str = Field("", repr=False, description="Bearer token for that MCP server.")
    signature_key: str = Field(
        "",
        description=(
            "Secret that encrypts thinking in signatures; replicas that share it read each other's. "
            "Empty: a new one per server start."
        ),
    )
    record: str = Field(
        "",
        description=(
            "Directory into which each request, prompt, raw output and reply is written, for bug reports. "
            "Empty: nothing is written."
        ),
    )
    store: str = Field(
        "",
        repr=False,
        description=(
            "Database of files, batches and message threads: empty for SQLite in the data directory, a "
            "`postgresql://` URL for several replicas, or `off`. Needs the extra `store`."
        ),
    )
    data: str = Field(
        "",
        description=(
            "Directory of the SQLite database and of stored bytes. Empty: `vllm-messages` in the user's data "
            "directory."
        ),
    )
    store_contents: str = Field(
        "",
        description=(
            "fsspec URL for the bytes of files and batches, such as `s3://bucket/prefix`, which all replicas "
            "must reach. Empty: the data directory."
        ),
    )
    max_file_mb: int = Field(500, ge=1, description="Largest file of the Files API in MiB.")
    store_quota_mb: int = Field(
        0, ge=0, description="MiB of files, batches and threads that one API key may keep; 0: any number."
    )
    thread_minutes: float = Field(
        5,
        ge=0,
        description=(
            "Minutes after its last request for which a message thread is kept; 0: threads are refused, and "
            "clients send whole conversations."
        ),
    )
    batch_concurrency: int = Field(
        16,
        ge=0,
        description=(
            "Items of batches that one server runs at once, of half of the requests that its engine runs at "
            "once at most; 0: it runs none and leaves them to other replicas."
        ),
    )
    batch_results_days: float = Field(
        29, gt=0, description="Days after its creation for which the results of a batch are kept."
    )
