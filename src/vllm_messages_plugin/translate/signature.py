"""Signatures of thinking blocks: the reasoning itself, compressed, authenticated and encrypted.

A client that was shown no reasoning sends the signature back, and the reasoning is restored from it, so that
the server keeps no state. AES-SIV (RFC 5297) needs no nonce: the same text always gets the same signature.
"""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_PREFIX = "vms1_"
THINKING = "thinking v1"
SEARCH_RESULT = "search result v1"
"""What a text is sealed for: one sealed for another purpose can't be restored."""

MAX_SIGNATURE = 16 * 1024 * 1024
"""Characters of the longest signature that is read."""
MAX_THINKING = 4 * 1024 * 1024
"""Bytes of the longest reasoning that is restored; compressed, it may be a thousandth of that."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs and restores reasoning under one server key."""

    sign: Callable[[str], str]
    restore: Callable[[str], str | None]


def _signature(sealed: bytes) -> str:
    return _PREFIX + base64.urlsafe_b64encode(sealed).decode()


def _decompressed(packed: bytes) -> str | None:
    decompressor = zlib.decompressobj()
    text = decompressor.decompress(packed, MAX_THINKING)
    return text.decode() if decompressor.eof else None


def signer(key: str, purpose: str = THINKING) -> Signer:
    """A signer under `key`, any text: servers that share it read each other's signatures.

    Args:
        key: The secret.
        purpose: What the texts are; signatures for one purpose are no signatures for another.
    """
    associated = [f"vllm-messages-plugin {purpose}".encode()]
    cipher = AESSIV(hashlib.sha512(key.encode()).digest())

    def sign(thinking: str) -> str:
        packed = zlib.compress(thinking.encode("utf-8", "replace"))
        return _signature(cipher.encrypt(packed, associated))

    def restore(signature: str) -> str | None:
        """The reasoning a signature holds; None for one that is foreign, empty or tampered with."""
        if not signature.startswith(_PREFIX) or len(signature) > MAX_SIGNATURE:
            return None
        try:
            sealed = base64.urlsafe_b64decode(signature.removeprefix(_PREFIX))
            if _signature(sealed) != signature:  # base64 reads several texts as the same bytes
                return None
            return _decompressed(cipher.decrypt(sealed, associated))
        except (binascii.Error, InvalidTag, ValueError, zlib.error):
            return None

    return Signer(sign, restore)
