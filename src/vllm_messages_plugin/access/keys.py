"""Named API keys and the TOML text that lists them.

[[key]]
name = "alice"
sha256 = "..."               # of the key; the key itself is stored nowhere
models = ["qwen*"]           # optional, as everything below
max_concurrent = 4
requests_per_minute = 60
tokens_per_minute = 200000
priority = 0
expires = 2027-01-31T00:00:00Z
"""

import hashlib
import secrets
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

UNNAMED: Final = "unnamed"
"""How logs and metrics call a client without a named key. No key may have this name."""

PREFIX: Final = "sk-vllm-"
"""How generated keys begin, so that secret scanners and people recognise them."""

LOWEST_PRIORITY: Final = 1_000_000
Positive = Annotated[int, Field(ge=1)]


class KeysError(ValueError):
    """The text of a keys file does not list valid keys. The message never contains a key."""


class ApiKey(BaseModel):
    """One named key.

    Attributes:
        name: What logs, metrics and stored objects call its holder.
        sha256: The SHA-256 digest of the key, in hexadecimal.
        models: Patterns of the model names it may use; empty allows all.
        max_concurrent: How many of its requests may run at once, in each server process.
        requests_per_minute: How many requests it may start in a minute.
        tokens_per_minute: How many tokens, of prompts and replies, it may use in a minute.
        priority: The priority of its requests under --scheduling-policy priority; smaller goes first.
        expires: When it ceases to be valid; a time without an offset is UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    models: tuple[str, ...] = ()
    max_concurrent: Positive | None = None
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    priority: Annotated[int, Field(ge=0, le=LOWEST_PRIORITY)] = 0
    expires: datetime | None = None

    @field_validator("name")
    @classmethod
    def _is_not_reserved(cls, name: str) -> str:
        if name == UNNAMED:
            raise ValueError("is reserved for clients without a key")
        return name

    @field_validator("expires")
    @classmethod
    def _in_utc(cls, expires: datetime | None) -> datetime | None:
        return expires.replace(tzinfo=UTC) if expires is not None and expires.tzinfo is None else expires

    def allows(self, model: str) -> bool:
        """Return whether the key may use a model of this name."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)

    def expired(self, now: datetime) -> bool:
        """Return whether the key is no longer valid."""
        return self.expires is not None and now >= self.expires

    @property
    def limits_routes(self) -> bool:
        """Whether only the Messages routes can hold the key to its limits: they know model and tokens."""
        return bool(self.models) or self.tokens_per_minute is not None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request.

    Attributes:
        name: The name of the key; "" for vLLM's own key and on a server without keys. It owns what the
            request stores.
        key: The named key, if there is one.
    """

    name: str = ""
    key: ApiKey | None = None

    @property
    def label(self) -> str:
        """The name for logs and metrics."""
        return self.name or UNNAMED


ANYBODY: Final = Caller()


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All valid keys of a file."""

    keys: tuple[ApiKey, ...] = ()
    _digests: tuple[bytes, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_digests", tuple(bytes.fromhex(key.sha256) for key in self.keys))

    def find(self, presented: str, now: datetime) -> ApiKey | None:
        """Return the key that was presented; None if there is none or it has expired.

        Every key is compared, each in constant time, so the time tells nothing about them.
        """
        digest = digest_of(presented)
        found: ApiKey | None = None
        for key, valid in zip(self.keys, self._digests, strict=True):
            if secrets.compare_digest(digest, valid):
                found = key
        return None if found is None or found.expired(now) else found


def digest_of(key: str) -> bytes:
    """Return the SHA-256 digest of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def new_key() -> str:
    """Make a random key."""
    return PREFIX + secrets.token_urlsafe(32)


def parse_keys(text: str) -> KeyRing:
    """Parse the text of a keys file.

    Raises:
        KeysError: It is not TOML, a field is unknown or invalid, or two keys share a name or a digest.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise KeysError(f"not valid TOML: {error}") from None
    if unknown := sorted(set(document) - {"key"}):
        raise KeysError(f"unknown field {unknown[0]!r}: keys are listed as [[key]]")
    tables = document.get("key", [])
    if not isinstance(tables, list):
        raise KeysError("key: keys are listed as [[key]], with double brackets")
    ring = KeyRing(tuple(_parse_key(number, table) for number, table in enumerate(tables)))
    _check_unique("name", (key.name for key in ring.keys))
    _check_unique("sha256", (key.sha256 for key in ring.keys))
    return ring


def _parse_key(number: int, table: object) -> ApiKey:
    try:
        return ApiKey.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(part) for part in ("key", number, *first["loc"]))
        raise KeysError(f"{path}: {first['msg']}") from None


def _check_unique(name: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for number, value in enumerate(values):
        if value in seen:
            raise KeysError(f"key.{number}.{name}: another key has the same")
        seen.add(value)
