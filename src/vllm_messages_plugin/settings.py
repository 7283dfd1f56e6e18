"""The VLLM_MESSAGES_* environment variables.

Read once, by `plugin`, when the server starts; `docs/configuration.md` has a heading for each.
"""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting of the plugin. Names on the outside are upper case, with the prefix."""

    model_config = SettingsConfigDict(env_prefix="VLLM_MESSAGES_", extra="ignore", frozen=True)

    enabled: bool = Field(True, description="Whether the plugin serves its routes at all.")
    aliases: str = Field(
        "claude-*",
        description=(
            "Model names answered by the served model besides its own: comma-separated patterns "
            "(`claude-*,gpt-*`), each optionally with the served name it stands for (`fast=my-lora`). "
            "Empty: none."
        ),
    )
    tool_call_parser: str = Field(
        "", description="vLLM tool parser for the Messages routes; empty: by template."
    )
    reasoning_parser: str = Field(
        "", description="vLLM reasoning parser for the Messages routes; empty: by template."
    )
    formats: Literal["auto", "vllm"] = Field(
        "auto",
        description=(
            "Who reads the model's markup: `auto`, our own scanner where it knows the shape and vLLM's "
            "parser elsewhere; `vllm`, vLLM's parser always."
        ),
    )
    default_thinking: Literal["off", "on", "template"] = Field(
        "off",
        description="What a request without `thinking` gets; `template` leaves it to the chat template.",
    )
    max_body_mb: int = Field(
        32, ge=1, description="Largest request body in MiB; a larger one is answered with 413."
    )
    fetch_private: bool = Field(
        False, description="Whether URL sources may be fetched from loopback and private addresses."
    )
    first_ping_seconds: float = Field(10, gt=0, description="Silence in a stream before the first `ping`.")
    ping_seconds: float = Field(20, gt=0, description="Silence between further pings.")
    signature_key: str = Field(
        "",
        description=(
            "Secret under which thinking is sealed in signatures; replicas that share it read each "
            "other's. Empty: a fresh one per server start."
        ),
    )
