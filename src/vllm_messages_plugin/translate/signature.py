"""Signatures of thinking blocks: the reasoning itself, compressed, authenticated and encrypted.

Used by `stream` (through `http.messages`) to sign and by `translate.conversation` to restore. With them
the reasoning survives a client that was shown none of it, and the server keeps no state. AES-SIV (RFC
5297) needs no nonce: the same text always gets the same signature.
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
_PURPOSE = [b"vllm-messages-plugin thinking v1"]
LARGEST = 16 * 1024 * 1024  # characters; a longer signature is not ours


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs and restores reasoning under one server key."""

    sign: Callable[[str], str]
    restore: Callable[[str], str | None]


def _written(sealed: bytes) -> str:
    return _PREFIX + base64.urlsafe_b64encode(sealed).decode()


def signer(key: str) -> Signer:
    """A signer under `key`, any text: servers that share it read each other's signatures."""
    cipher = AESSIV(hashlib.sha512(key.encode()).digest())

    def sign(thinking: str) -> str:
        packed = zlib.compress(thinking.encode("utf-8", "replace"))
        return _written(cipher.encrypt(packed, _PURPOSE))

    def restore(signature: str) -> str | None:
        """The reasoning a signature holds; None for one that is foreign, empty or tampered with."""
        if not signature.startswith(_PREFIX) or len(signature) > LARGEST:
            return None
        try:
            sealed = base64.urlsafe_b64decode(signature.removeprefix(_PREFIX))
            if _written(sealed) != signature:  # base64 reads several spellings of the same bytes
                return None
            return zlib.decompress(cipher.decrypt(sealed, _PURPOSE)).decode()
        except (binascii.Error, InvalidTag, ValueError, zlib.error):
            return None

    return Signer(sign, restore)
