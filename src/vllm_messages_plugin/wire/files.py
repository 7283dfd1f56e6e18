"""The Files API: the description of a file, and safe values for what an upload declares.

The fields are those of `anthropic.types.FileMetadata` and `anthropic.types.beta.BetaFileMetadata`.
"""

import mimetypes
import re
from dataclasses import dataclass
from typing import Any, Final

from vllm_messages_plugin.wire.pages import timestamp

LEGACY_LIST_BETA: Final = "files-api-2025-04-14"
"""The beta header that selects the older list, with `has_more`, `first_id` and `last_id`."""

MIN_EXPIRES_SECONDS: Final = 3_600
MAX_EXPIRES_SECONDS: Final = 7_776_000

MAX_FILENAME: Final = 255
UNNAMED: Final = "file"
BINARY: Final = "application/octet-stream"
SNIFFED_BYTES: Final = 4096
"""How many bytes of a file decide its type."""

_SIGNATURES: Final = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What is known of a stored file. Times are Unix seconds; `size` is in bytes."""

    id: str
    filename: str
    mime_type: str
    size: int
    sha256: str
    created_at: float
    expires_at: float | None = None


def file_metadata(file: StoredFile) -> dict[str, Any]:
    """Return the description of a file as the API writes it."""
    metadata: dict[str, Any] = {
        "id": file.id,
        "type": "file",
        "filename": file.filename,
        "mime_type": file.mime_type,
        "size_bytes": file.size,
        "created_at": timestamp(file.created_at),
        "downloadable": True,
    }
    if file.expires_at is not None:
        metadata["expires_at"] = timestamp(file.expires_at)
    return metadata


def safe_filename(declared: str | None) -> str:
    """Return an uploaded file's name without directories and control characters, of a bounded length."""
    name = re.split(r"[/\\]", declared or "")[-1].strip()
    name = "".join(character for character in name if character.isprintable())
    if name in ("", ".", ".."):
        return UNNAMED
    if len(name) <= MAX_FILENAME:
        return name
    stem, dot, extension = name.rpartition(".")
    kept = f"{dot}{extension}" if stem and len(extension) < MAX_FILENAME // 2 else ""
    return name[: MAX_FILENAME - len(kept)] + kept


def mime_type(head: bytes, filename: str, declared: str | None) -> str:
    """Return the type of a file.

    Args:
        head: Its first bytes, at most SNIFFED_BYTES. What they show overrides what the client declares.
        filename: Its name.
        declared: The `content-type` of the upload.
    """
    if (sniffed := _sniffed(head)) is not None:
        return sniffed
    given = (declared or "").split(";")[0].strip().lower()
    if _TYPE.fullmatch(given) and given != BINARY and not _claims_media(given):
        return given
    guessed = mimetypes.guess_type(filename, strict=False)[0]
    if guessed is not None and not _claims_media(guessed):
        return guessed
    return "text/plain" if _is_text(head) else BINARY


def _sniffed(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for signature, kind in _SIGNATURES if head.startswith(signature)), None)


def _claims_media(kind: str) -> bool:
    """Whether a type has a signature, which a file without it therefore lacks."""
    return kind == "image/webp" or kind in {known for _, known in _SIGNATURES}


def _is_text(head: bytes) -> bool:
    """Whether bytes are UTF-8 text; a character cut at the end of the sniffed bytes is no fault."""
    if b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) == SNIFFED_BYTES and error.start >= len(head) - 3
    return True
